"""Settings outside their range: the message names setting, range, value and one that fits."""

from __future__ import annotations

import pytest

from holdfast.core.errors import ConfigError
from holdfast.core.ranges import inside, one_of


@pytest.mark.parametrize(("interval", "fits", "fails"), [
    ("(0, 1]", [0.1, 1], [0, 1.1, -1, float("nan")]),
    ("[0, 1)", [0, 0.99], [1, -0.1]),
    ("(0, 1)", [0.5], [0, 1]),
    ("[1, inf]", [1, 7, float("inf")], [0, 0.5]),
    ("(0, inf)", [0.001, 1e9], [0, float("inf")]),
    ("[0, 90)", [0, 89], [90]),
])  # fmt: skip
def test_an_interval_means_what_it_says(interval: str, fits: list[float], fails: list[float]):
    inside(interval, "slope", value=fits)
    for value in fails:
        with pytest.raises(ConfigError, match="slope: value must"):
            inside(interval, "slope", value=value)
        with pytest.raises(ConfigError, match="slope: value must"):
            inside(interval, "slope", value=(*fits, value))


@pytest.mark.parametrize(("interval", "value", "says", "fix"), [
    ("(0, 1]", 2.0, "who: share must lie in (0, 1], got 2.0", "Give share=0.5."),
    ("[1, inf]", 0, "who: share must be at least 1, got 0", "Give share=1, or more."),
    ("(0, inf]", -1, "who: share must be above 0, got -1", "Give share=0.1."),
    ("[0, inf)", float("inf"), "who: share must be at least 0 and finite, got inf",
     "Give share=0, or more."),
    ("(0, 1)", (), "who: share must lie in (0, 1), got ()", "Give share=(0.5,)."),
    ("(0, 1)", [0.2, 1.0], "who: share must lie in (0, 1), got (0.2, 1.0)", "Give share=(0.5,)."),
])  # fmt: skip
def test_the_first_setting_that_does_not_fit_is_named(interval, value, says, fix):
    with pytest.raises(ConfigError) as caught:
        inside(interval, "who", steps=(1 if interval[1] == "1" else 0.5), share=value)
    assert (caught.value.says, caught.value.fix) == (says, fix)


def test_what_is_proposed_fits_itself():
    for interval in ("(0, 1]", "[0, 1]", "[0, 90)", "(0, 0.5]", "(0, inf)", "[3, inf]"):
        with pytest.raises(ConfigError) as caught:
            inside(interval, "who", x=-1.0)
        inside(
            interval, "who", x=float(caught.value.fix.removeprefix("Give x=").rstrip(".,ormGe "))
        )


def test_a_word_that_is_none_is_answered_by_the_nearest():
    one_of(("exact", "random", "none"), "who", way="none")
    with pytest.raises(ConfigError) as caught:
        one_of(("exact", "random", "none"), "who", way="rand")
    assert caught.value.says == "who: way 'rand' is none of exact, random, none"
    assert caught.value.fix == "Give way='random'."
    with pytest.raises(ConfigError, match="zzz"):
        one_of(("exact",), "who", way="zzz")
