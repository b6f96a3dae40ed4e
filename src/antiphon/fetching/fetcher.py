"""`Fetcher` over HTTP. See `addresses.py` for where it goes, `urls.py` for what it reads as a URL.

No cookies, no proxy of the environment, no credentials, and no connection that is used twice.
"""

import asyncio

from antiphon.core.errors import FetchRefused
from antiphon.fetching import answers
from antiphon.fetching.guarded_http import BROKEN, REDIRECTS, GuardedHttp, Reuse, in_words
from antiphon.fetching.resolving import Lookup
from antiphon.fetching.urls import Egress, Refused
from antiphon.ports.files import Fetched

MAX_REDIRECTS = 5
_ONCE = Reuse(connections=64, per_host=8)
_HEADERS = {"accept": "*/*", "accept-encoding": "identity", "user-agent": "antiphon"}


class GuardedFetcher:
    """Made anywhere; its connections open inside the running loop, on first use."""

    def __init__(self, egress: Egress, *, lookup: Lookup | None = None) -> None:
        self._egress = egress
        self._http = GuardedHttp(egress, reuse=_ONCE, lookup=lookup)

    async def fetch(self, url: str, param: str, *, max_bytes: int | None = None) -> Fetched:
        """Get a URL, its redirects followed: at most five, each checked as the first one is.

        Raises FetchRefused, with this `param`, for an address, a size or a time over the limits, and for any answer
        but a 2xx. Its message holds neither a resolved address nor what was answered.
        """
        limit = self._egress.max_bytes if max_bytes is None else min(max_bytes, self._egress.max_bytes)
        try:
            async with asyncio.timeout(self._egress.timeout_s):
                return await self._follow(url, limit)
        except Refused as refused:
            why = str(refused)
        except TimeoutError:
            why = f"did not come whole within {self._egress.timeout_s:g} s"
        except BROKEN as error:
            why = in_words(error)
        raise FetchRefused(f"`{param}`: the URL was not fetched: it {why}.", param=param)

    async def aclose(self) -> None:
        await self._http.aclose()

    async def _follow(self, text: str, limit: int) -> Fetched:
        target = self._egress.target(text)
        for _ in range(MAX_REDIRECTS + 1):
            response = await self._http.send("GET", target, _HEADERS)
            async with response:
                if response.status in REDIRECTS:
                    target = self._egress.after(target, response.headers.get("location", ""))
                    response.close()
                    continue
                if not 200 <= response.status < 300:
                    raise Refused(f"was answered with status {response.status}")
                return await answers.read(response, target, limit)
        raise Refused(f"redirects more than {MAX_REDIRECTS} times")
