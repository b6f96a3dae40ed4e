"""Carries a compaction out: by the upstream itself where it compacts, else by a summary that the model writes."""

from antiphon.core.commands import CallModel
from antiphon.core.compacting import summary_request, summary_transcript
from antiphon.core.errors import CompactionFailed
from antiphon.core.signals import Compacted
from antiphon.models.asking import answer_to
from antiphon.ports import ModelProvider


async def compact(provider: ModelProvider, model: str, call: CallModel) -> Compacted:
    """What `call.transcript` becomes. One request to the model's server, or two where it says that it cannot compact.

    Raises CompactionFailed for a summary that is none, and what `ModelProvider.stream` raises.
    """
    made = await provider.compact(model, call)
    if made is not None:
        return Compacted(upstream=made.blob, usage=made.usage)
    return await _summed_up(provider, model, call)


async def _summed_up(provider: ModelProvider, model: str, call: CallModel) -> Compacted:
    request, transcript = summary_request(call.request), summary_transcript(call.transcript)
    asked = CallModel(request, transcript, "none", stream=False, summarises=True)
    answer = await answer_to(provider, model, asked)
    problem = answer.problem
    if problem is None and answer.was_cut_off:
        problem = "its answer was cut off at its limit of tokens"
    if problem is not None:
        raise CompactionFailed(request.model, problem, answer.usage)
    return Compacted(summary=answer.text, usage=answer.usage)
