"""Worlds of measures that compare answers, texts, rankings and tags."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from holdfast.testing.worlds import TinyReLU, draws


def _before(rows: int) -> tuple[Tensor, ...]:
    """Logits before and after noise on the inputs, and labels of which some are wrong."""
    world = TinyReLU.make(rows=40)
    noise = 0.1 * torch.randn(world.x.shape, generator=draws(8), dtype=torch.float64)
    with torch.no_grad():
        a, b = world.model(world.x), world.model((world.x + noise).clamp(0, 1))
    y = torch.where(torch.arange(40) % 5 == 0, (world.y + 1) % 3, world.y)
    return a[:rows], b[:rows], y[:rows]


def _rewards(rows: int) -> tuple[Any, ...]:
    """Rewards of pairs, and what is left of them after noise on three of four pairs."""
    g = draws(9)
    z = torch.randn(40, 2, generator=g, dtype=torch.float64)[:rows]
    hit = torch.arange(40)[:rows] % 4 > 0
    noise = torch.randn(40, 2, generator=g, dtype=torch.float64)[:rows]
    return z, {"noise": (hit, (z + noise)[hit])}


def _compliance(rows: int) -> tuple[Tensor, Tensor]:
    """Answers and refusals at random."""
    g = draws(10)
    return torch.rand(40, 4, generator=g)[:rows] < 0.8, torch.rand(40, 2, generator=g)[:rows] < 0.6


def _texts(rows: int) -> tuple[list[str], list[list[str]]]:
    """Answers of which every third is wrong."""
    texts = [f"word {i}" if i % 3 else "other" for i in range(40)]
    return texts[:rows], [[f"the word {i}", "x"] for i in range(40)][:rows]


def _table(rows: int) -> tuple[dict[str, Tensor], list[str]]:
    """Scores of models on their own and on foreign data, and their kinds."""
    g = draws(11)
    own = torch.rand(40, generator=g, dtype=torch.float64)[:rows]
    other = (own + 0.1 * torch.rand(40, generator=g, dtype=torch.float64)[:rows]).clamp(max=1)
    return {"own": own, "other": other}, ["ab"[i % 2] for i in range(rows)]


def _rankings(rows: int) -> tuple[Any, ...]:
    """Scores of ten documents per query, and which of them are relevant."""
    g = draws(12)
    z = torch.randn(40, 10, generator=g, dtype=torch.float64)[:rows]
    return z, torch.randint(3, (40, 10), generator=g)[:rows], [z.roll(1, 1)]


def _tags(rows: int) -> tuple[Tensor, Tensor]:
    """Clean tags of which every fifth token is outside in the noisy ones."""
    clean = torch.tensor([0, 1, 2, 0, 3, 0, 5, 6, 6, 0]).repeat(40, 1)
    hit = torch.rand(40, 10, generator=draws(13)) < 0.2
    return torch.where(hit, 0, clean)[:rows], clean[:rows]


def _perspectives(rows: int) -> tuple[dict[str, Tensor]]:
    """Parts of two perspectives at random."""
    g = draws(14)
    return ({name: torch.rand(40, generator=g)[:rows] for name in ("ethics", "privacy")},)


def _answers(rows: int) -> tuple[Any, ...]:
    """Two versions of a model and their answers to clean and changed prompts."""
    g = draws(5)
    y = torch.randint(3, (40,), generator=g)
    wrong = {"clean": 0.1, "both": 0.5}
    answers = {
        version: {
            name: torch.where(torch.rand(40, generator=g) < rate, -1, y)[:rows]
            for name, rate in wrong.items()
        }
        for version in ("old", "new")
    }
    return answers, y[:rows]


def _sets(rows: int) -> tuple[Any, ...]:
    """Random sets of three classes, and labels of which most are in them."""
    g = draws(6)
    y = torch.randint(3, (40,), generator=g)
    sets = (torch.rand(40, 3, generator=g) < 0.4) | nn.functional.one_hot(y, 3).bool()
    sets[::7] = False
    return sets[:rows], y[:rows]


ANSWERS: dict[str, Callable[[int], tuple[Any, ...]]] = {
    "before": _before,
    "rewards": _rewards,
    "compliance": _compliance,
    "texts": _texts,
    "table": _table,
    "rankings": _rankings,
    "tags": _tags,
    "perspectives": _perspectives,
    "answers": _answers,
    "sets": _sets,
}
