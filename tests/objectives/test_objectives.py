"""Adversarial objectives against closed forms and plain training."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from holdfast.attacks.pgd import PGD
from holdfast.core.data import Batch, Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.objectives.adversarial import AdversarialTraining
from holdfast.objectives.supervised import Supervised, per_row
from holdfast.objectives.trades import Trades
from holdfast.run.loop import Training
from holdfast.run.training import TrainingRun
from holdfast.threats.norms import L2, LInf


def data(n: int = 48) -> Batches:
    x = torch.rand(n, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return Batches(x=x, y=x[:, :3].argmax(1), size=16)


def net() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Linear(5, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 3)
        ).double()


def run_of(model: nn.Module, n: int) -> TrainingRun:
    return TrainingRun(model, nn.ModuleDict(), Dice.of(n), 1)


def trained(objective) -> nn.Module:
    model = net()
    Training(objective=objective, epochs=2)(model, data())
    return model


def apart(a: nn.Module, b: nn.Module) -> float:
    pairs = zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    return max(float((p - q).abs().max()) for p, q in pairs)


@pytest.mark.parametrize("objective", [AdversarialTraining(), Trades()])
def test_radius_zero_is_plain_training_where_batches_are_seen_once(objective) -> None:
    model, batch = net().eval(), data().whole
    zero = replace(objective, threat=LInf(radius=0.0))
    losses = zero(run_of(model, 48), batch)
    plain = F.cross_entropy(model(batch.x), batch.y, reduction="none")
    assert torch.allclose(losses, plain, atol=1e-12)


def test_pgd_training_at_radius_zero_is_standard_training() -> None:
    zero = AdversarialTraining(threat=LInf(radius=0.0))
    assert apart(trained(zero), trained(Supervised())) < 1e-12


def test_trades_without_weight_is_standard_training() -> None:
    assert apart(trained(Trades(weight=0.0)), trained(Supervised())) == 0.0


@pytest.mark.parametrize(("threat", "dual"), [(LInf, 1), (L2, 2)])
def test_linear_inner_maximum_is_the_closed_form(threat, dual) -> None:
    w = torch.tensor([[0.5, -1.0, 2.0], [-0.3, 0.4, 0.1]], dtype=torch.float64)
    model = nn.Linear(3, 2, bias=False).double()
    model.weight.data.copy_(w)
    x = torch.full((4, 3), 0.5, dtype=torch.float64) + 0.1 * torch.eye(4, 3).double()
    batch = Batch(x, torch.tensor([0, 1, 0, 1]), torch.arange(4))
    objective = AdversarialTraining(threat=threat(radius=0.1), attack=PGD(steps=30, travel=6.0))
    losses = objective(run_of(model, 4), batch)
    signs = torch.tensor([1.0, -1, 1, -1]).double()
    margin = signs * (x @ (w[0] - w[1])) - 0.1 * (w[0] - w[1]).norm(dual)
    assert torch.allclose(losses, F.softplus(-margin), atol=1e-6)


def test_attack_goes_on_after_the_first_mistake() -> None:
    model = nn.Linear(2, 2, bias=False).double()
    model.weight.data.copy_(torch.tensor([[-5.0, 0.0], [5.0, 0.0]]))
    batch = Batch(torch.full((1, 2), 0.5).double(), torch.tensor([0]), torch.arange(1))
    objective = AdversarialTraining(threat=LInf(radius=0.2), attack=PGD(steps=20, travel=4.0))
    loss = objective(run_of(model, 1), batch)
    assert torch.allclose(loss, F.softplus(torch.tensor([7.0]).double()), atol=1e-9)


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_the_attack_leaves_the_model_as_found(mode: str) -> None:
    plain, attacked = net().train(), net().train()
    batch = data().whole
    objective = AdversarialTraining(threat=LInf(radius=0.05), mode=mode)
    attacked[0].weight.requires_grad_(False)
    objective(run_of(attacked, 48), batch)
    assert all(p.grad is None for p in attacked.parameters()) and attacked.training
    assert not attacked[0].weight.requires_grad and attacked[3].weight.requires_grad
    plain(batch.x)
    assert int(attacked[1].num_batches_tracked) == int(plain[1].num_batches_tracked) == 1


def settled() -> nn.Sequential:
    """A net in training mode whose running statistics are far from those of the batch."""
    model = net().train()
    with torch.no_grad():
        model[0].weight.mul_(4.0)
        model[3].weight.mul_(4.0)
        model(2 * data().x.flip(1) - 1)
    return model


def clipped(x: torch.Tensor, change: torch.Tensor, radius: float) -> torch.Tensor:
    change = change.clamp(-radius, radius)
    return (x + change).clamp(0, 1) - x


def climbed(model, x, height, start, radius: float, steps: int, length: float) -> torch.Tensor:
    """The best point of plain sign ascent, row by row."""
    change, best = start.clone(), start.clone()
    top = torch.full((len(x),), -torch.inf).double()
    for step in range(steps + 1):
        moved = change.clone().requires_grad_()
        value = height(model(x + moved))
        (slope,) = torch.autograd.grad(value.sum(), moved)
        better = value.detach() > top
        best[better], top[better] = change[better], value.detach()[better]
        if step < steps:
            change = clipped(x, change + length * radius * slope.sign(), radius)
    return best


def gradients(losses: torch.Tensor, model: nn.Module) -> list[torch.Tensor]:
    weights = list(model.parameters())
    return list(torch.autograd.grad(losses.mean(), weights, retain_graph=True))


def close(a, b, tolerance: float = 1e-10) -> bool:
    return all(torch.allclose(p, q, atol=tolerance, rtol=0) for p, q in zip(a, b, strict=True))


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_adversarial_training_is_its_naive_twin_with_batch_normalisation(mode: str) -> None:
    """Attack in the chosen mode on the statistics as they are; loss in training mode."""
    batch, radius = data().whole, 0.1
    attack = PGD(steps=3, travel=2.1, start="none", climb="soft")
    objective = AdversarialTraining(threat=LInf(radius=radius), attack=attack, mode=mode)
    ours, twin = settled(), settled()
    losses = objective(run_of(ours, 48), batch)
    kept = {name: b.clone() for name, b in twin.named_buffers()}

    def height(z: torch.Tensor) -> torch.Tensor:
        others = z.masked_fill(F.one_hot(batch.y, 3).bool(), -torch.inf)
        return others.logsumexp(1) - z.gather(1, batch.y[:, None]).squeeze(1)

    change = climbed(
        twin.train(mode == "train"), batch.x, height, torch.zeros_like(batch.x), radius, 3, 0.7
    )
    for name, buffer in twin.named_buffers():
        buffer.copy_(kept[name])
    expected = F.cross_entropy(twin.train()(batch.x + change), batch.y, reduction="none")
    assert torch.allclose(losses, expected, atol=1e-10)
    assert close(gradients(losses, ours), gradients(expected, twin))
    assert close(dict(ours.named_buffers()).values(), dict(twin.named_buffers()).values())
    other = replace(objective, mode="train" if mode == "eval" else "eval")
    assert not torch.allclose(other(run_of(settled(), 48), batch), losses, atol=1e-4)


def divergences(clean: torch.Tensor, moved: torch.Tensor) -> torch.Tensor:
    """KL(clean || moved), written out."""
    p, q = clean.softmax(1), moved.softmax(1)
    return (p * (p / q).log()).sum(1)


def test_trades_is_its_naive_twin_with_batch_normalisation() -> None:
    """The start is drawn from the threat, the attack sees fixed p(x) and evaluation mode, the
    divergence is from p(x) to p(x'), and its gradient flows through both."""
    batch, radius = data().whole, 0.1
    threat = LInf(radius=radius)
    objective = Trades(weight=2.0, threat=threat, attack=PGD(steps=3, travel=2.1, climb="soft"))
    ours, twin = settled(), settled()
    losses = objective(run_of(ours, 48), batch)
    start = threat.sample(batch.x, Dice.of(48).spawn("attack"))
    fixed = twin.eval()(batch.x).detach()
    change = climbed(twin, batch.x, lambda z: divergences(fixed, z), start, radius, 3, 0.7)
    twin.train()
    clean = twin(batch.x)
    moved = twin(batch.x + change)
    plain = F.cross_entropy(clean, batch.y, reduction="none")
    expected = plain + 2 * divergences(clean, moved)
    assert torch.allclose(losses, expected, atol=1e-10)
    assert close(gradients(losses, ours), gradients(expected, twin))
    assert close(dict(ours.named_buffers()).values(), dict(twin.named_buffers()).values())
    turned = plain + 2 * divergences(moved, clean)
    held = plain + 2 * divergences(clean.detach(), moved)
    assert (turned - expected).abs().max() > 1e-2  # both mistakes would show
    assert not close(gradients(expected, twin), gradients(held, twin), 1e-3)


def test_clean_share_mixes() -> None:
    model, batch = net().eval(), data().whole
    threat = LInf(radius=0.05)
    values = [
        AdversarialTraining(threat=threat, clean=c)(run_of(model, 48), batch) for c in (0, 0.5)
    ]
    clean = F.cross_entropy(model(batch.x), batch.y, reduction="none")
    assert torch.allclose(values[1], (values[0] + clean) / 2, atol=1e-12)
    assert (values[0] >= clean - 1e-12).all() and values[0].mean() > clean.mean() + 1e-3


def test_rows_of_positions_count_labelled_ones() -> None:
    losses = torch.tensor([[1.0, 3.0, 0.0], [0.0, 0.0, 0.0]])
    target = torch.tensor([[0, 1, -100], [-100, -100, -100]])
    assert torch.equal(per_row(losses, target), torch.tensor([2.0, 0.0]))


def test_recipes_can_be_aimed_and_texts_are_refused() -> None:
    aimed = Training(objective="objective:trades").against(L2(radius=0.5))
    assert aimed.objective == Trades(threat=L2(radius=0.5))
    with pytest.raises(Unsupported, match="threat"):
        Training().against(LInf())
    batch = Batch(["a"], torch.tensor([0]), torch.arange(1))
    with pytest.raises(Unsupported, match="tensor"):
        AdversarialTraining()(run_of(net(), 1), batch)
