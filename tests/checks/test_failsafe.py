"""Failing questions and texts: hand-worked numbers and what the versions keep."""

import pytest
import torch

from holdfast.checks.language.asking import refuses, said, writes
from holdfast.checks.language.failsafe import FailSafeQA, rule, versions
from holdfast.checks.language.filings import LAY, Item, filings, parsed, prompt
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError, ShapeError, Unsupported
from holdfast.core.records import Subject
from holdfast.measures.text.failsafe import compliant, f_score, failsafe


def test_f_score_by_hand() -> None:
    assert f_score(1, 1, 0.5) == 1 and f_score(0, 0) == 0 and f_score(1, 0, 0.5) == 0
    assert f_score(0.8, 0.5, 0.5) == pytest.approx(1.25 * 0.4 / (0.25 * 0.8 + 0.5))


def test_robust_means_all_and_grounded_the_mean() -> None:
    right = torch.tensor([[1, 1, 1], [1, 0, 1], [0, 1, 1], [1, 1, 1]]).bool()
    refused = torch.tensor([[1, 1], [1, 0], [0, 0], [1, 1]]).bool()
    found = failsafe(right, refused)
    assert float(found.robust.mean()) == 0.5 and float(found.grounded.mean()) == 0.625
    assert float(found.robust.mean()) <= float(right.double().mean(0).min())
    assert found.score == pytest.approx(f_score(0.625, 0.5, 0.5))
    assert failsafe(right, refused, swapped=True).score == pytest.approx(f_score(0.5, 0.625, 0.5))
    assert all(r.low <= r.value <= r.high for r in found.readings())
    assert compliant(torch.tensor([3.9, 4.0, float("nan")])).tolist() == [False, True, False]
    with pytest.raises(ShapeError):
        failsafe(right, refused[:2])
    with pytest.raises(ConfigError):
        failsafe(right, refused, beta=0.0)


def test_versions_keep_what_they_must() -> None:
    items = filings(40)
    assert len({i.question for i in items}) == 40
    for item, made in zip(items, versions(items, LAY, typos=0.1, scans=0.05, seed=0), strict=True):
        assert made["plain"] == (item.question, item.context) and item.answer in item.context
        assert len(made["misspelled"][0].split()) == len(item.question.split())
        assert made["misspelled"][0] != item.question != made["out-of-domain"][0]
        assert "the" not in made["incomplete"][0].split()
        assert item.answer in made["scanned"][1] and made["scanned"][1] != item.context
        assert made["missing"][1] == "" and item.answer not in made["irrelevant"][1]
        assert parsed(prompt(*made["plain"])) == made["plain"]


def test_judge_and_writer() -> None:
    item = Item("q", "c", "12.3")
    assert rule(item, "It was 12.3.", True) == 6 and rule(item, "It was 12.4.", True) == 1
    assert rule(item, "Sorry, I can't say 12.3", True) == 1 and rule(item, "12.3", False) == 1
    assert rule(item, "The context does not mention it.", False) == 6
    assert refuses("") and not refuses("It was nothing.")
    with pytest.raises(ShapeError):
        said(lambda p, n, d: [["a"]], ["x", "y"], Dice.of(2))
    with pytest.raises(Unsupported, match="more items"):
        list(FailSafeQA(items=[item])(Subject(writer=writes(str))))
