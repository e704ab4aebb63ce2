"""Continuous adversarial training of language models against its formulas."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from holdfast.attacks.pgd import PGD
from holdfast.claims.tiny_transformer import (
    AT,
    HARMFUL,
    HARMLESS,
    TinyTransformer,
    answered,
    prompts,
    refused,
    told,
)
from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.core.goal import logits
from holdfast.objectives.answer_pair import Says, prompt_of
from holdfast.objectives.continuous import ContinuousIPO, ContinuousUnlikelihood, enough
from holdfast.run.search import search
from holdfast.run.training import TrainingRun
from holdfast.threats.embedding import Embedding

INNER = PGD(steps=3, travel=2.5, start="none", climb="soft")


class Wrapped(nn.Module):
    """Answers as the models of Hugging Face do: an object whose first item holds the logits."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (self.model(input_ids), torch.zeros(()))


def scene(seed: int = 0) -> tuple[TinyTransformer, Batch]:
    """An untrained model, four harmful prompts and two harmless ones."""
    g = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = TinyTransformer(depth=1)
    bad, good = prompts(g, 4, HARMFUL), prompts(g, 2, HARMLESS)
    (no, y_no), (yes, y_yes) = answered(bad, refused(bad)), answered(good, told(good))
    ids, away = answered(bad, told(bad))
    more = {
        "away_ids": torch.cat([ids, yes]),
        "away": torch.cat([away, torch.full_like(y_yes, -100)]),
    }
    return model, Batch(torch.cat([no, yes]), torch.cat([y_no, y_yes]), torch.arange(6), None, more)


def run_of(model: nn.Module) -> TrainingRun:
    return TrainingRun(model, nn.ModuleDict(), Dice.of(6), 1)


def naive(z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return torch.stack([F.cross_entropy(a[b >= 0], b[b >= 0]) for a, b in zip(z, y, strict=True)])


def test_unlikelihood_is_the_formula_without_a_change():
    model, batch = scene()
    still = ContinuousUnlikelihood(
        threat=Embedding(radius=0.0), attack=INNER, toward_cutoff=0.5, away_cutoff=-3.0
    )
    found = still(run_of(model), batch)
    toward = naive(model(batch.x)[:4], batch.y[:4])
    away = -naive(model(batch.more["away_ids"])[:4], batch.more["away"][:4])
    true = [
        0.5 * (t if t >= 0.5 else 0.5 + 0.001 * t) + 0.5 * (a if a >= -3 else -3 + 0.001 * a)
        for t, a in zip(toward.tolist(), away.tolist(), strict=True)
    ]
    assert torch.allclose(found[:4], torch.tensor(true), atol=1e-5)
    assert torch.allclose(found[4:], naive(model(batch.x)[4:], batch.y[4:]), atol=1e-6)
    as_others = still(run_of(Wrapped(model)), batch)
    assert torch.equal(found, as_others)
    mapped = batch._replace(x={"ids": batch.x})
    assert torch.equal(found, still(run_of(_Mapped(model)), mapped))


class _Mapped(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: dict[str, torch.Tensor]) -> torch.Tensor:
        return self.model(x["ids"])


def test_preference_of_a_model_over_itself():
    model, batch = scene()
    twin = scene()[0]
    still = ContinuousIPO(
        threat=Embedding(radius=0.0), attack=INNER, reference=twin, beta=0.1, away_cutoff=-1e9
    )
    assert torch.allclose(still(run_of(model), batch)[:4], torch.full((4,), 25.0), atol=1e-4)
    alone = ContinuousIPO(threat=Embedding(radius=0.0), attack=INNER, beta=0.1, away_cutoff=-2.5)
    z, other = model(batch.x).log_softmax(-1), model(batch.more["away_ids"]).log_softmax(-1)
    for i in range(4):
        steps = range(AT, AT + 2)
        chosen = sum(z[i, t, batch.y[i, t]] for t in steps) / 2
        each = [other[i, t, batch.more["away"][i, t]] for t in steps]
        lead = chosen - sum(p if p >= -2.5 else 0.0 * p for p in each) / 2
        true = (lead - 5.0) ** 2
        assert abs(float(alone(run_of(model), batch)[i] - true)) < 1e-4


def test_cutoffs_leave_a_thousandth_of_the_slope():
    x = torch.tensor([0.2, 0.7], requires_grad=True)
    y = enough(x, 0.5)
    assert torch.allclose(y, torch.tensor([0.5002, 0.7]))
    y.sum().backward()
    assert torch.allclose(x.grad, torch.tensor([0.001, 1.0]))


def test_only_vectors_of_the_prompt_move_and_each_within_its_ball():
    model, batch = scene()
    ids, away = batch.more["away_ids"][:4], batch.more["away"][:4]
    where = prompt_of(away)
    assert where[:, : AT + 1].all() and not where[:, AT + 1 :].any()
    threat = Embedding(radius=0.3, where=where).of(model)
    goal = Says(away)
    found = search(PGD(steps=5, travel=4.0, start="none", climb="soft"), model, ids, goal, threat)
    assert (found.change[:, AT + 1 :] == 0).all()
    assert (found.change[:, : AT + 1].norm(dim=2) <= 1 + 1e-5).all()
    before, after = goal.soft(model(ids)), goal.soft(threat.through(model, ids, found.change))
    assert (after > before + 0.1).all()
    seen: list[torch.Tensor] = []
    hook = model.blocks.register_forward_pre_hook(lambda m, a: seen.append(a[0]))
    with torch.no_grad():
        model(ids)
        logits(threat.through(model, ids, found.change))
    hook.remove()
    moved = (seen[1] - seen[0]).norm(dim=2)
    limit = 0.3 * model.embedding.weight.norm(dim=1).mean()
    assert (moved <= limit * (1 + 1e-5)).all() and moved.max() > 0.9 * limit


def test_a_reference_takes_no_gradient_from_the_model_that_learns():
    """The reference only moves the lead: slopes are those without one at a lead moved as far."""
    model, batch = scene()
    fixed = scene(seed=1)[0]
    found = []
    for reference in (None, fixed):
        plan = ContinuousIPO(
            threat=Embedding(radius=0.0), attack=INNER, reference=reference, away_cutoff=-1e9
        )
        loss = plan(run_of(model), batch)[:4]
        slope = torch.autograd.grad(loss.sqrt()[0], model.head.weight)[0]
        found.append(slope)
    assert found[0].abs().sum() > 0.1
    assert torch.allclose(found[0].abs(), found[1].abs(), atol=1e-6)
