"""Training on boxes against the certifiers, closed forms and plain training."""

import pytest
import torch
from torch import Tensor, nn

from holdfast.certify.linear.crown import CROWN
from holdfast.certify.linear.ibp import IBP
from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.core.goal import Untargeted
from holdfast.objectives.boxes import BoundTraining, ramp, spanned, worst_logits
from holdfast.run.training import TrainingRun
from holdfast.threats.norms import L2, LInf


class Net(nn.Module):
    """Convolutions, normalisation, a residual sum, pooling, constants and reshapes."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.n = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.b, self.out = nn.Conv2d(4, 4, 3, padding=2, dilation=2, groups=2), nn.Linear(36, 5)

    def forward(self, x: Tensor) -> Tensor:
        z = torch.relu(self.n(self.a((x - 0.4) / 0.25)))
        z = torch.relu(z + self.b(z))
        return self.out(nn.functional.avg_pool2d(z, 2).view(x.shape[0], -1))


def net() -> tuple[nn.Module, Tensor, Tensor]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Net().double().eval()
        with torch.no_grad():
            model.n.running_mean.normal_()
            model.n.running_var.uniform_(0.5, 2)
        x = torch.rand(6, 1, 6, 6, dtype=torch.float64)
    with torch.no_grad():
        return model, x, model(x).argmax(1)


def worst(model: nn.Module, x: Tensor, y: Tensor, radius: float, through: str) -> Tensor:
    out = spanned(model, x, (x - radius).clamp(0), (x + radius).clamp(max=1))
    assert torch.allclose(out.step.point, model(x), atol=1e-12)
    found = worst_logits(out, y, through)
    assert bool((found.gather(1, y[:, None]) == 0).all())
    return found.scatter(1, y[:, None], -torch.inf).amax(1)


@pytest.mark.parametrize(
    ("through", "certifier"), [("stop", IBP()), ("relax", CROWN(intermediate="ibp"))]
)
def test_bounds_are_those_of_the_certifiers(through, certifier) -> None:
    model, x, y = net()
    for radius in (0.003, 0.03):
        exact = certifier(model, x, Untargeted(y), LInf(radius=radius)).margin
        found = worst(model, x, y, radius, through)
        lines = torch.minimum(found, worst(model, x, y, radius, "stop"))
        assert torch.allclose(lines if through == "relax" else found, exact, atol=1e-8)


def losses(objective: BoundTraining, progress: float) -> tuple[Tensor, Tensor]:
    model, x, y = net()
    run = TrainingRun(model.train(), nn.ModuleDict(), Dice.of(6), 1)
    run.progress = progress
    found = objective(run, Batch(x, y, torch.arange(6)))
    (slope,) = torch.autograd.grad(found.mean(), model.a.weight)
    return found, slope


def test_at_radius_zero_it_is_plain_training() -> None:
    model, x, y = net()
    plain = nn.functional.cross_entropy(model.train()(x), y, reduction="none")
    for objective, progress in (
        (BoundTraining(), 0.0), (BoundTraining(clean=0.0, threat=LInf(radius=0.0)), 1.0),
        (BoundTraining(clean=0.0, linear=1.0, threat=LInf(radius=0.0)), 0.5),
    ):  # fmt: skip
        assert torch.allclose(losses(objective, progress)[0], plain, atol=1e-9)


def test_without_linear_bounds_crown_ibp_is_ibp() -> None:
    for progress in (0.3, 1.0):
        a = losses(BoundTraining(clean=0.2), progress)
        b = losses(BoundTraining(clean=0.2, linear=1.0 if progress == 1 else 0.0), progress)
        assert torch.equal(a[0], b[0]) and torch.equal(a[1], b[1])
    loose, tight = (losses(BoundTraining(clean=0.0, linear=v), 0.2)[0] for v in (0.0, 1.0))
    assert not torch.allclose(loose, tight)


def test_gradients_are_those_of_differences() -> None:
    model, x, y = net()
    objective = BoundTraining(clean=0.3, linear=0.5, threat=LInf(radius=0.05))
    run = TrainingRun(model, nn.ModuleDict(), Dice.of(6), 1)
    run.progress = 0.4
    batch = Batch(x, y, torch.arange(6))

    def total() -> Tensor:
        return objective(run, batch).sum()

    (slope,) = torch.autograd.grad(total(), model.a.weight)
    with torch.no_grad():
        for where in ((0, 0, 1, 1), (3, 0, 2, 0)):
            kept = model.a.weight[where].item()
            ends = []
            for step in (1e-6, -1e-6):
                model.a.weight[where] = kept + step
                ends.append(total())
            model.a.weight[where] = kept
            assert abs(float(ends[0] - ends[1]) / 2e-6 - float(slope[where])) < 1e-4


def test_the_ramp_waits_and_ends() -> None:
    assert [ramp(p, 0.1, 0.6) for p in (0.0, 0.1, 0.6, 1.0)] == [0.0, 0.0, 1.0, 1.0]
    assert abs(ramp(0.35, 0.1, 0.6) - 0.5) < 1e-12 and ramp(0.0, 0.0, 0.0) == 1.0


def test_what_has_no_rule_is_named() -> None:
    x, y = torch.rand(3, 4), torch.zeros(3, dtype=torch.int64)
    model = nn.Sequential(nn.Linear(4, 3), nn.Softmax(1))
    run = TrainingRun(model, nn.ModuleDict(), Dice.of(3), 1)
    with pytest.raises(Unsupported, match="softmax"):
        BoundTraining()(run, Batch(x, y, torch.arange(3)))
    with pytest.raises(Unsupported, match="l2"):
        BoundTraining(threat=L2(radius=1.0))(run, Batch(x, y, torch.arange(3)))
