"""Low resolution: a fair number for it, and tokens that win some of what it costs back."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from holdfast.claims.digits import drawn
from holdfast.claims.harness import Claim, Trial
from holdfast.core.catalog import find
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.fields import Later
from holdfast.layers.patch_tokens import with_patch_tokens
from holdfast.measures.model.resolution import resolution_curve
from holdfast.objectives.resolution import ResolutionDistillation
from holdfast.run.loop import Training

SIDE, PATCH, WIDTH, LOW = 16, 8, 32, 0.25
ROWS, PATCHES = 600, (SIDE // PATCH) ** 2
SHARES = (0.5, LOW)


class Block(nn.Module):
    """Attention over patches, and a small net on each."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.after = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.mixed = nn.Linear(WIDTH, 3 * WIDTH)
        self.inner = nn.Sequential(nn.Linear(WIDTH, 64), nn.GELU(), nn.Linear(64, WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.mixed(self.before(x)).chunk(3, -1)
        x = x + F.scaled_dot_product_attention(q, k, v)
        out: Tensor = x + self.inner(self.after(x))
        return out


class Transformer(nn.Module):
    """A vision transformer of two blocks; its features are the class token."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, WIDTH, PATCH, PATCH)
        self.place = nn.Parameter(0.1 * torch.randn(PATCHES + 1, WIDTH))
        self.blocks = nn.Sequential(Block(), Block())
        self.norm = nn.LayerNorm(WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        seen = torch.cat([torch.zeros_like(tokens[:, :1]), tokens], 1) + self.place
        out: Tensor = self.norm(self.blocks(seen))[:, 0]
        return out


def _images(x: Tensor) -> Tensor:
    return F.interpolate(x.reshape(-1, 1, 8, 8), SIDE, mode="bilinear")


@cache
def _scene(seed: int) -> tuple[nn.Module, nn.Linear, nn.Module, Batches, Batches]:
    """A trained backbone, its head, one with random weights, digits to learn from and others."""
    x, y = drawn(torch.Generator().manual_seed(seed))
    train = Batches(x=_images(x[:ROWS]), y=y[:ROWS], size=150)
    test = Batches(x=_images(x[-500:]), y=y[-500:], size=500)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        body, head, raw = Transformer(), nn.Linear(WIDTH, 10), Transformer()
    fast = Later("torch:Adam", lr=3e-3)
    Training(objective="objective:supervised", epochs=30, optimizer=fast)(
        nn.Sequential(body, head), train, dice=Dice.of(ROWS, seed)
    )
    return body, head, raw, train, test


def _repaired(seed: int, mutant: str) -> nn.Module:
    body, _, _, train, _ = _scene(seed)
    student = with_patch_tokens(body, ["blocks.0", "blocks.1"], PATCHES, WIDTH)
    shares = (1.0,) if mutant == "full-resolution-only" else SHARES
    objective = ResolutionDistillation(teacher=body, shares=shares)
    blind = Batches(x=train.x, y=torch.full_like(train.y, -100), size=150)
    fast = Later("torch:Adam", lr=5e-3)
    Training(objective=objective, epochs=12, optimizer=fast)(
        student, blind, dice=Dice.of(ROWS, seed)
    )
    return student


def trial(seed: int, mutant: str = "") -> Trial:
    """Accuracy at a quarter of the sides with and without tokens, and what is said of guessing."""
    low = f"{LOW:.3g}"
    body, head, raw, _, test = _scene(seed)
    measure = find("measure:resolution-curve").thing
    plain = measure(nn.Sequential(body, head), test, shares=SHARES)
    guess = measure(nn.Sequential(raw, head), test, shares=SHARES)
    tokens = resolution_curve(nn.Sequential(_repaired(seed, mutant), head), test, shares=SHARES)

    says = plain.relative if mutant == "plain-ratio" else plain.improved
    of_guess = guess.relative if mutant == "plain-ratio" else guess.improved
    fair = of_guess(low) < says(low)
    falls = [plain.variants.accuracy(v) for v in plain.variants.right]
    grows = all(b <= a + 0.02 for a, b in pairwise(falls))
    left, right = (c.variants.accuracy(low) for c in (tokens, plain))
    kept = tokens.variants.accuracy("native") >= falls[0] - 0.02
    return Trial(left, right, left >= right + 0.05 and kept and fair and grows)


CLAIM = Claim(
    paper="lr0-fm",
    methods=("shift:low-resolution", "measure:resolution-curve",
             "objective:resolution-distillation"),
    says="Accuracy falls with resolution; trained without labels, tokens on a frozen transformer "
    "win 5 points or more back at a quarter of the sides and cost at most 2 at full resolution; "
    "random weights, robust by the plain ratio, come last by the improved one.",
    left="accuracy at a quarter of the sides with tokens",
    right="the same without",
    trial=trial,
    mutants=("full-resolution-only", "plain-ratio"),
    seeds=(0, 1),
    seconds=10,
)  # fmt: skip
