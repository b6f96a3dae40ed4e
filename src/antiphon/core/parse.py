"""From bytes to a wire type. What the typed decoder refuses is repaired, or each fault is named: the slow way.

Repairs (each is something that real clients send and mean well): a message or an `item_reference` without
`type`; a tool without one; null where a field may be left out; null text in a replayed `output_text`; what the
helpers of clients parsed and left on replayed items; an integer written as 16.0.
All else is an `InvalidRequest` whose message lists the faults and whose `param` names the first.
"""

from collections.abc import Callable, Container
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from antiphon.core.errors import InvalidRequest
from antiphon.core.json_values import is_array, is_object, json_name
from antiphon.core.wire import decode_json

if TYPE_CHECKING:
    from antiphon.core.faults import Fault

T = TypeVar("T")
StructT = TypeVar("StructT", bound=msgspec.Struct)
Refuse = Callable[[dict[str, Any]], None]
Spare = Callable[[dict[str, Any]], list[str]]
MAX_LISTED = 5


class _InvalidJson(InvalidRequest):
    code = "invalid_json"


def read(
    body: bytes,
    decoder: msgspec.json.Decoder[StructT],
    wanted: type[StructT],
    *,
    refuse: Refuse | None = None,
    spare: Spare | None = None,
    lenient: bool = False,
    items: bool = True,
) -> tuple[StructT, list[str]]:
    """`body` by its typed decoder, or else the slow way (`load`), and the names of what was left out of it.

    `lenient` leaves out the top-level fields that `wanted` does not have.

    Raises:
        InvalidRequest: with `param`; and what `refuse` raises.

    """
    left_out: list[str] = []
    try:
        return decoder.decode(body), left_out
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        known = wanted.__struct_fields__ if lenient else None
        value = load(body, wanted, refuse=refuse, spare=spare, known=known, left_out=left_out, items=items)
    return value, left_out


def load(
    body: bytes,
    wanted: type[T],
    *,
    refuse: Refuse | None = None,
    spare: Spare | None = None,
    known: Container[str] | None = None,
    left_out: list[str] | None = None,
    items: bool = True,
) -> T:
    """`body` as a `wanted`, repaired where it can be.

    `refuse` looks at the plain JSON object before its shape is judged and may raise: "not supported" is a
    better answer than a list of faults in something that is not supported. `spare` comes before it, takes out what may
    be left out, and names it for `left_out`. With `known` and `left_out`, top-level fields of other names are taken out
    and listed. Without `items` the body is of an API that has other ones, and nothing is done about their types.

    Raises:
        InvalidRequest: with `param`; the message has up to five faults.

    """
    try:
        value = _json_object(body)
        if spare is not None:
            spared = spare(value)
            if left_out is not None:
                left_out += spared
        if refuse is not None:
            refuse(value)
        if known is not None and left_out is not None:
            unknown = [name for name in value if name not in known]
            left_out += unknown
            for name in unknown:
                del value[name]
        return _converted(value, wanted) if items else _judged(value, wanted)
    except RecursionError:
        raise _too_deep() from None


def _converted(value: dict[str, Any], wanted: type[T]) -> T:
    """`convert`, after two cheap repairs that most of the unusual requests need and no other."""
    _name_easy_messages(value)
    try:
        return msgspec.convert(value, wanted)
    except msgspec.ValidationError:
        _drop_item_nulls(value)
    return convert(value, wanted)


def convert(value: Any, wanted: type[T]) -> T:
    """Plain JSON as a `wanted` type. Changes `value` in place. Raises InvalidRequest."""
    _name_easy_messages(value)
    return _judged(value, wanted)


def _judged(value: Any, wanted: type[T]) -> T:
    try:
        return msgspec.convert(value, wanted)
    except msgspec.ValidationError:
        # Imported late: it reads the types' structure, which only a faulty or unusual request has to pay for.
        from antiphon.core import faults

        found = faults.repair(value, wanted)
    if found:
        raise InvalidRequest(_listed(found), param=found[0].param or None)
    return msgspec.convert(value, wanted)


def _name_easy_messages(value: Any) -> None:
    """Give `type: "message"` to the input items that have a role and no type: most clients write them so.

    A tool without a type is a function.
    """
    for item in _items_of(value):
        if is_object(item) and "role" in item and "type" not in item:
            item["type"] = "message"
    tools: Any = value.get("tools") if is_object(value) else None
    for tool in tools if is_array(tools) else ():
        if is_object(tool):
            tool.setdefault("type", "function")


def _items_of(value: Any) -> list[Any]:
    """The items of a response's input, or of what is put into a conversation."""
    found: list[Any] = []
    for name in ("input", "items"):
        items: Any = value.get(name) if is_object(value) else None
        found += items if is_array(items) else []
    return found


def _drop_item_nulls(value: dict[str, Any]) -> None:
    """Clients replay whole items with a null for each field they do not use, and with what they parsed themselves.

    No field needs its null, and what was parsed is there as text too.
    """
    for item in _items_of(value):
        if is_object(item):
            _drop_nulls(item)
            if item.get("type") == "function_call":
                item.pop(
                    "parsed_arguments", None
                )  # what helpers of the official clients leave on replayed items
            content = item.get("content")
            for part in content if is_array(content) else ():
                if is_object(part):
                    _drop_nulls(part)
                    if part.get("type") == "output_text":
                        part.pop("parsed", None)


def _drop_nulls(holder: dict[str, Any]) -> None:
    if holder.get("type") == "output_text" and "text" in holder and holder["text"] is None:
        holder["text"] = ""  # AG2 replays assistant turns so
    for name in [name for name, one in holder.items() if one is None and name not in {"content", "output"}]:
        del holder[name]


def _json_object(body: bytes) -> dict[str, Any]:
    if not body.strip():
        raise _InvalidJson("the body is empty; send a JSON object.")
    try:
        body.decode()
        value = decode_json(body)
    except UnicodeDecodeError as error:
        raise _InvalidJson(f"the body is not valid UTF-8 (byte {error.start}); send JSON in UTF-8.") from None
    except msgspec.DecodeError as error:
        raise _InvalidJson(f"the body is not valid JSON: {error}.") from None
    if not is_object(value):
        raise _InvalidJson(f"the body must be a JSON object, not {json_name(value)}.")
    return value


def _too_deep() -> InvalidRequest:
    return _InvalidJson("the body is nested too deep; flatten it.")


def _listed(found: "list[Fault]") -> str:
    first, *rest = (fault.sentence for fault in found[:MAX_LISTED])
    if not rest:
        return first
    more = len(found) - MAX_LISTED
    tail = f" And {more} more." if more > 0 else ""
    return f"{first} Also: {' '.join(rest)}{tail}"
