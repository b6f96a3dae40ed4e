"""`MemoryPrompts`: the prompt store in a dictionary."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from antiphon.ports import Owner, StoredPrompt


class MemoryPrompts:
    """A `PromptStore` that forgets when the process ends, and keeps every other promise."""

    def __init__(self, check_open: Callable[[], None]) -> None:
        """`check_open` raises StoreUnavailable when the store that this one belongs to is closed."""
        self._check_open = check_open
        self._versions: dict[
            tuple[str, str], list[StoredPrompt]
        ] = {}  # in the order in which they were created

    async def create_prompt(self, owner: Owner, prompt: StoredPrompt) -> None:
        self._check_open()
        self._versions[owner.tenant, prompt.id] = [prompt]

    async def add_version(self, owner: Owner, prompt: StoredPrompt) -> int:
        versions = self._of(owner, prompt.id)
        latest = len(versions)
        if latest and latest == prompt.version - 1:
            versions.append(prompt)
            if prompt.is_default:
                _choose(versions, prompt.version)
        return latest

    async def set_default_prompt(self, owner: Owner, prompt_id: str, version: int) -> bool:
        versions = self._of(owner, prompt_id)
        if not 1 <= version <= len(versions):
            return False
        _choose(versions, version)
        return True

    async def get_prompt(
        self, owner: Owner, prompt_id: str, version: int | None = None
    ) -> StoredPrompt | None:
        for one in self._of(owner, prompt_id):
            if one.is_default if version is None else one.version == version:
                return one
        return None

    async def list_prompts(self, owner: Owner) -> Sequence[StoredPrompt]:
        self._check_open()
        mine = [versions for key, versions in self._versions.items() if key[0] == owner.tenant]
        return [one for versions in reversed(mine) for one in versions if one.is_default]

    async def list_prompt_versions(self, owner: Owner, prompt_id: str) -> Sequence[StoredPrompt]:
        return list(self._of(owner, prompt_id))

    async def delete_prompt(self, owner: Owner, prompt_id: str) -> bool:
        self._check_open()
        return self._versions.pop((owner.tenant, prompt_id), None) is not None

    def _of(self, owner: Owner, prompt_id: str) -> list[StoredPrompt]:
        self._check_open()
        return self._versions.get((owner.tenant, prompt_id), [])


def _choose(versions: list[StoredPrompt], version: int) -> None:
    versions[:] = [replace(one, is_default=one.version == version) for one in versions]
