"""The model `attentive` answers from what it was shown and from nothing else: so a test sees what an agent remembers.

It repeats the sentences before the last user message that have a word in common with it. It calls a tool whose name has
one, with what it is asked as arguments; of an enumeration that it has to choose from it takes the value that has one.
`in-fours` does the same, but answers only when four requests are waiting: these must have been made at once.
"""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

Json = dict[str, Any]
MODELS = ("attentive", "in-fours")
AT_ONCE = 4
_COMMON = {"about", "does", "from", "have", "that", "there", "this", "what", "when", "which", "with", "your"}


def attended(body: Json) -> tuple[list[Json], str]:
    """The message deltas of the answer, and its finish reason."""
    messages: Sequence[Json] = body["messages"]
    at = max(at for at, message in enumerate(messages) if message["role"] == "user")
    question = _text(messages[at])
    outputs = [_text(message) for message in messages[at + 1 :] if message["role"] == "tool"]
    tool = None if outputs else _fitting(body.get("tools") or (), question)
    if tool is not None:
        function = {"name": tool["name"], "arguments": json.dumps(_arguments(tool, question))}
        call = {"index": 0, "id": f"call_{len(messages)}", "type": "function", "function": function}
        return [{"tool_calls": [call]}], "tool_calls"
    if "response_format" in body:
        return [{"content": json.dumps(_chosen(body["response_format"], question))}], "stop"
    known = list(_known(messages[:at], question))
    said = [f"It says: {' | '.join(outputs)}."] if outputs else []
    if known or not outputs:
        said.append(f"I know: {' '.join(known)}" if known else f"I know nothing of: {question}")
    return [{"content": one} for one in said], "stop"


def _known(messages: Sequence[Json], question: str) -> Iterator[str]:
    wanted = _stems(question)
    for message in messages:
        if message["role"] != "assistant":
            yield from (one for one in _sentences(_text(message)) if wanted & _stems(one))


def _sentences(text: str) -> list[str]:
    return re.split(r"(?<=[.!?])\s+", text.strip())


def _stems(text: str) -> set[str]:
    words = {word for word in re.findall(r"[a-z]{4,}", text.lower()) if word not in _COMMON}
    return {word[:5] for word in words}


def _fitting(tools: Sequence[Json], question: str) -> Json | None:
    asked = _stems(question)
    functions = [tool["function"] for tool in tools]
    return next((one for one in functions if asked & _stems(one["name"].replace("_", " "))), None)


def _arguments(tool: Json, question: str) -> Json:
    """For each argument the names in the question, or all of it."""
    names = " ".join(re.findall(r"(?<=\s)[A-Z][A-Za-z]+", question))
    return dict.fromkeys(tool["parameters"].get("required") or (), names or question)


def _chosen(wanted: Json, question: str) -> Json:
    asked = _stems(question)
    fields: Json = wanted["json_schema"]["schema"]["properties"]
    return {
        name: next((one for one in field["enum"] if asked & _stems(one)), field["enum"][-1])
        for name, field in fields.items()
    }


def _text(message: Json) -> str:
    content = message["content"]
    if isinstance(content, str):
        return content
    return " ".join(part.get("text", f"<{part['type']}>") for part in content or ())
