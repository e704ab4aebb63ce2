"""Nothing that a prompt brings about is called out of reach, and greedy search finds most of it."""

from __future__ import annotations

from unittest.mock import patch

import torch
from torch import Tensor, nn

from holdfast.claims.harness import Claim, Trial
from holdfast.core.data import Batches
from holdfast.measures.text import controllability as file
from holdfast.measures.text.attention import AttentionHead, attention_unreachable
from holdfast.measures.text.controllability import controllability
from holdfast.measures.text.prompts import Texts, greedy_token, reachable

VOCABULARY, ROWS, SIZE = 12, 60, 8


class Mean(nn.Module):
    """A tiny language model: the last token and the mean of all of them say what follows."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        g = torch.Generator().manual_seed(seed)
        self.table, self.last = nn.Embedding(VOCABULARY, SIZE), nn.Linear(SIZE, VOCABULARY)
        with torch.no_grad():
            for p in self.parameters():
                p.copy_(torch.randn(p.shape, generator=g))

    def forward(self, x: dict[str, Tensor]) -> Tensor:
        """`(B, T, V)` logits."""
        z, count = self.table(x["ids"]), torch.arange(1, x["ids"].shape[1] + 1)
        out: Tensor = self.last(torch.tanh(z + 2 * z.cumsum(1) / count[:, None]))
        return out


def _backwards(lm: Mean, texts: Texts, prompt: Tensor, wanted: Tensor, allowed: Tensor) -> Tensor:
    """Bug: the token that makes the wanted one least likely of all."""
    return greedy_token(lm, texts, prompt, (wanted + 1) % VOCABULARY, allowed)


def searched(seed: int, mutant: str) -> tuple[float, bool]:
    """Share of what at most two tokens can do that is found; whether one token is found exactly."""
    g = torch.Generator().manual_seed(seed)
    lm = Mean(seed)
    ids = torch.randint(VOCABULARY, (ROWS, 3), generator=g)
    y = torch.randint(VOCABULARY, (ROWS,), generator=g)
    truth = reachable(lm, ids, tokens=2).gather(1, y[:, None]).squeeze(1)
    step = _backwards if mutant == "wants-another-token" else greedy_token
    with patch.object(file, "greedy_token", step):
        found = controllability(lm, Batches(x=ids, y=y), greedy=(1, 2), gradient=())
    shares = [r.value for r in found.readings()]
    one = torch.equal((found.length >= 0) & (found.length <= 1), (truth >= 0) & (truth <= 1))
    share = float((found.length >= 0).sum() / (truth >= 0).sum())
    return share, one and shares == sorted(shares)


def proved(seed: int, mutant: str) -> tuple[int, int]:
    """Outputs that a prompt does bring about called out of reach; and others rightly so called."""
    g = torch.Generator().manual_seed(seed)
    wrong = right = 0
    for number in range(20):
        d, m, k = 4 + number % 5, 5, 1 + number % 3
        matrices = torch.randn(3, d, d, generator=g, dtype=torch.float64) / d**0.5
        head = AttentionHead(*matrices)
        x = torch.randn(40, m, d, generator=g, dtype=torch.float64)
        largest = 10.0 ** float(torch.rand((), generator=g) * 2 - 1)
        # Half of the prompts shout: along the direction to which the first state listens most.
        way = torch.randn(40, k, d, generator=g, dtype=torch.float64)
        listened = (x[:, :1] @ head.query @ head.key.T).expand(-1, k, -1)
        way = torch.where(torch.arange(40)[:, None, None] % 2 == 0, listened, way)
        prompt = largest * nn.functional.normalize(way, dim=2)
        reached = head(torch.cat([prompt, x], 1))[:, k:]
        said = largest / 3 if mutant == "prompts-too-short" else largest
        tokens = 1 if mutant == "one-token-for-all" else k
        if mutant == "no-exponential":
            head = AttentionHead(head.query * 1e-9, head.key, head.value)
        rows = Batches(x=x, y=torch.zeros(40, dtype=torch.int64), more={"target": reached})
        wrong += int(
            attention_unreachable(head, rows, tokens=tokens, largest=said).unreachable.sum()
        )
        other = Batches(x=x, y=rows.y, more={"target": torch.randn(x.shape, generator=g).double()})
        right += int(attention_unreachable(head, other, tokens=k, largest=0.01).unreachable.sum())
        wrong += int(
            attention_unreachable(head, other, tokens=10**9, largest=1.0).unreachable.sum()
        )
    return wrong, right


def trial(seed: int, mutant: str = "") -> Trial:
    """Search against every prompt of a tiny vocabulary; proofs against prompts that work."""
    share, exact = searched(seed, mutant)
    wrong, right = proved(seed, mutant)
    return Trial(share, 0.8, share >= 0.8 and exact and wrong == 0 and right > 0)


CLAIM = Claim(
    paper="magic-words",
    methods=("measure:attention-unreachable", "measure:controllability"),
    says="Of 4,000 outputs that prompts bring about none is called out of reach, others are; "
    "greedy search finds all that one token can do and 80 % of what two can.",
    left="share of the wanted tokens reachable with two tokens that is found",
    right="0.8",
    trial=trial,
    mutants=("wants-another-token", "no-exponential", "prompts-too-short"),
    seeds=(91, 92, 93),
    seconds=6,
)
