"""Stopping by held-out error keeps what longer training loses, for a fraction of its epochs."""

from __future__ import annotations

from copy import deepcopy

import torch
import torch.nn.functional as F

from holdfast.claims.digits import net, split
from holdfast.claims.harness import Claim, Trial
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.fields import Ingredient, Later, ingredient, settings
from holdfast.core.kinds import Hook, Run
from holdfast.hooks.early import EarlyStopping
from holdfast.run.loop import Training
from holdfast.run.training import TrainingRun

EPOCHS, PATIENCE, ROWS, WIDTH = 30, 5, 256, 256


@settings
class _Last(EarlyStopping):
    """Bug: stops in time but keeps the last weights."""

    def end(self, run: Run) -> None:
        return None


@settings
class _Counts(EarlyStopping):
    """Bug: epochs without improvement add up over the whole run."""

    def epoch(self, run: Run) -> bool | None:
        memory = run.memory(self)
        before = memory.get("waited", 0)
        asked = super().epoch(run)
        memory["waited"] = max(memory["waited"], before)
        return bool(asked or memory["waited"] >= self.patience)


@settings
class _Trained(EarlyStopping):
    """Bug: watches the training loss."""

    def value(self, run: Run) -> float:
        history: list[dict[str, float]] = getattr(run, "history", [])
        return history[-1]["loss"]


@settings
class _Watch(Hook):
    """Keeps the held-out loss and the weights of every epoch, by plain torch."""

    held: Ingredient[Batches] = ingredient()

    def epoch(self, run: Run) -> None:
        if self.held is None:
            return
        model = deepcopy(run.model).eval()
        with torch.no_grad():
            loss = float(F.cross_entropy(model(self.held.x), self.held.y))
        run.memory(self).setdefault("losses", []).append(loss)
        run.memory(self).setdefault("weights", []).append(model.state_dict())


MUTANTS: dict[str, type[EarlyStopping]] = {
    "keeps-the-last": _Last, "counts-all-epochs": _Counts, "watches-training": _Trained,
}  # fmt: skip


def _trained(seed: int, data: Batches, hook: Hook) -> TrainingRun:
    plan = Training(
        optimizer=Later("torch:Adam", lr=0.01), epochs=EPOCHS, schedule="constant", hooks=(hook,)
    )
    return plan(net(seed, WIDTH), data, dice=Dice.of(len(data), seed))


def trial(seed: int, mutant: str = "") -> Trial:
    """The same training watched to its end and stopped early, on labels of which many are noise."""
    data, test = split(seed, ROWS, noise=0.6)
    held = test.take(slice(0, 250))
    watch = _Watch(held=held)
    memory = _trained(seed, data, watch).memory(watch)
    losses, weights = memory["losses"], memory["weights"]
    best, stop = 0, EPOCHS
    for epoch, loss in enumerate(losses):
        best = epoch if loss < losses[best] else best
        if epoch - best >= PATIENCE:
            stop = epoch + 1
            break
    run = _trained(seed, data, MUTANTS.get(mutant, EarlyStopping)(patience=PATIENCE, held=held))
    same = run.epoch == stop and all(
        torch.equal(v, weights[best][k]) for k, v in run.model.state_dict().items()
    )
    with torch.no_grad():
        left = float(F.cross_entropy(run.model(test.x), test.y))
        last = net(seed, WIDTH)
        last.load_state_dict(weights[-1])
        right = float(F.cross_entropy(last(test.x), test.y))
    return Trial(left, right, same and left < right - 0.1 and run.epoch < EPOCHS)


CLAIM = Claim(
    paper="prechelt1998early",
    methods=("hook:early-stopping",),
    says="With 60 % of the labels drawn at random it stops exactly when its patience is over, "
    "with the bits of the best epoch, whose test loss is over 0.1 nats below the last one's.",
    left="test loss after stopping early (nats)",
    right="test loss at the end of the whole run (nats)",
    trial=trial,
    seeds=(101, 102, 103),
    mutants=tuple(MUTANTS),
    seconds=5,
)
