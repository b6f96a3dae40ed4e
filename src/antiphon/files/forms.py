"""The forms of files and of parts: their bytes go to the blob store as they come, whatever stands behind them."""

from collections.abc import Mapping

import msgspec

from antiphon.core.errors import InvalidRequest
from antiphon.core.parse import load
from antiphon.core.wire import UNSET, UnsetType, Wire, decode_json, encode
from antiphon.files.names import checked_name
from antiphon.files.receiving import Received, Receiver
from antiphon.files.shapes import OUTPUT_PURPOSES, FileExpiry, Purpose, life_of
from antiphon.web.multipart import Multipart, Part

_MAX_TEXT = 4096
_ANCHOR, _SECONDS = "expires_after[anchor]", "expires_after[seconds]"
_FIELDS = ("purpose", "expires_after", _ANCHOR, _SECONDS)


class FileFields(Wire):
    """What stands in the form of a file beside its bytes."""

    purpose: Purpose
    expires_after: FileExpiry | UnsetType | None = UNSET


class FileForm(msgspec.Struct, frozen=True, kw_only=True):
    """A form that was read. `received` has to be made a file of, or removed."""

    received: Received
    filename: str
    media_type: str
    purpose: Purpose
    expires_after_s: int | None


async def read_file_form(form: Multipart, receiver: Receiver, max_bytes: int) -> FileForm:
    """`file`, `purpose` and `expires_after` in any order. When this raises nothing is left of them.

    Raises InvalidRequest, PayloadTooLarge, and what the form and the blob store raise.
    """
    reading = _Reading(form, receiver, max_bytes)
    try:
        await reading.run()
        return reading.made()
    except BaseException:
        if reading.received is not None:
            await receiver.remove([reading.received.blob])
        raise


async def read_part_form(form: Multipart, receiver: Receiver, max_bytes: int) -> Received:
    """`data` alone. Raises as `read_file_form` does."""
    _check_part(await form.next_part())
    received = await receiver.receive(form.content(), max_bytes, "data")
    try:
        _check_end(await form.next_part())
    except BaseException:
        await receiver.remove([received.blob])
        raise
    return received


def _check_part(part: Part | None) -> None:
    if part is None:
        raise InvalidRequest("the form is empty; send the bytes of the part as `data`.", param="data")
    if part.name != "data":
        raise _unknown(part.name, ("data",))


def _check_end(part: Part | None) -> None:
    if part is not None:
        raise _twice("data") if part.name == "data" else _unknown(part.name, ("data",))


class _Reading:
    def __init__(self, form: Multipart, receiver: Receiver, max_bytes: int) -> None:
        self._form = form
        self._receiver = receiver
        self._max_bytes = max_bytes
        self._fields: dict[str, str] = {}
        self._file: Part | None = None
        self._filename = ""
        self.received: Received | None = None

    async def run(self) -> None:
        while (part := await self._form.next_part()) is not None:
            if part.name == "file":
                await self._receive(part)
            elif part.name not in _FIELDS:
                raise _unknown(part.name, ("file", *_FIELDS))
            elif part.name in self._fields:
                raise _twice(part.name)
            else:
                self._fields[part.name] = await self._form.text(part, _MAX_TEXT)
                if part.name == "purpose":
                    _check_purpose(self._fields["purpose"])

    def made(self) -> FileForm:
        if self._file is None or self.received is None:
            raise InvalidRequest("the form has no file; send its bytes as `file`.", param="file")
        fields = load(encode(_plain(self._fields)), FileFields, items=False)
        return FileForm(
            received=self.received,
            filename=self._filename,
            media_type=self._file.media_type or "application/octet-stream",
            purpose=fields.purpose,
            expires_after_s=life_of(fields.expires_after),
        )

    async def _receive(self, part: Part) -> None:
        if self._file is not None:
            raise _twice("file")
        if part.filename is None:
            raise InvalidRequest(
                "`file` is a text here, and no file: its part has no `filename`.", param="file"
            )
        self._filename = checked_name(part.filename, "file")
        self._file = part
        self.received = await self._receiver.receive(self._form.content(), self._max_bytes, "file")


def _check_purpose(purpose: str) -> None:
    """As soon as it is known: what follows may be large."""
    if purpose in OUTPUT_PURPOSES:
        raise InvalidRequest(
            f'files for "{purpose}" are made by the server; to read one as input, upload it for "user_data".',
            param="purpose",
        )
    load(encode({"purpose": purpose}), FileFields, items=False)


def _plain(fields: Mapping[str, str]) -> dict[str, object]:
    """The fields as the JSON object that they stand for. Raises InvalidRequest."""
    plain: dict[str, object] = {"purpose": fields["purpose"]} if "purpose" in fields else {}
    halves = {name: fields[name] for name in (_ANCHOR, _SECONDS) if name in fields}
    if "expires_after" in fields:
        if halves:
            raise _twice("expires_after")
        plain["expires_after"] = _decoded(fields["expires_after"], "expires_after")
    elif halves:
        expiry: dict[str, object] = {}
        if _ANCHOR in halves:
            expiry["anchor"] = halves[_ANCHOR]
        if _SECONDS in halves:
            expiry["seconds"] = _decoded(halves[_SECONDS], "expires_after.seconds")
        plain["expires_after"] = expiry
    return plain


def _decoded(text: str, param: str) -> object:
    try:
        return decode_json(text)
    except (msgspec.DecodeError, RecursionError):
        raise InvalidRequest(f"`{param}` is not valid JSON.", param=param) from None


def _unknown(name: str, known: tuple[str, ...]) -> InvalidRequest:
    return InvalidRequest(
        f'there is no field "{name[:100]}" in this form; there are: {", ".join(known)}.', param=name[:100]
    )


def _twice(name: str) -> InvalidRequest:
    return InvalidRequest(f"`{name}` is there twice; send it once.", param=name)
