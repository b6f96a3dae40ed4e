"""`GET /v1/connectors/oauth/callback`, where authorisation servers send users back, and the document that says who
this server is (OAuth Client ID Metadata Document). Neither needs a key: of the first the `state` is the proof.
"""

from antiphon.core.errors import AntiphonError, MethodNotAllowed, NotFound
from antiphon.core.wire import encode
from antiphon.oauth.callbacks import CallbackRefused, read_returned
from antiphon.oauth.clients import CALLBACK, DOCUMENT
from antiphon.oauth.page import page
from antiphon.oauth.service import UserAuthorizations
from antiphon.ports.mcp import McpFailure
from antiphon.web.http import JsonReply, Reply, Request
from antiphon.web.routing import Query, Route

_FAILED = "Access was not given"
_TEXT = {"type": "string"}


class OAuthRoutes:
    def __init__(self, authorizations: UserAuthorizations) -> None:
        self._authorizations = authorizations

    async def callback(self, request: Request) -> Reply:
        """Answers with a page in every case: a person reads it."""
        if request.scope["method"] != "GET":  # what looks at links before people do must not use them up
            raise MethodNotAllowed(request.scope["method"], CALLBACK, ["GET"])
        try:
            done = await self._authorizations.finish(read_returned(request.query()))
        except CallbackRefused as refused:
            return page(_FAILED, refused.message, status=400)
        except McpFailure as failure:
            text = f"It could not be finished: {failure.message}. Ask for a new link to try again."
            return page(_FAILED, text, status=502)
        except AntiphonError as error:
            return page(_FAILED, f"It could not be finished: {error.message}", status=error.status)
        return page(
            "Done",
            f"“{done.label}” may now be used on behalf of the user “{done.subject}” of this server. You can close"
            " this window.",
        )

    async def document(self, request: Request) -> Reply:
        front = self._authorizations.front
        if not front.document:
            raise NotFound(
                f"there is no {DOCUMENT}: a client that is known by its address needs `mcp.public_url` with https."
            )
        return JsonReply(encode(front.metadata()), headers={"cache-control": "public, max-age=300"})

    def table(self) -> list[Route]:
        return [
            Route(
                "GET",
                CALLBACK,
                self.callback,
                "Where an authorisation server sends a user back",
                "Connectors",
                query=[
                    Query("state", _TEXT, "What the authorisation was begun with; it can be used once."),
                    Query("code", _TEXT, "What the access token is got with."),
                    Query("iss", _TEXT, "Which authorisation server answers (RFC 9207)."),
                    Query("error", _TEXT, "Why there is no code (RFC 6749)."),
                ],
                public=True,
                answer="text/html",
            ),
            Route(
                "GET",
                DOCUMENT,
                self.document,
                "Who this server is to authorisation servers",
                "Connectors",
                public=True,
            ),
        ]
