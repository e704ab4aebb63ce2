"""The catalogue as a whole: complete, documented, without dead ends."""

import pytest

from holdfast.core import catalog
from holdfast.core.errors import ConfigError
from holdfast.core.kinds import KINDS, PACKAGES
from holdfast.core.papers import papers

ENTRIES = catalog.entries()


def test_every_kind_has_a_package() -> None:
    assert set(KINDS) == set(PACKAGES)


@pytest.mark.parametrize(
    "kind",
    ["attack", "certifier", "check", "defence", "detector", "explainer", "hook", "loss", "measure",
     "merge", "objective", "optimizer", "recipe", "rewrite", "shift", "threat"],
)  # fmt: skip
def test_kind_is_not_empty(kind: str) -> None:
    assert [e for e in ENTRIES if e.kind == kind]


def test_entries_live_in_the_package_of_their_kind() -> None:
    for entry in ENTRIES:
        thing = entry.thing if hasattr(entry.thing, "__module__") else type(entry.thing)
        package = thing.__module__.split(".")[1]
        assert package in PACKAGES[entry.kind], entry.key


def test_unknown_name_is_answered_with_near_ones() -> None:
    with pytest.raises(ConfigError, match="attack:pgd"):
        catalog.find("attack:pdg")
    with pytest.raises(ConfigError, match="kind"):
        catalog.register("no-such-kind")


def test_bibliography_is_used_and_complete() -> None:
    cited = {key for e in ENTRIES for key in e.cites}
    for key in cited:
        paper = papers()[key]
        assert paper.title and 1900 < paper.year < 2100, key
    unused = [k for k, p in papers().items() if k not in cited and not p.out_of_reach]
    assert not unused, f"in a papers.toml but cited by no method: {unused}"
