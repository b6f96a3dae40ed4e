"""Who authorises for a server: its resource metadata (RFC 9728), then the metadata of the authorisation server that it
names (RFC 8414, OpenID Connect Discovery), each checked to be of whom it was asked.

Metadata holds no secret and is asked without credentials. A redirect is no answer: the next place is tried.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from antiphon.oauth.asking import Asking
from antiphon.oauth.challenges import Challenge, read_challenge, usable_scopes
from antiphon.oauth.documents import ResourceMetadata, ServerMetadata, Unreadable, decoded
from antiphon.ports.exchanges import Answer, WebAddress
from antiphon.ports.mcp import McpFailure, McpRefused, McpUnreachable

_RESOURCE = "/.well-known/oauth-protected-resource"
_SERVER = "/.well-known/oauth-authorization-server"
_OPENID = "/.well-known/openid-configuration"
_PKCE = "S256"
_MAX_LINK = 8192
_UNAUTHORIZED = 401
_PING = b'{"jsonrpc":"2.0","id":1,"method":"ping"}'


@dataclass(frozen=True, slots=True)
class Authority:
    """Who authorises for a server. `resource` is what tokens are asked for; `scopes` what the server needs, as far as
    it says so without having been asked for anything.
    """

    resource: str
    scopes: Sequence[str]
    server: ServerMetadata


async def ask_unauthorized(asking: Asking, server_url: str) -> Challenge:
    """What a server says to a request without a token: where its metadata is, and which scopes it wants. Nothing where
    it says nothing. Raises McpRefused for an address that may not be asked.
    """
    headers = {"accept": "application/json, text/event-stream"}
    try:
        answer = await asking.post(server_url, "the server", _PING, "application/json", headers)
    except McpUnreachable:
        return Challenge()  # its metadata may be there all the same
    return read_challenge(answer.challenge) if answer.status == _UNAUTHORIZED else Challenge()


async def find_authority(asking: Asking, server_url: str, challenge: Challenge, issuer: str) -> Authority:
    """Ask for what is not known. `issuer` is what the operator wrote, "" for nothing. Raises McpFailure."""
    address = asking.read(server_url, "the server's address")
    resource = await _resource(asking, address, challenge)
    if not issuer:
        named = resource.authorization_servers if resource is not None else None
        # Servers of the revision 2025-03-26 say nothing of themselves, and authorise on their own.
        issuer = named[0] if named else address.origin
    server = await _server(asking, issuer)
    said = resource.scopes_supported if resource is not None else None
    scopes = usable_scopes(said or ())
    return Authority(resource.resource if resource is not None else canonical(address), scopes, server)


def canonical(address: WebAddress) -> str:
    """A server's name as a resource (RFC 8707, section 2): without a slash that means nothing, without a query, which
    may hold a key, and without a fragment.
    """
    return address.origin if address.path == "/" else address.origin + address.path


def resource_urls(address: WebAddress, challenge: Challenge) -> list[str]:
    """Where a server's resource metadata may be, in the order in which to look."""
    urls = [challenge.resource_metadata] if challenge.resource_metadata else []
    if address.path != "/":
        urls.append(f"{address.origin}{_RESOURCE}{address.path}")
    return [*urls, f"{address.origin}{_RESOURCE}"]


def server_urls(issuer: WebAddress) -> list[str]:
    """Where an authorisation server's metadata may be, in the order in which to look."""
    path = issuer.path.rstrip("/")
    if not path:
        return [issuer.origin + _SERVER, issuer.origin + _OPENID]
    return [
        f"{issuer.origin}{_SERVER}{path}",
        f"{issuer.origin}{_OPENID}{path}",
        f"{issuer.origin}{path}{_OPENID}",
    ]


async def _resource(asking: Asking, address: WebAddress, challenge: Challenge) -> ResourceMetadata | None:
    """None when the server has none. One that did not answer may have it, so that is a failure."""
    unreachable: McpUnreachable | None = None
    for url in resource_urls(address, challenge):
        try:
            found = _document(await asking.get(url, "the server's metadata"), ResourceMetadata)
        except McpUnreachable as error:
            unreachable = unreachable or error
            continue
        if found is not None:
            _check_resource(asking, address, found)
            return found
    if unreachable is not None:
        raise unreachable
    return None


def _document(answer: Answer, kind: type[ResourceMetadata]) -> ResourceMetadata | None:
    """Applications with one page answer anything with 200 and HTML: that is no metadata."""
    if answer.status != 200:
        return None
    try:
        return decoded(answer, kind, "the server's metadata")
    except Unreadable:
        return None


def _check_resource(asking: Asking, address: WebAddress, found: ResourceMetadata) -> None:
    """Tokens are asked for what the document names, so it has to be this server, or what the server is below of."""
    said = asking.read(found.resource, "the resource that the server's metadata names")
    below = said.path.rstrip("/") + "/"
    same = said.origin == address.origin and (
        said.url == address.url or (address.path + "/").startswith(below)
    )
    if not same or (said.query and said.query != address.query) or "#" in found.resource:
        raise McpRefused("the server's metadata is that of another resource")


async def _server(asking: Asking, issuer: str) -> ServerMetadata:
    where = asking.read(issuer, "the issuer of the authorisation server")
    if where.query or "#" in issuer:
        raise McpRefused(
            "the issuer of the authorisation server cannot be used: it has a query or a fragment"
        )
    what = f"the metadata of the authorisation server at {where.origin}"
    unreadable: McpFailure | None = None
    for url in server_urls(where):
        answer = await asking.get(url, what)
        if answer.status != 200:
            continue
        try:
            found = decoded(answer, ServerMetadata, what)
        except Unreadable as error:
            unreadable = unreadable or error
            continue
        _check_server(asking, where, issuer, found)
        return found
    raise unreadable or McpFailure(f"{what} was not found: it has to be where RFC 8414 or OpenID Connect say")


def _check_server(asking: Asking, where: WebAddress, issuer: str, found: ServerMetadata) -> None:
    """Raises McpRefused for metadata of somebody else, without PKCE, or with an endpoint that may not be used."""
    if not same_issuer(found.issuer, issuer, where):
        raise McpRefused(
            f"the metadata at {where.origin} is that of another issuer than the one it was asked for"
        )
    if _PKCE not in (found.code_challenge_methods_supported or []):
        raise McpRefused(
            f"the authorisation server at {where.origin} does not say that it supports PKCE with S256"
            " (`code_challenge_methods_supported`), without which a code could be stolen"
        )
    endpoints = (
        found.authorization_endpoint,
        found.token_endpoint,
        found.registration_endpoint,
        found.revocation_endpoint,
    )
    for endpoint in endpoints:
        if endpoint:
            _check_endpoint(asking, where, endpoint)


def same_issuer(said: str, expected: str, where: WebAddress) -> bool:
    """As strings; one without a path has the slash or not, and is the same server."""
    return said == expected or {said, expected} <= {where.origin, f"{where.origin}/"}


def _check_endpoint(asking: Asking, where: WebAddress, endpoint: str) -> None:
    """The issuer's own document names its endpoints, so they may be on other hosts, but not off TLS: there only where
    the issuer itself was asked, or the operator trusts.
    """
    what = f"an endpoint of the authorisation server at {where.origin}"
    address = asking.read(endpoint, what)
    if address.scheme != "https" and address.origin not in asking.trusted | {where.origin}:
        raise McpRefused(f"{what} cannot be used: it has to begin with https://")
    if "#" in endpoint or len(endpoint) > _MAX_LINK:
        raise McpRefused(f"{what} cannot be used: it has a fragment, or is too long")
