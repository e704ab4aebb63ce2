"""Rows held out of a training: how many are right and withstand, and the weights that did best."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.goal import Untargeted
from holdfast.core.kinds import Attack, Run, State, Threat
from holdfast.core.quiet import quiet
from holdfast.run import ranks
from holdfast.run.search import search


def accuracies(
    model: nn.Module, held: Batches, attack: Attack, threat: Threat, dice: Dice
) -> tuple[int, int]:
    """How many rows are right, and how many of them stay right under an attack.

    Several processes share the rows out, and all of them hear the sums. The model and its mode
    are left as found.

    Args:
        model: evaluated on the device where it is.
        held: labelled rows, as one tensor.
        attack: what looks for changes.
        threat: the admissible ones.
        dice: seed and stream of the draws, which are keyed by row.

    Returns:
        Two counts, the attacked one last.

    Cost: what the search takes; what is right is known from its first look.
    """
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    mine = held.take(slice(ranks.rank(), None, ranks.world()))
    counts = torch.zeros(2, device=device)
    if len(mine):
        x: Any = mine.x
        with quiet(model):
            model.eval()
            goal, drawn = Untargeted(mine.y.to(device)), dice.keyed(mine.index)
            found = search(attack, model, x.to(device), goal, threat, dice=drawn)
        counts += torch.stack([(found.clean < 0).sum(), (~found.broken).sum()]).to(counts)
    right, kept = ranks.sum_over_ranks(counts).tolist()
    return int(right), int(kept)


def note(memory: dict[str, Any], score: float, weights: State, **facts: Any) -> None:
    """Keep a copy of the weights if none before them were better.

    Of equal ones the later are kept, for the learning rate was smaller then.

    Args:
        memory: of the hook that asks.
        score: the larger the better.
        weights: copied, not kept.
        facts: further entries, of the weights that are kept.
    """
    if score >= memory.get("best", -torch.inf):
        memory["weights"] = {name: w.detach().clone() for name, w in weights.items()}
        memory |= {"best": score, **facts}


def put_back(run: Run, memory: dict[str, Any]) -> None:
    """Give the model the weights that are kept, if any are."""
    if "weights" in memory:
        run.model.load_state_dict(memory["weights"])
