"""Where an embedded server runs: its application on one event loop, and the way there from anywhere else."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from typing import Any, TypeVar

from starlette.types import ASGIApp, Message, Scope

from antiphon.in_process.exchange import Exchange, Head

T = TypeVar("T")


class ServerClosed(Exception):
    """The embedded server is not running, so nothing was sent."""

    def __init__(self) -> None:
        super().__init__("this embedded server is not running: use its clients inside its `with` block.")


class StartFailed(Exception):
    def __init__(self, reason: str) -> None:
        super().__init__(f"the embedded server could not start: {reason}")


class Host:
    """An ASGI application and its open exchanges, on the loop that made this object."""

    def __init__(self, app: ASGIApp, grace_s: float) -> None:
        self._app = app
        self._grace_s = grace_s
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._running: dict[Exchange, asyncio.Task[None]] = {}
        self._lock = threading.Lock()
        self._closed = False
        self._stop = asyncio.Event()
        self._lifespan: asyncio.Task[None] | None = None

    # --- on the host's own loop ---------------------------------------------------------------------------
    async def start(self) -> None:
        """Raises StartFailed."""
        answers: asyncio.Queue[Message] = asyncio.Queue()
        questions = iter(("lifespan.startup", "lifespan.shutdown"))

        async def receive() -> Message:
            question = next(questions)
            if question == "lifespan.shutdown":
                await self._stop.wait()
            return {"type": question}

        async def run() -> None:
            await self._app({"type": "lifespan", "asgi": {"version": "3.0"}}, receive, answers.put)

        self._lifespan = self._loop.create_task(run())
        self._lifespan.add_done_callback(lambda _: answers.put_nowait({"type": "lifespan.over"}))
        answer = await answers.get()
        if answer["type"] != "lifespan.startup.complete":
            self.refuse()
            await self._lifespan
            raise StartFailed(answer.get("message", ""))

    def exchange(self, scope: Scope, body: bytes) -> Exchange:
        """A request that can be begun here. This method alone may be called from anywhere."""
        return Exchange(self._app, scope, body)

    async def begin(self, exchange: Exchange) -> Head:
        """Hand a request in; the head of its answer, once that is there. Raises BrokenOff."""
        task = exchange.begin()
        self._running[exchange] = task
        task.add_done_callback(lambda _: self._running.pop(exchange))
        return await exchange.head()

    async def aclose(self) -> None:
        """Disconnect every reader, let the application end, at the latest when its grace is over."""
        self.refuse()
        for exchange in self._running:
            exchange.disconnect()
        running = list(self._running.values())
        if running:
            await asyncio.wait(running, timeout=self._grace_s)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        self._stop.set()
        if self._lifespan is not None:
            await self._lifespan

    # --- from anywhere ------------------------------------------------------------------------------------
    @property
    def is_here(self) -> bool:
        """Whether the caller runs in the thread of the host's loop, which therefore must not be blocked."""
        return threading.get_ident() == self._thread

    def refuse(self) -> None:
        """From now on nothing new is taken in."""
        with self._lock:
            self._closed = True

    def disconnect(self, exchange: Exchange) -> None:
        """Say that nobody reads this exchange any more. Never waits: a garbage collector may call it, anywhere."""
        with suppress(RuntimeError):  # the loop is closed, and the exchange with it
            self._loop.call_soon_threadsafe(exchange.disconnect)

    def call(self, make: Callable[[], Coroutine[Any, Any, T]], timeout_s: float | None) -> T:
        """Run a coroutine on the host's loop and wait for it, from another thread.

        Raises ServerClosed, TimeoutError, and what the coroutine raises.
        """
        if self.is_here:
            raise RuntimeError(
                "this server runs on this thread's event loop, which a synchronous client would block:"
                " use async_client(), or `with` in place of `async with`."
            )
        future = self._submit(make)
        try:
            return future.result(timeout_s)
        except CancelledError:
            raise ServerClosed from None
        except BaseException:
            future.cancel()
            raise

    async def acall(self, make: Callable[[], Coroutine[Any, Any, T]], timeout_s: float | None) -> T:
        """The same from a coroutine on any loop, the host's own included."""
        async with asyncio.timeout(timeout_s):
            if asyncio.get_running_loop() is self._loop:
                if self._closed:
                    raise ServerClosed
                return await make()
            future = self._submit(make)
            try:
                return await asyncio.wrap_future(future)
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    raise
                raise ServerClosed from None

    def _submit(self, make: Callable[[], Coroutine[Any, Any, T]]) -> Future[T]:
        """Whatever is taken in here runs before `aclose` does: the loop keeps the order of what it is given."""
        with self._lock:
            if self._closed:
                raise ServerClosed
            return asyncio.run_coroutine_threadsafe(make(), self._loop)


class LoopThread:
    """An event loop in a thread of its own. Everything on it has ended when `stop` returns."""

    def __init__(self) -> None:
        # A daemon: a program that never closes its server can still end.
        self._thread = threading.Thread(target=self._main, name="antiphon-embedded", daemon=True)
        self._made: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()
        self._thread.start()
        self._loop, self._stop = self._made.result()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine there and wait for it, however long it takes."""
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _main(self) -> None:
        try:
            with asyncio.Runner() as runner:
                runner.run(self._until_stopped())
        except RuntimeError:
            # Python 3.12 begins no thread any more when the program ends, and the runner wants one to wait for the
            # loop's workers. It has closed the loop all the same.
            if not (self._made.done() and self._stop.is_set()):
                raise

    async def _until_stopped(self) -> None:
        stop = asyncio.Event()
        self._made.set_result((asyncio.get_running_loop(), stop))
        await stop.wait()
