"""Print the answer while it is written."""

from openai import OpenAI

client = OpenAI(base_url="http://127.0.0.1:8321/v1", api_key="none")
model = "demo"

with client.responses.create(model=model, input="Tell me a story.", stream=True) as events:
    for event in events:
        if event.type == "response.output_text.delta":
            print(event.delta, end="", flush=True)
print()
