"""Let the model call a function of ours until it has its answer."""

from openai import OpenAI

client = OpenAI(base_url="http://127.0.0.1:8321/v1", api_key="none")
model = "demo"

tools = [
    {
        "type": "function",
        "name": "add",
        "description": "Adds two numbers.",
        "parameters": {
            "type": "object",
            "properties": {"a": {"type": "number"}, "b": {"type": "number"}},
            "required": ["a", "b"],
        },
    }
]
response = client.responses.create(model=model, input="Use add for 2 and 3.", tools=tools)
while calls := [item for item in response.output if item.type == "function_call"]:
    print("the model calls", ", ".join(f"{call.name}({call.arguments})" for call in calls))
    outputs = [{"type": "function_call_output", "call_id": call.call_id, "output": "5"} for call in calls]
    response = client.responses.create(
        model=model, input=outputs, tools=tools, previous_response_id=response.id
    )
print(response.output_text)
