"""`flow.py BASE_URL`: openai-python 1.107 runs a tool flow each way; prints what it saw as one line of JSON."""

import json
import sys
from typing import Any

import openai
from pydantic import BaseModel

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS: list[Any] = [
    {"type": "function", "name": name, "parameters": CITY, "strict": False}
    for name in ("get_weather", "get_time")
]
QUESTION = "What is the weather, and what time is it?"


class Weather(BaseModel):
    city: str
    degrees: int


def outputs(response: Any) -> list[Any]:
    answers = {"get_weather": "rain", "get_time": "noon"}
    return [
        {"type": "function_call_output", "call_id": item.call_id, "output": answers[item.name]}
        for item in response.output
        if item.type == "function_call"
    ]


def streamed(client: openai.OpenAI, **request: Any) -> tuple[Any, list[str]]:
    with client.responses.stream(model="clerk", tools=TOOLS, **request) as stream:
        kinds: list[str] = [event.type for event in stream]
        return stream.get_final_response(), kinds


def chained(client: openai.OpenAI) -> dict[str, Any]:
    first, kinds = streamed(client, input=QUESTION)
    second: Any
    second, more = streamed(client, input=outputs(first), previous_response_id=first.id)
    calls = [item for item in first.output if item.type == "function_call"]
    return {
        "calls": [[call.name, call.arguments] for call in calls],
        "text": second.output_text,
        "first_event": kinds[0],
        "last_event": more[-1],
        "unknown_keys": [list(item.model_extra or {}) for item in second.output],
    }


def sent_back(client: openai.OpenAI) -> str:
    history: list[Any] = [{"role": "user", "content": QUESTION}]
    first, _ = streamed(client, input=history, store=False)
    history += [item.model_dump(exclude_none=True) for item in first.output] + outputs(first)
    text: str = streamed(client, input=history, store=False)[0].output_text
    return text


def main() -> None:
    with openai.OpenAI(base_url=sys.argv[1], api_key="none", max_retries=0) as client:
        parsed = client.responses.parse(model="demo", input="Oslo?", text_format=Weather).output_parsed
        seen = {
            "version": openai.__version__,
            "chained": chained(client),
            "sent_back": sent_back(client),
            "parsed": type(parsed).__name__,
        }
    sys.stdout.write(json.dumps(seen) + "\n")


if __name__ == "__main__":
    main()
