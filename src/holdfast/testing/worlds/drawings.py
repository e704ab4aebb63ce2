"""A conditional generator of points: texts, by their letter triples, to clouds of samples."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.testing.worlds.linear import draws


@dataclass(frozen=True)
class Drawings:
    """Samples of a text: a mean that its letter triples decide, and noise of seeds of its own.

    Args:
        samples: per text; the same seeds for every text, as a user would fix them.
        size: of a sample.
        seed: of the noise and of what the triples mean.
    """

    samples: int = 12
    size: int = 2
    seed: int = 0

    def means(self, texts: Sequence[str]) -> Tensor:
        """`(B, size)`: where the samples of each text lie."""
        meaning = torch.randn(4096, self.size, generator=draws(self.seed), dtype=torch.float64)
        found = []
        for text in texts:
            padded = f"  {text.lower()} "
            triples = [padded[i : i + 3] for i in range(len(padded) - 2)]
            rows = [zlib.crc32(triple.encode()) % 4096 for triple in triples]
            found.append(meaning[rows].sum(0) / len(rows) ** 0.5)
        return torch.stack(found) if found else meaning[:0]

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """`(B, samples, size)`."""
        shape = (self.samples, self.size)
        noise = torch.randn(shape, generator=draws(self.seed + 1), dtype=torch.float64)
        return self.means(texts)[:, None] + noise
