"""Common corruptions cost accuracy, more of it at higher severity; errors in units of a model's."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from holdfast.claims.harness import Claim, Trial
from holdfast.claims.small_net import digits, error, trained
from holdfast.core.catalog import find
from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.measures.outputs.corruption_error import CLEAN, corruption_error
from holdfast.measures.outputs.flips import flip_rate, top_distance, zipf_distance
from holdfast.shifts.published import IMAGENET_C, IMAGENET_C_EXTRA
from holdfast.shifts.sequences import perturbed

KINDS = IMAGENET_C + IMAGENET_C_EXTRA
ROWS, SIDE, MOST = 48, 32, 2


class Seen(nn.Module):
    """A net of 8 x 8 grey pixels that looks at colour images of 32 x 32."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.inner(F.avg_pool2d(x.mean(1, keepdim=True), SIDE // 8))
        return out


def _errors(model: nn.Module, batch: Batch, severity: float, seed: int) -> dict[str, float]:
    found = {}
    for kind in KINDS:
        x: Tensor = find(f"shift:{kind}").thing(batch, severity, Dice(seed, batch.index)).x
        found[kind] = error(model, x, batch.y)
    return found


def _steady(model: nn.Module, batch: Batch, seed: int, mutant: str) -> bool:
    """Answers alternate as often as is known, and flip more under stronger noise."""
    x: Tensor = batch.x[:16]  # type: ignore[assignment,index]
    films = []
    for difficulty in (1, 3):
        film = perturbed(x, "gaussian-noise", difficulty=difficulty, dice=Dice.of(16, seed))
        with torch.no_grad():
            films.append(model(film.flatten(0, 1)).reshape(*film.shape[:2], -1))
    a, b = (flip_rate({"gaussian-noise": z})[0].value for z in films)
    swap = torch.tensor([[5.0, 4, 3, 2, 1, 0], [4.0, 5, 3, 2, 1, 0]]).repeat(3, 1)[None]
    name = "fog-noise" if mutant == "compares-with-the-first" else "fog"
    flips = flip_rate({name: swap})[0].value
    moved = top_distance({name: swap})[0].value
    slow = zipf_distance({name: swap})[0].value
    exact = flips == 1 and moved == MOST and abs(slow - 0.75) < 1e-9
    return exact and a <= b


def _mce(worst: dict[str, float], batch: Batch, clean: Tensor, mutant: str) -> float:
    """The mCE of a model in units of its own errors: 1."""
    n = len(batch.y)
    wrong = {k: torch.arange(n)[None] < round(e * n) for k, e in worst.items() if e}
    own = {k: float(w.double().mean()) for k, w in wrong.items()} | {CLEAN: -1.0}
    used = None if mutant == "forgets-the-reference" else own
    found = {r.name: r.value for r in corruption_error(wrong, clean, reference=used).readings()}
    return found.get("corruption.mce", found["corruption.mean"])


def trial(seed: int, mutant: str = "") -> Trial:
    """Mean error over 19 corruptions at level 5 and 1, kind by kind and in its own units."""
    _, test = digits(seed)
    grey: Tensor = test.x[:ROWS]  # type: ignore[assignment,index]
    x = F.interpolate(grey, (SIDE, SIDE), mode="nearest").expand(-1, 3, -1, -1).contiguous()
    batch = Batch(x, test.y[:ROWS], test.index[:ROWS])
    model = Seen(trained(seed))
    levels = {"forgets-severity": (0.2, 0.2), "upside-down": (0.2, 1.0)}.get(mutant, (1.0, 0.2))
    worst, mild = (_errors(model, batch, s, seed) for s in levels)
    with torch.no_grad():
        clean = model(x).argmax(1) != batch.y
    left, right = (sum(e.values()) / len(e) for e in (worst, mild))
    grows = sum(worst[k] >= mild[k] for k in IMAGENET_C)
    own = abs(_mce(worst, batch, clean, mutant) - 1) < 1e-9
    harder = left > right + 0.03 and right > float(clean.double().mean())
    most = grows >= len(IMAGENET_C) - MOST
    return Trial(left, right, harder and most and own and _steady(model, batch, seed, mutant))


CLAIM = Claim(
    paper="imagenet-c",
    methods=(
        *(f"shift:{kind}" for kind in KINDS),
        "measure:corruption-error", "measure:flip-rate", "measure:top-distance",
        "measure:zipf-distance",
    ),
    says="Mean error over the corruptions is higher at level 5 than at level 1, and there than "
    "without any, for at least 13 of 15 kinds; in units of its own errors a model has mCE 1.",
    left="mean error over 19 corruptions at level 5 (share)",
    right="the same at level 1 (share)",
    trial=trial,
    mutants=(
        "forgets-severity", "upside-down", "forgets-the-reference", "compares-with-the-first",
    ),
    seconds=5,
)  # fmt: skip
