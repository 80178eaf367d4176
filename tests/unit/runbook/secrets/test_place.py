"""Paths in Vault as operators write them."""

from __future__ import annotations

import pytest

from runbook.secrets import HiddenValues, Place, VaultError, place_of


@pytest.mark.parametrize(
    ("text", "mount", "place"),
    [
        ("secret/ctp/live", "secret", Place("secret", "ctp/live")),
        ("kv/ctp", "secret", Place("kv", "ctp")),
        ("team/kv/ctp/live", "team/kv", Place("team/kv", "ctp/live")),
        ("team/kv/ctp/live", "/team/kv/", Place("team/kv", "ctp/live")),
        ("team/other", "team/kv", Place("team", "other")),
        ("secret/ctp/live?version=12", "secret", Place("secret", "ctp/live", 12)),
    ],
)
def test_the_mount_of_the_settings_counts_else_the_first_part(text: str, mount: str, place: Place) -> None:
    assert place_of(text, mount) == place


@pytest.mark.parametrize(
    "text",
    ["", "secret", "secret/", "/secret/x", "secret//x", "secret/../sys/mounts", "secret/./x", "secret/a b",
     "secret/a\n", "secret/%2e%2e/x", "secret/x?version=0", "secret/x?version=-1",
     "secret/x?v=1", "secret/x?version=1&version=2"],
)  # fmt: skip
def test_a_path_that_could_lead_elsewhere_is_refused(text: str) -> None:
    with pytest.raises(VaultError):
        place_of(text, "secret")


def test_a_place_is_written_as_it_is_read_and_makes_references() -> None:
    place = Place("secret", "ctp/live", 3)
    assert place_of(str(place), "secret") == place
    assert place.reference("KEY") == "secret:vault:secret/ctp/live?version=3#KEY"


def test_hidden_values_are_a_table_without_a_telling_repr() -> None:
    values = HiddenValues({"B": "s3cr3t", "A": "x"})
    assert dict(values) == {"A": "x", "B": "s3cr3t"}
    assert repr(values) == f"{values}" == "HiddenValues(A, B)"
    with pytest.raises(KeyError, match="C"):
        values["C"]
