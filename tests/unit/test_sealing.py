"""Sealed blobs: what opens them, and what each kind of wrong one is told."""

import stat
from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.errors import SealingUnavailable
from antiphon.ports import SealBroken
from antiphon.sealing import keys
from antiphon.sealing.aead import DAY_S, AeadSealer
from antiphon.testing import FakeClock

OLD, NEW = bytes(range(32)), bytes(range(32, 64))


def sealer(*own: bytes, clock: FakeClock | None = None, days: int = 30) -> AeadSealer:
    return AeadSealer(lambda: own or (OLD,), clock or FakeClock(), max_age_days=days)


@given(st.binary(max_size=200), st.text(max_size=20))
def test_what_is_sealed_opens_for_its_tenant(payload: bytes, tenant: str) -> None:
    one = sealer()
    assert one.open(tenant, "reasoning", one.seal(tenant, "reasoning", payload)) == payload


@pytest.mark.parametrize(
    ("tenant", "purpose"), [("b", "reasoning"), ("a", "compaction"), ("", "areasoning"), ("area", "soning")]
)
def test_another_tenant_or_purpose_opens_nothing(tenant: str, purpose: str) -> None:
    blob = sealer().seal("a", "reasoning", b"thought")
    with pytest.raises(SealBroken, match="not made by this server for this tenant"):
        sealer().open(tenant, purpose, blob)


def test_no_byte_can_be_changed() -> None:
    data = bytearray(urlsafe_b64decode(sealer().seal("a", "reasoning", b"thought")))
    for at in range(len(data)):
        data[at] ^= 1
        with pytest.raises(SealBroken):
            sealer().open("a", "reasoning", urlsafe_b64encode(data).decode())
        data[at] ^= 1


@pytest.mark.parametrize(
    "blob", ["", "gAAAAAB", "not base64 at all!", "é", "AQ==", "A" * 4000, "openai:rs_1"]
)
def test_what_is_no_blob_is_refused(blob: str) -> None:
    with pytest.raises(SealBroken, match="not made by this server"):
        sealer().open("a", "reasoning", blob)


def test_a_blob_cut_anywhere_is_refused() -> None:
    blob = sealer().seal("a", "reasoning", b"thought")
    for end in range(len(blob)):
        with pytest.raises(SealBroken):
            sealer().open("a", "reasoning", blob[:end])


def test_junk_between_the_letters_is_not_overlooked() -> None:
    blob = sealer().seal("a", "reasoning", b"thought")
    with pytest.raises(SealBroken):
        sealer().open("a", "reasoning", f"{blob[:10]}\n{blob[10:]}")


def test_the_age_ends_after_the_last_day() -> None:
    clock = FakeClock()
    one = sealer(clock=clock, days=2)
    blob = one.seal("a", "reasoning", b"thought")
    clock.at += 2 * DAY_S
    assert one.open("a", "reasoning", blob) == b"thought"
    clock.at += 1
    with pytest.raises(SealBroken, match="too old: it could be used for 2 days"):
        one.open("a", "reasoning", blob)


def test_what_is_kept_at_rest_has_no_age() -> None:
    clock = FakeClock()
    one = AeadSealer(lambda: (OLD,), clock, max_age_days=None)
    blob = one.seal("a", "mcp_connector", b"secret")
    for at in (clock.at + 20_000 * DAY_S, clock.at - 20_000 * DAY_S):
        clock.at = at
        assert one.open("a", "mcp_connector", blob) == b"secret"
    with pytest.raises(SealBroken):
        one.open("a", "mcp_token", blob)
    with pytest.raises(SealBroken, match="the key that made it has been removed"):
        AeadSealer(lambda: (NEW,), clock, max_age_days=None).open("a", "mcp_connector", blob)


def test_after_a_rotation_old_blobs_open_and_new_ones_need_the_new_key() -> None:
    before = sealer(OLD).seal("a", "reasoning", b"old")
    rotated = sealer(NEW, OLD)
    assert rotated.open("a", "reasoning", before) == b"old"
    after = rotated.seal("a", "reasoning", b"new")
    with pytest.raises(SealBroken, match="the key that made it has been removed"):
        sealer(OLD).open("a", "reasoning", after)


def test_a_key_that_another_server_made_is_found_and_not_asked_for_at_each_blob(tmp_path: Path) -> None:
    clock, asked = FakeClock(), list[int]()

    def there() -> list[bytes]:
        asked.append(clock.at)
        return keys.kept(tmp_path)

    one, other = (AeadSealer(there, clock, max_age_days=1) for _ in range(2))
    old = one.seal("a", "reasoning", b"old")
    keys.rotate(tmp_path)
    new = other.seal("a", "reasoning", b"new")
    assert one.open("a", "reasoning", new) == b"new"
    assert one.open("a", "reasoning", old) == b"old"
    foreign = sealer(NEW).seal("a", "reasoning", b"x")
    asked.clear()
    for _ in range(9):
        with pytest.raises(SealBroken):
            one.open("a", "reasoning", foreign)
    assert asked == []
    clock.at += 5
    (tmp_path / keys.FILE).write_text("broken meanwhile")
    with pytest.raises(SealBroken):
        one.open("a", "reasoning", foreign)
    assert one.open("a", "reasoning", old) == b"old"


def test_two_blobs_of_one_thing_differ() -> None:
    one = sealer()
    assert one.seal("a", "reasoning", b"x") != one.seal("a", "reasoning", b"x")


# --- the key file ------------------------------------------------------------------------------------------------
def test_the_file_is_made_once_and_for_the_owner_only(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    first = keys.kept(folder)
    assert keys.kept(folder) == first
    assert stat.S_IMODE((folder / keys.FILE).stat().st_mode) == 0o600
    assert [file.name for file in folder.iterdir()] == [keys.FILE]  # nothing temporary is left


def test_a_file_that_another_process_made_first_is_used(tmp_path: Path) -> None:
    (tmp_path / keys.FILE).write_text(b64encode(OLD).decode() + "\n")
    keys.create_file(tmp_path / keys.FILE, ["something else"])
    assert keys.kept(tmp_path) == [OLD]


def test_a_rotation_puts_a_new_key_first_and_drops_the_oldest(tmp_path: Path) -> None:
    seen = [keys.kept(tmp_path)[0]]
    for count in range(1, 8):
        assert keys.rotate(tmp_path) == min(count + 1, 6)
        seen.insert(0, keys.kept(tmp_path)[0])
    assert keys.kept(tmp_path) == seen[:6]
    assert len(set(seen)) == 8


def test_without_a_folder_the_key_lives_as_long_as_the_process() -> None:
    assert keys.kept(None) != keys.kept(None)


@pytest.mark.parametrize("text", ["short\n", b64encode(b"x" * 31).decode(), "é", "", "\n"])
def test_a_broken_file_names_itself_and_is_left_alone(tmp_path: Path, text: str) -> None:
    file = tmp_path / keys.FILE
    file.write_text(text)
    with pytest.raises(SealingUnavailable, match=r"sealing\.keys"):
        keys.kept(tmp_path)
    with pytest.raises(SealingUnavailable, match=str(file)):
        keys.check(tmp_path)
    assert file.read_text() == text


def test_a_file_that_is_not_there_yet_is_no_fault_and_is_not_made(tmp_path: Path) -> None:
    keys.check(tmp_path)
    keys.check(None)
    assert list(tmp_path.iterdir()) == []


def test_configured_keys_are_named_by_place_never_by_value() -> None:
    good = b64encode(OLD).decode()
    assert keys.configured([good]) == [OLD]
    with pytest.raises(ValueError, match="key 2 must be base64 of 32 bytes") as caught:
        keys.configured([good, "sekrit-value"])
    assert "sekrit" not in str(caught.value)
