"""A portfolio of attacks, one after the other, on the rows that still stand."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace

import torch
from torch import Tensor

from holdfast.checks.ledger import breakers, entered, line
from holdfast.checks.nearest import nearest
from holdfast.checks.pursuit import calls, climbers, pursue
from holdfast.checks.repair import Repaired
from holdfast.checks.views import Mean
from holdfast.core.catalog import Entry, entries, entry_of, resolve
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.core.fields import Part
from holdfast.core.goal import Goal, Untargeted
from holdfast.core.kinds import Attack, Model, Threat
from holdfast.core.records import Cell
from holdfast.run.passes import Tap
from holdfast.run.search import Found, search, stronger
from holdfast.run.stages import Stage

SHORTENED = "winning changes shortened"


@dataclass(eq=False)
class Siege:
    """What the portfolio left standing, and the best change found for each row.

    Args:
        standing: `(B,)` bool, rows that no attack broke.
        change: rows first; no change where none helped.
        margin: `(B,)` margin under that change.
        size: `(B,)` size of the smallest winning change seen, in radii of the threat; 0 for a row
            that is wrong without any change, NaN for one that stands.
        by: the stage of the attack that broke each row.
        lines: one per attack, for the report.
        refused: attacks that could not be run, and why.
        stages: the ledger, by name of the stage.
    """

    standing: Tensor
    change: Tensor
    margin: Tensor
    size: Tensor
    by: list[str]
    lines: list[dict[str, Cell]]
    refused: list[str]
    stages: dict[str, Stage] = field(default_factory=dict)

    def enter(self, left: Tensor, won: Tensor, found: Found, name: str) -> None:
        """Keep what one attack found on the rows `left`, of which it broke `won`."""
        self.standing[left], self.size[left] = True, torch.nan  # a shared change replaces the last
        self.change[left] = found.change.to(self.change)
        self.margin[left] = found.margin.detach().cpu().float()
        self.standing[left[won]] = False
        for row, who in zip(left[won].tolist(), breakers(name, found, won), strict=True):
            self.by[row] = who

    def sizes(
        self, judge: Model, x: Tensor, goal: Goal, threat: Threat, found: Found, won: Tensor
    ) -> tuple[Tensor, int]:
        """Sizes of the smallest winning changes of the rows `won`, in radii; 0 needs no change.

        Returns:
            The sizes, and the forwards that they cost, which are a stage of the ledger.
        """
        size, asked = torch.zeros(len(won)), 0
        rows = (won & (found.clean.cpu() < 0)).nonzero().flatten()
        if getattr(threat, "coupled", False):  # a part of it for one row would be one for all
            size[rows] = threat.size(x, found.change)[rows].float().cpu()
        elif len(rows):
            tap, start = Tap(judge), time.perf_counter()
            size[rows] = nearest(
                tap, x[rows], goal.take(rows), threat.take(rows), found.change[rows]
            )
            asked = calls(judge).there * tap.forwards
            stage = Stage(SHORTENED, len(rows), forwards=asked, seconds=time.perf_counter() - start)
            self.stages[SHORTENED] = self.stages.get(SHORTENED, Stage(SHORTENED)) + stage
        return size[won], asked


def besiege(
    attacks: tuple[Part[Attack], ...],
    model: Model,
    x: Tensor,
    y: Tensor,
    threat: Threat,
    dice: Dice,
    plan: Repaired | None = None,
) -> Siege:
    """Run attacks one after the other on the rows that still stand.

    Where one change must serve all rows (a coupled threat), each attack is run on all of them and
    the change that breaks most counts: rows broken by different changes do not add up.

    Args:
        attacks: of the portfolio.
        model: the function under test.
        x: rows.
        y: their labels.
        threat: the admissible changes.
        dice: of these rows.
        plan: how a model with signs of masking is judged, and from where its slopes come.

    Raises:
        Unsupported: if none of the attacks can be run.
    """
    plan = plan or Repaired(model, threat)
    goal, threat, n = Untargeted(y), plan.threat, len(x)
    siege = Siege(
        torch.ones(n, dtype=torch.bool),
        threat.none(x),
        torch.full((n,), -torch.inf),
        torch.full((n,), torch.nan),
        [""] * n,
        [],
        [],
    )
    shared = bool(getattr(threat, "coupled", False))
    for name, attack, view in _rounds(attacks, plan):
        left = torch.arange(n) if shared else siege.standing.nonzero().flatten()
        if not bool(siege.standing.any()):
            break
        near, at = threat.take(left), goal.take(left)
        draw, part = dice.part(left).spawn(name), replace(plan, threat=near)
        try:
            if view is None:
                found = search(attack, plan.judge, x[left], at, near, dice=draw)
            else:
                found = pursue(attack, part, view, x[left], at, dice=draw, name=name)
        except Unsupported as refused:
            siege.refused.append(f"{name} could not be run: {refused.says}.")
            continue
        won = ~(found.margin.detach().cpu() < 0)
        entered(siege.stages, name, won, found)
        size, asked = siege.sizes(plan.judge, x[left], at, near, found, won)
        if not shared or stronger(found.margin.cpu(), siege.margin):
            siege.enter(left, won, found, name)
            siege.size[left[won]] = size
        siege.lines.append(line(name, won, size[size > 0], found, threat, asked))
    if not siege.lines and n:
        raise Unsupported(
            " ".join(siege.refused) or "no attack was given",
            fix='Give attacks=("attack:pgd",), or another one that suits the threat.',
        )
    return siege


def _rounds(
    attacks: tuple[Part[Attack], ...], plan: Repaired
) -> Iterator[tuple[str, Attack, Model | None]]:
    """The portfolio on the judge, then slopes from each view.

    A mean of many answers is too dear to be queried a thousand times: only views of it are
    climbed.
    """
    if not isinstance(plan.judge, Mean):
        for part in attacks:
            attack = resolve(part)
            yield part if isinstance(part, str) else _name(attack), attack, None
    for seen, view in plan.views:
        for number, attack in enumerate(climbers(view), 1):
            yield f"{_name(attack)} on {seen} ({number})", attack, view


def _name(attack: Attack) -> str:
    """The catalogue name of an attack; one with settings of its own bears that of the nearest.

    Nearest is the entry of its class, default or preset, that shares most settings with it.
    """
    known = entry_of(attack) or entry_of(type(attack))
    alike = [e for e in entries("attack") if type(resolve(e.key)) is type(attack)]
    if known is None or known.thing is attack or not alike:
        return known.key if known else type(attack).__name__

    def shared(entry: Entry) -> int:
        made: object = resolve(entry.key)
        names = (f.name for f in fields(type(attack)))  # type: ignore[arg-type]
        return sum(getattr(made, name) == getattr(attack, name) for name in names)

    return max(alike, key=lambda e: (shared(e), e.key == known.key)).key
