"""How many rows survive the worst admissible change that a portfolio of attacks can find?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from holdfast.checks.gallery import gallery
from holdfast.checks.rows import sample
from holdfast.checks.self_checks import SelfCheck, self_checks
from holdfast.core.catalog import entry_of, register, resolve
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.core.fields import Count, Inner, Natural, Part, settings
from holdfast.core.goal import Untargeted
from holdfast.core.kinds import Attack, Check, Model, Threat
from holdfast.core.records import Cell, Figure, Finding, Severity, Subject
from holdfast.run.reading import proportion
from holdfast.run.search import search


@dataclass(eq=False)
class Siege:
    """What the portfolio left standing, and the best change found for each row."""

    standing: Tensor  # (B,) bool
    change: Tensor
    margin: Tensor
    by: list[str]
    lines: list[dict[str, Cell]]
    refused: list[str]


@register("check", says="Accuracy under the pointwise worst of a portfolio of attacks.")
@settings
class WorstCase(Check):
    """Accuracy under the pointwise worst of a portfolio of attacks, with self-checks.

    A row counts as robust only if every attack failed on it; rows already broken are never
    attacked again. The number is an upper bound of the true robust accuracy. Self-checks look
    for masked gradients; each failed one is printed with the number wherever it goes.

    Cost: the passes of each attack on the rows that the earlier ones left standing.

    Args:
        attacks: tried in this order.
        limit: at most so many rows, drawn once from the seed.
        probes: rows used by the self-checks; 0 leaves them out.
        alpha: intervals have coverage 1 - alpha.
    """

    question: ClassVar = "How many rows survive the worst change?"
    section: ClassVar = "attacks"

    attacks: tuple[Part[Attack], ...] = ("attack:pgd", "attack:apgd", "attack:square")
    limit: Count = 1000
    probes: Natural = 64
    alpha: Inner = 0.05

    def cost(self, subject: Subject) -> float:
        n = len(subject.batches) if subject.batches is not None else 0
        return 120.0 * len(self.attacks) * min(n, self.limit) * len(subject.threats)

    def __call__(self, subject: Subject) -> Iterator[Finding]:
        batches = sample(subject, self.limit)
        if subject.model is None or not isinstance(batches.x, Tensor):
            raise Unsupported("attacks on norms need one tensor of inputs")
        for threat in subject.threats:
            dice = Dice(subject.seed, batches.index, f"worst/{threat.spec}")
            siege = besiege(self.attacks, subject.model, batches.x, batches.y, threat, dice)
            doubts = []
            if self.probes:
                first = slice(0, self.probes)
                doubts = self_checks(
                    subject.model,
                    batches.x[first],
                    batches.y[first],
                    threat.take(first),
                    dice.part(first).spawn("self-checks"),
                )
            yield self._finding(subject, batches.index, siege, threat, doubts)
            yield from gallery(subject.model, batches, siege.change, siege.margin, threat, siege.by)

    def _finding(
        self, subject: Subject, index: Tensor, siege: Siege, threat: Threat, doubts: list[SelfCheck]
    ) -> Finding:
        flags = tuple(d.says for d in doubts if not d.passed)
        kept, n = int(siege.standing.sum()), len(siege.standing)
        reading = proportion(
            f"attacks.worst@{threat.spec}",
            kept,
            n,
            bound="upper",
            threat=threat.spec,
            seed=subject.seed,
            alpha=self.alpha,
            flags=flags,
        )
        says = f"At most {kept} of {n} rows survive every change within {threat.spec}."
        lines: tuple[dict[str, Cell], ...] = (
            *siege.lines,
            {
                "method": "all together (pointwise worst)",
                "tried on": n,
                "broken": n - kept,
                "forwards": sum(int(line["forwards"] or 0) for line in siege.lines),
                "backwards": sum(int(line["backwards"] or 0) for line in siege.lines),
            },
        )
        tables = [
            Figure(
                name=f"attacks-{threat.spec}",
                kind="table",
                title=f"Attacks, {threat.spec}",
                says=says,
                rows=lines,
            )
        ]
        if doubts:
            tables.append(
                Figure(
                    name=f"self-checks-{threat.spec}",
                    kind="table",
                    title=f"Self-checks, {threat.spec}",
                    says="All self-checks passed: gradients can be believed."
                    if not flags
                    else f"{len(flags)} of {len(doubts)} self-checks failed: the truth is lower.",
                    rows=tuple(
                        {"check": d.name, "result": "pass" if d.passed else "FAIL", "says": d.says}
                        for d in doubts
                    ),
                )
            )
        broken = index[~siege.standing]
        return Finding(
            severity=Severity.FAILURE
            if flags or kept < n / 2
            else Severity.WARNING
            if kept < n * 0.9
            else Severity.GOOD,
            says=says + "".join(f" {r}" for r in siege.refused),
            readings=(reading,),
            advice=""
            if kept > n * 0.9
            else "Train against the attack: "
            f"holdfast harden MODEL --data DATA --recipe trades --threat {threat.spec}",
            rows=tuple(broken[:20].tolist()),
            figures=tuple(tables),
        )


def besiege(
    attacks: tuple[Part[Attack], ...],
    model: Model,
    x: Tensor,
    y: Tensor,
    threat: Threat,
    dice: Dice,
) -> Siege:
    """Run attacks one after the other on the rows that still stand.

    Raises:
        Unsupported: if none of the attacks can be run.
    """
    goal = Untargeted(y)
    siege = Siege(
        torch.ones(len(x), dtype=torch.bool),
        threat.none(x),
        torch.full((len(x),), -torch.inf),
        [""] * len(x),
        [],
        [],
    )
    for part in attacks:
        attack = resolve(part)
        name = part if isinstance(part, str) else _name(attack)
        left = siege.standing.nonzero().flatten()
        if not len(left):
            break
        try:
            found = search(
                attack,
                model,
                x[left],
                goal.take(left),
                threat.take(left),
                dice=dice.part(left).spawn(name),
            )
        except Unsupported as refused:
            siege.refused.append(f"{name} could not be run: {refused.says}.")
            continue
        margin = found.margin.detach().cpu().float()
        won = ~(margin < 0)
        siege.change[left] = found.change.to(siege.change)
        siege.margin[left] = margin
        siege.standing[left[won]] = False
        for row in left[won].tolist():
            siege.by[row] = name
        siege.lines.append(
            {
                "method": name,
                "tried on": len(left),
                "broken": int(won.sum()),
                "forwards": found.passes.forwards,
                "backwards": found.passes.backwards,
            }
        )
    if not siege.lines and len(x):
        raise Unsupported(" ".join(siege.refused) or "no attack was given")
    return siege


def _name(attack: Attack) -> str:
    entry = entry_of(attack) or entry_of(type(attack))
    return entry.key if entry else type(attack).__name__
