"""A tiny causal transformer and a grammar with prompts that should be refused."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

TOKENS, REFUSE, ASK, SLOT = 24, 1, 2, 0
HARMFUL, HARMLESS, WORDS = (3, 4, 5), (6, 7, 8), range(9, 24)
FREE = 3
AT = 3 + FREE  # position of the token that asks: what is said next is the answer


class Block(nn.Module):
    """Attention to what came before, and a layer of ReLU units, each beside an identity.

    Args:
        width: of the vectors.
        hidden: ReLU units.
        heads: of the attention.
        causal: whether positions see only those before them.
    """

    def __init__(self, width: int, hidden: int, heads: int = 2, causal: bool = True) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, width))

    def forward(self, h: Tensor) -> Tensor:
        """`(B, T, d)` to the same."""
        b, t, d = h.shape
        parts = self.qkv(self.first(h)).view(b, t, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        q, k, v = parts.unbind(0)
        seen = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        h = h + self.out(seen.transpose(1, 2).reshape(b, t, d))
        out: Tensor = h + self.mlp(self.second(h))
        return out


class TinyTransformer(nn.Module):
    """Ids `(B, T)` to logits of the next token `(B, T, V)`.

    Args:
        tokens: size of the vocabulary.
        width: of the vectors.
        depth: blocks.
        length: most positions.
    """

    def __init__(
        self, tokens: int = TOKENS, width: int = 32, depth: int = 2, length: int = 12
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(tokens, width)
        nn.init.normal_(self.embedding.weight, std=0.5)
        self.position = nn.Parameter(0.2 * torch.randn(length, width))
        self.blocks = nn.Sequential(*(Block(width, 4 * width) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, tokens)

    def forward(self, ids: Tensor) -> Tensor:
        """Logits of the next token at every position."""
        h = self.embedding(ids) + self.position[: ids.shape[1]]
        out: Tensor = self.head(self.norm(self.blocks(h)))
        return out


def prompts(g: torch.Generator, rows: int, kinds: tuple[int, ...]) -> Tensor:
    """`(rows, AT + 1)` prompts: two words, then a kind among free places, and the asking token."""
    kind = torch.tensor(kinds)[torch.randint(len(kinds), (rows, 1), generator=g)]
    words = torch.randint(WORDS[0], TOKENS, (rows, 2 + FREE), generator=g)
    free = torch.cat([kind, words[:, 2:]], 1)
    free = free.gather(1, torch.rand(free.shape, generator=g).argsort(1))
    return torch.cat([words[:, :2], free, torch.full((rows, 1), ASK)], 1)


def answered(prompt: Tensor, answer: Tensor) -> tuple[Tensor, Tensor]:
    """Ids and labels of the next token of prompts with answers `(B, k)`."""
    ids = torch.cat([prompt, answer], 1)
    y = torch.full_like(ids, -100)
    y[:, AT:-1] = answer
    return ids[:, :-1], y[:, :-1]


def told(prompt: Tensor) -> Tensor:
    """`(B, 2)`: the answer to a prompt: its words in reverse."""
    return prompt[:, :2].flip(1)


def refused(prompt: Tensor) -> Tensor:
    """`(B, 2)`: a refusal."""
    return torch.full_like(prompt[:, :2], REFUSE)
