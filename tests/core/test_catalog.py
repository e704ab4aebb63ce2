"""Names that were meant, and settings given as text, for classes and for functions."""

from __future__ import annotations

from functools import partial

import pytest

from holdfast.core.catalog import build, entries, find, key
from holdfast.core.errors import ConfigError
from holdfast.core.fields import Later
from holdfast.core.nearest import nearest
from holdfast.core.table import table
from holdfast.defend.smoothed import smoothed


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("pgd", "attack:pgd"), ("attack:pdg", "attack:pgd"), ("atack:pgd", "attack:pgd"),
        ("attack:PGD", "attack:pgd"), ("PGD", "attack:pgd"), ("linf", "threat:linf"),
        ("threat:linff", "threat:linf"), ("check:worst", "check:worst-case"),
        ("hook:pgd", "attack:pgd"),
        ("loss:gce", "loss:generalized-cross-entropy"), ("crown", "certifier:crown"),
        ("certifier:smooth", "certifier:smoothing"), ("loss:cross_entropy", "loss:cross-entropy"),
        ("measure:lipschitz", "certifier:lipschitz"),
        ("shift:impulse", "shift:impulse-noise"),
    ],
)  # fmt: skip
def test_near_misses(written: str, meant: str) -> None:
    with pytest.raises(ConfigError) as caught:
        find(written)
    assert meant in caught.value.fix
    assert nearest(written, [e.key for e in entries()])[0] == meant


@pytest.mark.parametrize("written", ["", "::", "zzzz", "no:such", "attack:"])
def test_nothing_alike_suggests_nothing(written: str) -> None:
    with pytest.raises(ConfigError, match="there is no") as caught:
        find(written)
    assert "Did you mean" not in caught.value.fix


def test_a_known_kind_lists_its_names() -> None:
    with pytest.raises(ConfigError) as caught:
        find("certifier:zzzzzz")
    assert "crown" in caught.value.fix and "smoothing" in caught.value.fix


def test_functions_are_built_from_text() -> None:
    made = build("defence:smoothed", sigma="0.5", samples="8")
    assert isinstance(made, partial) and made.func is smoothed
    assert made.keywords == {"sigma": 0.5, "samples": 8}
    assert build("defence:smoothed") is smoothed
    assert table(made) == {"use": "defence:smoothed", "sigma": 0.5, "samples": 8}
    assert key(made) == key(build("defence:smoothed", sigma=0.5, samples=8)) != key(smoothed)


def test_torch_citizens_are_built_from_text() -> None:
    made = build("optimizer:sam", radius="0.1", adaptive="true", base={"use": "torch:SGD", "lr": 1})
    assert made == Later("optimizer:sam", radius=0.1, adaptive=True, base=Later("torch:SGD", lr=1))
    assert table(made)["use"] == "optimizer:sam"


@pytest.mark.parametrize(
    ("name", "values", "says"),
    [
        ("defence:smoothed", {"samples": "8.5"}, "smoothed.samples"),
        ("defence:smoothed", {"sigma": "nan"}, "smoothed.sigma"),
        ("defence:smoothed", {"samples": "0"}, "smoothed.samples"),
        ("defence:smoothed", {"sigma": -1}, "smoothed.sigma"),
        ("defence:smoothed", {"model": 1}, "no setting 'model'"),
        ("loss:cross-entropy", {"outputs": 1}, "no setting 'outputs'"),
        ("measure:sharpness", {"kind": "no"}, "sharpness.kind"),
        ("optimizer:sam", {"lr": 0.1}, "no setting 'lr'"),
        ("attack:pgd", {"steps": "many"}, "PGD.steps"),
        ("attack:pgd", {"no_such": 1}, "no_such"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(name: str, values: dict, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build(name, **values)
    assert says in str(caught.value)
