"""Questions to users in the middle of a call, as both generations carry them.

Up to 2025-11-25 the server sends `elicitation/create` and waits. In 2026-07-28 the call ends with `input_required`, and
the client repeats it with the answer and with `requestState`: everything that it needs to go on, sealed.
"""

from dataclasses import dataclass
from typing import Final, Literal, get_args

import msgspec

from antiphon.core.hosted_items import ElicitationAction
from antiphon.core.json_values import is_object
from antiphon.core.mcp import digest
from antiphon.core.wire import JsonObject, Wire, encode
from antiphon.mcp_server.messages import INVALID_PARAMS, RpcError
from antiphon.mcp_server.tools import AuthorizationNeeded, UserAnswer, UserAsked
from antiphon.ports import Clock, Owner, SealBroken, Sealer

KEY: Final = "question"
"""The name of the one question in `inputRequests` and in `inputResponses`."""
_PURPOSE: Final = "mcp_request_state"
_ACTIONS: Final = get_args(ElicitationAction)


class _State(Wire):
    """What `requestState` holds. `call` is the digest of whose call of what it is."""

    kind: Literal["question", "authorization"]
    call: str
    expires_at: int
    state: bytes = b""


_STATES: Final = msgspec.json.Decoder(_State)


@dataclass(frozen=True, slots=True)
class Resumed:
    """A call that was repeated with what the user did. `answer` is None after an authorisation."""

    action: ElicitationAction
    answer: UserAnswer | None


@dataclass(frozen=True, slots=True)
class Questions:
    """`ttl_s` is how long a user may take."""

    sealer: Sealer
    clock: Clock
    ttl_s: int

    def required(
        self, owner: Owner, name: str, arguments: JsonObject, asked: UserAsked | AuthorizationNeeded
    ) -> JsonObject:
        """The result that asks, of the stateless generation."""
        kind: Literal["question", "authorization"] = (
            "question" if isinstance(asked, UserAsked) else "authorization"
        )
        state = _State(
            kind=kind,
            call=_digest(owner, name, arguments),
            expires_at=self.clock.now() + self.ttl_s,
            state=asked.state if isinstance(asked, UserAsked) else b"",
        )
        return {
            "resultType": "input_required",
            "inputRequests": {KEY: {"method": "elicitation/create", "params": question_params(asked)}},
            "requestState": self.sealer.seal(owner.tenant, _PURPOSE, encode(state)),
        }

    def resumed(self, owner: Owner, name: str, arguments: JsonObject, params: JsonObject) -> Resumed | None:
        """What a repeated call brings; None for one that was not asked anything. Raises RpcError."""
        sealed = params.get("requestState")
        if sealed is None:
            return None
        state = self._opened(owner, sealed)
        if state.call != _digest(owner, name, arguments):
            raise RpcError(
                INVALID_PARAMS, "`params.requestState`: it is of another call; repeat the call as it was."
            )
        action, content = _said(params.get("inputResponses"))
        if state.kind == "authorization":
            return Resumed(action, None)
        return Resumed(action, UserAnswer(state.state, action, content))

    def _opened(self, owner: Owner, sealed: object) -> _State:
        if not isinstance(sealed, str):
            raise RpcError(INVALID_PARAMS, "`params.requestState`: expected a text.")
        try:
            state = _STATES.decode(self.sealer.open(owner.tenant, _PURPOSE, sealed))
        except SealBroken as broken:
            raise RpcError(INVALID_PARAMS, f"`params.requestState`: it {broken}.") from None
        except msgspec.DecodeError:
            raise RpcError(
                INVALID_PARAMS, "`params.requestState`: it is of another version of this server."
            ) from None
        if state.expires_at < self.clock.now():
            raise RpcError(INVALID_PARAMS, "`params.requestState`: it has expired; call the tool anew.")
        return state


def question_params(asked: UserAsked | AuthorizationNeeded, elicitation_id: str = "") -> JsonObject:
    """The parameters of `elicitation/create`. `elicitation_id` belongs to URL mode of 2025-11-25."""
    if isinstance(asked, UserAsked) and asked.mode == "form":
        schema = asked.schema or {"type": "object", "properties": {}}
        return {"mode": "form", "message": asked.message, "requestedSchema": schema}
    params: JsonObject = {"mode": "url", "message": asked.message, "url": asked.url}
    return {**params, "elicitationId": elicitation_id} if elicitation_id else params


def said(result: object, path: str) -> tuple[ElicitationAction, JsonObject | None]:
    """An `ElicitResult`. Raises RpcError."""
    action: ElicitationAction | None = None
    if is_object(result) and result.get("action") in _ACTIONS:
        action = result["action"]
    if not is_object(result) or action is None:
        raise RpcError(INVALID_PARAMS, f"`{path}.action`: expected one of {', '.join(_ACTIONS)}.")
    content = result.get("content")
    if content is not None and not is_object(content):
        raise RpcError(INVALID_PARAMS, f"`{path}.content`: expected an object.")
    return action, content if action == "accept" else None


def _said(responses: object) -> tuple[ElicitationAction, JsonObject | None]:
    path = f"params.inputResponses.{KEY}"
    given = responses.get(KEY) if is_object(responses) else None
    if given is None:
        raise RpcError(INVALID_PARAMS, f"`{path}`: required with `params.requestState`.")
    return said(given, path)


def _digest(owner: Owner, name: str, arguments: JsonObject) -> str:
    return digest(owner.tenant, owner.subject, name, arguments)
