"""`antiphon key new` and `antiphon key rotate`."""

import json
import secrets
from pathlib import Path

from antiphon.config.load import hash_key
from antiphon.config.settings import ConfigError, Settings
from antiphon.sealing.keys import FILE, kept, rotate

_KEY_BYTES = 32


def new_key(name: str, tenant: str) -> str:
    """A fresh key and the entry for the configuration. The key itself is kept nowhere."""
    key = "sk-antiphon-" + secrets.token_urlsafe(_KEY_BYTES)
    entry = f"{{name: {json.dumps(name)}, tenant: {json.dumps(tenant)}, hash: {json.dumps(hash_key(key))}}}"
    return (
        f"Key, shown only now; give it to the client:\n\n  {key}\n\n"
        f"Entry for the configuration:\n\n  server:\n    auth:\n      keys:\n      - {entry}\n"
    )


def rotate_sealing_keys(settings: Settings, folder: Path | None) -> str:
    """Put a new sealing key first. Raises ConfigError where the configuration holds the keys."""
    if settings.server.sealing.keys or folder is None:
        raise ConfigError(
            settings.source, None, "server.sealing.keys: the keys are written here; put a new one first there"
        )
    before = len(kept(folder))
    count = rotate(folder)
    removed = (
        " The oldest key was removed, and what it sealed is lost: GET /v1/connectors says whose secrets have to be set"
        " anew; users whose tokens it sealed authorise again."
        if before >= count
        else ""
    )
    return f"{folder / FILE}: {count} keys, the first of them new. Restart the server to seal with it.{removed}\n"
