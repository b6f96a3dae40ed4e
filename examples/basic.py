"""One question, one answer."""

from openai import OpenAI

client = OpenAI(base_url="http://127.0.0.1:8321/v1", api_key="none")
model = "demo"

response = client.responses.create(model=model, input="Say hello.")
print(response.output_text)
