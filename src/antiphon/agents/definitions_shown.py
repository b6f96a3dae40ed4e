"""Tools in the instructions of an agent: told there alone, or shown where these ask for them."""

from dataclasses import replace
from functools import partial
from typing import Final

from antiphon.agents.definition import Effective
from antiphon.agents.prompted import prompted
from antiphon.core.commands import CallModel
from antiphon.core.prompted_calls import PLACEHOLDER, definitions, shows_tools
from antiphon.ports import Intake
from antiphon.responses.attached import Attached
from antiphon.responses.setup import SeenBy


def tools_in_words(counts: Effective) -> SeenBy | None:
    """What stands before the model of an agent whose instructions have to do with its tools; None for others.

    With a `tool_prompt_format` the model is told its tools in words, and calls them so. Without one it calls them by
    its API; where `system_message_behavior` is replace, it finds them in the instructions too, in place of
    `{{function_definitions}}`.
    """
    behavior = counts.system_message_behavior
    shown = _SHOWN if behavior == "replace" and PLACEHOLDER in counts.instructions else None
    if counts.prompt_format is None:
        return shown
    told = prompted(counts.prompt_format, behavior)
    if shown is None:
        return told
    return lambda provider: told(
        shown(provider)
    )  # a call without tools has no words for them, but has the place


class _Definitions:
    """A `Showing`."""

    async def shown(self, call: CallModel, intake: Intake) -> CallModel:
        given = call.transcript.instructions
        if not given or PLACEHOLDER not in given:
            return call
        tools = definitions(call.request.model_tools if shows_tools(call) else ())
        return replace(
            call, transcript=replace(call.transcript, instructions=given.replace(PLACEHOLDER, tools))
        )


_SHOWN: Final[SeenBy] = partial(Attached, given=_Definitions())
