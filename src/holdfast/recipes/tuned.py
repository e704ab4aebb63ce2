"""Tuning nets that exist already: heads on frozen features, and single layers."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from holdfast.core.catalog import register, resolve
from holdfast.core.data import Batches
from holdfast.core.dice import Dice, dice_or
from holdfast.core.errors import Unsupported
from holdfast.core.fields import Count, Later, NonNegative, Part, Positive, Share, settings
from holdfast.core.goal import Untargeted
from holdfast.core.kinds import Attack, State, Threat
from holdfast.hooks.freeze import TuneOnly
from holdfast.measures.model.criticality import robust_criticality
from holdfast.merge.between import interpolated
from holdfast.merge.soup import accuracy
from holdfast.recipes.standard import Standard
from holdfast.run.loop import Control
from holdfast.run.search import search
from holdfast.run.training import TrainingRun
from holdfast.threats.norms import LInf

FIXED_FEATURES = register(
    "recipe", cites="robust-transfer", name="fixed-features",
    says="Learns a new last layer on the features of a net that stays as it is.",
)(Standard(hooks=(TuneOnly(last=1),), epochs=40))  # fmt: skip

LP_FT = register(
    "recipe", cites="low-shot-robustness", name="lp-ft",
    says="Learns the last layer first and then everything, so that features move less.",
)(Standard(hooks=(TuneOnly(last=1, until=0.5),), epochs=40))  # fmt: skip


def with_head(model: nn.Module, classes: int, *, seed: int = 0) -> nn.Module:
    """A copy with a freshly drawn last linear layer, for a task of other classes.

    Args:
        model: the source net; left as found.
        classes: outputs of the new layer.
        seed: of its weights.

    Raises:
        Unsupported: if the model has no linear layer.
    """
    made = deepcopy(model)
    names = [n for n, m in made.named_modules() if isinstance(m, nn.Linear)]
    if not names or not names[-1]:
        raise Unsupported(
            "with_head needs a net whose last linear layer can be replaced",
            fix="Give a net that ends in torch.nn.Linear.",
        )
    old = made.get_submodule(names[-1])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        new = nn.Linear(int(old.in_features), classes, bias=old.bias is not None)  # type: ignore[arg-type]
    owner, _, last = names[-1].rpartition(".")
    setattr(made.get_submodule(owner), last, new.to(old.weight))  # type: ignore[arg-type]
    return made


@register("recipe", cites="rift", name="rift", says="Tunes the layer that robustness needs least.")
@settings
class RobustCriticalTuning:
    """Robust critical fine-tuning: clean accuracy for a robust net, from a layer it can spare.

    The layer whose weights can undo least of the robustness (`measure:robust-criticality`) is
    tuned on clean rows, everything else stays. Then the weights are moved from the robust net
    towards the tuned one, as far as held-out rows say that clean accuracy grows and robust
    accuracy falls by no more than `tolerance`; if nothing does, the net stays as it was.

    A share of the rows is held out for that choice; the layer and its tuning see the rest.

    Cost: one epoch under attack, `2 * steps` passes per layer, the tuning, and for each of
    `points` weights a pass and an attack on the held-out rows.

    Unlike the paper: layer and weights are chosen on rows that are neither learned from nor
    tested on. Normalisation keeps its statistics while the layer is tuned.

    Args:
        threat: under which robustness is kept.
        attack: that measures it.
        layer: name of the weight that is tuned; the least critical one unless given.
        epochs: of the tuning.
        optimizer: of the tuning.
        points: weights between the two nets that are tried.
        tolerance: robust accuracy that may be lost on held-out rows.
        held: share of the rows that is held out.
        radius: of the ball of weights by which layers are compared.
        steps: of the climb in each layer.
    """

    threat: Part[Threat] = LInf()
    attack: Part[Attack] = "attack:pgd"
    layer: str = ""
    epochs: Count = 10
    optimizer: Later = Later("torch:SGD", lr=1e-3, momentum=0.9, weight_decay=5e-4)
    points: Count = 20
    tolerance: NonNegative = 0.001
    held: Share = 0.2
    radius: Positive = 0.1
    steps: Count = 10

    @classmethod
    def example(cls, world: Any) -> RobustCriticalTuning:
        """One that moves a net that has learned nothing yet, for the laws."""
        fast = Later("torch:Adam", lr=0.05)
        return cls(layer="0.weight", optimizer=fast, tolerance=1.0, points=4, steps=2)

    def against(self, threat: Threat) -> RobustCriticalTuning:
        """The same tuning, for robustness against another threat."""
        return replace(self, threat=threat)

    def __call__(
        self,
        model: nn.Module,
        batches: Batches,
        *,
        dice: Dice | None = None,
        control: Control | None = None,
    ) -> TrainingRun:
        """Tune the model in place.

        Returns:
            The run of the tuning; its history ends with a row of `criticality` (of the layer),
            `share` (how far the weights were moved), `clean` and `robust` (on held-out rows).
        """
        own = dice_or(dice, len(batches))
        order = torch.randperm(len(batches), generator=own.generator("held"))
        held = min(max(round(self.held * len(batches)), 1), len(batches) - 1)
        kept, learned = batches.take(order[:held]), batches.take(order[held:])
        before = {k: v.detach().clone() for k, v in model.state_dict().items()}
        flags = model.training
        model.eval()
        layers = robust_criticality(
            model, learned, threat=self.threat, attack=self.attack, radius=self.radius,
            steps=self.steps, seed=own.seed,
        )  # fmt: skip
        model.train(flags)
        layer = self.layer or layers.least
        tuning = Standard(
            hooks=(TuneOnly(names=(layer,)),), optimizer=self.optimizer, epochs=self.epochs
        )
        run = tuning(model, learned, dice=own.keyed(learned.index), control=control)
        after = {k: v.detach().clone() for k, v in model.state_dict().items()}
        share, clean, hard = self._furthest(model, before, after, kept, own)
        model.load_state_dict(interpolated(before, after, share))
        found = {"criticality": layers.rises.get(layer, float("nan")), "share": share}
        run.history.append(found | {"clean": clean, "robust": hard})
        return run

    def _furthest(
        self, model: nn.Module, before: State, after: State, kept: Batches, dice: Dice
    ) -> tuple[float, float, float]:
        """Share with the best clean accuracy that keeps robustness, and both accuracies there."""
        clean, hard = self._scores(model, before, kept, dice)
        best, floor = (0.0, clean, hard), hard - self.tolerance
        for point in range(1, self.points + 1):
            share = point / self.points
            state = interpolated(before, after, share)
            if accuracy(model, state, kept) <= best[1]:
                continue
            clean, hard = self._scores(model, state, kept, dice)
            if hard >= floor:
                best = (share, clean, hard)
        return best

    def _scores(
        self, model: nn.Module, state: State, kept: Batches, dice: Dice
    ) -> tuple[float, float]:
        """Clean and robust accuracy with some weights."""
        x: Any = kept.x
        call: Callable[[Tensor], Any] = lambda given: functional_call(model, state, (given,))  # noqa: E731
        goal, asked = Untargeted(kept.y), dice.spawn("held").keyed(kept.index)
        found = search(resolve(self.attack), call, x, goal, resolve(self.threat), dice=asked)
        return accuracy(model, state, kept), 1 - float(found.broken.double().mean())
