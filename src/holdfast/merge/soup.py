"""Soups: one model from the weights of several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call

from holdfast.core.catalog import register
from holdfast.core.data import UNLABELLED, Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError, ShapeError, Unsupported
from holdfast.core.goal import logits
from holdfast.core.kinds import State
from holdfast.core.quiet import quiet
from holdfast.run.restated import restated

Statistics = Literal["mean", "fresh"]


def mean(states: Sequence[State]) -> State:
    """The mean of several states; whole numbers (counters) are those of the first.

    Sums in float64, from the least value up, so that the order of the states does not show and
    equal states give themselves bit for bit.

    Raises:
        ConfigError: without states.
        ShapeError: if names or shapes differ.
    """
    if not states:
        raise ConfigError("soup: there are no states", fix="Give at least one state.")
    first = states[0]
    for state in states[1:]:
        if {k: v.shape for k, v in state.items()} != {k: v.shape for k, v in first.items()}:
            raise ShapeError(
                "soup: the states differ in names or shapes",
                fix="Merge models of one architecture.",
            )
    return {
        name: _mean([s[name] for s in states]) if w.is_floating_point() else w.detach().clone()
        for name, w in first.items()
    }


def _mean(values: Sequence[Tensor]) -> Tensor:
    wide = torch.stack([v.detach().double().to(values[0].device) for v in values])
    least, order = wide.amin(0), wide.sort(0).values
    return (least + (order - least).mean(0)).to(values[0].dtype)


@register("merge", cites="model-soups", says="The mean of all weights.")
def uniform_soup(
    states: Sequence[State],
    base: State | None = None,
    *,
    model: nn.Module | None = None,
    batches: Batches | None = None,
    dice: Dice | None = None,
    statistics: Statistics = "mean",
) -> State:
    """Uniform soup: the mean of the weights of models that were tuned from the same start.

    Such models often lie in one basin, where the mean is at least as good as they are. The
    order of the states does not matter, and copies of one state give that state.

    The running statistics of batch normalisation are averaged like weights, which is right for
    states that lie close together; further apart, a mean of nets varies less than the mean of
    their variances, layer after layer, and the soup answers at random although its weights are
    good. Then ask for `fresh` ones.

    Cost: none; with fresh statistics one forward pass over the rows.

    Args:
        states: at least one, of one architecture.
        base: not needed.
        model: the architecture, for fresh statistics.
        batches: rows like the training data, for fresh statistics; labels are not needed.
        dice: not needed.
        statistics: running statistics of batch normalisation: `mean` of those of the states, or
            `fresh` ones, estimated on the rows for the soup's own weights.

    Raises:
        Unsupported: for fresh statistics without model or rows.
    """
    return finished(mean(states), model, batches, statistics)


@register("merge", cites="model-soups", says="Mean of the weights that help on held-out rows.")
def greedy_soup(
    states: Sequence[State],
    base: State | None = None,
    *,
    model: nn.Module | None = None,
    batches: Batches | None = None,
    dice: Dice | None = None,
    tolerance: float = 0.0,
    statistics: Statistics = "mean",
) -> State:
    """Greedy soup: add models in the order of their accuracy, and keep those that do not hurt.

    On the rows it is chosen by, the soup is never worse than the best single model (with
    tolerance 0), since it starts from that one and never steps down.

    Cost: at most `2 n - 1` forward passes over the rows for n states, twice as many with fresh
    statistics.

    Args:
        states: at least one, of one architecture.
        base: not needed.
        model: the architecture; its weights and mode are left alone.
        batches: held-out rows.
        dice: not needed.
        tolerance: accuracy that one addition may cost, as a share of the rows.
        statistics: running statistics of batch normalisation: see `uniform_soup`; fresh ones are
            estimated on the held-out rows for every soup that is tried, single models included.

    Raises:
        Unsupported: without model or rows.
    """
    if model is None or batches is None:
        raise Unsupported(
            "greedy_soup needs a model and held-out rows", fix="Pass model= and batches=."
        )
    if not states:
        return mean(states)

    def soup(chosen: Sequence[State]) -> tuple[State, float]:
        made = finished(mean(chosen), model, batches, statistics)
        return made, accuracy(model, made, batches)

    alone = [soup([state])[1] for state in states]
    order = sorted(range(len(states)), key=lambda i: -alone[i])
    chosen, best = [states[order[0]]], alone[order[0]]
    for i in order[1:]:
        score = soup([*chosen, states[i]])[1]
        if score >= best - tolerance:
            chosen, best = [*chosen, states[i]], score
    return soup(chosen)[0]


def finished(
    state: State, model: nn.Module | None, batches: Batches | None, statistics: Statistics
) -> State:
    """The soup with the statistics that were asked for."""
    if statistics == "mean":
        return state
    if model is None or batches is None:
        raise Unsupported("fresh statistics need a model and rows", fix="Pass model= and batches=.")
    return restated(model, state, batches)


def accuracy(model: nn.Module, state: State, batches: Batches) -> float:
    """Share of labelled targets that the model gets right with these weights, in [0, 1]."""
    right = counted = 0
    with quiet(model), torch.no_grad():
        model.eval()
        for batch in batches:
            outputs = logits(functional_call(model, state, (batch.x,)))
            labelled = batch.y != UNLABELLED
            hits = (outputs.argmax(-1).cpu() == batch.y.cpu()) & labelled.cpu()
            right, counted = right + int(hits.sum()), counted + int(labelled.sum())
    return right / max(counted, 1)
