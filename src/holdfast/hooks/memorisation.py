"""What a model has learned by heart: answers on the rows whose labels are wrong."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import UNLABELLED, Batches
from holdfast.core.errors import ShapeError, Unsupported
from holdfast.core.fields import Ingredient, ingredient, settings
from holdfast.core.kinds import Hook, Run
from holdfast.run.forward import outputs


@register("hook", cites="noisebench", says="Share of wrong labels learned by heart, by epoch.")
@settings
class Memorisation(Hook):
    """After each epoch, how many wrong labels are repeated and how many are answered rightly.

    Only rows (or tokens) whose noisy label differs from the clean one are looked at. Where the
    share that repeats the noise rises from the first epochs, early stopping comes too late.
    The curves stand in the hook's memory as `noisy` and `clean`, one number per epoch; nothing
    about the training changes.

    Cost per epoch: one forward per row looked at.

    Args:
        data: inputs with the noisy labels, and the clean ones as `more["clean"]`.
    """

    data: Ingredient[Batches] = ingredient()

    @classmethod
    def example(cls, world: Any) -> Memorisation:
        """With flat rows of which every third has a wrong label."""
        x = torch.linspace(0, 1, 48, dtype=torch.float64).reshape(12, 4)
        clean = torch.arange(12) % 3
        wrong = torch.where(torch.arange(12) % 3 == 0, (clean + 1) % 3, clean)
        return cls(data=Batches(x=x, y=wrong, more={"clean": clean}))

    def start(self, run: Run) -> None:
        if self.data is None or "clean" not in self.data.more:
            raise Unsupported(
                "memorisation needs to know which labels are wrong",
                fix='Give Memorisation(data=...) with more={"clean": labels}.',
            )
        if self.data.more["clean"].shape != self.data.y.shape:
            raise ShapeError(
                "memorisation: as many clean labels as noisy ones are needed",
                fix="Give one clean label per row, in their order.",
            )
        memory = run.memory(self)
        memory.setdefault("noisy", [])
        memory.setdefault("clean", [])

    def epoch(self, run: Run) -> bool | None:
        if self.data is not None:
            training = run.model.training
            run.model.eval()
            said = outputs(run.model, self.data.x).argmax(-1)
            run.model.train(training)
            noisy, clean = repeated(said, self.data.y, self.data.more["clean"])
            memory = run.memory(self)
            memory["noisy"] = [*memory["noisy"], noisy]
            memory["clean"] = [*memory["clean"], clean]
        return None


def repeated(answers: Tensor, noisy: Tensor, clean: Tensor) -> tuple[float, float]:
    """Of the wrong labels: the share that is answered, and the share answered rightly.

    Args:
        answers: classes.
        noisy: labels of the same shape.
        clean: the right ones.
    """
    wrong = (noisy != clean) & (noisy != UNLABELLED) & (clean != UNLABELLED)
    if not bool(wrong.any()):
        return float("nan"), float("nan")
    by_heart, right = answers[wrong] == noisy[wrong], answers[wrong] == clean[wrong]
    return float(by_heart.double().mean()), float(right.double().mean())


def gap(noisy: list[float], clean: list[float]) -> float:
    """Mean over epochs of the share that repeats the noise minus that answered rightly."""
    return sum(a - b for a, b in zip(noisy, clean, strict=True)) / max(len(noisy), 1)
