"""Sealing and signing: what is bound to a workspace and a purpose opens nowhere else, and keys can be rotated."""

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steward.errors import ConfigurationError, InvalidCursor
from steward.vault import SealBroken, Vault

OLD, NEW = "old key " * 5, "new key " * 5


@pytest.fixture
def vault() -> Vault:
    """Return a vault with one key."""
    return Vault([OLD])


@pytest.mark.parametrize("value", [None, {}, "text", {"deep": [1, 2.5, None, True, {"ä": "\n\0"}]}, "x" * 100_000])
def test_what_is_sealed_opens_as_it_was(vault: Vault, value: Any) -> None:
    """For the same workspace and purpose; the bytes differ every time."""
    sealed = [vault.seal(value, workspace_id="acme", purpose="params/1") for _ in range(2)]
    assert [vault.unseal(one, workspace_id="acme", purpose="params/1") for one in sealed] == [value, value]
    assert sealed[0] != sealed[1]


def test_what_is_sealed_together_opens_one_by_one(vault: Vault) -> None:
    """Each for its own purpose alone, and equal values look as different as any."""
    purposes = [f"params/{number}" for number in range(50)]
    sealed = vault.seal_all([(purpose, {"a": 1}) for purpose in purposes], workspace_id="acme")
    assert [
        vault.unseal(one, workspace_id="acme", purpose=purpose) for one, purpose in zip(sealed, purposes, strict=True)
    ] == [{"a": 1}] * 50
    with pytest.raises(SealBroken):
        vault.unseal(sealed[0], workspace_id="acme", purpose=purposes[1])
    with pytest.raises(SealBroken):
        vault.unseal(sealed[0], workspace_id="other", purpose=purposes[0])
    assert len({one[5:17] for one in sealed}) == 50, "a nonce came twice"


def test_the_bytes_show_nothing(vault: Vault) -> None:
    """Neither the value nor the workspace stands in them."""
    sealed = vault.seal({"key": "very secret"}, workspace_id="acme", purpose="params/1")
    assert b"very secret" not in sealed
    assert b"acme" not in sealed


@pytest.mark.parametrize(
    ("workspace_id", "purpose"), [("other", "params/1"), ("acme", "params/2"), ("ACME", "params/1")]
)
def test_w49_sealed_bytes_moved_elsewhere_do_not_open(vault: Vault, workspace_id: str, purpose: str) -> None:
    """Copied to another tenant's row or another use they are worthless."""
    sealed = vault.seal("secret", workspace_id="acme", purpose="params/1")
    with pytest.raises(SealBroken):
        vault.unseal(sealed, workspace_id=workspace_id, purpose=purpose)


def test_any_altered_byte_is_noticed(vault: Vault) -> None:
    """Version, key id, nonce, text and tag alike; so is anything cut off or added."""
    sealed = vault.seal({"a": 1}, workspace_id="acme", purpose="p")
    spoiled = [sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :] for place in range(len(sealed))]
    for bad in [*spoiled, b"", sealed[:1], sealed[:17], sealed[:-1], sealed + b"\0"]:
        with pytest.raises(SealBroken):
            vault.unseal(bad, workspace_id="acme", purpose="p")


def test_w96_rotation_opens_with_old_keys_and_seals_with_the_first() -> None:
    """``new,old`` reads everything; ``new`` alone reads what was sealed since."""
    both, new, old = Vault([NEW, OLD]), Vault([NEW]), Vault([OLD])
    before = old.seal("before", workspace_id="acme", purpose="p")
    since = both.seal("since", workspace_id="acme", purpose="p")
    assert both.unseal(before, workspace_id="acme", purpose="p") == "before"
    assert new.unseal(since, workspace_id="acme", purpose="p") == "since"
    for vault, sealed in ((new, before), (old, since)):
        with pytest.raises(SealBroken):
            vault.unseal(sealed, workspace_id="acme", purpose="p")


def test_macs_are_per_key_and_per_workspace() -> None:
    """Equal secrets of one workspace are equal; of two workspaces, or under two keys, they are not."""
    both = Vault([NEW, OLD])
    assert both.macs("s", workspace_id="acme") == (
        *Vault([NEW]).macs("s", workspace_id="acme"),
        *Vault([OLD]).macs("s", workspace_id="acme"),
    )
    made = {
        *both.macs("s", workspace_id="acme"),
        *both.macs("s", workspace_id="beta"),
        *both.macs("t", workspace_id="acme"),
    }
    assert len(made) == 6
    assert both.key_count == 2


def test_no_key_is_a_configuration_error() -> None:
    """Nothing is ever sealed with nothing."""
    with pytest.raises(ConfigurationError):
        Vault([])


def test_a_cursor_comes_back_as_it_was_given_out(vault: Vault) -> None:
    """It works in its workspace, also after a rotation."""
    text = vault.sign_cursor({"after": "job_1", "status": None}, workspace_id="acme")
    assert text.isascii()
    assert text.replace("-", "").replace("_", "").isalnum()
    for reader in (vault, Vault([NEW, OLD])):
        assert reader.read_cursor(text, workspace_id="acme") == {"after": "job_1", "status": None}


def test_a_cursor_of_another_workspace_or_key_is_refused(vault: Vault) -> None:
    """A cursor cannot be carried over, nor forged with another installation's key."""
    text = vault.sign_cursor({"after": "job_1"}, workspace_id="acme")
    for reader, workspace_id in ((vault, "other"), (Vault([NEW]), "acme")):
        with pytest.raises(InvalidCursor):
            reader.read_cursor(text, workspace_id=workspace_id)


@given(st.text(max_size=60))
def test_no_made_up_text_is_a_cursor(text: str) -> None:
    """Whatever it is, it is refused and never a crash."""
    with pytest.raises(InvalidCursor):
        Vault([OLD]).read_cursor(text, workspace_id="acme")


def test_any_other_spelling_of_a_cursor_is_refused(vault: Vault) -> None:
    """Altered, padded, cut, in the other base64 alphabet, huge, or with blanks: all refused."""
    text = vault.sign_cursor({"after": "job_1"}, workspace_id="acme")
    raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    flipped = [
        base64.urlsafe_b64encode(raw[:i] + bytes([raw[i] ^ 1]) + raw[i + 1 :]).decode().rstrip("=")
        for i in range(len(raw))
    ]
    spelt = [
        text + "=",
        text + "\n",
        " " + text,
        text[:-1],
        text + "A",
        text * 1000,
        text.replace("_", "/") + "/",
        text + "é",
    ]
    for bad in [*flipped, *spelt]:
        with pytest.raises(InvalidCursor):
            vault.read_cursor(bad, workspace_id="acme")


def test_keys_do_not_show_in_a_representation(vault: Vault) -> None:
    """Neither the secret nor anything derived from it stands in ``repr``, also of the parts."""
    shown = repr(vault) + repr(vault._keys)
    assert OLD not in shown
    assert vault._keys[0].mac.hex() not in shown
    assert repr(vault._keys[0].mac) not in shown
