"""Edits of texts: each touches what it says and nothing else."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

import pytest
import torch

from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.shifts.text.clauses import rot
from holdfast.shifts.text.degraded import misspelt, scanned
from holdfast.shifts.text.edit import Edit, edited
from holdfast.shifts.text.reword import EDITS, FLUKE, QUERIES, REWORD, Reword
from holdfast.shifts.text.written import written

TEXTS = (
    "The critic praised the quiet film.", "it was not a good story (though long)",
    "Their teacher wrote to London before noon, and nobody answered!",
)  # fmt: skip
SST2 = Path(os.environ.get("HOLDFAST_DATA", "")) / "sst2" / "dev.tsv"


def distance(a: str, b: str) -> int:
    """Levenshtein's distance with swaps of neighbours, by its recursion."""
    d = {(i, -1): i + 1 for i in range(-1, len(a))} | {(-1, j): j + 1 for j in range(-1, len(b))}
    for i, p in enumerate(a):
        for j, q in enumerate(b):
            d[i, j] = min(d[i - 1, j] + 1, d[i, j - 1] + 1, d[i - 1, j - 1] + (p != q))
            if i and j and p == b[j - 1] and a[i - 1] == q:
                d[i, j] = min(d[i, j], d[i - 2, j - 2] + 1)
    return d[len(a) - 1, len(b) - 1]


def every(name: str, text: str, draws: int = 20) -> set[str]:
    return {new for k in range(draws) if (new := EDITS[name].change(text, Random(k))) is not None}


@pytest.mark.parametrize(
    "name", ["spelling", "typo", "letter-added", "letter-omitted", "letters-swapped",
             "letter-replaced", "neighbouring-key", "split-word", "joined-words"],
)  # fmt: skip
def test_one_letter_and_no_more(name: str) -> None:
    for text in TEXTS:
        found = every(name, text)
        assert found and all(distance(text, new) == 1 for new in found)


def test_case_and_punctuation_touch_nothing_else() -> None:
    for text in TEXTS:
        for name in ("capitalisation", "upper-case", "sponge-case"):
            assert all(new != text and new.lower() == text.lower() for new in every(name, text))
        letters = [c for c in text if c.isalnum()]
        for new in every("punctuation", text) | every("spaced-punctuation", text):
            assert [c for c in new if c.isalnum()] == letters


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("negation", "the film was good", "the film was not good"),
        ("negation", "the film was not good", "the film was good"),
        ("negation", "it won't work", "it will work"),
        ("negation", "we can't go", "we can go"),
        ("negation", "a good film", "a bad film"),
        ("double-negation", "a good film", "a not bad film"),
        ("voice", "The dog saw the cat.", "The cat was seen by the dog."),
        ("voice", "Mary painted the house", "The house was painted by Mary"),
        ("roles", "The dog saw the cat.", "The cat saw the dog."),
        ("roles", "we told Anna that Peter came", "we told Peter that Anna came"),
        ("contraction", "It is not that I do not know", "It's not that I don't know"),
        ("contraction", "It's late", "It is late"),
        ("keywords", "What was the net profit of Acme in 2021?", "net profit acme 2021"),
        ("shorter", "the film (a classic) is long", "the film is long"),
        ("compound", "New cars", "Brand-new cars"),
        ("markdown-answer", r"so \boxed{7}.", "so # Answer\n\n7."),
        ("minified", "def f(x):\n    # add\n    return x + 1", "def f(x):\n    return x+1"),
        ("quoted", "a b", '"a b"'),
    ],
)
def test_by_hand(name: str, text: str, expected: str) -> None:
    assert every(name, text) == {expected}


def test_what_does_not_apply_says_so() -> None:
    for name in ("voice", "compound", "minified", "markdown-answer", "shorter", "double-negation"):
        assert EDITS[name].change("zebras", Random(0)) is None
    batch = Batch(["zebras", "it is"], torch.tensor([0, 1]), torch.arange(2))
    with pytest.raises(Unsupported, match="none of 2 texts"):
        Reword(edit="voice")(batch, 1.0)
    with pytest.raises(ConfigError, match="spelling"):
        Reword(edit="speling")
    out = Reword(edit="negation")(batch, 1.0)
    assert out.x == ["zebras", "it is not"] and out.more["edited"].tolist() == [False, True]


def test_same_draws_same_texts_and_rows_stand_alone() -> None:
    texts, dice = [t for t in TEXTS for _ in range(5)], Dice.of(15, 3)
    for edit in EDITS.values():
        whole = edited(texts, edit, dice.spawn("a"))
        assert whole.texts == edited(texts, edit, dice.spawn("a")).texts
        part = edited(texts[4:9], edit, dice.spawn("a").part(slice(4, 9)))
        assert whole.texts[4:9] == part.texts


def test_families_are_complete() -> None:
    assert len(FLUKE) == 17 and {*FLUKE, *REWORD, *QUERIES} <= set(EDITS)
    assert {n for n in FLUKE if EDITS[n].effect == "flips"} == {"negation", "roles"}
    assert all(len(e.says) > 10 for e in EDITS.values())


def test_rot_is_its_own_inverse_at_thirteen() -> None:
    for text in TEXTS:
        assert rot(rot(text, 13), 13) == text and rot(rot(text, 2), 24) == text
        assert rot(rot(text, 6), 7) == rot(text, 13)


def test_misspelling_keeps_the_number_of_words_and_scanning_its_rate() -> None:
    text = " ".join(TEXTS * 12)
    wrong = misspelt(text, Random(1))
    assert wrong is not None and len(wrong.split()) == len(text.split())
    changed = sum(a != b for a, b in zip(wrong.split(), text.split(), strict=True))
    long = sum(len(w.strip(".,!()")) >= 4 for w in text.split())
    assert abs(changed / long - 0.1) < 0.02
    new = scanned(text, Random(1))
    assert new is not None and new != text and scanned("", Random(0)) is None
    # rn and m: a confusion changes at most two signs, so the distance tells their number
    apart = distance(text[:300], scanned(text[:300], Random(2)) or "")
    assert 0.04 * 300 <= apart <= 0.1 * 300


def test_unchanged_is_not_counted_as_changed() -> None:
    same = Edit("same", "none", lambda t, d: t)
    assert not bool(edited(TEXTS, same, Dice.of(3)).changed.any())


@pytest.mark.skipif(not SST2.is_file(), reason="HOLDFAST_DATA names no folder that holds sst2")
def test_most_edits_apply_to_real_sentences() -> None:
    lines = [line.split("\t")[0] for line in SST2.read_text("utf-8").splitlines()[:300]]
    names = ("spelling", "negation", "concept", "discourse", "keywords", "misspelt")
    found = {n: edited(lines, EDITS[n], Dice.of(300)).changed for n in names}
    share = {n: float(c.double().mean()) for n, c in found.items()}
    assert min(share.values()) > 0.4, share


def test_a_writer_may_edit_and_a_judge_refuse() -> None:
    seen: list[str] = []

    def writer(prompts: list[str], samples: int, dice: Dice) -> list[list[str]]:
        seen.extend(prompts)
        return [[" " + p.rpartition("Text: ")[2].replace("film", "work")] for p in prompts]

    found = written(TEXTS, "concept", writer, Dice.of(3))  # type: ignore[arg-type]
    assert found.changed.tolist() == [True, False, False] and found.texts[1:] == list(TEXTS[1:])
    assert "synonym" in seen[0]
    none = written(TEXTS, "x", writer, Dice.of(3), judge=lambda a, b: False)  # type: ignore[arg-type]
    assert none.texts == list(TEXTS) and not bool(none.changed.any())
    with pytest.raises(ConfigError):
        written(TEXTS, " ", writer, Dice.of(3))  # type: ignore[arg-type]
