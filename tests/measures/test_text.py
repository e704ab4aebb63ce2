"""What prompts can and cannot do, against enumeration and hand-made heads."""

from math import exp, log, sqrt

import pytest
import torch
from torch import nn

from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError, ShapeError, Unsupported
from holdfast.measures.text.attention import AttentionHead, attention_unreachable
from holdfast.measures.text.controllability import controllability
from holdfast.measures.text.prompts import Texts, coordinate_gradient, reachable, says


def test_both_sides_by_hand_in_one_dimension():
    head = AttentionHead(*(torch.tensor([[v]]) for v in (2.0, 0.5, 3.0)))
    x = torch.tensor([[[1.0], [-2.0]]])
    target = torch.zeros(1, 2, 1)
    found = attention_unreachable(
        head, Batches(x=x, y=torch.zeros(1).long(), more={"target": target}), largest=0.1
    )
    a = 2.0 * 0.5 * 0.1 * 2.0
    for row, state in enumerate((1.0, -2.0)):
        weights = [exp(state * 2.0 * other * 0.5) for other in (1.0, -2.0)]
        bare = (weights[0] * 3 - weights[1] * 6) / sum(weights)
        assert float(found.left[0, row]) == pytest.approx(log(abs(bare)))
        assert float(found.right[0, row]) == pytest.approx(a + log(0.3) - log(sum(weights)))


def head_and_states(seed, d=5, m=4, rows=30, causal=False):
    g = torch.Generator().manual_seed(seed)
    head = AttentionHead(
        *(torch.randn(3, d, d, generator=g, dtype=torch.float64) / sqrt(d)), causal
    )
    return head, torch.randn(rows, m, d, generator=g, dtype=torch.float64), g


@pytest.mark.parametrize("causal", [False, True])
def test_no_sampled_prompt_reaches_what_is_proved_out_of_reach(causal):
    head, x, g = head_and_states(0, causal=causal)
    target = torch.randn(x.shape, generator=g, dtype=torch.float64)
    rows = Batches(x=x, y=torch.zeros(30).long(), more={"target": target})
    found = attention_unreachable(head, rows, tokens=2, largest=0.15)
    assert 0 < int(found.unreachable.sum())
    way = nn.functional.normalize(target, dim=-1)
    for _ in range(300):
        u = nn.functional.normalize(torch.randn(30, 2, 5, generator=g).double(), dim=2) * 0.15
        out = head(torch.cat([u, x], 1))[:, 2:]
        off = (out - (out * way).sum(-1, keepdim=True) * way).norm(dim=-1)
        assert float(off[found.unreachable].min()) > 1e-6


def test_what_a_prompt_brings_about_is_never_called_out_of_reach():
    for seed in range(10):
        head, x, g = head_and_states(seed)
        u = nn.functional.normalize(torch.randn(30, 1, 5, generator=g).double(), dim=2) * 2.0
        reached = head(torch.cat([u, x], 1))[:, 1:] * 1.7  # multiples are covered too
        rows = Batches(x=x, y=torch.zeros(30).long(), more={"target": reached})
        assert not bool(attention_unreachable(head, rows, largest=2.0).unreachable.any())


def test_many_tokens_prove_nothing_and_no_overflow():
    head, x, _ = head_and_states(1)
    rows = Batches(x=1e4 * x, y=torch.zeros(30).long(), more={"target": torch.randn(30, 4, 5)})
    found = attention_unreachable(head, rows, tokens=10**6, largest=1e6)
    assert not bool(found.unreachable.any()) and bool(found.right.isfinite().all())
    bare = Batches(x=x, y=rows.y, more={"target": head(x)})
    assert not bool(attention_unreachable(head, bare, largest=1e-9).unreachable.any())
    with pytest.raises(ShapeError, match="target"):
        attention_unreachable(head, Batches(x=x, y=rows.y))


class Tiny(nn.Module):
    def __init__(self, size, seed=0):
        super().__init__()
        g = torch.Generator().manual_seed(seed)
        self.table, self.last = nn.Embedding(size, 6), nn.Linear(6, size)
        with torch.no_grad():
            for p in self.parameters():
                p.copy_(torch.randn(p.shape, generator=g))

    def forward(self, x):
        z = self.table(x["ids"])
        count = torch.arange(1, z.shape[1] + 1)[:, None]
        return self.last(torch.tanh(z + 2 * z.cumsum(1) / count))


def pairs(size=10, rows=40, seed=0):
    g = torch.Generator().manual_seed(seed)
    ids = torch.randint(size, (rows, 3), generator=g)
    mask = torch.arange(3) < torch.randint(1, 4, (rows, 1), generator=g)
    return {"ids": ids * mask, "mask": mask}, torch.randint(size, (rows,), generator=g)


def test_search_against_every_prompt():
    lm = Tiny(10)
    x, y = pairs()
    truth = reachable(lm, x, tokens=2).gather(1, y[:, None]).squeeze(1)
    found = controllability(lm, Batches(x=x, y=y), greedy=(1, 2), gradient=())
    one = (truth >= 0) & (truth <= 1)
    assert torch.equal(found.length[one], truth[one])
    assert not bool(((found.length >= 0) & (truth < 0)).any())
    assert int((found.length >= 0).sum()) >= 0.8 * int((truth >= 0).sum())
    shares = [r.value for r in found.readings()]
    assert shares == sorted(shares)
    texts = Texts.of(x)
    for row, prompt in enumerate(found.prompts):
        if found.length[row] > 0:
            whole = lm(texts.take(torch.tensor([row])).after(prompt[None]))
            last = len(prompt) + int(x["mask"][row].sum()) - 1
            assert bool(says(whole[:, last], y[row : row + 1]))
            assert len(prompt) == int(found.length[row])


def test_gradient_search_goes_on_where_greed_ends():
    lm = Tiny(10)
    x, y = pairs()
    short = controllability(lm, Batches(x=x, y=y), greedy=(1,), gradient=())
    long = controllability(lm, Batches(x=x, y=y), greedy=(1,), gradient=(3,), steps=6, batch=40)
    assert int((long.length == 3).sum()) > 0
    assert torch.equal(long.length[short.length >= 0], short.length[short.length >= 0])
    direct = controllability(lm, Batches(x=x, y=y), greedy=(1,), gradient=(), indirect=True)
    assert all(int(t) not in p.tolist() for t, p in zip(y, direct.prompts, strict=True))


def test_a_step_of_coordinate_gradient_exchanges_one_token():
    lm = Tiny(10).requires_grad_(False)
    x, y = pairs()
    prompt = torch.zeros(40, 4, dtype=torch.int64)
    allowed = torch.ones(40, 10, dtype=torch.bool)
    new = coordinate_gradient(lm, Texts.of(x), prompt, y, allowed, topk=5, batch=16,
                              dice=Dice.of(40))  # fmt: skip
    assert bool(((new != prompt).sum(1) <= 1).all())


def test_bad_questions_are_refused():
    x, y = pairs()
    with pytest.raises(ConfigError):
        controllability(Tiny(10), Batches(x=x, y=y), greedy=(2,))
    with pytest.raises(ConfigError, match="too many"):
        reachable(Tiny(10), x, tokens=9)
    with pytest.raises(Unsupported):
        Texts.of(torch.rand(2, 3))
