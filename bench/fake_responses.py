"""The answers of the fake model server on `/v1/responses`: the same texts and calls as on chat, encoded beforehand."""

from typing import Any

import msgspec

Json = dict[str, Any]
_ITEM = "msg_0123456789abcdef0123456789abcdef0123456789abcdef"
_CALL = "fc_0123456789abcdef0123456789abcdef0123456789abcdef0"


class ResponsesAnswers:
    """The bytes of one model's answers. `burst` is a stream up to its last delta, `tokens` its deltas one by one."""

    def __init__(self, model: str, word: str, words: int, arguments: str) -> None:
        self._model = model
        self._number = 0
        text = word * words
        self.whole = msgspec.json.encode(self._response("completed", [_message(text)]))
        call = _call(arguments)
        self.call_whole = msgspec.json.encode(self._response("completed", [call]))
        self.first = self._beginning(_message("", "in_progress")) + self._part()
        self.tokens = [self._delta("output_text", _ITEM, word, logprobs=[]) for _ in range(words)]
        self.burst = self.first + b"".join(self.tokens)
        self.end = self._text_end(text) + self._ending(_message(text))
        self._number = 0
        self.call_stream = self._beginning({**call, "arguments": "", "status": "in_progress"})
        self.call_stream += self._delta("function_call_arguments", _CALL, arguments)
        self.call_stream += self._ending(call)

    def _beginning(self, item: Json) -> bytes:
        begun = self._response("in_progress", [])
        events = [self._event("response.created", response=begun)]
        events.append(self._event("response.in_progress", response=begun))
        events.append(self._event("response.output_item.added", output_index=0, item=item))
        return b"".join(events)

    def _part(self) -> bytes:
        part: Json = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
        return self._event(
            "response.content_part.added", item_id=_ITEM, output_index=0, content_index=0, part=part
        )

    def _delta(self, kind: str, item_id: str, text: str, **more: Any) -> bytes:
        place = {"content_index": 0} if kind == "output_text" else {}
        return self._event(
            f"response.{kind}.delta", item_id=item_id, output_index=0, **place, delta=text, **more
        )

    def _text_end(self, text: str) -> bytes:
        place: Json = {"item_id": _ITEM, "output_index": 0, "content_index": 0}
        part: Json = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
        done = self._event("response.output_text.done", **place, text=text, logprobs=[])
        return done + self._event("response.content_part.done", **place, part=part)

    def _ending(self, item: Json) -> bytes:
        done = self._event("response.output_item.done", output_index=0, item=item)
        return done + self._event("response.completed", response=self._response("completed", [item]))

    def _event(self, kind: str, **fields: Any) -> bytes:
        """One event as an HTTP chunk of its own."""
        body = msgspec.json.encode({"type": kind, "sequence_number": self._number, **fields})
        self._number += 1
        data = b"event: %b\ndata: %b\n\n" % (kind.encode(), body)
        return b"%x\r\n%b\r\n" % (len(data), data)

    def _response(self, status: str, output: list[Json]) -> Json:
        usage: Json = {
            "input_tokens": 12,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": 100,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 112,
        }
        return {
            "id": "resp_0123456789abcdef0123456789abcdef0123456789abcdef",
            "object": "response",
            "created_at": 1_760_000_000,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "instructions": None,
            "model": self._model,
            "output": output,
            "parallel_tool_calls": True,
            "reasoning": {"effort": None, "summary": None},
            "store": False,
            "temperature": 1.0,
            "text": {"format": {"type": "text"}},
            "tool_choice": "auto",
            "tools": [],
            "top_p": 1.0,
            "usage": usage if output else None,
            "metadata": {},
        }


def _message(text: str, status: str = "completed") -> Json:
    part: Json = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    content = [part] if text else []
    return {"id": _ITEM, "type": "message", "status": status, "role": "assistant", "content": content}


def _call(arguments: str) -> Json:
    return {
        "id": _CALL,
        "type": "function_call",
        "status": "completed",
        "call_id": "call_0001",
        "name": "get_weather",
        "arguments": arguments,
    }
