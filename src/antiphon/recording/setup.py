"""From the settings to a recorder."""

import re
from pathlib import Path

import msgspec

from antiphon.config.settings import ConfigError, Settings, secrets_in
from antiphon.ports import Clock
from antiphon.recording.file import RecordingFiles
from antiphon.recording.recorder import Recorder
from antiphon.recording.redaction import Redactor
from antiphon.version import __version__


def make_recorder(settings: Settings, clock: Clock) -> Recorder:
    """Raises ConfigError for a pattern that is no regular expression, and a folder that cannot be written."""
    recording = settings.recording
    files = RecordingFiles(
        Path(recording.path).expanduser(),
        clock,
        antiphon=__version__,
        redact=recording.redact,
        max_file_bytes=recording.max_file_mb * 1024 * 1024,
        max_files=recording.max_files,
    )
    try:
        files.check()
    except OSError as error:
        message = f"recording.path: {recording.path} cannot be written: {error.strerror or error}"
        raise ConfigError(settings.source, None, message) from None
    known = [one.config for one in settings.providers.inference]
    known += [msgspec.to_builtins(one) for one in settings.connectors]
    secrets = {text for one in known for text in secrets_in(one)}
    try:
        redactor = Redactor(recording.redact, sorted(secrets))
    except re.error as error:
        message = f'recording.redact: "{error.pattern!s}" is not a regular expression: {error}'
        raise ConfigError(settings.source, None, message) from None
    return Recorder(files, redactor, clock, include_unstored=recording.include_unstored)
