"""The same models by the older chat API."""

from openai import OpenAI

client = OpenAI(base_url="http://127.0.0.1:8321/v1", api_key="none")
model = "demo"

answer = client.chat.completions.create(model=model, messages=[{"role": "user", "content": "Say hello."}])
print(answer.choices[0].message.content)
