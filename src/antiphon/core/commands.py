"""What the loop asks for. The runner carries commands out through the ports."""

from dataclasses import dataclass, field
from typing import Any

from antiphon.core.items import FunctionCall
from antiphon.core.request import ResponseRequest
from antiphon.core.transcript import Transcript


@dataclass(frozen=True, slots=True)
class CallModel:
    """One sampling step.

    `transcript` is all the model sees; `request` carries the settings, whole. The other fields are what the loop
    decided for this step and win over the request's.
    """

    request: ResponseRequest
    transcript: Transcript
    tool_choice: Any = "auto"
    max_output_tokens: int | None = None
    stream: bool = True
    extra: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class CallTool:
    """Run a server-side tool. Calls of one step may run at once; results are added in call order."""

    call: FunctionCall


Command = CallModel | CallTool
