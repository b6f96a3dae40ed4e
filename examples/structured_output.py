"""Get an answer that fits a JSON schema."""

import json

from openai import OpenAI

client = OpenAI(base_url="http://127.0.0.1:8321/v1", api_key="none")
model = "demo"

schema = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "inhabitants": {"type": "integer"}},
    "required": ["city", "inhabitants"],
    "additionalProperties": False,
}
wanted = {"format": {"type": "json_schema", "name": "city", "schema": schema, "strict": True}}
response = client.responses.create(model=model, input="Name a city.", text=wanted)
print(json.loads(response.output_text)["city"])
