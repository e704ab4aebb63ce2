"""What attackers without access achieve: every public model tried with every attack."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.core.dice import Dice, dice_or
from holdfast.core.endless import LargestLoss
from holdfast.core.goal import Goal
from holdfast.core.kinds import Attack, Model, Threat
from holdfast.core.quiet import quiet
from holdfast.core.records import Reading
from holdfast.run.reading import proportion
from holdfast.run.search import clean, judged


@dataclass(frozen=True, eq=False)
class TransferMatrix:
    """Which rows stay right under which pair of public model and attack.

    Args:
        sources: names of the public models.
        attacks: names of the attacks.
        safe: `(S, A, B)` bool.
        threat: in the common grammar.
        seed: of the attacks' draws.
    """

    sources: tuple[str, ...]
    attacks: tuple[str, ...]
    safe: Tensor
    threat: str
    seed: int

    @property
    def accuracy(self) -> Tensor:
        """`(S, A)`: share of rows that stay right."""
        return self.safe.double().mean(2)

    @property
    def worst(self) -> float:
        """Accuracy under the pair that breaks most: the attacker picks one pair for all rows."""
        return float(self.accuracy.min())

    def readings(self) -> list[Reading]:
        """The worst pair, the worst pair of each row, and every pair."""
        per_row, n = self.safe.flatten(0, 1).all(0), self.safe.shape[2]
        counts = {
            "transfer.worst": int(self.safe.sum(2).min()),
            "transfer.worst-per-row": int(per_row.sum()),
        }
        for i, source in enumerate(self.sources):
            for j, attack in enumerate(self.attacks):
                counts[f"transfer.{source}.{attack}"] = int(self.safe[i, j].sum())
        return [
            proportion(name, count, n, bound="upper", threat=self.threat, seed=self.seed)
            for name, count in counts.items()
        ]


def transfer_matrix(
    model: Model,
    x: Tensor,
    goal: Goal,
    threat: Threat,
    *,
    sources: Mapping[str, Model],
    attacks: Mapping[str, Attack],
    dice: Dice | None = None,
) -> TransferMatrix:
    """Attack public models and judge the changes on another one, which is never asked.

    The attacks never stop at the first mistake of the source, since what just breaks one model
    rarely breaks another. A row that is wrong without any change counts as lost under all pairs.

    Args:
        model: the victim; only judged.
        x: `(B, ...)` inputs.
        goal: what the adversary wants.
        threat: admissible changes.
        sources: public models by name.
        attacks: by name; each is run on each source as if that were the victim.
        dice: draws of the B rows.

    Cost: on the victim one forward per row and pair and one more; each attack on each source.
    """
    dice, lost = dice_or(dice, len(x)), clean(model, x, goal, threat).margin >= 0
    rows = []
    for source in sources.values():
        cells = []
        for attack in attacks.values():
            with quiet(source), quiet(model):
                change = attack(source, x, LargestLoss(goal), threat, dice=dice.spawn("transfer"))
                with torch.no_grad():
                    change = threat.project(x, change)
                    margin, _ = judged(goal, threat.through(model, x, change))
            cells.append((margin < 0) & ~lost)
        rows.append(torch.stack(cells))
    safe = torch.stack(rows)
    return TransferMatrix(tuple(sources), tuple(attacks), safe, threat.spec, dice.seed)
