"""A gateway: finds out what a question is about, and has it answered by the model that is there for that.

Each question is processed on its own: the server keeps nothing, so any number of gateways can run side by side.
"""

import json
import os
import sys

from openai import OpenAI

client = OpenAI(base_url=os.environ.get("BASE_URL", "http://127.0.0.1:8321/v1"), api_key="none")
small = os.environ.get("MODEL", "demo")  # another provider is another name here
large = os.environ.get("LARGE_MODEL", small)
routes = {
    "password_reset": (
        small,
        "Say how to reset a password: open /reset, enter the address, follow the e-mail.",
    ),
    "office_hours": (small, "The office is open from Monday to Friday, 9 to 17. Answer from that alone."),
    "product": (
        large,
        "You sell lamps: Aurora, 60 W, 40 euros, and Luna, 25 W, 30 euros. Advise the customer.",
    ),
}
kind = {
    "type": "object",
    "properties": {"kind": {"enum": list(routes)}},
    "required": ["kind"],
    "additionalProperties": False,
}
wanted = {"format": {"type": "json_schema", "name": "kind", "schema": kind, "strict": True}}


def route(question: str) -> tuple[str, str, str]:
    """The kind of the question, the model that answered it, and the answer."""
    task = "Tell what kind of question this is."
    sorted_in = client.responses.create(
        model=small, instructions=task, input=question, text=wanted, store=False
    )
    found = json.loads(sorted_in.output_text)["kind"]
    model, instructions = routes[found]
    response = client.responses.create(model=model, instructions=instructions, input=question, store=False)
    return found, model, response.output_text


samples = ["How do I reset my password?", "What are your office hours?", "Which product is brighter?"]
for question in sys.argv[1:] or samples:
    found, model, text = route(question)
    print(f"{question} -> {found} ({model}): {text}")
