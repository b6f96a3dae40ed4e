"""`tool_prompt_format` of an agent: its model is told its tools in words, in that form."""

from functools import partial

from antiphon.core.call_formats import CallFormat
from antiphon.core.prompted_calls import SystemBehavior
from antiphon.models.prompted import Prompted, Prompting
from antiphon.responses.setup import SeenBy


def prompted(form: CallFormat, behavior: SystemBehavior = "append") -> SeenBy:
    """What stands before the provider of a turn whose agent, or which itself, names a format.

    With `behavior` replace the instructions stand alone, and tools are where they say `{{function_definitions}}`.
    """
    return partial(Prompted, prompting=Prompting(form, behavior))
