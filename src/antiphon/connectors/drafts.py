"""A connector with its secrets in clear, between a request and the store: made, changed, checked, taken apart."""

import re
from dataclasses import dataclass, field

from antiphon.connectors.shapes import (
    CreateConnector,
    NewOAuth,
    PublicOAuth,
    PublicPart,
    SecretPart,
    Transport,
    UpdateConnector,
)
from antiphon.core.errors import InvalidRequest, UnsupportedParameter
from antiphon.core.json_values import is_object
from antiphon.core.mcp_rules import check_headers, check_token
from antiphon.core.wire import UNSET, JsonObject
from antiphon.mcp_tools.addresses import AddressRefused, ServerPolicy
from antiphon.ports import Owner

PROCESS_FIELDS = ("command", "args", "env", "cwd", "folder", "environment")
HIDDEN = "***"
MAX_HEADER_CHARS = 32 * 1024
_AUTHORIZATION = "authorization"
_CLIENT_SECRET = re.compile(r"[\x20-\x7e]{1,2048}\Z")  # RFC 6749, A.2


@dataclass(frozen=True, slots=True)
class Draft:
    """All of a connector but its id. `url` is the whole one."""

    url: str = field(repr=False)
    transport: Transport
    label: str
    description: str | None
    authorization: str = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    oauth: NewOAuth | None
    metadata: dict[str, str]

    def parts(self) -> tuple[PublicPart, SecretPart]:
        """What is stored of it, in clear and sealed."""
        shown = shown_url(self.url)
        secret = self.oauth.client_secret if self.oauth is not None else None
        public = PublicPart(
            url=shown,
            transport=self.transport,
            server_label=self.label,
            server_description=self.description,
            has_authorization=bool(self.authorization),
            header_names=sorted(name.lower() for name in self.headers),
            oauth=None if self.oauth is None else _public(self.oauth),
            metadata=self.metadata,
        )
        return public, SecretPart(
            url="" if shown == self.url else self.url,
            authorization=self.authorization,
            headers=self.headers,
            client_secret=secret or "",
        )


def new_draft(body: CreateConnector) -> Draft:
    return Draft(
        url=body.url,
        transport=body.transport or "auto",
        label=body.server_label or body.connector_id,
        description=body.server_description or None,
        authorization=_text(body.authorization, "authorization"),
        headers=body.headers or {},
        oauth=body.oauth or None,
        metadata=body.metadata or {},
    )


def stored_draft(public: PublicPart, secret: SecretPart) -> Draft:
    oauth = public.oauth
    return Draft(
        url=secret.url or public.url,
        transport=public.transport,
        label=public.server_label,
        description=public.server_description,
        authorization=secret.authorization,
        headers=secret.headers,
        oauth=None if oauth is None else _whole(oauth, secret.client_secret),
        metadata=public.metadata,
    )


def changed(draft: Draft, body: UpdateConnector, connector_id: str) -> Draft:
    """What an update makes of a connector. Not checked yet."""
    keeps_url = body.url is UNSET or body.url == shown_url(draft.url)
    return Draft(
        url=draft.url if keeps_url else str(body.url),
        transport=draft.transport if body.transport is UNSET else body.transport or "auto",
        label=draft.label if body.server_label is UNSET else body.server_label or connector_id,
        description=draft.description
        if body.server_description is UNSET
        else body.server_description or None,
        authorization=draft.authorization
        if body.authorization is UNSET
        else _text(body.authorization, "authorization"),
        headers=draft.headers if body.headers is UNSET else body.headers or {},
        oauth=draft.oauth if body.oauth is UNSET else body.oauth or None,
        metadata=draft.metadata if body.metadata is UNSET else body.metadata or {},
    )


def secrets_of(public: PublicPart) -> list[str]:
    """The fields in which this connector has secrets."""
    has = {
        "url": HIDDEN in public.url,
        "authorization": public.has_authorization,
        "headers": bool(public.header_names),
        "oauth": public.oauth is not None and public.oauth.has_client_secret,
    }
    return [name for name, there in has.items() if there]


def given_secrets(public: PublicPart, body: UpdateConnector) -> list[str]:
    """Those of the fields with secrets that an update sets or takes away."""
    given = {
        "url": body.url is not UNSET and body.url != public.url,
        "authorization": body.authorization is not UNSET,
        "headers": body.headers is not UNSET,
        "oauth": body.oauth is not UNSET,
    }
    return [name for name, there in given.items() if there]


def check(draft: Draft, owner: Owner, policy: ServerPolicy) -> None:
    """Raises InvalidRequest with the field in `param`; no message repeats a secret."""
    policy.address(owner, draft.url, "url")
    check_headers(draft.headers, "headers")
    if sum(len(name) + len(value) for name, value in draft.headers.items()) > MAX_HEADER_CHARS:
        raise InvalidRequest(
            f"`headers`: more than {MAX_HEADER_CHARS} characters together; servers take no more.",
            param="headers",
        )
    if draft.authorization:
        check_token(draft.authorization, "authorization")
    own = next((name for name in draft.headers if name.lower() == _AUTHORIZATION), None)
    if draft.authorization and own is not None:
        raise InvalidRequest(
            "`authorization`: the headers have an Authorization too; send one of them.", param="authorization"
        )
    if draft.oauth is not None:
        if draft.authorization or own is not None:
            other = "authorization" if draft.authorization else f"headers.{own}"
            raise InvalidRequest(
                f"`oauth`: each user sends a token of their own, so `{other}` would never be sent; keep one of them.",
                param="oauth",
            )
        _check_oauth(draft.oauth, policy)


def _check_oauth(oauth: NewOAuth, policy: ServerPolicy) -> None:
    if oauth.client_secret and not oauth.client_id:
        raise InvalidRequest(
            "`oauth.client_secret`: it belongs to a `client_id`, which is missing.",
            param="oauth.client_secret",
        )
    if oauth.client_secret and not _CLIENT_SECRET.match(oauth.client_secret):
        raise InvalidRequest(
            "`oauth.client_secret`: expected printable ASCII, at most 2048 characters.",
            param="oauth.client_secret",
        )
    if oauth.issuer:
        try:
            policy.read(oauth.issuer)
        except AddressRefused as refused:
            raise InvalidRequest(f"`oauth.issuer`: the URL {refused}.", param="oauth.issuer") from None


def refuse(body: JsonObject) -> None:
    """What is looked at before the shape of a body is judged: a judgement quotes what it found, and no secret may be
    quoted. Raises InvalidRequest.
    """
    _refuse_processes(body)
    if body.get("url", "") is None:
        raise InvalidRequest(
            "`url`: null, and a connector has to have one; send it, or leave it out.", param="url"
        )
    oauth, headers = body.get("oauth"), body.get("headers")
    secrets = {"authorization": body.get("authorization")}
    if is_object(oauth):
        secrets["oauth.client_secret"] = oauth.get("client_secret")
    if is_object(headers):
        secrets |= {f"headers.{name[:64]}": value for name, value in headers.items()}
    for path, value in secrets.items():
        if value is not None and not isinstance(value, str):
            raise InvalidRequest(f"`{path}`: expected a string.", param=path)


def _refuse_processes(body: JsonObject) -> None:
    """A server that is started as a process is the operator's to configure. Raises UnsupportedParameter."""
    named = [name for name in PROCESS_FIELDS if name in body]
    if body.get("transport") == "stdio":
        named.append("transport")
    if named:
        raise UnsupportedParameter(
            f"`{named[0]}`: servers that are started as a process (stdio) are named in the server's configuration"
            " alone, under `connectors`; send the `url` of a server over HTTP.",
            param=named[0],
        )


def shown_url(url: str) -> str:
    """The URL with `***` for each value of its query, where credentials often are."""
    whole, hash_mark, fragment = url.partition("#")
    address, mark, query = whole.partition("?")
    shown = "&".join(_hidden(*part.partition("=")) for part in query.split("&"))
    return address + mark + shown + hash_mark + fragment


def _hidden(name: str, equals: str, value: str) -> str:
    """A part of a query; without a name it is all value."""
    if not equals:
        return HIDDEN if name else ""
    return name + equals + (HIDDEN if value else "")


def _text(value: object, path: str) -> str:
    """A secret text, "" where it is left out or null. Raises InvalidRequest for an empty one."""
    if value == "":
        raise InvalidRequest(f"`{path}`: is empty; send null, or leave it out, for none.", param=path)
    return value if isinstance(value, str) else ""


def _public(oauth: NewOAuth) -> PublicOAuth:
    return PublicOAuth(
        client_id=oauth.client_id or None,
        has_client_secret=bool(oauth.client_secret),
        scopes=oauth.scopes or [],
        issuer=oauth.issuer or None,
    )


def _whole(oauth: PublicOAuth, client_secret: str) -> NewOAuth:
    return NewOAuth(
        client_id=oauth.client_id,
        client_secret=client_secret or None,
        scopes=oauth.scopes,
        issuer=oauth.issuer,
    )
