"""What the operator says about shields: section `safety`, and the list `shields`."""

from typing import Annotated, Any

from msgspec import Meta

from antiphon.models.breaker import Closed

SHIELD_ID = r"^[A-Za-z0-9_]([A-Za-z0-9_.:/@+-]{0,254}[A-Za-z0-9_.:@+-])?\Z"
ShieldId = Annotated[str, Meta(pattern=SHIELD_ID)]
_Seconds = Annotated[float, Meta(gt=0, le=600)]


class SafetySettings(Closed):
    """How shields are asked."""

    timeout_s: Annotated[
        _Seconds,
        Meta(description="For one shield to answer; what is not checked by then does not pass."),
    ] = 30.0


class ShieldSettings(Closed):
    """A shield that everybody may name. Those that are registered over HTTP belong to a tenant."""

    shield_id: Annotated[ShieldId, Meta(description="Its id: what agents name in `input_shields`.")]
    provider_id: Annotated[
        str, Meta(description="A `provider_id` of `providers.safety`; may be left out where there is one.")
    ] = ""
    provider_shield_id: Annotated[
        str,
        Meta(
            description="What it is to its provider: a rule set, a model. Where left out, the provider's own choice:"
            " the rule set of the shield's name, the configured model."
        ),
    ] = ""
    params: Annotated[
        dict[str, Any], Meta(description="What the provider takes for one shield: `level`, `user_message` …")
    ] = {}
    timeout_s: Annotated[
        _Seconds | None, Meta(description="For its answer; `safety.timeout_s` where left out.")
    ] = None
