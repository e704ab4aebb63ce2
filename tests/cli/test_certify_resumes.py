"""A certificate that was stopped goes on: what was answered is not asked again."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from holdfast.cli import answers
from holdfast.cli.certified import certified
from holdfast.core.certificate import Certificate
from holdfast.core.data import Batches
from holdfast.core.fields import settings
from holdfast.core.kinds import Certifier
from holdfast.core.records import Subject
from holdfast.testing.worlds import two_class
from holdfast.threats.grammar import parse

ASKED: list[int] = []


@settings
class Slow(Certifier):
    """Proves nothing, notes what it is asked, and stops at the third question if told to."""

    stops: bool = False

    def __call__(self, model, x, goal, threat, *, dice=None):
        if len(ASKED) == 2 and Path("stop").exists():
            raise KeyboardInterrupt
        ASKED.append(len(x))
        return Certificate(model, threat, dice.uniform(dtype=torch.float64))


def asked(folder: Path):
    world = two_class(40)
    rows = Batches(x=world.x, y=world.model(world.x).argmax(1))
    subject = Subject(model=world.model, batches=rows, threats=(parse("linf:0.01"),))
    return certified(subject, Slow(), "slow", sigma=None, radii=False, quiet=True, pieces=folder)


def test_what_was_answered_is_not_asked_again(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(answers, "WORTH", 0.0)
    ASKED.clear()
    whole = asked(tmp_path / "one" / "pieces").found.said.margin
    assert ASKED == [16, 16, 8] and not (tmp_path / "one").exists()
    ASKED.clear()
    (tmp_path / "stop").touch()
    with pytest.raises(KeyboardInterrupt):
        asked(tmp_path / "two" / "pieces")
    assert ASKED == [16, 16] and len(list((tmp_path / "two").rglob("*.safetensors"))) >= 2
    (tmp_path / "stop").unlink()
    found = asked(tmp_path / "two" / "pieces").found.said.margin
    assert ASKED == [16, 16, 8] and torch.equal(found, whole)
    assert not (tmp_path / "two").exists()


def test_a_damaged_answer_is_asked_again(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(answers, "WORTH", 0.0)
    world = two_class(8)
    keep = answers.Answers(tmp_path)
    from holdfast.core.dice import Dice

    ask = (Slow(), world.model, world.x, world.goal, parse("linf:0.01"), Dice.of(8))
    ASKED.clear()
    first = keep.ask(*ask)
    assert torch.equal(keep.ask(*ask).margin, first.margin) and ASKED == [8]
    (file,) = tmp_path.glob("*.safetensors")
    file.write_bytes(b"no such thing")
    assert torch.equal(keep.ask(*ask[:-1], Dice.of(8)).margin, first.margin) and ASKED == [8, 8]
    other = (*ask[:4], parse("linf:0.02"), Dice.of(8))
    keep.ask(*other)
    assert len(ASKED) == 3  # another question
