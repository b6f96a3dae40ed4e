"""Probes, version, and what is served. Probes need no key and tell nothing about tenants."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from antiphon.core.errors import AntiphonError, StoreUnavailable
from antiphon.version import __version__
from antiphon.web.http import Reply, Request, json_reply
from antiphon.web.inspection import ADMIN
from antiphon.web.routing import Route


@dataclass(frozen=True, slots=True)
class HealthRoutes:
    """`check_store` raises AntiphonError when state cannot be reached. `breakers` counts circuit breakers by state."""

    check_store: Callable[[], Awaitable[None]]
    breakers: Callable[[], Mapping[str, int]]

    async def live(self, request: Request) -> Reply:
        return json_reply({"status": "ok"})

    async def ready(self, request: Request) -> Reply:
        try:
            await self.check_store()
        except AntiphonError as error:
            raise StoreUnavailable(f"not ready: {error.message}") from error
        return json_reply({"status": "ready", "upstreams": self.breakers()})

    async def health(self, request: Request) -> Reply:
        """The shape that Llama Stack clients read."""
        return json_reply({"status": "OK"})

    async def version(self, request: Request) -> Reply:
        return json_reply({"version": __version__})

    def table(self) -> list[Route]:
        tag = "Operations"
        return [
            Route("GET", "/livez", self.live, "The process is alive", tag, response="Status", public=True),
            Route(
                "GET", "/readyz", self.ready, "State can be reached", tag, response="Readiness", public=True
            ),
            *(
                route
                for prefix in ("/v1", ADMIN)
                for route in (
                    Route(
                        "GET", f"{prefix}/health", self.health, "Health", tag, response="Status", public=True
                    ),
                    Route(
                        "GET",
                        f"{prefix}/version",
                        self.version,
                        "Version",
                        tag,
                        response="Version",
                        public=True,
                    ),
                )
            ),
        ]
