"""Continue from a stored response, and branch off from the same one a second time."""

from openai import OpenAI

client = OpenAI(base_url="http://127.0.0.1:8321/v1", api_key="none")
model = "demo"

root = client.responses.create(model=model, input="My name is Ada.")
for question in ("What is my name?", "Spell it backwards."):
    branch = client.responses.create(model=model, input=question, previous_response_id=root.id)
    print(question, "->", branch.output_text)
seen = client.responses.input_items.list(branch.id)
print(len(seen.data), "items led to the last answer")
client.responses.delete(root.id)
