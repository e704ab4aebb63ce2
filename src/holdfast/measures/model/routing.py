"""How much routers change under attack, and whether the exact experts matter."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.core.catalog import register, resolve
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.fields import Part
from holdfast.core.goal import Untargeted
from holdfast.core.inputs import labelled_rows, one_tensor
from holdfast.core.kinds import Attack, Model, Threat
from holdfast.core.quiet import quiet
from holdfast.core.ranges import inside
from holdfast.core.records import Reading
from holdfast.measures.model.mixture import (
    Held,
    another,
    answers,
    forced,
    mixtures,
    rankings,
    routes,
    selected,
)
from holdfast.run.reading import average, proportion
from holdfast.run.search import search

WAYS = ("clean", "attacked", "clean-routing", "attacked-routing", "random-experts", "held-router")


@dataclass(frozen=True, eq=False)
class RoutingStability:
    """Routing and answers of the same rows under several choices of experts.

    Args:
        overlap: `(B, L)` share of the experts chosen for the clean input that the attacked one
            is sent to as well, by mixture.
        right: `(B,)` bool by way: `clean`; `attacked` through the router; `clean-routing` of the
            attacked input; `attacked-routing` of the clean input; `random-experts` drawn among
            the best for the clean input; `held-router`, attacked while the clean routing holds.
        name: prefix of the readings.
        threat: of the attack.
        alpha: of the intervals.
        seed: of all draws.
    """

    overlap: Tensor
    right: dict[str, Tensor]
    name: str
    threat: str
    alpha: float
    seed: int

    def readings(self) -> tuple[Reading, ...]:
        """Overlap by mixture, rows with any change, and the accuracy of each way."""
        n = len(self.overlap)
        found = [
            average(f"{self.name}.overlap.{k}", part, better="neither", threat=self.threat,
                    alpha=self.alpha, seed=self.seed)
            for k, part in enumerate(self.overlap.T)
        ]  # fmt: skip
        changed = int((self.overlap < 1).any(1).sum())
        found.append(
            proportion(f"{self.name}.changed", changed, n, better="neither", threat=self.threat,
                       alpha=self.alpha, seed=self.seed)
        )  # fmt: skip
        for word in WAYS:
            found.append(
                proportion(
                    f"{self.name}.accuracy.{word}", int(self.right[word].sum()), n,
                    bound="upper" if word in ("attacked", "held-router") else "estimate",
                    threat="" if word == "clean" else self.threat, alpha=self.alpha,
                    seed=self.seed,
                )
            )  # fmt: skip
        return tuple(found)


@register("measure", cites="moe-robustness")
def routing_stability(
    mixture: Model,
    batches: Batches,
    *,
    threat: Part[Threat] = "threat:linf",
    attack: Part[Attack] = "attack:pgd",
    among: int = 4,
    alpha: float = 0.05,
    seed: int = 0,
    name: str = "routing",
) -> RoutingStability:
    """Attacks a mixture of experts and asks whether the experts that are chosen matter.

    The same rows are judged with the routing of the clean and of the attacked input exchanged,
    and with experts drawn at random among the best. A small loss means that experts are
    redundant. A second attack runs while every row keeps its clean routing: what it breaks less
    is what the router adds to the weakness. A hard choice has no gradient: where the attack
    through the router finds less than the one without, it was blind, not the model strong.

    Args:
        mixture: a model with mixtures of experts inside (`layers.TopKMoE`, or the like).
        batches: labelled rows of one tensor of inputs.
        threat: the admissible changes.
        attack: what looks for them.
        among: random experts are drawn among so many of the best.
        alpha: intervals cover with probability at least (shares) or about 1 - alpha.
        seed: of all draws.
        name: prefix of the readings.

    Raises:
        ConfigError: for `among` below 1.
        Unsupported: if there is no mixture inside, or no labelled row.

    Cost: the attack twice, the second time with two forwards for one; eight forwards per row.
    """
    inside("[1, inf]", name, among=among)
    kind, method, layers = resolve(threat), resolve(attack), mixtures(mixture)
    rows = labelled_rows(batches, name)
    overlap: list[Tensor] = []
    right: dict[str, list[Tensor]] = {way: [] for way in WAYS}
    held = Held(kind, mixture)
    for batch in rows:
        x, y = one_tensor(batch.x, name), batch.y
        goal, dice = Untargeted(y), Dice(seed, batch.index, name)
        found = search(method, mixture, x, goal, kind, dice=dice.spawn("router"))
        other = search(method, mixture, x, goal, held, dice=dice.spawn("held"))
        with quiet(mixture), torch.no_grad():
            moved = kind.apply(x, found.change)
            here, there = routes(mixture, x, layers), routes(mixture, moved, layers)
            same = [
                (selected(a) & selected(b)).sum(1) / selected(a).sum(1)
                for a, b in zip(here, there, strict=True)
            ]
            overlap.append(torch.stack(same, 1).double().cpu())
            ranked = zip(here, rankings(mixture, x, layers), strict=True)
            random = [
                another(s, best, among, dice.spawn(f"{k}")) for k, (s, best) in enumerate(ranked)
            ]
            own = {
                "clean": found.clean < 0,
                "attacked": ~found.broken,
                "held-router": ~other.broken,
            }
            ways = (("clean-routing", here, moved), ("attacked-routing", there, x),
                    ("random-experts", random, x))  # fmt: skip
            for word, shares, points in ways:
                with forced(layers, shares):
                    own[word] = answers(mixture, points) == y
        for word, hit in own.items():
            right[word].append(hit.cpu())
    return RoutingStability(
        torch.cat(overlap), {k: torch.cat(v) for k, v in right.items()}, name, kind.spec, alpha,
        seed,
    )  # fmt: skip
