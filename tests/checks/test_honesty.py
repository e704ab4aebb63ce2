"""The honesty gallery: every cosmetic defence is flagged, repaired, and cheap to see through."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from functools import cache

import pytest
import torch
from torch import Tensor, nn

from holdfast.checks.envelope import Envelope
from holdfast.checks.local import local
from holdfast.checks.repair import Repaired, repaired
from holdfast.checks.self_checks import SelfCheck, self_checks
from holdfast.checks.siege import besiege
from holdfast.checks.views import Inner, Mean
from holdfast.checks.worst_case import WorstCase
from holdfast.cli.verdict import show
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.records import Subject
from holdfast.report import render_html, render_json, render_junit, render_markdown, render_sarif
from holdfast.run.document import document
from holdfast.run.gates import gate
from holdfast.run.passes import Tap
from holdfast.run.suite import Suite
from holdfast.run.verdict import verdict
from holdfast.testing.worlds import two_class
from holdfast.testing.worlds.masked import Masked, digits, flat, gallery, trained
from holdfast.threats.bind import bind
from holdfast.threats.grammar import parse

ROWS, RADIUS, SEED = 20, 0.1, 41
NAMES = (
    "logits x1000", "inputs rounded", "softmax of 30 z", "input noise", "k winners take all",
    "detached", "NaN off the grid", "training mode", "logits clipped", "JPEG",
    "purified at test time", "bytes as inputs", "constant off the grid", "random resizing",
    "slopes reversed",
)  # fmt: skip
SIGNS = {
    "logits x1000": "loss has a scale", "inputs rounded": "slopes exist",
    "softmax of 30 z": "outputs are logits", "input noise": "answers repeat",
    "k winners take all": "margins do not jump", "detached": "slopes exist",
    "NaN off the grid": "answers are finite", "training mode": "in evaluation mode",
    "logits clipped": "outputs are not cut", "JPEG": "slopes exist",
    "purified at test time": "slopes exist", "bytes as inputs": "inputs in range",
    "constant off the grid": "slopes exist", "random resizing": "answers repeat",
    "slopes reversed": "slopes lead up",
}  # fmt: skip


@cache
def base(radius: float = RADIUS) -> tuple[nn.Module, Tensor, Tensor]:
    """A net trained against PGD, and rows that it has not seen."""
    x, y = digits(SEED)
    model = trained(flat, x[:600], y[:600], radius=radius, epochs=8, seed=SEED)
    return model, x[600 : 600 + 64], y[600 : 600 + 64]


@cache
def cases(rows: int = 64) -> dict[str, Masked]:
    """The gallery around it."""
    model, x, y = base()
    return {case.name: case for case in gallery(model, x[:rows], y[:rows])}


def asked(case: Masked, model: nn.Module | Tap) -> list[SelfCheck]:
    """All self-checks."""
    dice = Dice(SEED, torch.arange(len(case.x)))
    return self_checks(model, case.x, case.y, parse(f"linf:{RADIUS}"), dice)


@pytest.mark.parametrize("name", NAMES)
def test_every_cosmetic_defence_is_flagged_for_its_own_sign_within_the_budget(name: str) -> None:
    case = cases()[name]
    tap = Tap(case.model)
    failed = {c.name: c for c in asked(case, tap) if not c.passed}
    assert SIGNS[name] in failed, sorted(failed)
    assert all(c.says and c.fix for c in failed.values())
    forwards, backwards = tap.passes.per(len(case.x))
    assert 0 < forwards <= 100 and backwards <= 40


def test_the_probe_costs_at_most_a_hundred_forwards_where_nothing_breaks() -> None:
    world = two_class(64)
    tap = Tap(world.model)
    self_checks(tap, world.x, world.y, parse("linf:0.0001"), Dice.of(64))
    assert 60 < tap.passes.per(64)[0] <= 100 and tap.passes.per(64)[1] <= 40


def kept(case: Masked) -> tuple[Tensor, Repaired]:
    """Rows that stand after the repair."""
    threat, dice = parse(f"linf:{RADIUS}"), Dice(SEED, torch.arange(len(case.x)))
    plan = repaired(case.model, asked(case, case.model), case.x, threat, dice)
    attacks = ("attack:pgd",)
    return besiege(attacks, case.model, case.x, case.y, threat, dice, plan).standing, plan


@cache
def bare(rows: int) -> Tensor:
    """Rows of the net itself that stand."""
    model, x, y = base()
    threat = parse(f"linf:{RADIUS}")
    attacks = ("attack:pgd", "attack:apgd", "attack:square")
    return besiege(attacks, model, x[:rows], y[:rows], threat, Dice.of(rows)).standing


SAME = ("logits x1000", "softmax of 30 z", "detached", "logits clipped", "bytes as inputs",
        "training mode", "slopes reversed")  # fmt: skip


@pytest.mark.parametrize("name", SAME)
def test_a_net_is_as_robust_behind_a_wrapper_that_leaves_its_answers(name: str) -> None:
    case = cases(ROWS)[name]
    standing, plan = kept(case)
    assert plan.flags and 0 < int(bare(ROWS).sum()) < ROWS
    # A few rows lie on the edge of what attacks of this length reach.
    assert int((standing ^ bare(ROWS)).sum()) <= 1


def test_rounded_inputs_are_as_weak_as_their_own_truth_says() -> None:
    case = cases(16)["inputs rounded"]
    assert abs(int(kept(case)[0].sum()) - int(case.truth(RADIUS).sum())) <= 1


def test_a_random_model_is_judged_by_its_mean_answer() -> None:
    case = cases(8)["input noise"]
    standing, plan = kept(case)
    assert isinstance(plan.judge, Mean) and plan.error > 0
    assert abs(int(standing.sum()) - int(bare(8).sum())) <= 2


class Hidden:
    """A model in whose inside nothing can look."""

    __slots__ = ("ask",)

    def __init__(self, ask: Callable[[Tensor], Tensor]) -> None:
        self.ask = ask

    def __call__(self, x: Tensor) -> Tensor:
        return self.ask(x)


def test_differences_repair_what_cannot_be_looked_into() -> None:
    case = cases(12)["inputs rounded"]
    threat, dice = parse(f"linf:{RADIUS}"), Dice.of(12)
    model = Hidden(case.model)
    signs = self_checks(model, case.x, case.y, threat, dice)
    plan = repaired(model, signs, case.x, threat, dice)
    assert [name for name, _ in plan.views] == ["differences", "the grid of 255"]
    standing = besiege((), model, case.x, case.y, threat, dice, plan).standing
    assert abs(int(standing.sum()) - int(case.truth(RADIUS).sum())) <= 1


class BatchNormed(nn.Module):
    """A convolutional net with batch normalisation."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(128, 10),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        z: Tensor = self.body(x)
        return z


@cache
def plain(kind: str) -> tuple[Callable[[Tensor], Tensor], Tensor, Tensor]:
    """An honest net by name, with rows of its own."""
    x, y = digits(SEED + 1)
    train, x_, y_ = (x[:600], y[:600]), x[600:648], y[600:648]
    if kind == "two classes":
        pick, pick_ = y < 2, y[:600] < 2
        model = trained(flat, x[:600][pick_], y[:600][pick_], radius=0.0, epochs=6, seed=1)
        return model, x[600:][pick[600:]][:48], y[600:][pick[600:]][:48]
    if kind == "tabular":
        model = trained(
            lambda: nn.Sequential(nn.Linear(64, 10)), x[:600].flatten(1), y[:600], radius=0.0,
            epochs=10, seed=1,
        )  # fmt: skip
        return model, x_.flatten(1), y_
    make: Callable[[], nn.Module] = {"batchnorm": BatchNormed, "tiny": lambda: flat(6)}.get(
        kind, flat
    )
    radius = {"PGD-trained": 0.1, "bf16": 0.1}.get(kind, 0.0)
    model = trained(make, *train, radius=radius, epochs=6, seed=1)
    if kind == "bf16":
        half = model.bfloat16()
        return lambda v: half(v.bfloat16()), x_, y_
    if kind == "float64":
        return model.double(), x_.double(), y_
    return model, x_, y_


PLAIN = ("plain", "PGD-trained", "two classes", "tabular", "batchnorm", "tiny", "bf16", "float64")


@pytest.mark.parametrize("kind", PLAIN)
def test_no_false_flag_on_an_honest_net(kind: str) -> None:
    model, x, y = plain(kind)
    for threat in ("linf:0.05", "linf:0.2", "l2:0.5"):
        found = self_checks(model, x, y, parse(threat), Dice.of(len(x)))
        assert [f"{c.name}: {c.says}" for c in found if not c.passed] == []


@pytest.mark.parametrize("kind", PLAIN)
def test_no_false_flag_under_threats_that_are_no_balls(kind: str) -> None:
    """A patch jumps from pixel to pixel, a shared change follows no row: no fault of the net."""
    model, x, y = plain(kind)
    specs = ["l1:2", "shared+linf:0.1", "shared+l2:1"]
    specs += ["rotation:20", "patch:3x3", "shared+patch:3x3"] if x.dim() == 4 else []
    for spec in specs:
        found = self_checks(model, x[:32], y[:32], parse(spec), Dice.of(32))
        assert [f"{spec}: {c.name}: {c.says}" for c in found if not c.passed] == []


@pytest.mark.parametrize("threat", ["rotation:20", "patch:3x3", "shared+linf:0.1"])
@pytest.mark.parametrize("name", ["inputs rounded", "logits clipped", "input noise", "detached"])
def test_a_masked_net_is_flagged_whatever_the_threat(name: str, threat: str) -> None:
    case = cases()[name]
    found = self_checks(case.model, case.x[:32], case.y[:32], parse(threat), Dice.of(32))
    assert SIGNS[name] in {c.name for c in found if not c.passed}


def test_signs_are_looked_for_in_a_ball_around_each_input() -> None:
    model, x, _ = base()
    for spec in ("linf:0.1", "l1:2", "weights:0.1"):
        assert local(bind(parse(spec), model), x, Dice.of(len(x))).spec == spec
    assert local(parse("shared+l2:0.5"), x, Dice.of(len(x))) == parse("l2:0.5")
    near = local(parse("patch:8x8"), x, Dice.of(len(x)))  # uniform noise in place of the image
    noise = torch.rand(x.shape, generator=torch.Generator().manual_seed(0))
    assert near.spec.startswith("linf:")
    assert near.radius == pytest.approx(float((noise - x).square().mean().sqrt()), rel=0.05)


def test_an_honest_model_is_not_repaired() -> None:
    model, x, _ = plain("plain")
    plan = repaired(model, [SelfCheck("all", True, "well")], x, parse("linf:0.1"), Dice.of(len(x)))
    assert plan.judge is model and not plan.views and not plan.flags


def test_inner_logits_are_those_of_the_net_inside_with_its_slopes() -> None:
    model, x, _ = base()
    for name in ("softmax of 30 z", "logits clipped", "detached"):
        view = Inner(cases()[name].model)
        a, b = (v.clone().requires_grad_() for v in (x[:5], x[:5]))
        assert torch.equal(view(a), model(b))
        (left,) = torch.autograd.grad(view(a).square().sum(), a)
        (right,) = torch.autograd.grad(model(b).square().sum(), b)
        assert torch.equal(left, right)
    assert not Inner(model).reach(x[:5]) or Inner(model)(x[:5]).shape == (5, 10)


def test_a_masked_model_is_printed_with_its_flags_in_every_format() -> None:
    case = cases(12)["logits clipped"]
    data = Batches(x=case.x, y=case.y, index=torch.arange(12), size=12)
    about = Subject(model=case.model, batches=data, threats=(parse(f"linf:{RADIUS}"),))
    curve = Envelope(radii=(1.0,), attack="attack:fgsm", smallest=None)
    suite = Suite("one", (WorstCase(attacks=("attack:pgd",)), curve))
    report = suite(about)
    names = {f"attacks.worst@linf:{RADIUS}", f"envelope.attacked@linf:{RADIUS}"}
    ruling = verdict(report.readings, (gate("attacks.worst@*", ">= 0.01"),), report.outcomes)
    results = document(report, about, suite.checks, ruling)
    found, sign = [r for r in report.readings if r.name in names], "outputs are not cut"
    assert len({r.value for r in found}) == 2  # so that each is looked for by itself
    assert all(any(flag.startswith(sign) for flag in r.flags) for r in found)
    held = json.loads(render_json(results))
    same = [r for o in held["outcomes"] for f in o["findings"] for r in f["readings"]]
    assert all(r["flags"] for r in [*same, *held["gates"]] if r["name"] in names)
    out = io.StringIO()
    show(results, seconds=1.0, report="report.html", stream=out)
    page = re.sub(r"<script.*?</script>|<style.*?</style>", "", render_html(results), flags=re.S)
    texts = (render_markdown(results), render_sarif(results), render_junit(results), out.getvalue())
    for value in (f"{r.value:.1%}" for r in found):
        for place in (m.start() for m in re.finditer(re.escape(value), page)):
            assert sign in page[max(0, place - 900) : place + 1500], value
        for text in texts:
            lines = [x for x in text.replace("\\", "").splitlines() if value in x]
            assert all(sign in x for x in lines)
    for finding in (f for o in held["outcomes"] for f in o["findings"] if f["readings"]):
        said = [finding["says"]]
        said += [f["says"] for f in finding["figures"] if f["kind"] == "envelope"]
        assert all("doubt" in text or sign in text for text in said)
