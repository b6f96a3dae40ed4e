"""`antiphon key new`."""

import json
import secrets

from antiphon.config import hash_key

_KEY_BYTES = 32


def new_key(name: str, tenant: str) -> str:
    """A fresh key and the entry for the configuration. The key itself is kept nowhere."""
    key = "sk-antiphon-" + secrets.token_urlsafe(_KEY_BYTES)
    entry = f"{{name: {json.dumps(name)}, tenant: {json.dumps(tenant)}, hash: {json.dumps(hash_key(key))}}}"
    return (
        f"Key, shown only now; give it to the client:\n\n  {key}\n\n"
        f"Entry for the configuration:\n\n  server:\n    auth:\n      keys:\n      - {entry}\n"
    )
