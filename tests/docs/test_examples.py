"""The example of every method runs, is short, and for most does what the method is for."""

from __future__ import annotations

import pytest
from docs.generator.examples import MOST_LINES, built, example, settings_of
from docs.generator.kinds import KINDS

from holdfast.core.catalog import build, entries
from holdfast.core.kinds import KINDS as EVERY

EVERY_ENTRY = entries()


@pytest.fixture(scope="module")
def made():
    return {entry.key: example(entry) for entry in EVERY_ENTRY}


def test_an_example_is_short_and_names_its_method(made):
    for key, (text, _) in made.items():
        assert len([line for line in text.splitlines() if line.strip()]) <= MOST_LINES, key
        assert f'build("{key}"' in text or f'"{key}"' in text, key
        assert max(map(len, text.splitlines())) <= 100, key


def test_most_examples_do_more_than_build_their_method(made):
    doing = [key for key, (_, does) in made.items() if does]
    assert len(made) == len(EVERY_ENTRY)
    assert len(doing) >= 0.75 * len(made), sorted(set(made) - set(doing))


def test_the_settings_of_an_example_are_the_true_ones():
    for key in ("attack:pgd", "attack:apgd-dlr", "shift:fog", "detector:energy", "loss:squared"):
        entry = next(e for e in EVERY_ENTRY if e.key == key)
        method = eval(built(entry), {"build": build})
        for name, value in settings_of(entry).items():
            assert getattr(method, name, value) == value


def test_every_kind_has_a_page_of_its_own():
    assert set(EVERY) == set(KINDS)
