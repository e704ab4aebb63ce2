"""Training against attacks that transfer from public models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from holdfast.attacks.pgd import PGD
from holdfast.core.catalog import register, resolve
from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.core.endless import LargestLoss
from holdfast.core.errors import Unsupported
from holdfast.core.fields import Count, Ingredient, Part, Share, ingredient, settings
from holdfast.core.goal import logits
from holdfast.core.kinds import Attack, Loss, Objective, Run, Threat
from holdfast.objectives.adversarial import tensor_of
from holdfast.objectives.adversary import goal_of, worst
from holdfast.objectives.supervised import per_row
from holdfast.run.second_look import kept
from holdfast.threats.norms import LInf


@register(
    "objective", cites="pubdef", name="pubdef", says="The loss under attacks on public models."
)
@settings
class PubDef(Objective):
    """PubDef: the clean loss and the losses at changes that break public models.

    Who cannot ask a model attacks public ones and hopes that it transfers; trained on such
    changes, a model resists them at almost no cost of clean accuracy, since they do not chase it.
    The changes depend on the row and the copy alone, so they are made once and kept. It is no
    defence against attacks on the model itself.

    Args:
        sources: public models, best one of each kind of training.
        attack: on the sources.
        threat: which changes are admissible.
        loss: between outputs and labels.
        clean: weight of the clean loss; the sources share the rest.
        mix: `all` sources with equal weights; one at `random` per row and step; the `topk` with
            the largest losses of a row, all weights scaled up to sum to 1; `dynamic` weights in
            proportion to a moving mean of each source's loss.
        top: how many sources `topk` takes.
        pace: weight of the newest batch in the moving mean.
        copies: independent changes per row and source; each epoch uses the next.
        keep: hold them in memory (copies * sources * the size of the data), checkpointed with
            the run, for data without augmentation; False makes the same changes anew each time.

    Cost per batch: a forward pass per source and one; `copies` attacks on every source and row
    over the whole run if they are kept.

    Raises:
        Unsupported: without sources.
    """

    sources: Ingredient[Sequence[nn.Module]] = ingredient()
    attack: Part[Attack] = PGD(steps=10, travel=2.5, climb="soft")
    threat: Part[Threat] = LInf()
    loss: Part[Loss] = "loss:cross-entropy"
    clean: Share = 0.5
    mix: Literal["all", "random", "topk", "dynamic"] = "all"
    top: Count = 2
    pace: Share = 0.99
    copies: Count = 4
    keep: bool = True

    @classmethod
    def example(cls, world: object) -> PubDef:
        """One with two public models of three classes that read the first coordinates."""
        return cls(sources=(_Echo(1.0), _Echo(-2.0)))

    @property
    def coupled(self) -> bool:
        """Whether a row's loss depends on the batch."""
        return self.mix == "dynamic"

    def __call__(self, run: Run, batch: Batch) -> Tensor:
        x, threat = tensor_of(batch), resolve(self.threat)
        changes = self._changes(run, batch, x, threat)
        if self.mix == "random":
            one = run.dice.spawn("source").integers(changes.shape[1], device=x.device)
            changes = changes[torch.arange(len(x), device=x.device), one][:, None]
        plain = self._loss(run.model(x), batch.y)
        losses = torch.stack(
            [
                self._loss(threat.through(run.model, x, change), batch.y)
                for change in changes.unbind(1)
            ],
            1,
        )
        own, shares = self._weights(run, losses.detach())
        return own * plain + (shares * losses).sum(1)

    def _loss(self, outputs: Any, y: Tensor) -> Tensor:
        return per_row(resolve(self.loss)(logits(outputs), y), y)

    def _weights(self, run: Run, losses: Tensor) -> tuple[Tensor, Tensor]:
        """`(B,)` weight of the clean loss and `(B, S)` of the others; they sum to 1."""
        count = losses.shape[1]
        shares = torch.full_like(losses, (1 - self.clean) / count)
        own = torch.full_like(losses[:, 0], self.clean)
        if self.mix == "dynamic":
            memory = run.memory(self)
            before = memory.get("means", torch.full_like(losses[0], 1 / (count + 1)))
            means = (1 - self.pace) * before.to(losses) + self.pace * losses.mean(0)
            memory["means"] = means
            shares = shares * 0 + (1 - self.clean) * means / means.sum()
        if self.mix == "topk":
            order = losses.argsort(dim=1, descending=True, stable=True)[:, : self.top]
            shares = shares * torch.zeros_like(shares).scatter(1, order, 1.0)
            total = own + shares.sum(1)
            own, shares = own / total, shares / total[:, None]
        return own, shares

    def _changes(self, run: Run, batch: Batch, x: Tensor, threat: Threat) -> Tensor:
        """`(B, S, ...)`: the changes of this epoch's copy."""
        copy = run.epoch % self.copies
        if not self.keep:
            return kept(run, "attack", lambda: self._made(run, batch, x, threat, copy))
        memory, index = run.memory(self), batch.index.to(x.device)
        name, known = f"changes{copy}", f"known{copy}"
        if name not in memory:
            like = threat.none(x[:1])
            memory[name] = like.new_zeros(0, len(self._given()), *like.shape[1:])
            memory[known] = torch.zeros(0, dtype=torch.bool, device=x.device)
        longer = int(index.max()) + 1 - len(memory[known]) if len(index) else 0
        if longer > 0:
            more = memory[name].new_zeros(longer, *memory[name].shape[1:])
            memory[name] = torch.cat([memory[name], more])
            memory[known] = torch.cat([memory[known], memory[known].new_zeros(longer)])
        new = (~memory[known][index]).nonzero().flatten()
        if len(new):
            part = batch.take(new)
            memory[name][index[new]] = self._made(run, part, x[new], threat.take(new), copy)
            memory[known][index[new]] = True
        return cast(Tensor, memory[name][index])

    def _made(self, run: Run, batch: Batch, x: Tensor, threat: Threat, copy: int) -> Tensor:
        """`(B, S, ...)`: changes that break the sources, from draws of row and copy alone."""
        goal, attack = LargestLoss(goal_of(batch.y)), resolve(self.attack)
        return torch.stack(
            [
                worst(
                    attack, source, x, goal, threat,
                    Dice(run.dice.seed, batch.index, f"pubdef/{copy}/{number}"), "eval",
                )
                for number, source in enumerate(self._given())
            ],
            1,
        )  # fmt: skip

    def _given(self) -> Sequence[nn.Module]:
        if not self.sources:
            raise Unsupported(
                "pubdef has no public models to defend against",
                fix="Give sources=(model, ...): trained models of the same task.",
            )
        return self.sources


class _Echo(nn.Module):
    """A public model for examples: three logits that are multiples of the first coordinates."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * x.flatten(1)[:, :3]
