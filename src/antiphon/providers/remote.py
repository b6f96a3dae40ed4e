"""Remote model servers by configuration: the class that `plugins` names for them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from antiphon.ports import Ids
from antiphon.providers.openai_chat import OpenAIChat
from antiphon.providers.presets import PRESETS, parse_config
from antiphon.providers.upstream import UpstreamClient

if TYPE_CHECKING:
    from antiphon.providers.openai_responses import OpenAIResponses
    from antiphon.providers.wire_auto import AutoWire


class Remote:
    """Chooses the wire: `wire` of the configuration, else that of the preset."""

    @classmethod
    def from_config(
        cls,
        provider_id: str,
        provider_type: str,
        mapping: Mapping[str, Any],
        client: UpstreamClient,
        ids: Ids,
        *,
        lenient: bool = False,
    ) -> "OpenAIChat | OpenAIResponses | AutoWire":
        """The provider that a configuration describes. Raises ProviderConfigError."""
        config, preset = parse_config(provider_type, mapping), PRESETS[provider_type]
        wire = config.wire or preset.wire
        if wire == "chat":
            return OpenAIChat(provider_id, preset, config, client, ids, lenient=lenient)
        # Loaded where it is spoken: a server of chat alone starts without it.
        from antiphon.providers.openai_responses import OpenAIResponses

        responses = OpenAIResponses(provider_id, preset, config, client, ids, lenient=lenient)
        if wire == "responses":
            return responses
        from antiphon.providers.wire_auto import AutoWire

        return AutoWire(responses)
