"""`docs/howto/connect-a-provider.md`: each configuration in it loads, and there is one for every provider type."""

import re
from pathlib import Path

import pytest

from antiphon.app import make_providers
from antiphon.config.load import Settings, load
from antiphon.plugins import BUILT_IN, UnknownProviderType, provider_class
from antiphon.provider_advice import INSTEAD
from antiphon.providers.upstream import UpstreamClient
from antiphon.system import SystemClock, SystemIds

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "connect-a-provider.md"
BLOCKS = [block.split("```")[0] for block in PAGE.read_text().split("```yaml\n")[1:]]
KEY = re.compile(r"\$\{env\.([A-Z_]+)\}")
ELSEWHERE = {"inline::llama-cpp", "inline::sentence-transformers"}
"""Types with a page of their own."""


def read(folder: Path, block: str) -> Settings:
    (folder / "antiphon.yaml").write_text(block)
    return load(cwd=folder, environ=dict.fromkeys(KEY.findall(block), "key-0123456789"))


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: re.findall(r"provider_id: (\S+)", block)[0])
def test_a_configuration_of_the_page_makes_a_provider(block: str, tmp_path: Path) -> None:
    settings = read(tmp_path, block)
    made = make_providers(settings, UpstreamClient(SystemClock()), SystemIds())
    (provider,) = settings.providers.inference
    assert list(made) == [provider.provider_id]


def test_there_is_one_for_every_type() -> None:
    shown = {kind for block in BLOCKS for kind in re.findall(r"provider_type: (\S+)", block)}
    assert shown | ELSEWHERE == set(BUILT_IN) | ELSEWHERE


@pytest.mark.parametrize("kind", sorted(INSTEAD))
def test_a_type_that_others_have_is_refused_with_what_to_use_instead(kind: str) -> None:
    assert kind not in BUILT_IN
    with pytest.raises(UnknownProviderType) as caught:
        provider_class(kind)
    assert INSTEAD[kind] in str(caught.value)
