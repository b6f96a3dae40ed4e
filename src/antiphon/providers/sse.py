"""Server-sent events, read incrementally (WHATWG HTML §9.2.6), as model servers write them."""

DONE = b"[DONE]"


class SSEParser:
    """Bytes in, the payload of each `data:` event out; every split gives the same payloads."""

    __slots__ = ("_data", "_rest", "done")

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []
        self.done = False
        """`[DONE]` was seen; whatever follows it is ignored."""

    def feed(self, chunk: bytes) -> list[bytes]:
        """The payloads that `chunk` completes, in order, without `[DONE]`."""
        if self.done:
            return []
        if not self._rest and not self._data and chunk.endswith(b"\n\n") and b"\r" not in chunk:
            fast = self._whole_events(chunk)
            if fast is not None:
                return fast
        return self._lines(chunk)

    def finish(self) -> list[bytes]:
        """What is complete at the end of the body: some servers forget the last blank line."""
        if self.done:
            return []
        return self._lines(b"\n\n")

    def _whole_events(self, chunk: bytes) -> list[bytes] | None:
        """The common case: nothing but `data: …` lines, each with or without an `event: …` line before it, and blank
        ones. None when it is not that.
        """
        payloads: list[bytes] = []
        for event in chunk[:-2].split(b"\n\n"):
            if event[:6] == b"data: ":
                payload = event[6:]
            elif event[:7] == b"event: " and (at := event.find(b"\ndata: ")) > 0:
                payload = event[at + 7 :]
            else:
                return None
            if b"\n" in payload:
                return None
            if payload == DONE:
                self.done = True
                break
            payloads.append(payload)
        return payloads

    def _lines(self, chunk: bytes) -> list[bytes]:
        payloads: list[bytes] = []
        text = self._rest + chunk
        if b"\r" in text:
            # A CR at the very end may be half of a CRLF: keep it until the next read shows.
            keep = b"\r" if text.endswith(b"\r") else b""
            text = text.removesuffix(keep).replace(b"\r\n", b"\n").replace(b"\r", b"\n") + keep
        *lines, self._rest = text.split(b"\n")
        for line in lines:
            if line:
                self._field(line)
            elif self._data:
                payload = b"\n".join(self._data)
                self._data.clear()
                if payload.strip() == DONE:
                    self.done = True
                    self._rest = b""
                    break
                payloads.append(payload)
        return payloads

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
        elif name == b"error" and value:
            # llama.cpp's server wrote errors as a field of their own until 2025.
            self._data.append(b'{"error":' + value + b"}")
