"""PGD-40 as this package, a loop by hand and other libraries run it: the same steps for all."""

from __future__ import annotations

import logging
from collections.abc import Callable

import torch
from torch import Tensor, nn

from holdfast.attacks.pgd import PGD
from holdfast.core.dice import Dice
from holdfast.core.goal import Untargeted
from holdfast.core.kinds import Access
from holdfast.core.quiet import quiet
from holdfast.run.passes import Passes, Tap
from holdfast.run.search import search
from holdfast.threats.norms import LInf

RADIUS, STEPS = 0.1, 40
STEP = 2.5 * RADIUS / STEPS
Runner = Callable[[nn.Module, Tensor, Tensor, int], tuple[Tensor, Passes]]


class Counted(nn.Module):
    """A tap that libraries accept as a module."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.inner, self.tap = model, Tap(model, Access.GRADIENT)

    def forward(self, x: Tensor) -> Tensor:
        """Outputs, counted."""
        return self.tap(x)


def judged(climb: str) -> Runner:
    """This package, its judge included: a forward for the clean rows and one for the changed."""

    def run(model: nn.Module, x: Tensor, y: Tensor, seed: int) -> tuple[Tensor, Passes]:
        attack, goal = PGD(steps=STEPS, climb=climb), Untargeted(y)
        dice = Dice.of(len(x), seed=seed)
        found = search(attack, model, x, goal, LInf(radius=RADIUS), dice=dice)
        return x + found.change, found.passes

    return run


def alone(model: nn.Module, x: Tensor, y: Tensor, seed: int) -> tuple[Tensor, Passes]:
    """The attack without the judge, with the paper's loss; lost rows are not attacked."""
    tap, change = Tap(model, Access.GRADIENT), torch.zeros_like(x)
    with quiet(model):
        with torch.no_grad():
            rows = (tap(x).argmax(1) == y).nonzero().flatten()
        attack = PGD(steps=STEPS, climb="soft")
        dice = Dice.of(len(x), seed=seed).part(rows)
        change[rows] = attack(
            tap, x[rows], Untargeted(y[rows]), LInf(radius=RADIUS), dice=dice
        ).detach()
    return x + change, tap.passes


def by_hand(model: nn.Module, x: Tensor, y: Tensor, seed: int) -> tuple[Tensor, Passes]:
    """The shortest loop that lets broken rows go: one norm, one loss, nothing else."""
    torch.manual_seed(seed)
    tap, best = Tap(model, Access.GRADIENT), x.clone()
    with torch.no_grad():
        rows = (tap(x).argmax(1) == y).nonzero().flatten()
    clean, labels = x[rows], y[rows]
    low, high = (clean - RADIUS).clamp(min=0), (clean + RADIUS).clamp(max=1)
    moved = clean + torch.empty_like(clean).uniform_(-RADIUS, RADIUS)
    moved = torch.min(torch.max(moved, low), high)
    for _ in range(STEPS):
        moved.requires_grad_()
        z = tap(moved)
        loss = nn.functional.cross_entropy(z, labels, reduction="sum")
        (slope,) = torch.autograd.grad(loss, moved)
        moved, held = moved.detach(), z.argmax(1) == labels
        if not bool(held.all()):
            best[rows[~held]] = moved[~held]
            stay = held.nonzero().flatten()
            rows, moved, labels = rows[stay], moved[stay], labels[stay]
            low, high, slope = low[stay], high[stay], slope[stay]
        moved = torch.min(torch.max(moved + STEP * slope.sign(), low), high)
    best[rows] = moved
    return best, tap.passes


def torchattacks(model: nn.Module, x: Tensor, y: Tensor, seed: int) -> tuple[Tensor, Passes]:
    """The library's PGD."""
    from torchattacks import PGD as Theirs

    counted = Counted(model)
    torch.manual_seed(seed)
    return Theirs(counted, eps=RADIUS, alpha=STEP, steps=STEPS)(x, y), counted.tap.passes


def foolbox(model: nn.Module, x: Tensor, y: Tensor, seed: int) -> tuple[Tensor, Passes]:
    """The library's PGD."""
    from foolbox import PyTorchModel, attacks

    counted = Counted(model).eval()
    box = PyTorchModel(counted, bounds=(0, 1), device="cpu")
    torch.manual_seed(seed)
    moved = attacks.LinfPGD(abs_stepsize=STEP, steps=STEPS)(box, x, y, epsilons=RADIUS)[1]
    return moved, counted.tap.passes


def art(model: nn.Module, x: Tensor, y: Tensor, seed: int) -> tuple[Tensor, Passes]:
    """The PGD of the Adversarial Robustness Toolbox, for PyTorch, all rows in one batch."""
    import numpy as np
    from art.attacks.evasion import ProjectedGradientDescentPyTorch
    from art.estimators.classification import PyTorchClassifier

    logging.getLogger("art").setLevel(logging.ERROR)
    counted = Counted(model).eval()
    box = PyTorchClassifier(
        counted, nn.CrossEntropyLoss(), tuple(x.shape[1:]), 10, clip_values=(0.0, 1.0),
        device_type="cpu",
    )  # fmt: skip
    np.random.seed(seed)
    torch.manual_seed(seed)
    attack = ProjectedGradientDescentPyTorch(
        box, eps=RADIUS, eps_step=STEP, max_iter=STEPS, num_random_init=1, batch_size=len(x),
        verbose=False,
    )  # fmt: skip
    return torch.from_numpy(attack.generate(x.numpy(), y.numpy())), counted.tap.passes


TOOLS: dict[str, Runner] = {
    "holdfast, the attack alone": alone,
    "holdfast, judged": judged("soft"),
    "holdfast, judged, `mixed`": judged("mixed"),
    "a loop by hand": by_hand,
    "torchattacks": torchattacks,
    "foolbox": foolbox,
    "ART": art,
}
