"""The recipe `temperature`: nothing is learned anew, confidence is taken back to what is true."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.core.fields import Ingredient, ingredient, settings
from holdfast.defend.temperature import Temperature
from holdfast.run.forward import outputs
from holdfast.run.training import TrainingRun

_TRIED, _NEAR = 16, 1e-4


@settings
class Recalibrated:
    """Divides the last linear layer by the temperature that fits rows held out best.

    No answer changes, only how sure the model is; the weights keep their form, so that the file
    needs no wrapper. That the layer named last in the model is the one that makes the logits is
    tried on a few rows before it is believed.

    Cost: two forward passes over the rows.

    Args:
        held: rows that the model was not trained on; the training rows unless given.

    Raises (when called):
        Unsupported: if dividing that layer does not divide the logits.
    """

    held: Ingredient[Batches] = ingredient()

    def __call__(
        self, model: nn.Module, batches: Batches, *, dice: Dice | None = None
    ) -> TrainingRun:
        """Change the model in place; it is left in evaluation mode."""
        model.eval()
        rows = self.held if self.held is not None else batches
        heat = Temperature().fit(model, rows).temperature
        layers: list[Any] = [m for m in model.modules() if isinstance(m, nn.Linear)]
        some: Any = rows.take(slice(0, _TRIED)).x
        before = outputs(model, some)
        for layer in layers[-1:]:
            self._divide(layer, heat)
        after = outputs(model, some) * heat
        slack = _NEAR * float(before.abs().max())
        if not layers or not torch.allclose(after, before, rtol=_NEAR, atol=slack):
            for layer in layers[-1:]:
                self._divide(layer, 1 / heat)
            raise Unsupported(
                "temperature: the logits are not made by the last linear layer of the model",
                fix="Wrap it instead: defence:temperature.", code="E0332",
            )  # fmt: skip
        run = TrainingRun(model, nn.ModuleDict(), dice or Dice.of(len(batches), 0), 1)
        run.advance()
        run.epoch = 1
        run.history.append({"temperature": heat})
        return run

    @staticmethod
    def _divide(layer: nn.Linear, heat: float) -> None:
        with torch.no_grad():
            for p in layer.parameters():
                p.div_(heat)
