"""Two answers to one prompt, both seen under the change of its embeddings that an attack finds."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from holdfast.core.catalog import resolve
from holdfast.core.data import UNLABELLED, Batch
from holdfast.core.endless import Endless
from holdfast.core.errors import Unsupported
from holdfast.core.fields import Part
from holdfast.core.goal import Outputs, logits
from holdfast.core.kinds import Attack, Objective, Run, Threat
from holdfast.losses.cross_entropy import cross_entropy
from holdfast.objectives.adversary import sought
from holdfast.objectives.supervised import per_row
from holdfast.ops.batch import Inputs
from holdfast.threats.bind import bind
from holdfast.threats.embedding import Embedding


@dataclass(frozen=True, eq=False)
class Says(Endless):
    """The change under which some labels are most likely.

    Args:
        y: `(B,)` or `(B, T)` labels; -100 = does not count.
    """

    y: Tensor

    def soft(self, outputs: Outputs) -> Tensor:
        return -per_row(cross_entropy(outputs, self.y), self.y)

    def take(self, rows: Tensor | slice) -> Says:
        return Says(self.y[rows])


class Rest(nn.Module):
    """A model of ids alone, made of one that also takes what stands beside them.

    Args:
        model: of all inputs.
        inputs: all of them.
        name: under which the ids stand.
    """

    def __init__(self, model: nn.Module, inputs: Mapping[str, Tensor], name: str = "ids") -> None:
        super().__init__()
        self.model, self.inputs, self.name = model, inputs, name

    def forward(self, ids: Tensor) -> Outputs:
        """Outputs for other ids."""
        out: Outputs = self.model({**self.inputs, self.name: ids})
        return out


def of_ids(model: nn.Module, x: Inputs) -> tuple[Tensor, nn.Module]:
    """The ids (or vectors) of inputs, and the model as one of these alone."""
    if isinstance(x, Tensor):
        return x, model
    if isinstance(x, Mapping) and "ids" in x:
        return x["ids"], Rest(model, x)
    raise Unsupported(
        f"embeddings are changed of ids (B, T), alone or in {{'ids', ...}}, got {type(x).__name__}",
        fix="Tokenise the texts first, and give whole numbers (B, T).",
    )


def prompt_of(y: Tensor) -> Tensor:
    """`(B, T)` bool: positions up to the one whose label is first: those of the prompt."""
    labelled = (y != UNLABELLED).long()
    return labelled.cumsum(1) == labelled


class AnswerPair(Objective):
    """Answers that are wanted and unwanted after one prompt, both under the attack's change."""

    threat: Part[Threat]
    attack: Part[Attack]
    utility: float

    def __call__(self, run: Run, batch: Batch) -> Tensor:
        plain = per_row(cross_entropy(run.model(batch.x), batch.y), batch.y)
        if "away" not in batch.more:
            return self.utility * plain
        away = batch.more["away"]
        harmful = (away != UNLABELLED).flatten(1).any(1)
        others = self._inputs(batch)
        change, threat = self._attacked(run, others, away)
        good, bad = (
            logits(threat.through(model, ids, change))
            for ids, model in (of_ids(run.model, batch.x), of_ids(run.model, others))
        )
        return torch.where(harmful, self.pair(run, batch, good, bad), self.utility * plain)

    def _inputs(self, batch: Batch) -> Inputs:
        """The prompts followed by the unwanted answers."""
        if "away_ids" not in batch.more:
            return batch.x
        if isinstance(batch.x, Mapping):
            return {**batch.x, "ids": batch.more["away_ids"]}
        return batch.more["away_ids"]

    def _attacked(self, run: Run, others: Inputs, away: Tensor) -> tuple[Tensor, Threat]:
        """The change of the prompt that makes the unwanted answer most likely."""
        ids, model = of_ids(run.model, others)
        threat = resolve(self.threat)
        if isinstance(threat, Embedding) and not ids.is_floating_point():
            threat = replace(threat, where=prompt_of(away))
        threat = bind(threat, run.model)
        return sought(run, self.attack, ids, lambda: Says(away), threat, model=model), threat

    @abstractmethod
    def pair(self, run: Run, batch: Batch, good: Tensor, bad: Tensor) -> Tensor:
        """`(B,)`: loss of rows with both answers, from the outputs under the change."""
