"""One attack on all rows, with progress, ledger and self-checks; stopped, it goes on later."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from io import StringIO
from pathlib import Path

from torch import Tensor

from holdfast.checks.self_checks import SelfCheck, self_checks
from holdfast.cli.aimed import Question, asked
from holdfast.cli.resumed import resumed
from holdfast.cli.watched import Watched
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.digest import digest
from holdfast.core.errors import Unsupported
from holdfast.core.kinds import Attack, Model, Threat
from holdfast.core.records import Finding, Subject
from holdfast.run.executors import Executor
from holdfast.run.foreign import foreign_digest
from holdfast.run.keeper import Keeper
from holdfast.run.pieces import attack_digest
from holdfast.run.search import Found, attack_name, search
from holdfast.run.watch import Progress

PROBES = 64  # rows of the self-checks


@dataclass(eq=False)
class Campaign:
    """What was asked, what was found, and why it may not be believed.

    Args:
        subject: as asked.
        batches: the rows that were attacked.
        x: their inputs.
        attack: the method.
        threat: the admissible changes.
        towards: position of the class that rows were to be turned into, None for any other.
        found: what the attack found, as evaluated by the judge.
        checks: the self-checks.
        preflight: what was wrong before anything ran.
        seconds: that the attack took.
        resumed: rows that an earlier attempt, which was stopped, had dealt with.
    """

    subject: Subject
    batches: Batches
    x: Tensor
    attack: Attack
    threat: Threat
    towards: int | None
    found: Found
    checks: list[SelfCheck] = field(default_factory=list)
    preflight: Sequence[Finding] = ()
    seconds: float = 0.0
    resumed: int = 0

    @property
    def flags(self) -> tuple[str, ...]:
        """Signs that the number is too high; it is never printed without them."""
        return tuple(f"{c.name}: {c.says}" for c in self.checks if not c.passed)


def assault(attack: Attack, towards: str | None, subject: Subject) -> None:
    """What another process does to help: the same search, piece by piece."""
    _sought(attack, asked(subject, towards), None)


def _sought(attack: Attack, q: Question, progress: Progress | None) -> Found:
    return search(attack, q.model, q.x, q.goal, q.threat, dice=q.dice, progress=progress)


def campaign(
    subject: Subject,
    attack: Attack,
    towards: str | None,
    preflight: Sequence[Finding] = (),
    *,
    pieces: Path | None = None,
    executor: Executor | None = None,
    quiet: bool = False,
) -> Campaign:
    """Attack all rows that have a label, and look whether the result can be believed.

    Args:
        subject: as read.
        attack: the method.
        towards: the class that rows shall be turned into, None for any other.
        preflight: what was wrong before anything ran.
        pieces: where those of searches that are not finished are kept.
        executor: who helps; nobody unless given, or without a place for pieces.
        quiet: tell no progress.

    Raises:
        Unsupported: if the attack cannot do what is asked.
        ConfigError: if there is no row to attack, or no class of that name.
    """
    q = asked(subject, towards)
    with Watched(StringIO() if quiet else None) as told:
        told.starts(attack_name(attack), len(q.x))
        begun = time.monotonic()
        with _kept(pieces, executor, attack, q, towards) as keeper:
            told.keeps(keeper)
            found = _sought(attack, q, told.dealt)
        seconds = time.monotonic() - begun
        checks = _checked(told, q.model, q.x, q.rows.y, q.threat, q.dice)
    before = 0 if keeper is None else keeper.resumed
    return Campaign(
        subject, q.rows, q.x, attack, q.threat, q.towards, found, checks, preflight, seconds, before
    )  # fmt: skip


def _kept(
    pieces: Path | None, executor: Executor | None, attack: Attack, q: Question, towards: str | None
) -> AbstractContextManager[Keeper | None]:
    """The pieces of this attack in a folder of their own."""
    if pieces is None:
        return nullcontext()
    whole = [
        attack_digest(attack, q.model),
        foreign_digest(attack),
        q.rows,
        q.threat.spec,
        q.dice.seed,
        q.towards,
    ]
    return resumed(pieces / digest(whole), executor, partial(assault, attack, towards))


def _checked(
    told: Watched, model: Model, x: Tensor, y: Tensor, threat: Threat, dice: Dice
) -> list[SelfCheck]:
    """The self-checks of the first rows; one that cannot be made is a doubt itself."""
    first = slice(0, PROBES)
    told.turns(f"self-checks on {min(len(x), PROBES)} rows")
    draw = dice.part(first).spawn("self-checks")
    try:
        return self_checks(model, x[first], y[first], threat.take(first), draw)
    except Unsupported as refused:
        says = f"could not be made: {refused.says}"
        return [SelfCheck("self-checks", False, says, "another threat")]
