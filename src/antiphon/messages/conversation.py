"""The turns of a Messages request → items of the engine, and the rules that such a conversation keeps to."""

from collections.abc import Callable
from typing import Final

from antiphon.core.body import InputItem
from antiphon.core.errors import InvalidRequest
from antiphon.core.items import (
    FunctionCall,
    FunctionCallOutput,
    Message,
    MessagePart,
    OutputText,
    Reasoning,
    ReasoningText,
    SummaryText,
)
from antiphon.core.wire import encode
from antiphon.messages.content import output_of, parts_of
from antiphon.messages.places import Place
from antiphon.messages.types import (
    Block,
    CountRequest,
    DocumentBlock,
    ImageBlock,
    KeepTurns,
    Prompt,
    RedactedThinkingBlock,
    SearchResultBlock,
    TextBlock,
    ThinkingBlock,
    ToolResultBlock,
    ToolUseBlock,
    Turn,
)

_ALLOWED: Final[dict[str, tuple[type, ...]]] = {
    "user": (TextBlock, ImageBlock, DocumentBlock, SearchResultBlock, ToolResultBlock),
    "assistant": (TextBlock, ThinkingBlock, RedactedThinkingBlock, ToolUseBlock),
    "system": (TextBlock,),
}


class Conversation:
    """Reads the messages of one request. `read` once; then `items`, where each came from, and `instructions`.

    Neighbours of one role are one turn. Instructions that come later in the conversation become a part of the user's
    turn that says so, since many models take a system message at the beginning only.
    """

    def __init__(self, asked: Prompt, opens: Callable[[str], bool], left_out: list[str]) -> None:
        self.items: list[InputItem] = []
        self.places: list[Place] = []
        self.instructions: str | None = None
        self._asked = asked
        self._opens = opens
        self._left_out = left_out
        self._system = _texts(asked.system) if asked.system is not None else []
        self._role = ""
        self._parts: list[MessagePart] = []
        self._part_paths: list[str] = []
        self._uses: dict[str, str] = {}
        self._waiting: dict[str, str] = {}

    def read(self) -> None:
        """Raises InvalidRequest and UnsupportedParameter, with the path in `param`."""
        messages = self._asked.messages
        first_thought = _first_thought_kept(self._asked)
        for at, message in enumerate(messages):
            if message.role == "system" and not self.items and not self._parts:
                self._system += _texts(message.content, f"messages.{at}.content")
                continue
            self._turn_to("assistant" if message.role == "assistant" else "user")
            self._message(message, f"messages.{at}", thoughts=at >= first_thought)
        self._flush()
        self._check_end(messages[-1], len(messages) - 1)
        self.instructions = "\n\n".join(text for text in self._system if text.strip()) or None

    def _check_end(self, last: Turn, at: int) -> None:
        self._require_results()
        if not self.items:
            raise InvalidRequest(
                "`messages`: says nothing; send at least one message of the user.", param="messages"
            )
        if last.role == "assistant" and not isinstance(self._asked, CountRequest):
            path = f"messages.{at}"
            raise InvalidRequest(
                f"`{path}`: the conversation must end with a message of the user; an answer cannot be begun for the"
                " model (prefill) here. Ask for the form in the last message, or by `output_config.format`.",
                param=path,
            )

    def _turn_to(self, role: str) -> None:
        if role == self._role:
            return
        self._flush()
        if role == "assistant":
            self._require_results()
        self._role = role

    def _require_results(self) -> None:
        for use_id, path in self._waiting.items():
            raise InvalidRequest(
                f'`{path}`: the call "{use_id}" has no result; send a `tool_result` block with this `tool_use_id` in'
                " the message behind it.",
                param=path,
            )

    # --- blocks ---------------------------------------------------------------------------------------------
    def _message(self, message: Turn, path: str, *, thoughts: bool) -> None:
        if isinstance(message.content, str):
            blocks: list[Block] = [TextBlock(text=message.content)]
            paths = [f"{path}.content"]
        else:
            blocks = message.content
            paths = [f"{path}.content.{at}" for at in range(len(blocks))]
        for block, here in zip(blocks, paths, strict=True):
            if not isinstance(block, _ALLOWED[message.role]):
                kind = block.__struct_config__.tag
                raise InvalidRequest(
                    f'`{here}`: a message of role "{message.role}" cannot hold a block of type "{kind}".',
                    param=here,
                )
            if isinstance(block, TextBlock) and message.role == "system" and block.text.strip():
                said = TextBlock(text=f"<system>\n{block.text}\n</system>", cache_control=block.cache_control)
                self._block(said, here, thoughts=thoughts)
            else:
                self._block(block, here, thoughts=thoughts)

    def _block(self, block: Block, path: str, *, thoughts: bool) -> None:
        match block:
            case ToolUseBlock():
                self._use(block, path)
            case ToolResultBlock():
                self._result(block, path)
            case ThinkingBlock() | RedactedThinkingBlock():
                if thoughts:
                    self._think(block, path)
            case TextBlock() if self._role == "assistant":
                if block.text:
                    self._parts.append(OutputText(text=block.text, annotations=[]))
                    self._part_paths.append(path)
            case _:
                parts = parts_of(block, path)
                self._parts += parts
                self._part_paths += [path] * len(parts)

    def _use(self, block: ToolUseBlock, path: str) -> None:
        if block.id in self._uses:
            raise InvalidRequest(
                f'`{path}.id`: "{block.id[:128]}" is the id of the call at {self._uses[block.id]} too; ids of calls'
                " must differ.",
                param=f"{path}.id",
            )
        self._uses[block.id] = self._waiting[block.id] = path
        self._add(
            FunctionCall(call_id=block.id, name=block.name, arguments=encode(block.input).decode()), path
        )

    def _result(self, block: ToolResultBlock, path: str) -> None:
        if block.tool_use_id not in self._waiting:
            answered = block.tool_use_id in self._uses
            why = "has its result already" if answered else "was not made in the message before"
            raise InvalidRequest(
                f'`{path}.tool_use_id`: the call "{block.tool_use_id[:128]}" {why}. Each `tool_result` answers one'
                " `tool_use` of the assistant's last message.",
                param=f"{path}.tool_use_id",
            )
        del self._waiting[block.tool_use_id]
        output, paths = output_of(block, path)
        self._add(FunctionCallOutput(call_id=block.tool_use_id, output=output), path, paths)

    def _think(self, block: ThinkingBlock | RedactedThinkingBlock, path: str) -> None:
        """A thought that another server signed stays as text; one that it hid is left out."""
        text = block.thinking if isinstance(block, ThinkingBlock) else ""
        blob = block.signature if isinstance(block, ThinkingBlock) else block.data
        if blob and self._opens(blob):
            summary = [SummaryText(text=text)] if text else []
            self._add(Reasoning(summary=summary, encrypted_content=blob), path)
            return
        if blob:
            self._left_out.append(f"{path}.{'signature' if isinstance(block, ThinkingBlock) else 'data'}")
        if text:
            self._add(Reasoning(content=[ReasoningText(text=text)]), path)

    # --- items ----------------------------------------------------------------------------------------------
    def _add(self, item: InputItem, path: str, parts: tuple[str, ...] = ()) -> None:
        self._flush()
        self.items.append(item)
        self.places.append(Place(path, parts))

    def _flush(self) -> None:
        """The texts and images gathered so far are a message."""
        if not self._parts:
            return
        parts, self._parts = self._parts, []
        paths, self._part_paths = self._part_paths, []
        self.items.append(Message(role="assistant" if self._role == "assistant" else "user", content=parts))
        self.places.append(Place(paths[0], tuple(paths)))


def _texts(content: "str | list[TextBlock] | list[Block]", path: str = "") -> list[str]:
    """The texts of a content that may hold nothing else."""
    if isinstance(content, str):
        return [content]
    found: list[str] = []
    for at, block in enumerate(content):
        if not isinstance(block, TextBlock):
            here = f"{path}.{at}"
            kind = block.__struct_config__.tag
            raise InvalidRequest(
                f'`{here}`: a message of role "system" cannot hold a block of type "{kind}".', param=here
            )
        found.append(block.text)
    return found


def _first_thought_kept(asked: Prompt) -> int:
    """The first message whose thoughts the model still sees, by `clear_thinking`."""
    edits = asked.context_management.edits if asked.context_management is not None else None
    keep = [one.keep.value for one in edits or () if isinstance(one.keep, KeepTurns)]
    if not keep:
        return 0
    thoughtful = [
        at
        for at, message in enumerate(asked.messages)
        if not isinstance(message.content, str)
        and any(isinstance(block, ThinkingBlock | RedactedThinkingBlock) for block in message.content)
    ]
    kept = thoughtful[-min(keep) :]
    return kept[0] if kept else 0
