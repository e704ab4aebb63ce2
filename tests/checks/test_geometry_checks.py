"""Certificates, envelope, explanations and curvature on worlds with closed forms."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from scipy.stats import spearmanr
from tests.checks.subjects import findings, linear, net, reading, subject
from torch import Tensor, nn

from holdfast.attacks.pgd import PGD
from holdfast.checks.certificates import Certificates
from holdfast.checks.curvature import Curvature
from holdfast.checks.envelope import Envelope
from holdfast.checks.explanation_stability import ExplanationStability
from holdfast.core.certificate import Certificate
from holdfast.core.errors import Contradiction, Unsupported
from holdfast.core.kinds import Certifier
from holdfast.core.records import Severity
from holdfast.ops.statistics import clopper_pearson
from holdfast.testing.worlds import linear_layer, two_class

INF = float("inf")


class Liar(Certifier):
    """Proves everything."""

    def __call__(self, model: Any, x: Any, goal: Any, threat: Any, *, dice: Any = None) -> Any:
        return Certificate(model, threat, torch.full((len(x),), -1.0))


def test_certificates_of_a_linear_model_are_its_closed_form() -> None:
    world, about = linear(96, "linf:0.05")
    found = findings(Certificates(), about)
    true = world.radius(INF)
    for name, radius in (
        ("certificates.proved@linf:0.05", 0.05),
        ("certificates.proved_within@linf:0.0125", 0.0125),
    ):
        count = int((true > radius).sum())
        one = reading(found, name)
        low, high = clopper_pearson(count, 96)
        assert one.value == count / 96 and (one.n, one.bound) == (96, "lower")
        assert (one.low, one.high) == pytest.approx((float(low), float(high)))
        assert one.threat == name.partition("@")[2]
    names = [r.name for f in found for r in f.readings]
    assert len(names) == 3 and sum(n.startswith("certificates.proved@") for n in names) == 1
    assert reading(found, "certificates.open@linf:0.05").value == 0  # bounds of a plane are exact
    rows = found[0].figures[0].rows
    ladder = [r for r in rows if r["state"] == "proved" and r["threat"] == "linf:0.05"]
    assert [r["method"] for r in ladder] == ["certifier:ibp", "certifier:crown"]
    # What the first rung proves is not asked of the second, which can prove no more here.
    assert ladder[1]["asked"] == ladder[0]["asked"] - ladder[0]["rows"]
    assert ladder[1]["rows"] == 0
    for spec, radius in (("linf:0.05", 0.05), ("linf:0.0125", 0.0125)):
        own = {r["state"]: r["rows"] for r in rows if r["threat"] == spec and r["rows"]}
        sure, clean = int((true > radius).sum()), int((true > 0).sum())
        assert own.get("proved") == sure and own.get("wrong", 0) == 96 - clean
        assert own.get("broken", 0) == clean - sure and "open" not in own


def test_a_certifier_that_lies_stops_the_audit() -> None:
    _, about = linear(96, "linf:0.05")
    with pytest.raises(Contradiction):
        findings(Certificates(certifiers=(Liar(),)), about)
    with pytest.raises(Contradiction):
        findings(Envelope(certifier=Liar(), radii=(1.0,), attack=PGD(steps=10)), about)


def test_a_black_box_is_not_certified_and_says_so() -> None:
    world, _ = linear(8)
    box = subject(lambda x: world.model(x).detach(), world.x, world.y)
    with pytest.raises(Unsupported):
        findings(Certificates(), box)
    with pytest.raises(Unsupported):
        findings(Curvature(), box)


def test_the_envelope_of_a_linear_model_closes_on_its_closed_form() -> None:
    world, about = linear(64, "linf:0.05")
    check = Envelope(radii=(0.25, 1.0, 2.0), attack=PGD(steps=10))
    (one,) = findings(check, about)
    true = world.radius(INF)
    for row in one.figures[0].rows:
        radius, count = float(row["radius"] or 0), float(row["accuracy"] or 0) * 64
        if not radius and row["bound"] == "lower":
            radius = 0.0125  # what is proved at the smallest radius is proved without a change
        assert round(count) == int((true > radius).sum())
        assert row["bound"] == ("upper" if row["series"] == "attacked" else "lower")
        low, high = clopper_pearson(round(count), 64)
        assert (row["low"], row["high"]) == pytest.approx((float(low), float(high)))
    assert [r["radius"] for r in one.figures[0].rows] == pytest.approx([0, 0.0125, 0.05, 0.1] * 2)
    attacked = reading([one], "envelope.attacked@linf:0.05")
    assert attacked.value == float((true > 0.05).double().mean())
    assert attacked.bound == "upper" and attacked.threat == "linf:0.05"


def test_an_envelope_without_a_certifier_has_one_curve_and_the_reason() -> None:
    world, _ = linear(16)

    def strange(x: Tensor) -> Tensor:
        z: Tensor = world.model(x)
        return torch.fft.ifft(torch.fft.fft(z)).real

    about = subject(strange, world.x, world.y)
    (one,) = findings(Envelope(radii=(0.5, 1.0), attack=PGD(steps=4)), about)
    assert {r["series"] for r in one.figures[0].rows} == {"attacked"}
    assert "Nothing is proved: " in one.says


def test_an_envelope_of_masked_gradients_is_doubted() -> None:
    world, _ = linear(16)

    def rounded(x: Tensor) -> Tensor:
        z: Tensor = world.model((x * 32).round() / 32)
        return z

    about = subject(rounded, world.x, world.y)
    (one,) = findings(Envelope(radii=(1.0,), attack=PGD(steps=4)), about)
    (flag,) = reading([one], "envelope.attacked@linf:0.05").flags
    assert flag.startswith("slopes exist: ") and "may lie too high" in one.says


def test_attributions_of_a_linear_model_do_not_move_with_the_input() -> None:
    world = two_class(40, size=12)
    other = linear_layer(
        torch.randn(2, 12, generator=torch.Generator().manual_seed(1)), torch.zeros(2)
    )
    about = subject(world.model, world.x, world.y, make=lambda seed: other)
    check = ExplanationStability(explainer="explainer:saliency")
    (one,) = findings(check, about)
    stable = reading([one], "explanations.stability")
    assert stable.value == pytest.approx(1.0) and one.severity is Severity.GOOD
    assert stable.low == pytest.approx(stable.high) and 30 <= stable.n <= 40
    control = reading([one], "explanations.control")
    weights = [m.weight.detach().abs() for m in (world.model, other)]  # type: ignore[operator, union-attr]
    true = [float(spearmanr(weights[0][k], weights[1][k])[0]) for k in range(2)]
    assert min(true) - 1e-9 <= control.value <= max(true) + 1e-9 and control.better == "lower"


def test_attributions_of_images_are_shown_beside_those_of_random_weights() -> None:
    model, x, y = net()
    about = subject(model, x[:12], y[:12], make=lambda seed: net(_fresh)[0])
    (one,) = findings(ExplanationStability(explainer="explainer:saliency"), about)
    (figure,) = one.figures
    assert figure.kind == "gallery" and figure.says == one.says
    assert [r["title"] for r in figure.rows] == ["why 0", "why 1", "why 2"]
    for key in ("image", "reasons", "control"):
        assert all(str(r[key]).startswith("data:image/png;base64,") for r in figure.rows)


def _fresh() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 3))


def test_unstable_attributions_are_a_warning_and_have_no_control_without_a_maker() -> None:
    class Wave(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            wave = (400 * x).sin().sum(1)
            return torch.stack([wave - wave.detach() + 1, 0 * wave], 1)

    about = subject(Wave(), torch.rand(30, 9, generator=torch.Generator().manual_seed(0)),
                    torch.zeros(30).long())  # fmt: skip
    (one,) = findings(ExplanationStability(explainer="explainer:saliency"), about)
    assert reading([one], "explanations.stability").value < 0.5
    assert one.severity is Severity.WARNING and len(one.readings) == 1


def test_curvature_of_a_linear_model_is_its_closed_form() -> None:
    world = two_class(64)
    found = findings(Curvature(few=8), subject(world.model, world.x, world.y))
    distance = reading(found, "geometry.linear_distance")
    true = world.radius(INF)
    assert distance.value == pytest.approx(float(true.mean())) and distance.n == 64
    assert distance.low < distance.value < distance.high
    rows = world.ways()[0]
    slope = reading(found, "geometry.slope")
    assert slope.value == pytest.approx(float(rows.abs().sum(-1).mean()))
    weight = world.model.weight.detach()  # type: ignore[operator, union-attr]
    top = float(torch.linalg.matrix_norm(weight, 2))
    names = {r.name: r for f in found for r in f.readings}
    for name in names:
        if name.startswith("geometry.lipschitz"):
            assert 0 < names[name].value <= top * (1 + 1e-6)
    assert {"geometry.sharpness", "geometry.hessian"} & {n.partition("_")[0] for n in names}
    counted = sum(int(r["count"] or 0) for r in found[0].figures[0].rows)
    assert counted == 64


def test_curvature_refuses_where_no_row_is_right() -> None:
    world = two_class(16)
    with pytest.raises(Unsupported):
        findings(Curvature(), subject(world.model, world.x, 1 - world.y))
