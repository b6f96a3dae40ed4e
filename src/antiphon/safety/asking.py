"""Models of the catalog as shields ask them."""

from collections.abc import Sequence
from dataclasses import dataclass

from antiphon.core.commands import CallModel
from antiphon.core.errors import ProviderProtocolError
from antiphon.core.items import InputImage, InputText, Message
from antiphon.core.request import ResponseRequest
from antiphon.core.transcript import Transcript
from antiphon.models.asking import answer_to
from antiphon.models.catalog import Catalog


@dataclass(frozen=True, slots=True)
class CatalogModels:
    """Implements `ports.safety.GuardModels`."""

    catalog: Catalog

    async def answer(self, model: str, text: str, images: Sequence[str], max_tokens: int) -> str:
        resolved = await self.catalog.resolve(model)
        name, provider = resolved.upstream_model, resolved.provider
        request = ResponseRequest(model=name, store=False, temperature=0.0)
        shown = [InputImage(image_url=url, detail="auto") for url in images]
        asked = Message(role="user", content=[InputText(text=text), *shown])
        call = CallModel(
            request, Transcript(items=(asked,)), "none", max_output_tokens=max_tokens, stream=False
        )
        answer = await answer_to(provider, name, call)
        cut = answer.was_cut_off or answer.refused
        if cut or (answer.done is not None and answer.done.finish == "content_filter"):
            raise ProviderProtocolError(
                provider.provider_id, f'model "{name}" was asked as a shield, and gave no whole answer.'
            )
        return answer.text
