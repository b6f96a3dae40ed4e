"""A real authorisation server, and an MCP server that it protects, on a loopback port; every case has its own two.

    with OAuthServers() as servers:
        case = servers.case()
        case.mcp               # address of the protected server (the SDK's): 401 with a challenge without a token
        case.issuer            # the authorisation server: metadata, registration, /authorize, /token
        case.twist("metadata", document={"issuer": "https://elsewhere.example"})
        case.asked("token")    # the forms that came

`/authorize` asks nobody: it sends the browser back at once, as the user that the cookie `user` names. Codes hold once,
PKCE, `resource`, redirect address and client are checked, refresh tokens rotate, and one that is used twice ends all
tokens that it led to.
"""

import asyncio
import base64
import hashlib
import itertools
import json
import secrets
import threading
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Self
from urllib.parse import parse_qsl, unquote, urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.support.asgi import LIMIT_S, AsgiServer

Json = dict[str, Any]
RESOURCE: Final = "/.well-known/oauth-protected-resource"
METADATA: Final = "/.well-known/oauth-authorization-server"
OPENID: Final = "/.well-known/openid-configuration"
SCOPES: Final = ("notes:read", "notes:write")


@dataclass(slots=True)
class Twist:
    """How an endpoint misbehaves. `document` changes what it says, None takes a key away; `gate` holds it."""

    document: Mapping[str, Any] = field(default_factory=dict[str, Any])
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes | None = None
    gate: asyncio.Event | None = None
    times: int = 1_000_000


@dataclass(slots=True)
class Issued:
    """A token, and whose. `family` are all that one authorisation led to."""

    subject: str
    client_id: str
    resource: str
    scope: str
    family: str


@dataclass(slots=True)
class Code:
    redirect_uri: str
    challenge: str
    issued: Issued


@dataclass(slots=True)
class Seen:
    """One request."""

    endpoint: str
    headers: Mapping[str, str]
    form: Mapping[str, str]


class OAuthCase:
    """An authorisation server and a protected server of their own. Read from the test's thread."""

    def __init__(self, base: str, name: str, server: AsgiServer) -> None:
        self.base, self.name = base, name
        self.issuer = f"{base}/{name}"
        self.mcp = f"{base}/{name}/mcp"
        self.seen: list[Seen] = []
        self.twists: dict[str, Twist] = {}
        self.clients: dict[str, Json] = {}
        self.codes: dict[str, Code] = {}
        self.access: dict[str, Issued] = {}
        self.refresh: dict[str, Issued] = {}
        self.spent: dict[str, str] = {}
        self.secrets: list[str] = []
        """Everything that must be seen nowhere else: tokens, codes, secrets of clients, verifiers."""
        self.expires_in: Any = 3600
        self.deny = ""
        self.sends_issuer = True
        self.refreshes = True
        self.scope = ""
        self._server = server
        self._changed = threading.Condition()

    # --- for tests
    def wait_for(self, endpoint: str, times: int) -> None:
        """Return as soon as an endpoint has been asked so often; fail when it is not within a generous limit."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.asked(endpoint)) >= times, LIMIT_S), endpoint

    def twist(self, endpoint: str, **how: Any) -> Twist:
        """Endpoints: resource, metadata, register, authorize, token, revoke, mcp; openid and appended are there with
        a twist only.
        """
        made = self.twists[endpoint] = Twist(**how)
        return made

    def hold(self, endpoint: str) -> Twist:
        """Let the endpoint wait until `release`."""
        return self.twist(endpoint, gate=asyncio.Event())

    def release(self, twist: Twist) -> None:
        assert twist.gate is not None
        self._server.call(twist.gate)

    def asked(self, endpoint: str) -> list[Mapping[str, str]]:
        """The forms, or queries, that came to an endpoint."""
        return [one.form for one in self.seen if one.endpoint == endpoint]

    def register(self, client_id: str, secret: str, redirect_uri: str, auth: str = "") -> None:
        """As an operator does by hand."""
        auth = auth or ("client_secret_basic" if secret else "none")
        self.clients[client_id] = {
            "client_id": client_id,
            "client_secret": secret,
            "redirect_uris": [redirect_uri],
            "token_endpoint_auth_method": auth,
        }
        self.secrets += [secret] if secret else []

    def revoke(self, access: str) -> None:
        del self.access[access]

    def subjects(self) -> dict[str, str]:
        """Whose each access token is that holds."""
        return {token: one.subject for token, one in self.access.items()}

    # --- for the server
    def note(self, seen: Seen) -> None:
        with self._changed:
            self.seen.append(seen)
            self._changed.notify_all()

    # --- what it says
    def resource_metadata(self) -> Json:
        return {
            "resource": self.mcp,
            "authorization_servers": [self.issuer],
            "scopes_supported": list(SCOPES),
            "bearer_methods_supported": ["header"],
        }

    def metadata(self) -> Json:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "registration_endpoint": f"{self.issuer}/register",
            "revocation_endpoint": f"{self.issuer}/revoke",
            "response_types_supported": ["code"],
            "grant_types_supported": ["authorization_code", "refresh_token"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["none", "client_secret_basic", "client_secret_post"],
            "authorization_response_iss_parameter_supported": self.sends_issuer,
        }

    def fresh(self, prefix: str) -> str:
        made = prefix + secrets.token_urlsafe(24)
        self.secrets.append(made)
        return made


class OAuthServers:
    """A context manager. `case()` may be called from any thread."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._cases: dict[str, OAuthCase] = {}
        self._mcp: ASGIApp | None = None
        self._server = AsgiServer(self._app)
        self.port = self._server.port

    def case(self) -> OAuthCase:
        name = f"tenant{next(self._numbers)}"
        made = self._cases[name] = OAuthCase(self._server.url, name, self._server)
        return made

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.__exit__(*error)

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            async with self._started():
                await send({"type": "lifespan.startup.complete"})
                await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        request = Request(scope, receive)
        case, endpoint = self._find(request.url.path)
        if case is None:
            await PlainTextResponse("Not Found", 404)(scope, receive, send)
            return
        answer = await _answer(case, endpoint, request)
        if answer is not None:
            await answer(scope, receive, send)
            return
        assert self._mcp is not None
        inner = {**scope, "root_path": f"/{case.name}", "subject": _subject(case, request)}
        await self._mcp(inner, receive, send)

    def _find(self, path: str) -> tuple[OAuthCase | None, str]:
        for prefix, endpoint in ((RESOURCE, "resource"), (METADATA, "metadata"), (OPENID, "openid")):
            if path.startswith(prefix):
                return self._cases.get(path[len(prefix) :].strip("/").partition("/")[0]), endpoint
        name, _, endpoint = path[1:].partition("/")
        return self._cases.get(name), "appended" if f"/{endpoint}" == OPENID else endpoint

    @asynccontextmanager
    async def _started(self) -> AsyncGenerator[None]:
        app = _protected()
        self._mcp = app
        async with app.router.lifespan_context(app):
            yield


def _protected() -> Any:
    """The SDK's server, whose one tool says whose token it was called with."""
    from mcp.server.mcpserver import Context, MCPServer

    server: MCPServer[Any] = MCPServer("vault", version="1.0", log_level="CRITICAL")

    def whoami(ctx: Context) -> str:
        """Say who is asking."""
        request = ctx.request_context.request
        assert isinstance(request, Request)
        return f"you are {request.scope['subject']}"

    server.add_tool(whoami)
    return server.streamable_http_app(streamable_http_path="/mcp", stateless_http=True)


async def _answer(case: OAuthCase, endpoint: str, request: Request) -> Response | None:
    """None: it is for the protected server, and has a token that holds."""
    body = await request.body() if endpoint in {"register", "token", "revoke"} else b""
    form = dict(request.query_params) if request.method == "GET" else dict(parse_qsl(body.decode()))
    case.note(Seen(endpoint, dict(request.headers), form))
    twist = case.twists.get(endpoint)
    if twist is not None and twist.times > 0:
        twist.times -= 1
        if twist.gate is not None:
            await twist.gate.wait()
        if twist.body is not None or twist.status is not None:
            return Response(twist.body or b"", twist.status or 200, dict(twist.headers))
    changes: Mapping[str, Any] = twist.document if twist is not None else {}
    match endpoint:
        case "resource":
            return _said(case.resource_metadata(), changes)
        case "metadata":
            return _said(case.metadata(), changes)
        case "openid" | "appended" if twist is not None:
            return _said(case.metadata(), changes)
        case "register":
            return _said(_registered(case, json.loads(body)), changes, 201)
        case "authorize":
            return _authorize(case, form, request.cookies.get("user", "nobody"), changes)
        case "token":
            return _token(case, request, form, changes)
        case "revoke":
            return _revoked(case, request, form)
        case "mcp":
            return None if _subject(case, request) else _challenge(case)
        case _:
            return PlainTextResponse("Not Found", 404)


def _said(document: Json, changes: Mapping[str, Any], status: int = 200) -> Response:
    changed = {**document, **changes}
    return JSONResponse({key: value for key, value in changed.items() if value is not None}, status)


def _subject(case: OAuthCase, request: Request) -> str:
    token = request.headers.get("authorization", "").removeprefix("Bearer ")
    issued = case.access.get(token)
    return issued.subject if issued is not None and issued.resource == case.mcp else ""


def _challenge(case: OAuthCase) -> Response:
    where = f"{case.base}{RESOURCE}/{case.name}/mcp"
    scope = f', scope="{case.scope}"' if case.scope else ""
    header = f'Bearer error="invalid_token", resource_metadata="{where}"{scope}'
    return JSONResponse({"error": "invalid_token"}, 401, {"www-authenticate": header})


def _registered(case: OAuthCase, asked: Json) -> Json:
    auth = asked["token_endpoint_auth_method"]
    secret = case.fresh("secret-") if auth != "none" else None
    made: Json = {**asked, "client_id": f"client-{len(case.clients) + 1}", "client_secret": secret}
    case.clients[str(made["client_id"])] = made
    return {**made, "client_secret_expires_at": 0} if secret else made


def _authorize(case: OAuthCase, asked: Mapping[str, str], user: str, changes: Mapping[str, Any]) -> Response:
    client = case.clients.get(asked.get("client_id", ""))
    if client is None or asked.get("redirect_uri") not in client["redirect_uris"]:
        return PlainTextResponse("no such client, or not its address", 400)
    back: Json = {"state": asked.get("state", "")}
    if case.sends_issuer:
        back["iss"] = case.issuer
    pkce = asked.get("code_challenge_method") == "S256" and len(asked.get("code_challenge", "")) == 43
    if case.deny:
        back |= {"error": case.deny, "error_description": "<script>alert(1)</script>"}
    elif asked.get("response_type") != "code" or not pkce or asked.get("resource") != case.mcp:
        back["error"] = "invalid_request"
    else:
        issued = Issued(user, client["client_id"], case.mcp, asked.get("scope", ""), secrets.token_hex(8))
        code = case.fresh("code-")
        case.codes[code] = Code(asked["redirect_uri"], asked["code_challenge"], issued)
        back["code"] = code
    back = {key: value for key, value in {**back, **changes}.items() if value is not None}
    return RedirectResponse(f"{asked['redirect_uri']}?{urlencode(back)}", 302)


def _token(
    case: OAuthCase, request: Request, form: Mapping[str, str], changes: Mapping[str, Any]
) -> Response:
    client = _client(case, request, form)
    if client is None:
        return JSONResponse({"error": "invalid_client"}, 401)
    issued = _from_code(case, form) if form.get("grant_type") == "authorization_code" else _next(case, form)
    if issued is None or issued.client_id != client["client_id"]:
        return JSONResponse({"error": "invalid_grant", "error_description": "canary: internal"}, 400)
    if form.get("resource") != issued.resource:
        return JSONResponse({"error": "invalid_target"}, 400)
    access = case.fresh("access-")
    case.access[access] = issued
    said: Json = {"access_token": access, "token_type": "Bearer", "expires_in": case.expires_in}
    if case.refreshes:
        said["refresh_token"] = case.fresh("refresh-")
        case.refresh[said["refresh_token"]] = issued
    return _said({**said, "scope": issued.scope or None}, changes)


def _client(case: OAuthCase, request: Request, form: Mapping[str, str]) -> Json | None:
    """The client that shows who it is in the way that it was registered with, and in no other."""
    header = request.headers.get("authorization", "")
    if header.startswith("Basic "):
        pair = base64.b64decode(header.removeprefix("Basic ")).decode()
        client_id, _, secret = (unquote(part) for part in pair.partition(":"))
        auth = "client_secret_basic"
    else:
        client_id, secret = form.get("client_id", ""), form.get("client_secret", "")
        auth = "client_secret_post" if secret else "none"
    client = case.clients.get(client_id)
    if client is None or client["token_endpoint_auth_method"] != auth:
        return None
    return client if (client.get("client_secret") or "") == secret else None


def _from_code(case: OAuthCase, form: Mapping[str, str]) -> Issued | None:
    case.secrets.append(form.get("code_verifier", "no verifier"))
    code = case.codes.pop(form.get("code", ""), None)
    if code is None or code.redirect_uri != form.get("redirect_uri"):
        return None
    digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
    fits = base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == code.challenge
    return code.issued if fits else None


def _revoked(case: OAuthCase, request: Request, form: Mapping[str, str]) -> Response:
    """RFC 7009: what is not known is revoked already."""
    client = _client(case, request, form)
    if client is None:
        return JSONResponse({"error": "invalid_client"}, 401)
    issued = case.refresh.get(form["token"]) or case.access.get(form["token"])
    if issued is not None and issued.client_id == client["client_id"]:
        _end(case, issued.family)
    return Response()


def _end(case: OAuthCase, family: str) -> None:
    for tokens in (case.access, case.refresh):
        for token in [token for token, one in tokens.items() if one.family == family]:
            del tokens[token]


def _next(case: OAuthCase, form: Mapping[str, str]) -> Issued | None:
    """Rotation: a refresh token that comes twice was stolen, so everything of its family ends (OAuth 2.1, 4.3.1)."""
    used = form.get("refresh_token", "")
    family = case.spent.get(used)
    if family is not None:
        _end(case, family)
        return None
    issued = case.refresh.pop(used, None)
    if issued is not None:
        case.spent[used] = issued.family
    return issued
