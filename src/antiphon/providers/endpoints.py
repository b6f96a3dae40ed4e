"""Where each operation of an upstream is: base URLs in all the forms that people write, and Azure's two
layouts.
"""

from dataclasses import dataclass, field

from yarl import URL


@dataclass(slots=True)
class Endpoints:
    """Full URLs, built once per path and model."""

    base: URL
    query: dict[str, str] = field(default_factory=dict[str, str])
    per_deployment: bool = False
    _known: dict[tuple[str, str], URL] = field(default_factory=dict[tuple[str, str], URL])

    def url(self, path: str, model: str = "") -> URL:
        """`path` begins with a slash and is relative to the base: `/chat/completions`."""
        key = (path, model if self.per_deployment else "")
        found = self._known.get(key)
        if found is None:
            if len(self._known) > 1024:  # model names come from outside
                self._known.clear()
            found = self._known[key] = self._build(path, model)
        return found

    def at_root(self, path: str) -> URL:
        """`path` beside the API rather than in it: below the base URL without its `/v1`."""
        root = self.base.parent if self.base.name == "v1" else self.base
        return root.joinpath(*path.strip("/").split("/"))

    def names_model(self, path: str) -> bool:
        """Whether the URL of this operation holds the model's name; Azure's `/responses` has it in the body."""
        return self.per_deployment and path != "/models" and not path.startswith("/responses")

    def _build(self, path: str, model: str) -> URL:
        base = self.base
        if self.names_model(path):
            base = base / "deployments" / model
        url = base.joinpath(*path.strip("/").split("/"))
        return url.with_query(self.query) if self.query else url


def endpoints(base_url: str) -> Endpoints:
    """A bare host means `/v1` under it, as every server of this family has it."""
    url = _clean(base_url)
    return Endpoints(url / "v1" if url.path in ("", "/") else url)


def azure_endpoints(base_url: str, api_version: str | None) -> Endpoints:
    """Azure OpenAI.

    `…/openai/v1` is the newer layout, which names the model in the body. A resource's root with a dated
    `api_version` is the older one, which names the deployment in the path; without a version, the newer. A
    URL that already names a deployment is used as it is.
    """
    url = _clean(base_url)
    query = {"api-version": api_version} if api_version else {}
    if url.path.endswith("/openai/v1") or "/deployments/" in url.path:
        return Endpoints(url, query)
    root = url if url.path.endswith("/openai") else url / "openai"
    if api_version is None or not api_version[:1].isdigit():
        return Endpoints(root / "v1", query)
    return Endpoints(root, query, per_deployment=True)


def _clean(base_url: str) -> URL:
    url = URL(base_url.rstrip("/"))
    return url.with_query(None).with_fragment(None)
