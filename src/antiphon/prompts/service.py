"""Prompts: made, changed by new versions, shared by all of a tenant."""

from collections.abc import Sequence
from dataclasses import dataclass

from antiphon.core.errors import NotFound, PromptChanged
from antiphon.core.wire import encode
from antiphon.ports import Clock, Ids, Owner, PromptStore, StoredPrompt
from antiphon.prompts.shapes import (
    CreatePrompt,
    PromptContent,
    PromptObject,
    UpdatePrompt,
    content_of,
    read_content,
)

PREFIX = "pmpt_"


@dataclass(frozen=True, slots=True)
class PromptService:
    store: PromptStore
    clock: Clock
    ids: Ids

    async def create(self, owner: Owner, body: CreatePrompt) -> PromptObject:
        """The first version. Raises InvalidRequest for variables that are not those of the template."""
        content = content_of(body)
        # 48 digits, of which Llama Stack's own types are sure.
        prompt_id = self.ids.new(PREFIX) + self.ids.new("")[-16:]
        stored = self._version(prompt_id, 1, content, is_default=True)
        await self.store.create_prompt(owner, stored)
        return _shown(stored)

    async def update(self, owner: Owner, prompt_id: str, body: UpdatePrompt) -> PromptObject:
        """A new version behind `body.version`, which has to be the latest.

        Raises NotFound, PromptChanged when there is a later one, InvalidRequest as `create` does.
        """
        latest = await self.store.get_prompt(owner, prompt_id, body.version)
        content = content_of(body, read_content(latest.body).model) if latest else content_of(body)
        is_default = body.set_as_default is not False
        stored = self._version(prompt_id, body.version + 1, content, is_default=is_default)
        before = await self.store.add_version(owner, stored)
        if before == 0:
            raise _unknown(prompt_id)
        if before != body.version:
            raise PromptChanged(prompt_id, sent=body.version, latest=before)
        return _shown(stored)

    async def set_default(self, owner: Owner, prompt_id: str, version: int) -> PromptObject:
        """Raises NotFound for an unknown prompt or version."""
        if not await self.store.set_default_prompt(owner, prompt_id, version):
            raise await self._missing(owner, prompt_id, version)
        return await self.get(owner, prompt_id, version)

    async def get(self, owner: Owner, prompt_id: str, version: int | None = None) -> PromptObject:
        """The version of this number, without one the default. Raises NotFound."""
        stored = await self.store.get_prompt(owner, prompt_id, version)
        if stored is None:
            raise await self._missing(owner, prompt_id, version)
        return _shown(stored)

    async def list_all(self, owner: Owner) -> list[PromptObject]:
        """The default version of each, the newest prompt first."""
        return _all_shown(await self.store.list_prompts(owner))

    async def list_versions(self, owner: Owner, prompt_id: str) -> list[PromptObject]:
        """Every version, the first one first. Raises NotFound."""
        versions = await self.store.list_prompt_versions(owner, prompt_id)
        if not versions:
            raise _unknown(prompt_id)
        return _all_shown(versions)

    async def delete(self, owner: Owner, prompt_id: str) -> None:
        """All versions. Raises NotFound."""
        if not await self.store.delete_prompt(owner, prompt_id):
            raise _unknown(prompt_id)

    def _version(
        self, prompt_id: str, version: int, content: PromptContent, *, is_default: bool
    ) -> StoredPrompt:
        return StoredPrompt(prompt_id, version, self.clock.now(), is_default, encode(content))

    async def _missing(self, owner: Owner, prompt_id: str, version: int | None) -> NotFound:
        if version is None or await self.store.get_prompt(owner, prompt_id) is None:
            return _unknown(prompt_id)
        return NotFound(
            f'prompt "{prompt_id[:200]}" has no version {version}; GET /v1/prompts/{{prompt_id}}/versions lists'
            " those it has.",
            param="version",
        )


def _shown(stored: StoredPrompt) -> PromptObject:
    content = read_content(stored.body)
    return PromptObject(
        prompt_id=stored.id,
        version=stored.version,
        prompt=content.prompt,
        variables=content.variables,
        is_default=stored.is_default,
        model=content.model,
    )


def _all_shown(prompts: Sequence[StoredPrompt]) -> list[PromptObject]:
    return [_shown(one) for one in prompts]


def _unknown(prompt_id: str) -> NotFound:
    return NotFound(
        f'there is no prompt "{prompt_id[:200]}"; it may have been deleted. GET /v1/prompts lists those there are.',
        param="prompt_id",
    )
