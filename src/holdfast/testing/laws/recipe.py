"""Laws of recipes: they learn, they repeat, and they leave everything but the model alone."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import HoldfastError
from holdfast.core.kinds import Recipe
from holdfast.testing.laws import LawBroken
from holdfast.testing.worlds.data import separable


def _world(recipe: Recipe) -> tuple[nn.Module, Batches, Tensor]:
    """Two classes with a strip between them, and a net that can tell them apart.

    Images, for recipes that change nothing else.
    """
    if _of_images(recipe):
        return _pictures()
    known = separable(rows=64, gap=0.3)
    with torch.random.fork_rng():
        torch.manual_seed(8)
        model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 2))
    return model.double(), Batches(x=known.x, y=known.y, size=16), known.x


def _of_images(recipe: Recipe) -> bool:
    """Whether it says of rows of numbers that it needs images."""
    x = torch.rand(4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    try:
        _brief(recipe)(nn.Linear(4, 2).double(), Batches(x=x, y=torch.arange(4) % 2, size=4))
    except HoldfastError as error:
        return "images" in str(error)
    return False


def _pictures() -> tuple[nn.Module, Batches, Tensor]:
    """Images with a bright upper half, or a bright left half, and noise."""
    noise = torch.rand(64, 1, 8, 8, generator=torch.Generator().manual_seed(1)).double()
    y, x = torch.arange(64) % 2, 0.2 * noise
    x[y == 0, :, :4] += 0.7
    x[y == 1, :, :, :4] += 0.7
    with torch.random.fork_rng():
        torch.manual_seed(8)
        model = nn.Sequential(
            nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 2)
        )
    return model.double(), Batches(x=x, y=y, size=16), x


def _brief(recipe: Recipe) -> Recipe:
    """One epoch and eight samples of it, where it counts these: enough to see what it touches."""
    if not is_dataclass(recipe):
        return recipe
    few = {"epochs": 1, "samples": 8}
    own = {f.name for f in fields(recipe)}
    return replace(recipe, **{name: most for name, most in few.items() if name in own})


def _loss(model: nn.Module, x: Tensor, y: Tensor) -> float:
    with torch.no_grad():
        return float(F.cross_entropy(model.eval()(x), y))


def law_lowers_the_loss(recipe: Recipe) -> None:
    """On separable data the loss falls and most rows come out right."""
    model, data, inputs = _world(recipe)
    before = _loss(model, inputs, data.y)
    run = recipe(model.train(), data)
    right = float((run.model.eval()(inputs).argmax(1) == data.y).double().mean())
    if run.model is not model or not _loss(model, inputs, data.y) < before or right < 0.8:
        raise LawBroken(f"{recipe}: learns nothing on separable data (accuracy {right:.2f})")


def law_same_dice_same_weights(recipe: Recipe) -> None:
    """The same dice give the same bits whatever the global random state; others do not."""
    made = []
    for seed, noise in ((1, 0), (1, 77), (2, 0)):
        model, data, _ = _world(recipe)
        with torch.random.fork_rng():
            torch.manual_seed(noise)
            _brief(recipe)(model, data, dice=Dice.of(len(data), seed))
        made.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    if not torch.equal(made[0], made[1]):
        raise LawBroken(f"{recipe}: the same dice give other weights")
    if torch.equal(made[0], made[2]):
        raise LawBroken(f"{recipe}: the dice are not used")


def law_leaves_the_rest(recipe: Recipe) -> None:
    """Global random state, data and flags are as before; no gradient is left."""
    model, data, inputs = _world(recipe)
    x, y, state = inputs.clone(), data.y.clone(), torch.get_rng_state()
    _brief(recipe)(model, data)
    if not torch.equal(state, torch.get_rng_state()):
        raise LawBroken(f"{recipe}: changes the global random state")
    if not torch.equal(x, inputs) or not torch.equal(y, data.y):
        raise LawBroken(f"{recipe}: changes the data")
    if any(p.grad is not None or not p.requires_grad for p in model.parameters()):
        raise LawBroken(f"{recipe}: leaves gradients or flags changed")
