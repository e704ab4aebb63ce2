"""The honesty gallery: cosmetic defences with the robust accuracy that they really have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from holdfast.attacks.apgd import APGD
from holdfast.attacks.pgd import PGD
from holdfast.attacks.square import Square
from holdfast.checks.views import Evaluated, Mean
from holdfast.core.dice import Dice
from holdfast.core.goal import Untargeted, logits
from holdfast.core.kinds import Attack, Model
from holdfast.core.quiet import quiet
from holdfast.ops.jpeg import jpeg
from holdfast.run.search import judged, search
from holdfast.testing.worlds import cosmetic as c
from holdfast.testing.worlds.cosmetic_slopes import KWinners, Reversed
from holdfast.threats.norms import LInf

REPEATS = 100  # whose mean is the answer of a random model


@dataclass(frozen=True, eq=False)
class Masked:
    """One cosmetic defence.

    What its robust accuracy *is*, is a definition: the share of rows on which no admissible
    change makes `answer` wrong. `answer` is the wrapped function itself where that is
    deterministic; the mean output over seeded repeats where it is random; the function in
    evaluation mode where training mode was left on. A non-finite output is a wrong answer, a tie
    too. Where inputs come in another unit, the threat is the same one in that unit. `truth`
    measures it with long attacks that know the wrapper: they climb `open`.

    Args:
        name: of the defence.
        model: what is handed to the checks.
        x: unchanged inputs.
        y: their labels.
        answer: the function whose robust accuracy counts.
        open: the same with slopes, known only to who built the wrapper.
        unit: inputs are so many times those of the base.
        grid: whether only changes on the grid of the inputs matter.
    """

    name: str
    model: nn.Module
    x: Tensor
    y: Tensor
    answer: Model
    open: Model
    unit: float = 1.0
    grid: bool = False

    def truth(self, radius: float, *, strength: int = 1) -> Tensor:
        """`(B,)` bool: rows that stand against long attacks with knowledge of the wrapper.

        Args:
            radius: in the maximum norm, for inputs in [0, 1].
            strength: multiplies restarts and queries.
        """
        threat = LInf(radius=radius * self.unit, high=self.unit)
        goal, standing = Untargeted(self.y), torch.ones(len(self.x), dtype=torch.bool)
        if self.name == "NaN off the grid":
            return standing & False
        attacks: list[tuple[Attack, Model]] = [
            (APGD(steps=60, restarts=strength), self.open),
            (APGD(steps=60, restarts=strength, climb="margin"), self.open),
            (PGD(steps=100, restarts=strength), self.open),
        ]
        if not isinstance(self.answer, Mean):  # queries would cost a hundred calls each
            attacks.append((APGD(steps=20, climb="targeted"), self.open))
            attacks.append((Square(steps=1000 * strength), self.answer))
        for number, (attack, view) in enumerate(attacks):
            left = standing.nonzero().flatten()
            if not len(left):
                break
            x, at = self.x[left], goal.take(left)
            dice = Dice(number, left, "truth")
            found = search(attack, view, x, at, threat, dice=dice)
            change = found.change
            if self.grid:
                change = (change * c.LEVELS).trunc() / c.LEVELS
            with quiet(self.model), torch.no_grad():
                margin, _ = judged(at, threat.through(self.answer, x, change))
                margin = torch.maximum(margin, judged(at, logits(self.answer(x)))[0])
            standing[left[margin >= 0]] = False
        return standing


def straight(hide: Callable[[Tensor], Tensor], base: Model) -> Model:
    """The base behind a change of its inputs that counts as the identity on the way back."""

    def model(x: Tensor) -> Tensor:
        return logits(base(hide(x.detach()).detach() + (x - x.detach())))

    return model


def gallery(base: nn.Module, x: Tensor, y: Tensor) -> list[Masked]:
    """Fifteen defences around one base net of images `(B, 1, H, W)` on the grid k/255."""

    def case(name: str, model: nn.Module, view: Model, answer: Model | None = None) -> Masked:
        return Masked(name, model.train(model.training), x, y, answer or model, view)

    def noisy(name: str, model: nn.Module) -> Masked:
        return case(name, model, Mean(model, 32, seed=10_000), Mean(model, REPEATS, seed=20_000))

    rounded, coded = c.Rounded(base, 8), c.Compressed(base, 40)
    winners, pure, dropped = KWinners(base, 0.3), c.Purified(base, 0.1), c.Dropped(base)
    constant, octets = c.Constant(base, x), c.Bytes(base)
    found = [
        case("logits x1000", c.Scaled(base, 1000), base),
        case("inputs rounded", rounded, straight(lambda v: (v * 8).round() / 8, base)),
        case("softmax of 30 z", c.Squashed(base, 30), base),
        noisy("input noise", c.Noised(base, 0.15)),
        case("k winners take all", winners, Mean(winners, 16, seed=30_000, jitter=0.02)),
        case("detached", c.Detached(base), base),
        case("NaN off the grid", c.Silent(base), base),
        case("training mode", dropped, base, Evaluated(dropped)),
        case("logits clipped", c.Clipped(base, 0.5), base),
        case("JPEG", coded, straight(lambda v: jpeg(v, 40), base)),
        case("purified at test time", pure, base),
        replace(case("bytes as inputs", octets, octets), x=x * 255, unit=255.0),
        replace(case("constant off the grid", constant, straight(_snap, base)), grid=True),
        noisy("random resizing", c.Shaken(base, 2)),
        case("slopes reversed", Reversed(base), base),
    ]
    for one in found:
        one.model.eval()
    dropped.drop.train()
    return found


def _snap(x: Tensor) -> Tensor:
    return (x * c.LEVELS).round() / c.LEVELS


@cache
def digits(seed: int) -> tuple[Tensor, Tensor]:
    """All 1,797 digits `(B, 1, 8, 8)` on the grid k/255, and their labels, in a drawn order."""
    from sklearn.datasets import load_digits

    raw: Any = load_digits()
    x = _snap(torch.tensor(raw.images, dtype=torch.float32)[:, None] / 16)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    return x[order], torch.tensor(raw.target)[order]


def flat(width: int = 64) -> nn.Module:
    """A net of two hidden layers for 8 x 8 pixels."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(),
        nn.Linear(width, 10),
    )  # fmt: skip


def trained(
    make: Callable[[], nn.Module], x: Tensor, y: Tensor, *, radius: float, epochs: int, seed: int
) -> nn.Module:
    """A net trained on the worst inputs of PGD-5 within a radius; 0: on the inputs themselves."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = make()
        inner, threat = PGD(steps=5, climb="soft"), LInf(radius=radius)
        optimizer = torch.optim.Adam(model.parameters(), 3e-3)
        for epoch in range(epochs):
            for part in torch.randperm(len(x)).split(64):
                a, b = x[part], y[part]
                if radius:
                    a = a + inner(model, a, Untargeted(b), threat, dice=Dice(epoch, part))
                optimizer.zero_grad()
                nn.functional.cross_entropy(model(a), b).backward()
                optimizer.step()
    return model.eval()
