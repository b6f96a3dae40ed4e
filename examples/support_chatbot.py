"""A support chat that a customer comes back to days later: the server keeps their session, and the agent knows it all.

python support_chatbot.py ada "I have a login problem: my account is not found."
python support_chatbot.py ada "I tried the password reset, but it failed."
python support_chatbot.py ada "I am back. What do you know of my login problem and the reset?"
"""

import json
import os
import sys
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

server = os.environ.get("ANTIPHON_URL", "http://127.0.0.1:8321")
model = os.environ.get("MODEL", "demo")  # another provider is another name here
customers = Path(os.environ.get("CUSTOMERS", "customers.json"))  # stands for your database of customers
instructions = "You help customers of a web shop, and never ask for a password."


def post(path: str, body: dict[str, Any]) -> Any:
    data = json.dumps(body).encode()
    with urlopen(Request(f"{server}/v1{path}", data, {"content-type": "application/json"})) as answer:
        return json.load(answer)


def session_of(customer: str) -> str:
    """The path of the customer's session, which is made when they write for the first time; so is the agent."""
    known = json.loads(customers.read_text()) if customers.exists() else {"sessions": {}}
    if "agent" not in known:
        config = {"model": model, "name": "support", "instructions": instructions}
        known["agent"] = post("/agents", {"agent_config": config})["agent_id"]
    if customer not in known["sessions"]:
        made = post(f"/agents/{known['agent']}/session", {"session_name": customer})
        known["sessions"][customer] = made["session_id"]
    customers.write_text(json.dumps(known))
    return f"/agents/{known['agent']}/session/{known['sessions'][customer]}"


def answer(customer: str, text: str) -> str:
    """One turn of the session. What was said before is the server's to remember."""
    turn = post(f"{session_of(customer)}/turn", {"messages": [{"role": "user", "content": text}]})
    return turn["output_message"]["content"]


print(answer(*(sys.argv[1:] or ["ada", "I have a login problem: my account is not found."])))
