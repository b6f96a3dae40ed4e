"""A weather app: each question stands alone and is answered with a function of ours. Nothing is remembered."""

import json
import os

from openai import OpenAI

client = OpenAI(base_url=os.environ.get("BASE_URL", "http://127.0.0.1:8321/v1"), api_key="none")
model = os.environ.get("MODEL", "demo")  # another provider is another name here
tool = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather in a city now.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
}


def get_weather(city: str) -> str:
    """Stands for your weather service."""
    return {"Oslo": "rain, 7 degrees", "Rome": "sun, 24 degrees"}.get(city, "no report")


def answer(question: str) -> str:
    """Calls the function as often as the model asks for it. The server keeps nothing of it."""
    items = [{"role": "user", "content": question}]
    while True:
        response = client.responses.create(model=model, input=items, tools=[tool], store=False)
        calls = [item for item in response.output if item.type == "function_call"]
        if not calls:
            return response.output_text
        items += response.output
        for call in calls:
            output = get_weather(**json.loads(call.arguments))
            items.append({"type": "function_call_output", "call_id": call.call_id, "output": output})


for question in ("What is the weather in Oslo?", "What is the weather in Rome?"):
    print(question, "->", answer(question))
