"""The suites that come along, those of the user, and what they ask."""

from __future__ import annotations

import tomllib

import pytest
import tomli_w
import torch
from tests.run.doubles import suite
from torch import nn

from holdfast.core.data import Batches
from holdfast.core.errors import ConfigError
from holdfast.core.records import Subject
from holdfast.run.plan import name_of, plan
from holdfast.run.verdict import LACKS
from holdfast.suites import assembled, build, load, names, table
from holdfast.threats.grammar import parse

ASKED = {
    "check:clean", "check:slices", "check:worst-case", "check:certificates", "check:envelope",
    "check:corruptions", "check:calibration", "check:ood", "check:explanation-stability",
    "check:curvature",
}  # fmt: skip


def rows(n: int) -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    """A small net and stripes that it was never taught."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, 8), nn.ReLU(), nn.Linear(8, 3))
    return model.eval(), torch.rand(n, 1, 6, 6), torch.arange(n) % 3


def asked_about(n: int, *threats: str) -> Subject:
    model, x, y = rows(n)
    batches = Batches(x=x, y=y)
    return Subject(model=model, batches=batches, threats=tuple(parse(t) for t in threats))


@pytest.mark.parametrize("name", ["quick", "standard", "deep"])
def test_a_suite_asks_everything_and_survives_toml(name):
    made = load(name)
    more = {"check:smoothed"} if name != "quick" else set()
    asked = [name_of(c) for c in made.checks]
    assert set(asked) == ASKED | more and len(asked) == len(set(asked))
    again = assembled(name, tomllib.loads(tomli_w.dumps(table(made))))
    assert again == made


def test_every_next_suite_works_harder():
    asked = asked_about(512, "linf:0.1")
    for dearer, cheaper in (("standard", "quick"), ("deep", "standard")):
        cost = {n: {name_of(c): c.cost(asked) for c in load(n).checks} for n in (dearer, cheaper)}
        for check in ("check:worst-case", "check:envelope", "check:certificates"):
            assert cost[dearer][check] > cost[cheaper][check], (dearer, check)
    tiers = [[a.tier for a in load(n).checks[2].attacks] for n in ("quick", "standard", "deep")]
    assert tiers == [["fast"], ["standard"], ["thorough"]]
    assert load("deep").checks[3].certifiers[-1] == "certifier:alpha-crown"
    samples = [load(n).checks[4].certifier.samples for n in ("standard", "deep")]
    assert samples[0] * 10 <= samples[1]


def test_quick_attacks_up_to_a_thousand_rows():
    (check,) = [c for c in load("quick").checks if name_of(c) == "check:worst-case"]
    assert check.limit == 1000


def test_a_profile_is_a_name_a_suite_of_the_user_or_a_file(tmp_path):
    text = 'says = "mine"\n[[check]]\nuse = "check:clean"\nweight = 2.0\nalpha = 0.1\n'
    file = tmp_path / "mine.toml"
    file.write_text(text)
    own = tomllib.loads(f"[suite.mine]\n{text.replace('[[check]]', '[[suite.mine.check]]')}")
    assert load(str(file)) == load("mine", own["suite"]) == build("mine", text)
    assert load("mine", own["suite"]).checks[0].alpha == 0.1
    assert "quick" in names() and "default_gates" not in names()
    with pytest.raises(ConfigError, match="Did you mean mine"):
        load("mien", own["suite"])
    for wrong in ("check = 3", '[[check]]\nuse = "attack:pgd"', "[[check]]\nweight = 0"):
        with pytest.raises(ConfigError, match="suite x"):
            build("x", wrong)


def test_below_two_hundred_rows_what_must_be_fitted_is_not_tested():
    from holdfast.readers import subject as joined

    model, x, y = rows(240)
    for count, lacking in ((199, {"check:calibration", "check:ood"}), (200, set())):
        asked = joined(model, (x[:count], y[:count]))
        cells = plan(load("quick").checks, asked)
        found = {c.name for c in cells if c.skipped}
        assert found == lacking
        for cell in cells:
            if cell.skipped:
                assert cell.skipped.startswith(LACKS) and "--reference" in cell.skipped


def test_the_worst_case_is_one_reading_per_threat_and_no_other_bears_its_name():
    asked = asked_about(24, "linf:0.1", "l2:0.5")
    report = suite(*load("quick").checks[:5])(asked)
    found = [r for r in report.readings if r.name.startswith("attacks.worst")]
    assert [r.name for r in found] == ["attacks.worst@linf:0.1", "attacks.worst@l2:0.5"]
    assert all(r.bound == "upper" and r.n == 24 for r in found)
    assert [r.name for r in report.readings if "worst@" in r.name] == [r.name for r in found]
    proved = [r.name for r in report.readings if r.name.startswith("certificates.proved@")]
    assert proved == ["certificates.proved@linf:0.1", "certificates.proved@l2:0.5"]
