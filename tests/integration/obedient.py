"""The model `obedient` does what the user message tells it, step by step: so a test says both sides of a run.

    client.responses.create(model="obedient", input=script(calls("add", a=1, b=2), "it is {outputs}"), …)

A step is a text or a list of calls. Which step it is follows from what there is after the user's message. `{outputs}`
are the results of all tools since then, joined by ` | `. After the last step it says `done`.
"""

import json
from collections.abc import Sequence
from typing import Any

from antiphon.core.json_values import is_object

Json = dict[str, Any]
Step = str | list[Json]


def call(name: str, /, **arguments: Any) -> Json:
    return {"name": name, "arguments": json.dumps(arguments)}


def calls(name: str, /, **arguments: Any) -> list[Json]:
    """A step of one call."""
    return [call(name, **arguments)]


def raw_call(name: str, arguments: str) -> list[Json]:
    """A step of one call whose arguments are any text."""
    return [{"name": name, "arguments": arguments}]


def script(*steps: Step) -> str:
    """The user message that has these steps done."""
    return json.dumps({"steps": steps})


def obeyed(body: Json) -> tuple[list[Json], str]:
    """The message deltas of the answer, and its finish reason."""
    messages: Sequence[Json] = body["messages"]
    at, steps = _script(messages)
    since = messages[at + 1 :]
    step = _step(steps, since)
    if not isinstance(step, str) and (body.get("tool_choice") == "none" or not body.get("tools")):
        step = "I may not call anything."
    if isinstance(step, str):
        outputs = " | ".join(_text(one) for one in since if one["role"] == "tool")
        return [{"content": step.replace("{outputs}", outputs)}], "stop"
    deltas: list[Json] = []
    for index, one in enumerate(step):
        half = len(one["arguments"]) // 2
        head = {"name": one["name"], "arguments": one["arguments"][:half]}
        made = {"index": index, "id": f"call_{len(messages)}_{index}", "type": "function", "function": head}
        rest = {"index": index, "function": {"arguments": one["arguments"][half:]}}
        deltas += [{"tool_calls": [made]}, {"tool_calls": [rest]}]
    return deltas, "tool_calls"


def _step(steps: Sequence[Step], since: Sequence[Json]) -> Step:
    """The next one, by how many calls and texts there were: the calls of a step may be in several turns."""
    said = [message for message in since if message["role"] == "assistant"]
    made = sum(len(message.get("tool_calls") or ()) for message in said)
    texts = sum(not message.get("tool_calls") for message in said)
    for step in steps:
        if isinstance(step, str):
            texts -= 1
        else:
            made -= len(step)
        if texts < 0 or made < 0:
            return step
    return "done"


def _script(messages: Sequence[Json]) -> tuple[int, list[Step]]:
    """The last script, and where it is."""
    for at in range(len(messages) - 1, -1, -1):
        if messages[at]["role"] == "user" and (steps := _steps(_text(messages[at]))) is not None:
            return at, steps
    return len(messages) - 1, ["there is no script"]


def _steps(text: str) -> list[Step] | None:
    try:
        parsed = json.loads(text)
    except ValueError:
        return None
    return parsed.get("steps") if is_object(parsed) else None


def _text(message: Json) -> str:
    content = message["content"]
    if isinstance(content, str):
        return content
    return "".join(part.get("text", f"<{part['type']}>") for part in content)
