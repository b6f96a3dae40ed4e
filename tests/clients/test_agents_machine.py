"""openai-agents: the tools by which an agent works the machine of its application; each a whole round trip."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal

import agents
import openai
import pytest
from agents import (
    Agent,
    ApplyPatchTool,
    Computer,
    ComputerTool,
    LocalShellCommandRequest,
    LocalShellTool,
    ModelSettings,
    OpenAIResponsesModel,
    Runner,
    ShellCallOutcome,
    ShellCommandOutput,
    ShellCommandRequest,
    ShellResult,
    ShellTool,
    apply_diff,
)
from agents.editor import ApplyPatchOperation, ApplyPatchResult
from agents.result import RunResultBase

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
Button = Literal["left", "right", "wheel", "back", "forward"]
HOWS = ["whole", "streamed", "whole, not stored", "streamed, not stored"]


@pytest.fixture
async def client(base_url: str) -> AsyncIterator[openai.AsyncOpenAI]:
    agents.set_tracing_disabled(True)
    async with openai.AsyncOpenAI(base_url=base_url, api_key="none", max_retries=0) as made:
        yield made
    agents.set_tracing_disabled(False)


async def ran(
    client: openai.AsyncOpenAI, tool: agents.Tool, how: str, model: str = "machinist"
) -> RunResultBase:
    settings = ModelSettings(
        store="not stored" not in how, truncation="auto"
    )  # as it asks for with computers
    named = OpenAIResponsesModel(model, client)
    agent = Agent[None]("machinist", model=named, tools=[tool], model_settings=settings)
    if not how.startswith("streamed"):
        return await Runner.run(agent, "Do it.")
    result = Runner.run_streamed(agent, "Do it.")
    async for _ in result.stream_events():
        pass
    return result


def sent_back(result: RunResultBase, kind: str) -> list[dict[str, Any]]:
    """The items of a type that went to the server."""
    items: list[Any] = result.to_input_list()
    return [item for item in items if item.get("type") == kind]


@pytest.mark.parametrize("how", HOWS)
async def test_a_local_shell(client: openai.AsyncOpenAI, how: str) -> None:
    asked: list[list[str]] = []

    def execute(request: LocalShellCommandRequest) -> str:
        asked.append(request.data.action.command)
        return "one line"

    result = await ran(client, LocalShellTool(executor=execute), how)
    assert asked == [["cat", "notes.txt"]]
    assert "one line" in result.final_output
    assert len(sent_back(result, "local_shell_call")) == 1


@pytest.mark.parametrize("how", HOWS)
async def test_a_shell(client: openai.AsyncOpenAI, how: str) -> None:
    asked: list[list[str]] = []

    def execute(request: ShellCommandRequest) -> ShellResult:
        asked.append(request.data.action.commands)
        good = ShellCommandOutput(stdout="one line", outcome=ShellCallOutcome("exit", 0))
        bad = ShellCommandOutput(stderr="went wrong", outcome=ShellCallOutcome("exit", 3))
        return ShellResult([good, bad])

    result = await ran(client, ShellTool(executor=execute), how)
    assert asked == [["cat notes.txt", "ls none.txt"]]
    assert "one line" in result.final_output
    assert "went wrong" in result.final_output
    assert [item["type"] for item in sent_back(result, "shell_call_output")] == ["shell_call_output"]


class Editor:
    """Keeps a folder of files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def create_file(self, operation: ApplyPatchOperation) -> ApplyPatchResult:
        (self.folder / operation.path).write_text(apply_diff("", operation.diff or "", mode="create"))
        return ApplyPatchResult("completed", f"created {operation.path}")

    def update_file(self, operation: ApplyPatchOperation) -> ApplyPatchResult:
        file = self.folder / operation.path
        file.write_text(apply_diff(file.read_text(), operation.diff or ""))
        return ApplyPatchResult("completed", f"updated {operation.path}")

    def delete_file(self, operation: ApplyPatchOperation) -> ApplyPatchResult:
        (self.folder / operation.path).unlink()
        return ApplyPatchResult("completed", f"deleted {operation.path}")


def contents(folder: Path) -> dict[str, str]:
    return {file.name: file.read_text() for file in folder.iterdir()}


@pytest.mark.parametrize("how", HOWS)
async def test_patches(client: openai.AsyncOpenAI, how: str, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("one\nold\n")
    (tmp_path / "gone.txt").write_text("")
    result = await ran(client, ApplyPatchTool(editor=Editor(tmp_path)), how)
    assert contents(tmp_path) == {"notes.txt": "one\nnew\n", "new.txt": "first"}
    for done in ("created new.txt", "updated notes.txt", "deleted gone.txt"):
        assert done in result.final_output
    assert len(sent_back(result, "apply_patch_call_output")) == 3


class Screen(Computer):
    """A computer that only keeps what was done to it."""

    def __init__(self) -> None:
        self.done: list[tuple[Any, ...]] = []

    def screenshot(self) -> str:
        self.done.append(("screenshot",))
        return PIXEL

    def click(self, x: int, y: int, button: Button) -> None:
        self.done.append(("click", x, y, button))

    def double_click(self, x: int, y: int) -> None:
        self.done.append(("double_click", x, y))

    def scroll(self, x: int, y: int, scroll_x: int, scroll_y: int) -> None:
        self.done.append(("scroll", x, y, scroll_x, scroll_y))

    def type(self, text: str) -> None:
        self.done.append(("type", text))

    def wait(self) -> None:
        self.done.append(("wait",))

    def move(self, x: int, y: int) -> None:
        self.done.append(("move", x, y))

    def keypress(self, keys: list[str]) -> None:
        self.done.append(("keypress", *keys))

    def drag(self, path: list[tuple[int, int]]) -> None:
        self.done.append(("drag", *path))


class PreviewScreen(Screen):
    """The older tool tells the model of both."""

    @property
    def environment(self) -> Literal["browser"]:
        return "browser"

    @property
    def dimensions(self) -> tuple[int, int]:
        return (1024, 768)


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("model", ["machinist", "computer-use-preview"])
async def test_a_computer(client: openai.AsyncOpenAI, how: str, model: str) -> None:
    """The SDK takes the tool `computer`, or `computer_use_preview`, which knows one action per call."""
    screen = PreviewScreen()
    result = await ran(client, ComputerTool(screen), how, model)
    assert screen.done == [("click", 3, 4, "left"), ("screenshot",), ("type", "hello"), ("screenshot",)]
    assert result.final_output.startswith("It says: ")
    several = ["actions" in call for call in sent_back(result, "computer_call")]
    assert several == [model == "machinist"] * 2
    outputs = sent_back(result, "computer_call_output")
    assert [output["output"]["type"] for output in outputs] == ["computer_screenshot"] * 2
