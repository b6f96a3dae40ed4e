"""A research assistant that remembers: on day one it gathers what there is, on day two it tells what is new since.

python research_assistant.py 2026-03-02 "Search for findings on AI safety rules."
python research_assistant.py 2026-03-03 "Search again: what is new since yesterday's findings?"
"""

import json
import os
import sys
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

server = os.environ.get("ANTIPHON_URL", "http://127.0.0.1:8321")
model = os.environ.get("MODEL", "demo")  # another provider is another name here
log = Path(os.environ.get("RESEARCH", "research.json"))  # where the research is: the ids of agent and session
notes = "The findings so far: the AI Act of the EU forbids social scoring. Its duties for large models hold since 2025."
news = {  # stands for your search engine: what is published on which day
    "2026-03-02": "Norway adopts the AI Act",
    "2026-03-03": "Japan publishes rules for testing models",
}
search = {
    "name": "search_findings",
    "description": "What was published on a topic up to today.",
    "parameters": [{"name": "topic", "parameter_type": "string", "description": "What about"}],
}


def post(path: str, body: dict[str, Any]) -> Any:
    data = json.dumps(body).encode()
    with urlopen(Request(f"{server}/v1{path}", data, {"content-type": "application/json"})) as answer:
        return json.load(answer)


def begin() -> str:
    """The path of a new session of a new agent."""
    config = {
        "model": model,
        "instructions": "You do research. Search before you answer.",
        "client_tools": [search],
    }
    agent = post("/agents", {"agent_config": config})["agent_id"]
    session = post(f"/agents/{agent}/session", {"session_name": "AI safety rules"})["session_id"]
    log.write_text(json.dumps({"session": f"/agents/{agent}/session/{session}"}))
    return f"/agents/{agent}/session/{session}"


def ask(session: str, today: str, question: str, documents: list[dict[str, str]]) -> str:
    """One turn: the search is ours, and the turn is resumed with what it found."""
    found = [f"{title} ({day})" for day, title in news.items() if day <= today]
    body = {"messages": [{"role": "user", "content": question}], "documents": documents}
    turn = post(f"{session}/turn", body)
    while turn["output_message"]["stop_reason"] == "end_of_message":  # it waits for its tools
        calls = turn["output_message"]["tool_calls"]
        results = [
            {"call_id": one["call_id"], "tool_name": one["tool_name"], "content": "; ".join(found)}
            for one in calls
        ]
        turn = post(f"{session}/turn/{turn['turn_id']}/resume", {"tool_responses": results})
    return turn["output_message"]["content"]


today, question = sys.argv[1:] or ["2026-03-02", "Search for findings on AI safety rules."]
if log.exists():
    print(ask(json.loads(log.read_text())["session"], today, question, []))
else:
    print(ask(begin(), today, question, [{"content": notes, "mime_type": "text/plain"}]))
