"""One edited attribute costs accuracy: the background most where it was a shortcut."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn

from holdfast.claims.harness import Claim, Trial
from holdfast.claims.pasted import scenes, trained
from holdfast.core.catalog import find
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.ops.compose import filled

SHIFTS = ("shift:plain-background", "shift:textured-background", "shift:object-size",
          "shift:object-position", "shift:object-direction")  # fmt: skip
TRAIN, TEST = slice(0, 450), slice(450, 650)
BIAS = {"shortcut": 0.95, "fair": 0.0}


@cache
def _model(seed: int, kind: str) -> nn.Sequential:
    return trained(seed, scenes(seed, TRAIN, BIAS[kind]))


def _test(seed: int, mutant: str) -> Batches:
    data = scenes(seed, TEST, 1.0)
    x: Tensor = data.x  # type: ignore[assignment]
    if mutant == "keeps-the-background":
        return Batches(x=x, y=data.y, size=100,
                       more={**data.more, "background": filled(x, data.more["mask"])})  # fmt: skip
    if mutant == "edits-the-object":
        return Batches(x=x, y=data.y, size=100,
                       more={**data.more, "mask": 1 - data.more["mask"]})  # fmt: skip
    return data


def _object_stays(data: Batches, seed: int) -> bool:
    """Both backgrounds leave the object bit for bit; the other edits move it."""
    x: Tensor = data.x  # type: ignore[assignment]
    own = data.more["mask"] == 1
    same = []
    for name in SHIFTS:
        out: Tensor = find(name).thing(data.whole, 1.0, Dice(seed, data.index)).x
        same.append(torch.equal(out[own], x[own]) and not torch.equal(out, x))
    return same == [True, True, False, False, False]


def trial(seed: int, mutant: str = "") -> Trial:
    """What another background costs a net that had a shortcut, and one that had none."""
    data = _test(seed, mutant)
    drop = find("measure:attribute-drop").thing
    sizes = (0.3, 0.3) if mutant == "keeps-the-size" else (0.15, 0.05)
    found = {k: drop(_model(seed, k), data, sizes=sizes, seed=seed) for k in BIAS}
    shortcut, fair = (found[k].drop("background.swap") for k in BIAS)
    by_size = [found["fair"].drop(f"size.{s:g}") for s in sizes]
    costs = by_size[1] > 0.1 and by_size[1] > by_size[0]
    still = abs(found["shortcut"].drop("identity")) <= 0.02
    held = _object_stays(scenes(seed, TEST, 1.0), seed)
    holds = shortcut > max(0.2, fair + 0.1) and costs and still and held
    return Trial(shortcut, fair, holds)


CLAIM = Claim(
    paper="imagenet-e",
    methods=(*SHIFTS, "measure:attribute-drop"),
    says="Another background costs a net that could use it as a shortcut more than 20 points, and "
    "10 more than one that could not; a smaller object costs more than 10; taking the object out "
    "and putting it back costs nothing.",
    left="points lost to another background by a net with a shortcut, as a share",
    right="the same by a net trained on random backgrounds",
    trial=trial,
    mutants=("keeps-the-background", "edits-the-object", "keeps-the-size"),
    seconds=5,
)
