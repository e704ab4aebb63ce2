"""One attack on all rows: portion by portion, with progress, ledger and self-checks."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from holdfast.checks.self_checks import SelfCheck, self_checks
from holdfast.cli.progress import Told, clock
from holdfast.core.data import UNLABELLED, Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.core.goal import Goal, Targeted, Untargeted
from holdfast.core.kinds import Attack, Model, Threat
from holdfast.core.records import Finding, Subject
from holdfast.ops.batch import chunks
from holdfast.run.passes import Passes
from holdfast.run.search import Found, attack_name, search
from holdfast.run.stages import Stage
from holdfast.threats.bind import bind

PORTION = 256  # rows between two words of progress
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

    @property
    def flags(self) -> tuple[str, ...]:
        """Signs that the number is too high; it is never printed without them."""
        return tuple(f"{c.name}: {c.says}" for c in self.checks if not c.passed)


def campaign(
    subject: Subject, attack: Attack, towards: str | None, preflight: Sequence[Finding] = ()
) -> Campaign:
    """Attack all rows that have a label, and look whether the result can be believed.

    Raises:
        Unsupported: if the attack cannot do what is asked.
        ConfigError: if there is no row to attack, or no class of that name.
    """
    rows, model, threat = subject.batches, subject.model, subject.threats[0]
    if model is None or rows is None or not isinstance(rows.x, Tensor):
        raise Unsupported("attacks need a model and one tensor of inputs")
    threat, aim = bind(threat, model), None if towards is None else _class(rows, towards)
    away = rows.y != UNLABELLED
    if aim is not None:
        away &= rows.y != aim
    rows = rows.take(away.nonzero().flatten())
    if not len(rows):
        raise ConfigError("attack: no row is left to be attacked",
                          fix="Give rows with labels, of other classes than --towards.",
                          code="E0152")  # fmt: skip
    x: Tensor = rows.x  # type: ignore[assignment]  # as asked above
    goal: Goal = Untargeted(rows.y) if aim is None else Targeted(torch.full_like(rows.y, aim))
    dice = Dice(subject.seed, rows.index, f"attack/{threat.spec}")
    with Watched() as told:
        begun = time.monotonic()
        found = _attacked(told, attack, model, x, goal, threat, dice)
        seconds = time.monotonic() - begun
        checks = _checked(told, model, x, rows.y, threat, dice)
    return Campaign(
        subject, rows, x, attack, threat, aim, found, checks, preflight, seconds
    )  # fmt: skip


class Watched(Told):
    """Tells how many rows an attack has dealt with, and how many stand."""

    standing = 0
    begun = 0.0

    def starts(self, name: str, total: int) -> None:
        """From here on so many rows are attacked."""
        self.name, self.total, self.begun = name, total, time.monotonic()
        self._line(f"{name} on {total:,} rows")
        self._refresh()

    def dealt(self, rows: int, standing: int) -> None:
        """So many rows more are done, and so many of them stand."""
        self.done, self.standing = self.done + rows, self.standing + standing
        self._refresh()

    def turns(self, name: str) -> None:
        """What happens now, where rows are not counted."""
        self.name, self.total = name, 0
        self._line(name)
        self._refresh()

    def status(self) -> str:
        took = time.monotonic() - self.begun
        if not self.total:
            return f"{self.name}   {clock(took)}"
        if not self.done:
            return f"0/{self.total} rows   {self.name}   {clock(took)}"
        left = took * (self.total - self.done) / self.done
        stand = f"{self.standing / self.done:.1%} stand so far, not yet checked"
        return f"{self.done}/{self.total} rows   {stand}   {self.name}   eta {clock(left)}"


def _attacked(
    told: Watched, attack: Attack, model: Model, x: Tensor, goal: Goal, threat: Threat, dice: Dice
) -> Found:
    """The attack on portions of the rows; on all at once where one change serves them all."""
    n = len(x)
    told.starts(attack_name(attack), n)
    parts = []
    for part in chunks(n, n if getattr(threat, "coupled", False) else PORTION):
        near, draw = threat.take(part), dice.part(part)
        found = search(attack, model, x[part], goal.take(part), near, dice=draw)
        parts.append(found)
        told.dealt(len(found.margin), int((found.margin < 0).sum()))
    return joined(parts)


def joined(parts: Sequence[Found]) -> Found:
    """The results of consecutive portions of the rows as one."""
    stages: dict[str, Stage] = {}
    by: list[str] = []
    passes = Passes()
    for part in parts:
        for stage in part.stages:
            old = stages.get(stage.name)
            stages[stage.name] = old + stage if old else stage
        known = [-1] * len(part.margin) if part.by is None else part.by.tolist()
        by += [part.stages[k].name if k >= 0 else "" for k in known]
        passes = passes + part.passes
    place = {name: k for k, name in enumerate(stages)}
    position = torch.tensor([place.get(name, -1) for name in by], dtype=torch.int64)
    columns = [
        torch.cat([getattr(p, name).detach().cpu() for p in parts])
        for name in ("change", "margin", "clean", "finite")
    ]
    change, margin, clean, finite = columns
    return Found(change, margin, passes, clean, finite, tuple(stages.values()), position)


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


def _class(rows: Batches, towards: str) -> int:
    """The position of a class, given by name or number.

    Raises:
        ConfigError: with the classes that there are.
    """
    if towards in rows.classes:
        return rows.classes.index(towards)
    count = len(rows.classes) or int(rows.y.max()) + 1
    if towards.isdigit() and int(towards) < count:
        return int(towards)
    known = ", ".join(rows.classes[:12]) or f"0 to {count - 1}"
    raise ConfigError(
        f"--towards: there is no class {towards!r}", fix=f"Classes: {known}.", code="E0153"
    )
