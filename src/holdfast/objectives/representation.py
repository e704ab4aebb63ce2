"""Editing a concept inside a model against a sensor that is trained anew."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from holdfast.core.catalog import register
from holdfast.core.data import Batch, Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.core.fields import (
    Count,
    Ingredient,
    Later,
    Natural,
    NonNegative,
    ingredient,
    settings,
)  # fmt: skip
from holdfast.core.goal import logits
from holdfast.core.kinds import Model, Objective, Run
from holdfast.core.quiet import quiet
from holdfast.objectives.adversary import divergence
from holdfast.ops.batch import Inputs
from holdfast.run.loop import Training


def represented(model: nn.Module, x: Inputs, layers: tuple[str, ...]) -> tuple[Tensor, Tensor]:
    """`(B, d)`: states of the last token in some layers, side by side; and the logits.

    Without layers the outputs themselves are meant. Where inputs have a mask, the last token is
    the last one that it holds.

    Raises:
        ConfigError: if the model has no layer of a name.
        Unsupported: if a layer does not hand on one tensor with a row per input.
    """
    seen: dict[str, Any] = {}
    named = dict(model.named_modules())
    if lost := [n for n in layers if n not in named]:
        raise ConfigError(f"no module {lost[0]!r}", fix=f"It has: {', '.join(named):.200}.")

    def keep(name: str) -> Any:
        return lambda module, given, out: seen.update({name: out})

    hooks = [named[n].register_forward_hook(keep(n)) for n in layers]
    try:
        z = logits(model(x))
    finally:
        for hook in hooks:
            hook.remove()
    parts = [logits(seen[n]) if n in seen else None for n in layers] or [z]
    return torch.cat([_last(p, x, len(z)) for p in parts], 1), z


def _last(state: Tensor | None, x: Inputs, rows: int) -> Tensor:
    if state is None or len(state) != rows:
        raise Unsupported(
            f"a layer does not hand on one tensor with a row for each of {rows} inputs",
            fix="Name a layer that returns one tensor, rows first.",
        )
    if state.dim() <= 2:
        return state.flatten(1)
    if isinstance(x, dict) and "mask" in x:
        at = x["mask"].long().sum(1).clamp(min=1) - 1
        return state[torch.arange(rows, device=state.device), at]
    return state[:, -1]


@register("objective", cites="adversarial-representation-engineering", name="are")
@settings
class RepresentationEditing(Objective):
    """ARE: what a model holds of its prompts is moved until no sensor tells two kinds apart.

    A sensor, a small net on the states of the last token, learns to tell prompts of two kinds (for
    instance harmless and harmful) by what the present model holds of them. The model is then
    trained so that the sensor takes each row for the wanted kind. A fixed sensor would be fooled
    by states in its blind spot; so at the start of every epoch a new one is trained, on the
    edited model and with the true kinds, until there is nothing left to be told. Rows marked in
    `more["keep"]` are held to the frozen reference by the divergence of their outputs instead.
    Train few weights: `layers.low_rank_change.with_low_rank`.

    How well each new sensor tells the kinds on a part of the prompts that it has not seen stands in
    the run's memory as `told`.

    Unlike the paper: the run does not stop by itself when the sensor fails.

    Cost: per epoch one forward per prompt and the training of a small net; then one forward pass,
    and one of the reference.

    Args:
        prompts: inputs and their kinds 0 and 1, as labels.
        reference: the model before, for rows to keep.
        layers: whose states the sensor sees; without any the outputs.
        target: the kind that rows should be taken for.
        hidden: units of the sensor.
        epochs: of the sensor's training.
        refresh: epochs of the run after which the sensor is trained anew; 0 keeps the first.
        keep: weight of the divergence from the reference.
    """

    prompts: Ingredient[Batches] = ingredient()
    reference: Ingredient[Model] = ingredient()
    layers: tuple[str, ...] = ()
    target: Natural = 0
    hidden: Count = 64
    epochs: Count = 15
    refresh: Natural = 1
    keep: NonNegative = 1.0

    @classmethod
    def example(cls, world: Any) -> RepresentationEditing:
        """With flat prompts of two kinds, for the laws."""
        x = torch.rand(24, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        return cls(prompts=Batches(x=x, y=(x[:, 0] > 0.5).long()), epochs=2)

    def __call__(self, run: Run, batch: Batch) -> Tensor:
        memory = run.memory(self)
        stale = self.refresh > 0 and run.epoch - memory.get("epoch", 0) >= self.refresh
        if "sensor" not in memory or stale:
            memory["sensor"], told = self.sensor(run.model, run.dice.generator(f"{run.epoch}"))
            memory["told"], memory["epoch"] = [*memory.get("told", []), told], run.epoch
        states, z = represented(run.model, batch.x, self.layers)
        wanted = torch.full((len(states),), min(self.target, 1), device=states.device)
        edit = F.cross_entropy(read(memory["sensor"], states), wanted, reduction="none")
        if self.reference is None or "keep" not in batch.more:
            return edit
        with quiet(self.reference), torch.no_grad():
            known = logits(self.reference(batch.x)).log_softmax(-1)
        kept = self.keep * divergence(known, z.log_softmax(-1))
        return torch.where(batch.more["keep"].bool(), kept, edit)

    def sensor(self, model: nn.Module, g: torch.Generator) -> tuple[dict[str, Tensor], float]:
        """A net fresh from training on four of five prompts, and its accuracy on the others."""
        if self.prompts is None:
            raise ConfigError("are needs prompts of both kinds", fix="Pass prompts=Batches(...).")
        with quiet(model), torch.no_grad():
            model.eval()
            parts = [represented(model, b.x, self.layers)[0] for b in self.prompts]
        states, kinds = torch.cat(parts).detach(), self.prompts.y.to(parts[0].device)
        order = torch.randperm(len(states), generator=g)
        cut = max(1, len(order) // 5)
        test, known = order[:cut], order[cut:]
        seed = int(torch.randint(2**31, (), generator=g))
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            net = nn.Sequential(
                nn.Linear(states.shape[1], self.hidden), nn.ReLU(), nn.Linear(self.hidden, 2)
            ).to(states)
        plan = Training(epochs=self.epochs, optimizer=Later("torch:Adam", lr=1e-2))
        rows = Batches(x=states[known], y=kinds[known], size=64)
        plan(net, rows, dice=Dice.of(len(known), seed))
        with torch.no_grad():
            told = float((net(states[test]).argmax(1) == kinds[test]).double().mean())
        return {k: v.detach().clone() for k, v in net.state_dict().items()}, told


def read(sensor: dict[str, Tensor], states: Tensor) -> Tensor:
    """`(B, 2)`: what a sensor says of states."""
    hidden = torch.relu(F.linear(states, sensor["0.weight"], sensor["0.bias"]))
    return F.linear(hidden, sensor["2.weight"], sensor["2.bias"])
