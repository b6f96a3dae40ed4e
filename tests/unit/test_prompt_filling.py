"""A prompt in a request: what every wire shows of it."""

from typing import Any

import msgspec
import pytest

from antiphon.core.body import Prompt
from antiphon.core.commands import CallModel
from antiphon.core.items import InputFile, InputImage, InputText, Message
from antiphon.core.request import ResponseRequest
from antiphon.core.transcript import PastTurn, Transcript
from antiphon.core.wire import decode_json, encode
from antiphon.ports import Owner, StoredPrompt
from antiphon.prompts.filling import FilledPrompt, filled
from antiphon.prompts.shapes import PromptContent
from antiphon.providers.chat_render import ChatRenderer
from antiphon.providers.messages_config import MessagesConfig
from antiphon.providers.messages_render import MessagesRenderer
from antiphon.providers.presets import PRESETS
from antiphon.storage.memory import MemoryStore
from antiphon.web.auth import ANONYMOUS
from tests.unit.test_compaction import FULL, LONG, Served

OWNER = Owner("t", "o")
PDF = InputFile(filename="a.pdf", file_data="data:application/pdf;base64,JVBERi0xLjQ=")
PNG = InputImage(image_url="data:image/png;base64,iVBORw0KGgo=", detail="low")
PAST = PastTurn(
    "resp_1",
    encode([Message(role="user", content=[InputText(text="before")])]),
    encode([Message(role="assistant", content="earlier")]),
)


async def fill(request: ResponseRequest) -> tuple[ResponseRequest, FilledPrompt]:
    """The request with a prompt that has a text, a picture and a file, in this order."""
    content = PromptContent(
        prompt="{{ who }} looks at {{ picture }} and {{ paper }}.", variables=["paper", "who", "picture"]
    )
    store = MemoryStore()
    await store.prompts.create_prompt(
        OWNER, StoredPrompt("pmpt_1", 1, 0, is_default=True, body=encode(content))
    )
    prompt = Prompt(id="pmpt_1", variables={"who": "Ann", "picture": PNG, "paper": PDF})
    asked, found = await filled(store.prompts, OWNER, msgspec.structs.replace(request, prompt=prompt))
    assert found is not None
    return asked, found


@pytest.mark.parametrize("history", [(), (PAST,)], ids=["first", "later"])
async def test_each_wire_shows_the_media_in_front_of_the_conversation(history: tuple[PastTurn, ...]) -> None:
    request, prompt = await fill(ResponseRequest(model="m", instructions="Be brief."))
    own = (Message(role="user", content=[InputText(text="now")]),)
    transcript = prompt.before(Transcript(request.instructions, history, own))
    text = "Ann looks at [image: picture] and [file: paper].\n\nBe brief."
    assert transcript.instructions == text
    call = CallModel(request, transcript)

    able = PRESETS["remote::openai"].capabilities
    system, media, *_, last = decode_json(ChatRenderer("up", able).render("m", call))["messages"]
    assert system["content"] == text
    assert [part["type"] for part in media["content"]] == ["text", "file", "text", "image_url"]
    assert [part["text"] for part in media["content"] if "text" in part] == [
        "[file: paper]",
        "[image: picture]",
    ]
    assert last == {"role": "user", "content": "now"}

    body = decode_json(MessagesRenderer("up", MessagesConfig()).render("m", call))
    assert body["system"][0]["text"] == text
    first: dict[str, Any] = body["messages"][0]
    kinds = [block["type"] for block in first["content"]]
    assert (first["role"], kinds[:4]) == ("user", ["text", "document", "text", "image"])


async def test_what_is_no_text_is_told_apart_by_its_content() -> None:
    _, one = await fill(ResponseRequest(model="m"))
    _, same = await fill(ResponseRequest(model="m"))
    assert one.media == same.media
    assert one.media[0].id.startswith("prompt:")
    assert not one.media[0].served_by


async def test_the_request_says_what_the_prompt_decided() -> None:
    request, prompt = await fill(ResponseRequest(model="m"))
    assert request.prompt is not None
    assert (request.model, request.prompt.version) == ("m", "1")
    assert prompt.shown_instructions(None) == [
        Message(role="system", content=[InputText(text="Ann looks at [image: picture] and [file: paper].")])
    ]


def shown(call: CallModel) -> list[str]:
    """The kinds of the parts of all messages that the model is shown."""
    messages = [item for item in call.transcript.all_items() if isinstance(item, Message)]
    return [type(part).__name__ for message in messages for part in message.content]


async def test_a_compaction_leaves_the_images_in_front_and_holds_none_of_them() -> None:
    served = Served()
    content = PromptContent(prompt="Look at {{ it }}.", variables=["it"])
    stored = StoredPrompt("pmpt_1", 1, 0, is_default=True, body=encode(content))
    await served.store.prompts.create_prompt(ANONYMOUS, stored)
    parent = await served.ok(input=LONG)
    image = {"type": "input_image", "image_url": PNG.image_url, "detail": "low"}
    made = await served.ok(
        input="what was it?",
        previous_response_id=parent["id"],
        context_management=FULL,
        prompt={"id": "pmpt_1", "variables": {"it": image}},
    )
    assert [item["type"] for item in made["output"]] == ["compaction", "message"]
    *_, summary, last = served.model.heard
    assert summary.summarises
    assert "InputImage" not in shown(summary)
    assert shown(last) == ["InputText", "InputImage", "InputText", "InputText"]
    assert last.transcript.history[0].id.startswith("prompt:")
    await served.ok(input="and now?", previous_response_id=made["id"])
    assert "InputImage" not in shown(served.model.heard[-1])
