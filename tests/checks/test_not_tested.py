"""What cannot be asked says why, and the reading names of an audit are exactly these."""

from __future__ import annotations

import torch
from tests.checks.subjects import batches, net, subject
from torch import Tensor

from holdfast.checks.worst_case import WorstCase
from holdfast.core.records import Subject
from holdfast.run.suite import Suite
from holdfast.suites import load
from holdfast.testing.worlds import two_class
from holdfast.threats.grammar import parse


def outcomes(about: Subject, *left_out: str) -> dict[str, str]:
    """Why each check of the quick suite did not run; empty where it did."""
    suite = load("quick")
    kept = tuple(c for c in suite.checks if type(c).__name__ not in left_out)
    report = Suite("part", kept)(about)
    assert not [o.error for o in report.outcomes if o.error]
    return {o.check.partition(":")[2]: o.skipped for o in report.outcomes}


def test_without_reference_and_below_200_rows_nothing_is_fitted() -> None:
    world = two_class(40)
    why = outcomes(subject(world.model, world.x, world.y), "WorstCase", "Envelope", "Certificates")
    for name in ("calibration", "ood"):
        assert "needs" in why[name] and "--reference DATA" in why[name] and "200 rows" in why[name]
    assert "image" in why["corruptions"]  # a table has no weather
    assert not why["clean"] and not why["slices"] and not why["curvature"]


def test_a_black_box_is_attacked_by_queries_and_says_what_else_needs_gradients() -> None:
    world = two_class(24)

    def box(x: Tensor) -> Tensor:
        return torch.as_tensor(world.model(x).detach().numpy())

    why = outcomes(subject(box, world.x, world.y), "WorstCase")
    for name in ("certificates", "curvature", "explanation-stability"):
        assert why[name], name
    report = Suite("one", (WorstCase(probes=8),))(subject(box, world.x, world.y))
    (worst,) = report.readings
    assert worst.name == "attacks.worst@linf:0.05" and 0 < worst.value < 1
    assert worst.flags and "slopes exist" in worst.flags[0]
    both = WorstCase(attacks=("attack:pgd", "attack:square"), probes=0)
    report = Suite("one", (both,))(subject(box, world.x, world.y))
    assert "attack:pgd could not be run" in report.outcomes[0].findings[0].says


def test_names_of_all_readings() -> None:
    model, x, y = net()
    data = batches(x[:30], y[:30])
    about = Subject(
        model=model, batches=data, trusted=batches(x[30:], y[30:]),
        threats=(parse("linf:0.1"),), make=lambda seed: model,
    )  # fmt: skip
    report = load("quick")(about)
    assert not [(o.check, o.skipped, o.error) for o in report.outcomes if o.skipped or o.error]
    names = [r.name for r in report.readings]
    assert len(names) == len(set(names))
    shifts = {n for n in names if n.startswith("corruptions.")} - {
        "corruptions.mean", "corruptions.worst",
    }  # fmt: skip
    assert len(shifts) == 15
    assert set(names) - shifts == {
        "clean.accuracy", "clean.majority", "clean.worst_class", "attacks.worst@linf:0.1",
        "certificates.proved@linf:0.1", "certificates.proved_within@linf:0.025",
        "certificates.open@linf:0.1",
        "envelope.attacked@linf:0.1", "envelope.certified@linf:0.1",
        "corruptions.mean", "corruptions.worst",
        "calibration.ece", "calibration.ece_after_temperature", "calibration.adaptive-ece",
        "calibration.brier", "calibration.nll", "selective.aurc",
        "ood.auroc", "ood.fpr95", "explanations.stability",
        "explanations.control", "geometry.linear_distance", "geometry.slope",
        *[n for n in names if n.startswith(("geometry.lipschitz", "geometry.sharp",
                                            "geometry.hessian"))],
    }  # fmt: skip
    for r in report.readings:
        assert r.n > 0 and not (r.low > r.value or r.value > r.high), r.name
        assert r.seed == 0 and (("@" in r.name) == bool(r.threat)), r.name
