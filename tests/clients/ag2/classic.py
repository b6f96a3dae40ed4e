"""`classic.py BASE_URL responses|openai [DEFAULTS]`: AG2 0.x runs chats, a group and tools.

It prints what it saw as one line of JSON. DEFAULTS, a JSON object, goes into each model's configuration.
"""

import contextlib
import importlib
import io
import json
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

# Typed as Any: AG2 is not in the environment in which types are checked.
autogen: Any = importlib.import_module("autogen")
openai: Any = importlib.import_module("openai")
pydantic: Any = importlib.import_module("pydantic")
QUESTION = "What is the weather, and what time is it?"


def get_weather(city: Annotated[str, "Where"]) -> str:
    return f"rain in {city}"


def get_time(city: Annotated[str, "Where"]) -> str:
    return f"noon in {city}"


def text_of(content: str | list[Any] | None) -> str:
    """Of a message of either kind: chat completions give a string, the Responses client a list of parts."""
    if isinstance(content, list):
        return "".join(part.get("text") or "" for part in content)
    return content or ""


class Flows:
    def __init__(self, base_url: str, api_type: str, defaults: dict[str, Any]) -> None:
        self._common = {"base_url": base_url, "api_key": "none", "api_type": api_type, **defaults}

    def _config(self, model: str, **more: Any) -> Any:
        return autogen.LLMConfig({"model": model, **self._common, **more}, cache_seed=None)

    def _agent(self, name: str, model: str) -> Any:
        instructions = f"You are {name}."
        return autogen.AssistantAgent(name, system_message=instructions, llm_config=self._config(model))

    def _clerk(self) -> Any:
        clerk = self._agent("clerk", "clerk")
        for tool in (get_weather, get_time):
            clerk.register_for_llm(description=tool.__name__)(tool)
        return clerk

    @staticmethod
    def _user() -> Any:
        user = autogen.UserProxyAgent("user", human_input_mode="NEVER", code_execution_config=False)
        for tool in (get_weather, get_time):
            user.register_for_execution()(tool)
        return user

    def two_agents(self) -> list[str]:
        """Both ask a model; three turns each."""
        writer, critic = self._agent("writer", "writer"), self._agent("critic", "critic")
        result = writer.initiate_chat(critic, message="A poem.", max_turns=3)
        return [text_of(message["content"]) for message in result.chat_history]

    def tools(self) -> dict[str, Any]:
        clerk, user = self._clerk(), self._user()
        first = user.initiate_chat(clerk, message=QUESTION, max_turns=2)
        again = user.initiate_chat(clerk, message=QUESTION, max_turns=2, clear_history=False)
        return {
            "roles": [message["role"] for message in first.chat_history],
            "first": text_of(first.chat_history[-1]["content"]),
            "again": text_of(again.chat_history[-1]["content"]),
        }

    def group(self, selection: str) -> list[list[str]]:
        writer, critic = self._agent("writer", "writer"), self._agent("critic", "critic")
        chat = autogen.GroupChat([writer, critic], [], max_round=5, speaker_selection_method=selection)
        manager = autogen.GroupChatManager(chat, llm_config=self._config("chair"))
        writer.initiate_chat(manager, message="A poem.")
        return [[message["name"], text_of(message["content"])] for message in chat.messages]

    def group_with_tools(self) -> list[str]:
        """The clerk calls, the user runs what it called, the critic has the last word."""
        clerk, user, critic = self._clerk(), self._user(), self._agent("critic", "critic")
        chat = autogen.GroupChat(
            [user, clerk, critic],
            [],
            max_round=5,
            speaker_selection_method="round_robin",
            func_call_filter=True,
        )
        manager = autogen.GroupChatManager(chat, llm_config=self._config("chair"))
        user.initiate_chat(manager, message=QUESTION)
        return [message["name"] for message in chat.messages]

    def machine(self, tool: str) -> dict[str, Any]:
        """AG2's own shell, and its own way to apply patches, in a folder with a file."""
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "notes.txt").write_text("one\nold\n")
            (Path(folder) / "gone.txt").write_text("")
            config = self._config("machinist", built_in_tools=[tool], workspace_dir=folder)
            machinist = autogen.AssistantAgent("machinist", llm_config=config)
            self._user().initiate_chat(machinist, message="Do it.", max_turns=2)
            files = sorted(file.name for file in Path(folder).iterdir())
        return {"outputs": self._brought_back(machinist), "files": files}

    def _brought_back(self, agent: Any) -> list[str]:
        """The outputs of tools that its last response was given."""
        (client,) = agent.client._clients
        with openai.OpenAI(base_url=self._common["base_url"], api_key="none") as direct:
            items = direct.responses.input_items.list(client.previous_response_id, order="asc").data
        return [json.dumps(item.model_dump()["output"]) for item in items if item.type.endswith("_output")]

    def form(self) -> dict[str, Any]:
        """An answer that fits a schema: the Responses client hands the whole message over."""
        weather = pydantic.create_model("Weather", city=(str, ...), degrees=(int, ...))
        agent = autogen.AssistantAgent("form", llm_config=self._config("demo", response_format=weather))
        reply = agent.generate_reply([{"role": "user", "content": "Oslo?"}])
        text: str = reply if isinstance(reply, str) else text_of(reply["content"])
        answer: dict[str, Any] = json.loads(text)
        return answer

    def run(self) -> dict[str, Any]:
        """`run()` of one agent: a thread runs the chat, and gives its events."""
        tools = [autogen.tools.tool(description=tool.__name__)(tool) for tool in (get_weather, get_time)]
        clerk = autogen.ConversableAgent("clerk", llm_config=self._config("clerk"), functions=tools)
        response = clerk.run(message=QUESTION, max_turns=2, tools=tools, user_input=False)
        kinds = [event.type for event in response.events]
        return {
            "kinds": sorted({kind for kind in kinds if "error" in kind or "tool" in kind or "run" in kind}),
            "summary": text_of(response.summary),
            "last": text_of(list(response.messages)[-1]["content"]),
        }


def main() -> None:
    base_url, api_type, *more = sys.argv[1:]
    flows = Flows(base_url, api_type, json.loads(more[0]) if more else {})
    with contextlib.redirect_stdout(io.StringIO()):  # where AG2 prints the chats
        seen = {
            "version": autogen.__version__,
            "two_agents": flows.two_agents(),
            "tools": flows.tools(),
            "round_robin": flows.group("round_robin"),
            "auto": flows.group("auto"),
            "group_with_tools": flows.group_with_tools(),
            "form": flows.form(),
            "run": flows.run(),
            **(
                {tool: flows.machine(tool) for tool in ("apply_patch", "shell")}
                if api_type == "responses"
                else {}
            ),
        }
    sys.stdout.write(json.dumps(seen) + "\n")


if __name__ == "__main__":
    main()
