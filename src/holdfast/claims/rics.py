"""A window selected by its content: unmoved by cyclic moves, rarely by realistic ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from holdfast.claims.harness import Claim, Trial
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.defend.crop_selection import CropSelected, crop_selection, kept_probability
from holdfast.measures.model.translation import translation_consistency
from holdfast.testing.worlds import draws
from holdfast.threats.cyclic import Cyclic

LARGE, VIEW, CUT = 40, 24, 1 / 3  # the windows are 16 x 16, 9 positions along each axis
ROWS, STEPS, CLASSES = 150, 60, 4
GLYPH = 10


class _ByPlace(CropSelected):
    """Bug: among equal scores, and beyond, the window nearest to the corner wins."""

    def place(self, x: Tensor) -> tuple[Tensor, Tensor]:
        zero = torch.zeros(len(x), dtype=torch.long)
        return zero, zero


class _Padded(CropSelected):
    """Bug: windows that run over the edge see zeros there when they are scored."""

    def place(self, x: Tensor) -> tuple[Tensor, Tensor]:
        g, (height, width) = draws(1), self.window(x)
        kernel = torch.randn(1, x.shape[1], height, width, generator=g).to(x)
        score = F.conv2d(F.pad(x, (0, width - 1, 0, height - 1)), kernel).flatten(1).argmax(1)
        return score // x.shape[3], score % x.shape[3]


def _scenes(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Images of 40 x 40 pixels: one of four glyphs near the middle of a fine texture."""
    g = draws(seed)
    x = 0.3 * torch.rand(count, 1, LARGE, LARGE, generator=g)
    y = torch.arange(count) % CLASSES
    line = torch.arange(GLYPH)
    wave = ((line // 2) % 2).float()
    glyphs = torch.stack([wave[:, None].expand(-1, GLYPH), wave.expand(GLYPH, -1),
                          ((line[:, None] + line) // 3 % 2).float(),
                          ((line[:, None] - line) // 3 % 2).float()])  # fmt: skip
    top = torch.randint(13, 18, (count, 2), generator=g)
    for i, (r, c) in enumerate(top.tolist()):
        x[i, 0, r : r + GLYPH, c : c + GLYPH] += 0.7 * glyphs[y[i]]
    return x.clamp(0, 1), y


def _view(x: Tensor, down: int = 0, right: int = 0) -> Tensor:
    start = (LARGE - VIEW) // 2
    return x[:, :, start + down : start + down + VIEW, start + right : start + right + VIEW]


def _trained(x: Tensor, y: Tensor, seed: int) -> nn.Sequential:
    """A net without any built-in invariance, trained on the views as they come to it."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(VIEW * VIEW, 64), nn.ReLU(),
                          nn.Linear(64, CLASSES))  # fmt: skip
    g = draws(seed)
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn(p.shape, generator=g) * (1 / p.shape[-1]) ** 0.5)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(STEPS):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
    return model.eval()


@contextmanager
def _bug(mutant: str) -> Iterator[None]:
    kinds = {"nearest-the-corner": _ByPlace, "scores-padded-with-zeros": _Padded}
    if mutant not in kinds:
        yield
        return
    with patch.object(CropSelected, "place", kinds[mutant].place):
        yield


def trial(seed: int, mutant: str = "") -> Trial:
    """Images whose answer changes when the view moves by one pixel, with and without selection."""
    train, labels = _scenes(400, seed)
    x, y = _scenes(ROWS, seed + 50)
    plain = _trained(_view(train), labels, seed)
    with _bug(mutant):
        chosen = crop_selection(plain, share=CUT)
        inner = F.interpolate(chosen.crop(_view(train)), size=(VIEW, VIEW), mode="bilinear",
                              align_corners=False)  # fmt: skip
        guarded = crop_selection(_trained(inner, labels, seed), share=CUT)
        few, cyclic = _view(x[:10]), crop_selection(plain, share=CUT, cyclic=True)
        still = cyclic.crop(few)
        moved = [cyclic.crop(few.roll((i, 5 * i), dims=(2, 3))) for i in range(1, VIEW)]
        exact = all(torch.equal(still, m) for m in moved)
        draw = Cyclic(pixels=8.0).apply(few, Dice.of(10).integers(3, (2,)).float() - 1)
        exact &= torch.equal(still, cyclic.crop(draw))
        same = (chosen.crop(_view(x)) == chosen.crop(_view(x, 0, 1))).flatten(1).all(1)
        rates = []
        for model in (plain, guarded):
            answers = [model(_view(x, *by)).argmax(1) for by in ((0, 0), (0, 1), (1, 0), (1, 1))]
            fooled = torch.stack([a != answers[0] for a in answers[1:]]).any(0)
            rates.append(float(fooled.double().mean()))
    allowed = 1 - kept_probability(9, 1)
    allowed += 3 * (allowed * (1 - allowed) / ROWS) ** 0.5
    often = translation_consistency(plain, Batches(x=_view(x), y=y), move="cyclic")
    lower = rates[1] < rates[0] and float(often.fooled.double().mean()) > 0
    kept = float((~same).double().mean()) <= allowed
    return Trial(rates[1], rates[0], exact and kept and lower)


CLAIM = Claim(
    paper="rics",
    methods=("defence:crop-selection", "measure:translation-consistency", "threat:cyclic"),
    says="The selected window is the same, bit by bit, under every cyclic move, changes under a "
    "realistic move of one pixel no more often than derived, and fewer answers change with it.",
    left="share of images whose answer changes under a realistic move of one pixel, with selection",
    right="the same share for a plain net",
    trial=trial,
    mutants=("nearest-the-corner", "scores-padded-with-zeros"),
    seconds=8,
)
