"""`antiphon record`: the server, with recording on."""

from collections.abc import Sequence

import msgspec

from antiphon.cli.serve import serve
from antiphon.config.settings import Settings

DEFAULT_FOLDER = "recordings"


def record(
    settings: Settings, folder: str | None, models: Sequence[str] = (), *, include_unstored: bool
) -> int:
    """Serve as `antiphon serve` does, and write down what models are asked and answer."""
    recording = msgspec.structs.replace(
        settings.recording,
        path=folder or settings.recording.path or DEFAULT_FOLDER,
        include_unstored=include_unstored or settings.recording.include_unstored,
    )
    return serve(msgspec.structs.replace(settings, recording=recording), models)
