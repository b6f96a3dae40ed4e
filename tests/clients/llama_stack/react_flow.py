"""`react_flow.py BASE_URL`: the `ReActAgent` of llama-stack-client 0.2.23, whose calls are text that the client reads.

So a turn is complete for the server, and resumed all the same. It prints what it saw as one line of JSON.
"""

import importlib
import json
import sys
from typing import Any

# Typed as Any: the client is not in the environment in which types are checked.
client_package: Any = importlib.import_module("llama_stack_client")
react_module: Any = importlib.import_module("llama_stack_client.lib.agents.react.agent")


def get_weather(city: str) -> str:
    """The weather in a city.

    :param city: where
    """
    return f"rain in {city}"


def user(text: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text}]


def react(client: Any) -> dict[str, Any]:
    agent = react_module.ReActAgent(client, model="thinker", tools=[get_weather], max_infer_iters=3)
    session = agent.create_session("react")
    chunks = list(agent.create_turn(user("What is the weather in Oslo?"), session))
    turn = chunks[-1].event.payload.turn
    turns = client.agents.session.retrieve(session, agent_id=agent.agent_id).turns
    formed = react_module.ReActAgent(client, model="demo", tools=[get_weather], json_response_format=True)
    first = next(iter(formed.create_turn(user("x"), formed.create_session("formed"))))
    return {
        "answer": json.loads(turn.output_message.content)["answer"],
        "steps": [step.step_type for step in turn.steps],
        "turns": [one.turn_id for one in turns] == [turn.turn_id],
        "formed": first.event.payload.event_type,
    }


def main() -> None:
    with client_package.LlamaStackClient(base_url=sys.argv[1], api_key="none", max_retries=0) as client:
        sys.stdout.write(json.dumps(react(client)) + "\n")


if __name__ == "__main__":
    main()
