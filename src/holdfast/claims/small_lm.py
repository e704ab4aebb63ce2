"""A small recurrent language model of a random grammar, trained in a second or two."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

TOKENS, LENGTH = 30, 10


class SmallLM(nn.Module):
    """Embedding, one recurrent layer, and logits of the next token at every position.

    Args:
        tokens: size of the vocabulary.
        width: of the recurrent layer.
    """

    def __init__(self, tokens: int = TOKENS, width: int = 32) -> None:
        super().__init__()
        self.embedding = nn.Embedding(tokens, 16)
        self.gru = nn.GRU(16, width, batch_first=True)
        self.out = nn.Linear(width, tokens)

    def forward(self, ids: Tensor) -> Tensor:
        """`(B, T, V)` logits of ids `(B, T)`."""
        z: Tensor = self.out(self.gru(self.embedding(ids))[0])
        return z


def grammar(seed: int, rows: int, length: int = LENGTH) -> Tensor:
    """`(rows, length)` sentences; the next token depends on the last two."""
    g = torch.Generator().manual_seed(seed)
    table = (3 * torch.randn(TOKENS, TOKENS, TOKENS, generator=g)).softmax(2)
    ids = torch.randint(TOKENS, (rows, 2), generator=g)
    for _ in range(length - 2):
        chances = table[ids[:, -2], ids[:, -1]]
        ids = torch.cat([ids, torch.multinomial(chances, 1, generator=g)], 1)
    return ids


def small_lm(seed: int, steps: int = 150) -> tuple[SmallLM, Tensor]:
    """A model trained on sentences of a grammar, and sentences that it has not seen."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = SmallLM()
        ids = grammar(seed, 2200)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        for step in range(steps):
            batch = ids[64 * (step % 32) :][:64]
            optimizer.zero_grad()
            F.cross_entropy(model(batch[:, :-1]).flatten(0, 1), batch[:, 1:].flatten()).backward()
            optimizer.step()
    return model.eval().requires_grad_(False), ids[2100:]
