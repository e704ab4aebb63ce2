"""Training in rounds on the failures that an attack finds."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from holdfast.attacks.pgd import PGD
from holdfast.core.catalog import register, resolve
from holdfast.core.data import UNLABELLED, Batches
from holdfast.core.dice import Dice, dice_or
from holdfast.core.errors import Unsupported
from holdfast.core.fields import Count, Ingredient, Part, ingredient, settings
from holdfast.core.goal import Untargeted
from holdfast.core.kinds import Attack, Recipe, Threat
from holdfast.objectives.adversarial import tensor_of
from holdfast.run.search import search
from holdfast.run.training import TrainingRun
from holdfast.threats.norms import LInf


@register("recipe", cites="high-stakes-reliability", says="Train, find failures, label, train on.")
@settings
class FoundFailures:
    """Trains, attacks what came out, labels what the attack has found, and trains on with it.

    Each round attacks every row it learned from; changed rows on which the model is wrong by
    the oracle join the data, the newest several times, and the model is trained further. What
    is no failure, since the change has changed the truth as well, joins with its true label.
    Unlike adversarial training inside the loop, the attack may be slow, black-box, discrete,
    or a person. Failures per round and queries spent stand in the run's memory `rounds`.

    Unlike the paper: the attack is a method, not contractors.

    Cost: `rounds + 1` trainings and `rounds` attacks on all rows.

    Args:
        recipe: how each round trains.
        attack: how failures are sought.
        threat: which changes are admissible.
        oracle: changed inputs -> true labels; without it a change keeps the label.
        rounds: attacks, each followed by a training.
        newest: how often the failures of the last round are repeated.
    """

    recipe: Part[Recipe] = "recipe:standard"
    attack: Part[Attack] = PGD(steps=10)
    threat: Part[Threat] = LInf()
    oracle: Ingredient[Callable[[Tensor], Tensor]] = ingredient()
    rounds: Count = 3
    newest: Count = 2

    def __call__(
        self, model: nn.Module, batches: Batches, *, dice: Dice | None = None
    ) -> TrainingRun:
        """Train the model in place.

        Raises:
            Unsupported: unless inputs are one tensor and labels one per row.
        """
        if not isinstance(batches.x, Tensor) or batches.y.dim() != 1:
            raise Unsupported(
                "found-failures attacks inputs that are one tensor, with a label per row",
                fix="Encode texts as ids, or use another recipe.",
            )
        own, recipe = dice_or(dice, len(batches)), resolve(self.recipe)
        run: TrainingRun = recipe(model, batches, dice=own.spawn("round0"))
        known, log = batches, []
        for number in range(1, self.rounds + 1):
            part = own.spawn(f"round{number}")
            x, y, wrong, queries = self.found(model, batches, part.spawn("attack"))
            log.append([float(wrong.sum()), queries])
            known = _joined(known, x, y)
            more = _joined(known, x[wrong].repeat(self.newest - 1, *[1] * (x.dim() - 1)),
                           y[wrong].repeat(self.newest - 1))  # fmt: skip
            run = recipe(model, more, dice=part.keyed(torch.arange(len(more))))
        run.memory("rounds")["log"] = torch.tensor(log, dtype=torch.float64)
        return run

    def found(
        self, model: nn.Module, batches: Batches, dice: Dice
    ) -> tuple[Tensor, Tensor, Tensor, float]:
        """Rows that the attack has changed, their labels, which are failures, and its queries."""
        kept = batches.y != UNLABELLED
        x, y = tensor_of(batches.whole)[kept], batches.y[kept]
        threat, dice = resolve(self.threat), dice.keyed(batches.index[kept])
        seen = search(resolve(self.attack), model, x, Untargeted(y), threat, dice=dice)
        changed = threat.apply(x, seen.change)[seen.broken]
        true = y[seen.broken] if self.oracle is None else self.oracle(changed)
        with torch.no_grad():
            wrong = model(changed).argmax(1) != true if len(changed) else true.bool()
        return changed, true, wrong, float(sum(seen.passes.per(len(x)))) * len(x)


def _joined(data: Batches, x: Tensor, y: Tensor) -> Batches:
    """A data set with further rows."""
    return Batches(x=torch.cat([data.x, x]), y=torch.cat([data.y, y]), size=data.size)  # type: ignore[list-item]
