"""Texts as numbers, and what counts as a human error."""

from __future__ import annotations

import pytest
import torch

from holdfast.core.errors import ConfigError
from holdfast.ops.spelling import glyphs, phonetic, typos
from holdfast.threats.misspelling import misspellings
from holdfast.threats.tokens import Substitutions
from holdfast.threats.words import Words, nearest_words


def test_texts_come_back_with_the_signs_around_words():
    words = Words.of(["A fine film, truly.", "fine"], {"film": ["movie"], "fine": ["good", "okay"]})
    ids = words.ids(["A fine film, truly.", "fine"])
    assert words.texts(ids) == ["A fine film, truly.", "fine"]
    assert ids[1, 1:].tolist() == [0, 0, 0]
    threat = Substitutions(edits=4, table=words.table)
    said = {t for c in threat.choices(ids)[0].T for t in words.texts(c[None])}
    assert said == {"A good movie, truly.", "A okay film, truly."}


def test_a_premise_is_one_word_that_nobody_edits():
    words = Words.of(["it rains"], {"rains": ["pours"], "out": ["in"]}, before=["go out"])
    ids = words.ids(["it rains"], before=["go out"])
    assert words.texts(ids) == ["go out it rains"]
    assert (Substitutions(table=words.table).choices(ids)[0, 0] == ids[0, 0]).all()
    with pytest.raises(ConfigError, match="'snows'"):
        words.ids(["it snows"])


def test_neighbours_are_the_nearest_by_cosine():
    vectors = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 2.0], [-1.0, 0.0]])
    table = nearest_words(vectors, count=2, least=0.1)
    assert table.tolist() == [[1, 0], [0, 2], [1, 2], [3, 3]]
    choices = Substitutions(table=table).choices(torch.tensor([[2]]))
    assert set(choices.flatten().tolist()) <= {1, 2}


def test_errors_are_of_their_kind():
    assert {"wrod", "wod", "wword", "woord", "wird"} - set(typos("word")) == {"wword"}
    assert "m0on" in glyphs("moon") and "com" in glyphs("corn")
    assert "foto" in phonetic("photo") and "nashun" in phonetic("nation")
    assert "word" not in typos("word") and all(w[0] == "w" for w in typos("word"))
    assert misspellings(letters=5)("word") == []
    assert misspellings(("glyph",))("moon") == glyphs("moon")
    with pytest.raises(ConfigError, match="no kind"):
        misspellings(("slang",))
