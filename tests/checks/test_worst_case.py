"""The worst case against its closed form, and its flags in every format."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tests.checks.subjects import findings, linear, net, reading, subject

from holdfast.checks import worst_case
from holdfast.checks.nearest import nearest
from holdfast.checks.siege import besiege
from holdfast.checks.worst_case import WorstCase
from holdfast.core.catalog import build
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.core.goal import Untargeted
from holdfast.core.records import Finding, Severity, Subject
from holdfast.ops.statistics import clopper_pearson
from holdfast.report import render_html, render_json, render_markdown
from holdfast.run.document import document
from holdfast.run.gates import gate
from holdfast.run.suite import Suite
from holdfast.run.verdict import verdict
from holdfast.testing.worlds import two_class
from holdfast.threats.grammar import parse
from holdfast.threats.tokens import Substitutions
from holdfast.threats.words import Words

PGD, SQUARE = build("attack:pgd", steps=10), build("attack:square", steps=50)
QUICK = WorstCase(attacks=("attack:pgd",), probes=0)


@pytest.mark.parametrize("threat", ["linf:0.02", "linf:0.05", "l2:0.1", "l1:0.2"])
def test_equals_the_closed_form_on_the_linear_world(threat: str) -> None:
    world, about = linear(threat=threat)
    name, _, radius = threat.partition(":")
    order = {"linf": float("inf"), "l2": 2.0, "l1": 1.0}[name]
    true = int((world.worst(float(radius), order) < 0).sum())
    short = int((world.worst(0.99 * float(radius), order) < 0).sum())
    assert 0 < true <= short < len(world.x)
    found = reading(findings(QUICK, about), f"attacks.worst@{threat}")
    assert true <= found.value * len(world.x) <= short  # never below the truth, within 1 % of it
    assert found.bound == "upper" and found.threat == threat and found.n == len(world.x)
    low, high = clopper_pearson(round(found.value * found.n), found.n)
    assert (found.low, found.high) == pytest.approx((float(low), float(high)))


def test_radii_in_the_table_are_those_of_the_closed_form() -> None:
    world, _ = linear(threat="linf:0.05")
    threat = parse("linf:0.05")
    siege = besiege(
        ("attack:fgsm",), world.model, world.x, world.y, threat, Dice(0, torch.arange(64))
    )
    true = world.radius(float("inf"))
    broken = ~siege.standing
    assert torch.equal(broken, true <= 0.05)
    found = siege.size[broken].double() * 0.05
    assert (found >= true[broken] - 1e-6).all()  # never below the true distance
    assert (found <= true[broken] + 0.05 * 2**-6).all()  # one step is the best direction here
    assert siege.size[siege.standing].isnan().all()
    assert siege.lines[0]["median radius"] == pytest.approx(float(found.median()), rel=1e-5)


def test_nearest_is_an_upper_bound_where_the_way_is_not_monotone() -> None:
    """A model that gives in only between 0.3 and 0.6 of the way and at its end."""

    def model(x: torch.Tensor) -> torch.Tensor:
        z = x[:, 0]
        wins = ((z > 0.3) & (z < 0.6)) | (z > 0.9)
        return torch.stack([torch.where(wins, -1.0, 1.0), torch.zeros(len(x))], 1)

    x = torch.zeros(1, 1)
    size = nearest(model, x, Untargeted(torch.tensor([0])), parse("linf:1"), torch.ones(1, 1))
    assert 0.3 <= float(size) <= 1 and float(size) < 0.92


def test_a_portfolio_is_at_least_as_strong_as_each_of_its_attacks() -> None:
    model, x, y = net()
    about = subject(model, x[:12], y[:12], "linf:0.35")
    each = [
        reading(findings(replace(QUICK, attacks=(a,)), about), "attacks.worst@linf:0.35").value
        for a in (PGD, SQUARE)
    ]
    both = replace(QUICK, attacks=(PGD, SQUARE))
    every = findings(both, about)
    assert reading(every, "attacks.worst@linf:0.35").value <= min(each)
    table = next(f for one in every for f in one.figures if f.name.startswith("attacks-"))
    total = table.rows[-1]
    assert total["broken"] == sum(int(r["broken"] or 0) for r in table.rows[:-1])
    assert total["forwards"] == sum(int(r["forwards"] or 0) for r in table.rows[:-1])


def test_a_wrong_row_breaks_without_a_change() -> None:
    world = two_class(32)
    about = subject(world.model, world.x, 1 - world.y, "linf:0.001")
    found = findings(QUICK, about)
    assert reading(found, "attacks.worst@linf:0.001").value == 0
    assert len(found) == 1  # nothing that was wrong anyway is shown as a failure


def test_refuses_what_it_cannot_attack() -> None:
    with pytest.raises(Unsupported):
        findings(QUICK, subject(None, torch.rand(2, 3), torch.tensor([0, 1])))


def test_the_gallery_shows_sure_answers_that_turned_and_what_moved() -> None:
    world = two_class(64, size=4)
    units = [{"column": f"c{k}", "low": 10.0 * k, "high": 10.0 * k + 5} for k in range(4)]
    about = subject(world.model, world.x, world.y, "linf:0.05", about={"units": units})
    _, shown = findings(QUICK, about)
    (figure,) = shown.figures
    margins = world.margin()
    broken = (world.radius(float("inf")) <= 0.05).nonzero().flatten()
    surest = broken[margins[broken].argsort()][:6]
    assert list(shown.rows) == surest.tolist() == [r["row"] for r in figure.rows]
    for i, row in zip(surest, figure.rows, strict=True):
        known = int(world.y[i])
        assert str(row["before"]).startswith(f"{known}, ")
        assert str(row["after"]).startswith(f"{1 - known}, ")
    moved = str(figure.rows[0]["largest changes"]).split("; ")
    assert len(moved) == 3
    for one in moved:  # at most 5 % of a range of 5, in the unit of the column
        name, old, _, new = one.split(" ")
        assert 10 * int(name[1:]) <= float(old) <= 10 * int(name[1:]) + 5
        assert 0 < abs(float(new) - float(old)) <= 0.25 + 0.01


def test_the_gallery_of_images_holds_pictures() -> None:
    model, x, y = net()
    rows = findings(QUICK, subject(model, x[:12], y[:12], "linf:0.5"))[1].figures[0].rows
    for key in ("image", "changed", "difference"):
        assert all(str(r[key]).startswith("data:image/png;base64,") for r in rows)
    assert str(rows[0]["breaks at"]).startswith("linf 0.")
    assert (
        rows[0]["found by"] in {"fgsm", "pgd"} and 0 < float(rows[0]["of the radius (share)"]) <= 1
    )


def test_the_gallery_of_texts_holds_both_texts() -> None:
    words = Words.of(["a good film", "a bad film"], {"good": ["poor"], "bad": ["fair"]})
    value = torch.zeros(len(words.words), 2)
    for word, worth in (("good", 2.0), ("bad", -2.0), ("poor", -1.0), ("fair", 1.0)):
        value[words.words.index(word), 1] = worth
    reads = Texts(words, value)
    about = Subject(
        model=reads, batches=Batches(x=words.ids(["a good film", "a bad film"]),
                                     y=torch.tensor([1, 0]), classes=("bad", "good")),
        threats=(Substitutions(edits=1, table=words.table),),
    )  # fmt: skip
    attacks = WorstCase(attacks=("attack:word-substitution",), probes=0)
    rows = findings(attacks, about)[1].figures[0].rows
    shown = {str(r["text"]): str(r["changed text"]) for r in rows}
    assert shown == {"a good film": "a poor film", "a bad film": "a fair film"}
    assert {str(r["before"]) for r in rows} == {"good, 88%", "bad, 88%"}


class Texts(torch.nn.Module):
    """Adds up what each word is worth."""

    def __init__(self, words: Words, value: torch.Tensor) -> None:
        super().__init__()
        self.words, self.value = words, value

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.value[ids].sum(1)


def test_the_ledger_sums_to_the_table() -> None:
    model, x, y = net()
    about = subject(model, x[:40], y[:40], "linf:0.35")
    found = findings(WorstCase(attacks=("attack:fgsm", "attack:ensemble"), probes=0), about)[0]
    table, stages = found.figures[:2]
    assert stages.name == "ledger-linf:0.35" and table.rows[-1]["broken"]
    for key in ("forwards", "backwards", "broken"):
        whole = sum(int(r[key] or 0) for r in stages.rows)
        assert whole == table.rows[-1][key]


def _masked() -> Subject:
    world = two_class(32)
    return subject(
        lambda x: world.model((x * 64).round() / 64), world.x, world.y, "linf:0.05", about={}
    )


def test_the_ensemble_is_the_portfolio_unless_said() -> None:
    assert WorstCase().attacks == ("attack:ensemble",)
    world, about = linear(threat="l2:0.1")
    found = findings(replace(WorstCase(), probes=0), about)
    assert reading(found, "attacks.worst@l2:0.1").value == float((world.worst(0.1, 2) < 0).mean(
        dtype=torch.float64))  # fmt: skip
    table, stages = found[0].figures[:2]
    assert [r["method"] for r in table.rows] == ["attack:ensemble"]  # no line that repeats it
    assert any(str(r["stage"]).startswith("attack:ensemble: sprint") for r in stages.rows)


@pytest.mark.parametrize("spec", ["patch:2x2", "rotation:40"])
def test_where_a_threat_has_many_best_places_ascents_start_from_many(spec: str) -> None:
    model, x, y = net()
    about, name = subject(model, x[:24], y[:24], spec), f"attacks.worst@{spec}"
    many = WorstCase(attacks=(build("attack:pgd", steps=10, restarts=10),), probes=0)
    found, other = findings(WorstCase(probes=0), about), findings(many, about)
    assert reading(found, name).value <= reading(other, name).value + 1 / 24


def test_changes_that_serve_all_rows_do_not_add_up() -> None:
    """Two attacks with a change each: what counts is the better one, not both."""
    model, x, y = net()
    about = subject(model, x[:30], y[:30], "shared+linf:0.35")
    name = "attacks.worst@shared+linf:0.35"
    each = [
        findings(replace(QUICK, attacks=(a,)), about) for a in (PGD, build("attack:fgsm"), SQUARE)
    ]
    whole = findings(replace(QUICK, attacks=(PGD, build("attack:fgsm"), SQUARE)), about)
    assert reading(whole, name).value == min(reading(f, name).value for f in each) < 1
    siege = besiege((PGD, SQUARE), model, x[:30], y[:30], about.threats[0], Dice.of(30))
    assert (siege.change == siege.change[:1]).all()
    with torch.no_grad():
        moved = model(about.threats[0].apply(x[:30], siege.change)).argmax(1)
    assert torch.equal(siege.standing, moved == y[:30])
    assert siege.size[~siege.standing].le(1 + 1e-5).all()


@pytest.mark.parametrize("spec", ["weights:0.3", "latent:2:0.8", "shared+weights:0.3"])
def test_threats_into_the_model_are_bound_to_it(spec: str) -> None:
    model, x, y = net()
    about = subject(model, x[:16], y[:16], spec)
    found = findings(WorstCase(probes=8), about)
    worst = reading(found, f"attacks.worst@{spec}")
    assert worst.value < 1 and worst.flags == () and worst.n == 16
    with pytest.raises(Unsupported, match="one torch module") as refused:
        findings(QUICK, subject(lambda v: v.flatten(1)[:, :3], x, y, spec))
    assert "Wrap the model" in refused.value.fix


def test_no_more_rows_are_attacked_than_changes_have_room_for(monkeypatch) -> None:
    model, x, y = net()
    weights = sum(p.numel() for p in model.parameters() if p.dim() > 1)
    monkeypatch.setattr(worst_case, "NUMBERS", 5 * weights + 1)
    about = subject(model, x[:16], y[:16], "weights:0.01")
    assert reading(findings(QUICK, about), "attacks.worst@weights:0.01").n == 5


def test_flags_go_wherever_the_number_goes() -> None:
    about = _masked()
    suite = Suite("one", (WorstCase(attacks=("attack:pgd",)),))
    report = suite(about)
    (worst,) = [r for r in report.readings if r.name.startswith("attacks.worst@")]
    assert worst.flags
    first = report.outcomes[0].findings[0]
    assert first.severity is Severity.FAILURE and "doubt" in first.says
    ruling = verdict(report.readings, (gate("attacks.worst@*", ">= 0.01"),), report.outcomes)
    assert ruling.word == "UNDECIDED"  # a doubted bound from above never passes a gate
    assert ruling.gates[0].flags == worst.flags
    assert "cannot be decided: self-checks doubt attacks.worst@linf:0.05" in ruling.says
    results = document(report, about, suite.checks, ruling)
    page, words, plain = render_html(results), render_markdown(results), render_json(results)
    assert plain.count(worst.flags[0].partition(":")[0]) >= 2
    top = page.split("</header>")[0]
    assert "doubt" in top
    for name in (f.partition(":")[0] for f in worst.flags):
        assert name in top and name in words.split("Findings")[0]


def test_the_same_rows_and_seed_give_the_same_findings() -> None:
    model, x, y = net()
    about = subject(model, x[:16], y[:16], "linf:0.1")
    check = WorstCase(attacks=("attack:pgd",), probes=4)

    def once() -> list[Finding]:
        return findings(check, about)

    assert once() == once()
