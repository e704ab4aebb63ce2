"""Numbers that measures of tables are asked about: scores, samples, accuracies, logs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from holdfast.core.data import Batches
from holdfast.measures.outputs.boxes import Boxes
from holdfast.measures.outputs.lifetimes import Block
from holdfast.testing.worlds import draws, mixture


def _scores(rows: int) -> tuple[Any, ...]:
    """Scores of familiar and of foreign rows that overlap, with ties."""
    g = draws(7)
    known = torch.randint(9, (40,), generator=g).double()[:rows]
    return known, 3 + torch.randint(9, (30,), generator=g).double()[:rows]


def _samples(rows: int) -> tuple[Any, ...]:
    """Rows of numbers now and before; one column has moved."""
    g = draws(8)
    before = torch.randn(50, 3, generator=g, dtype=torch.float64)
    now = torch.randn(40, 3, generator=g, dtype=torch.float64)[:rows]
    return now + torch.tensor([0.0, 1.0, 0.0]), before


def _accuracies(rows: int) -> tuple[Any, ...]:
    """Models near a line on the logit scale, of plain and shifted accuracy."""
    g = draws(9)
    plain = 2 * torch.rand(40, generator=g, dtype=torch.float64)
    shifted = 0.8 * plain - 0.5 + 0.1 * torch.randn(40, generator=g, dtype=torch.float64)
    return (torch.stack([plain, shifted], 1).sigmoid()[:rows],)


def _sources(rows: int) -> tuple[Any, ...]:
    """Models of two sources, and of a mixture between their lines."""
    (every,) = _accuracies(rows)
    better = torch.stack([every[:, 0], (every[:, 1] + 1) / 2], 1)
    return {"a": better, "b": every}, (better + every)[: rows // 2] / 2


def _performance(rows: int) -> tuple[Any, ...]:
    """Performance of models of four domains on all of them, or of none."""
    count = 4 if rows else 0
    return (torch.rand(4, 4, generator=draws(10), dtype=torch.float64)[:count, :count],)


def _verdicts(rows: int) -> tuple[Any, ...]:
    """Right and wrong answers to questions and to three rewordings of each."""
    g = draws(11)
    base = (torch.rand(40, generator=g) < 0.7).double()
    change = (torch.rand(40, 3, generator=g) < 0.2).double()
    return base[:rows], (base[:, None] - change).abs()[:rows]


def _log(rows: int) -> tuple[Any, ...]:
    """Two tasks learned one after the other, both tested before, between and after."""
    if not rows:
        return ((),)
    levels = {"a": (0.2, 0.8, 0.6), "b": (0.1, 0.3, 0.9)}
    blocks: list[Block] = []
    for time, learned in enumerate((None, "a", "b")):
        if learned:
            blocks.append(Block("train", learned, torch.linspace(0.2, 0.9, 20)))
        blocks += [Block("test", t, torch.full((4,), v[time])) for t, v in levels.items()]
    return (blocks,)


def _embedding(rows: int) -> tuple[Any, ...]:
    """Random embeddings with a class and a centre each."""
    z = torch.randn(40, 4, generator=draws(12), dtype=torch.float64)
    y, centre = torch.arange(40) % 2, torch.arange(40) // 20
    return z[:rows] + y[:rows, None], y[:rows], centre[:rows]


def _regimes(rows: int) -> tuple[Any, ...]:
    """Accuracies of models with few and with all labels, without and with an intervention."""
    (standard,) = _accuracies(40)
    pairs = standard[:24].view(12, 2, 2)[: rows // 3]
    return {"few": pairs / 2, "full": pairs}, standard


def _quality(rows: int) -> tuple[Any, ...]:
    """Qualities of images by a measure, and opinions that mostly agree."""
    g = draws(13)
    predicted = torch.rand(40, generator=g, dtype=torch.float64)
    noise = 0.2 * torch.randn(40, generator=g, dtype=torch.float64)
    return predicted[:rows], (predicted + noise)[:rows]


def _rule(rows: int) -> tuple[Any, ...]:
    """The majority of three bits."""
    return (lambda x: (x.sum(1) > 1.5).long(), 3 if rows else 0)


def _errors(rows: int) -> tuple[Any, ...]:
    """Errors of four models on eight data sets."""
    return (torch.rand(8 if rows else 0, 4, generator=draws(7), dtype=torch.float64),)


def _real(rows: int) -> tuple[Any, ...]:
    """Rows of a mixture, and others of the same that stand for generated ones."""
    return tuple(mixture(rows=80).batches.take(slice(a, a + rows)) for a in (0, 40))


def _detections(rows: int) -> tuple[Any, ...]:
    """Boxes in ten images, of which a detector has moved every one."""
    g = draws(8)
    corner = 20 * torch.rand(40, 2, generator=g, dtype=torch.float64)
    box = torch.cat([corner, corner + 10], 1)[:rows]
    image, label = torch.arange(40)[:rows] % 10, torch.arange(40)[:rows] // 20
    moved = box + torch.randn(40, 4, generator=g, dtype=torch.float64)[:rows]
    score = torch.rand(40, generator=g)[:rows]
    return (Boxes(image, label, moved, score), Boxes(image, label, box))


def _wrong(rows: int) -> tuple[Any, ...]:
    """Which rows are wrong under two corruptions of five levels, and without."""
    g = draws(7)
    wrong = {k: (torch.rand(5, 40, generator=g) < rate)[:, :rows]
             for k, rate in {"fog": 0.4, "snow": 0.6}.items()}  # fmt: skip
    return (wrong, (torch.rand(40, generator=g) < 0.1)[:rows])


def _films(rows: int) -> tuple[Any, ...]:
    """Logits of eight classes along films of six frames, one of them of noise."""
    z = torch.randn(2, 40, 6, 8, generator=draws(8), dtype=torch.float64)
    return ({"fog": z[0, :rows], "shot-noise": z[1, :rows]},)


def _domains(rows: int) -> tuple[Any, ...]:
    """Two classes of points from two domains that differ in one coordinate."""
    x = torch.rand(40, 3, generator=draws(8), dtype=torch.float64)
    group = torch.arange(40) % 2
    x[:, 0] += 0.7 * group
    y = (torch.arange(40) // 2) % 2
    return (Batches(x=x[:rows], y=y[:rows], size=16, group=group[:rows]),)


def _responses(rows: int) -> tuple[Any, ...]:
    """Random embeddings of safe and unsafe answers and of jailbreaks."""
    y = torch.arange(40) % 3
    z = torch.randn(40, 4, generator=draws(14), dtype=torch.float64) + y[:, None]
    return z[:rows], y[:rows]


def _weak(rows: int) -> tuple[Any, ...]:
    """Logits of a weak and a strong model, and of pupils of the weak one, the last in conflict."""
    g = draws(15)
    y = torch.randint(2, (40,), generator=g)
    own = 2 * torch.nn.functional.one_hot(y, 2).double()
    four = torch.randn(4, 40, 2, generator=g, dtype=torch.float64) + own
    return (*four[:, :rows], y[:rows])


def _costs(rows: int) -> tuple[Any, ...]:
    """Queries of forty attempts, most of which found something."""
    g = draws(16)
    return (1 + torch.randint(50, (40,), generator=g))[:rows], (torch.rand(40, generator=g) < 0.7)[
        :rows
    ]


TABLES: dict[str, Callable[[int], tuple[Any, ...]]] = {
    "known": _scores,
    "sample": _samples,
    "accuracies": _accuracies,
    "sources": _sources,
    "performance": _performance,
    "verdicts": _verdicts,
    "log": _log,
    "embedding": _embedding,
    "regimes": _regimes,
    "predicted": _quality,
    "rule": _rule,
    "errors": _errors,
    "real": _real,
    "detections": _detections,
    "wrong": _wrong,
    "films": _films,
    "domains": _domains,
    "responses": _responses,
    "weak": _weak,
    "costs": _costs,
}
