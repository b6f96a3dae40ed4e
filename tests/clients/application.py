"""An application as people write them: it knows the model `assistant`, the OpenAI client, and nothing of us.

It streams a tool loop, then a structured answer, and prints what happened as one line of JSON. The address and
the key are those of the environment, OPENAI_BASE_URL and OPENAI_API_KEY.
"""

import json
import sys
from typing import Any, Literal

import openai
from openai.types.responses import ResponseCompletedEvent, ResponseIncompleteEvent
from pydantic import BaseModel

MODEL = "assistant"
TOOL: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather in a city now.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "strict": True,
}


class Report(BaseModel):
    city: Literal["Paris", "Rome"]
    degrees: int


def get_weather(arguments: str) -> str:
    return f"rain in {json.loads(arguments)['city']}"


def turn(client: openai.OpenAI, **request: Any) -> tuple[Any, str]:
    """One streamed turn: its response, and the text that its deltas spelled."""
    text, response = "", None
    for event in client.responses.create(
        model=MODEL, tools=[TOOL], max_output_tokens=32, stream=True, **request
    ):
        if event.type == "response.output_text.delta":
            text += event.delta
        elif isinstance(event, ResponseCompletedEvent | ResponseIncompleteEvent):
            response = event.response
    return response, text


def tool_loop(client: openai.OpenAI) -> dict[str, Any]:
    response, text = turn(client, input="What is the weather in Paris?")
    called: list[str] = []
    while calls := [item for item in response.output if item.type == "function_call"]:
        called += [call.name for call in calls]
        outputs = [
            {
                "type": "function_call_output",
                "call_id": call.call_id,
                "output": get_weather(call.arguments),
            }
            for call in calls
        ]
        response, text = turn(client, input=outputs, previous_response_id=response.id)
    stored = client.responses.retrieve(response.id)
    return {
        "called": called,
        "status": response.status,
        "text": response.output_text,
        "spelled": text,
        "stored": stored.output_text,
        "model": response.model,
        "tokens": response.usage.total_tokens,
    }


def report(client: openai.OpenAI) -> dict[str, Any]:
    with client.responses.stream(
        model=MODEL, input="Report on Paris.", text_format=Report, max_output_tokens=600
    ) as stream:
        for _ in stream:
            pass
        parsed = stream.get_final_response().output_parsed
    return {"parsed": parsed.model_dump() if parsed is not None else None}


def main() -> None:
    with openai.OpenAI() as client:
        seen = {"loop": tool_loop(client), "report": report(client)}
    sys.stdout.write(json.dumps(seen) + "\n")


if __name__ == "__main__":
    main()
