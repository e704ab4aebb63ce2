"""`auto` reads the last audit, chooses by its table, says why; the audits after show the change."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tests.cli.world import lay, rows
from torch import nn

from holdfast.cli import prescribe, reaudit
from holdfast.cli.front import run
from holdfast.cli.odd_labels import odd_labels
from holdfast.cli.prescribe import available, prescribed, weaknesses
from holdfast.cli.recalibrated import Recalibrated
from holdfast.cli.remedies import AGAIN, COSTLY, NOISY, SPURIOUS, TABLE
from holdfast.core.data import Batches
from holdfast.core.errors import ConfigError, Unsupported

WORDS = ["--arch", "net.py:build", "--data", "rows.npz", "--threat", "linf:0.05"]
HARDEN = ["harden", "net.pt", *WORDS, "-o", "hard.safetensors", "--epochs", "1"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(reaudit, "_PROFILE", "few.toml")
    return lay(tmp_path)


def gate(name: str, value: float, limit: float, relation: str = ">=", word: str = "fail") -> Any:
    return {"name": name, "value": value, "limit": limit, "relation": relation, "verdict": word}


def audit(*gates: Any, readings: Any = (), origin: str = "default") -> Any:
    findings = [{"readings": list(readings)}]
    return {"gates": list(gates), "gates_from": origin, "outcomes": [{"findings": findings}]}


def names(found: Any) -> list[str]:
    return [next(str(i) for i, r in enumerate(TABLE) if r is remedy) for remedy, _ in found]


def test_the_gate_that_is_missed_by_most_decides_and_default_proofs_come_last():
    attacked = gate("attacks.worst@linf:0.1", 0.3, 0.4)
    proved = gate("certificates.proved@linf:0.1", 0.0, 0.2)
    sure = gate("calibration.ece", 0.1, 0.05, "<=")
    shifted = gate("corruptions.mean", 0.2, 0.7)
    passed = gate("clean.accuracy", 0.99, 0.9, word="pass")
    assert names(weaknesses(audit(attacked, proved, passed))) == ["0", "1"]
    assert names(weaknesses(audit(attacked, proved, origin="holdfast.toml"))) == ["1", "0"]
    assert names(weaknesses(audit(attacked, shifted, sure))) == ["4", "0", "3"]
    assert names(weaknesses(audit(passed))) == []
    open_ = gate("attacks.worst@linf:0.1", 0.3, 0.4, word="undecided")
    assert names(weaknesses(audit(open_, sure))) == ["3", "0"]
    worst = {"name": "clean.worst_class", "value": 0.3, "high": 0.4}
    every = {"name": "clean.accuracy", "value": 0.9, "high": 0.95}
    assert names(weaknesses(audit(readings=[worst, every]))) == ["2"]
    group = audit(readings=[worst, every])
    slices = {"label": "group 3", "high": 0.6, "before": 0.9}
    group["outcomes"][0]["findings"][0]["figures"] = [{"name": "slices", "rows": [slices]}]
    low = gate("clean.worst_class", 0.3, 0.9)
    assert weaknesses(audit(low))[0][0] is TABLE[2]
    assert weaknesses(group | {"gates": [low]})[0][0] is SPURIOUS
    assert [r for r, _ in weaknesses(group)] == [SPURIOUS]


def test_accuracy_that_robustness_has_cost_is_its_own_weakness():
    low = gate("clean.accuracy", 0.8, 0.9)
    attacked = gate("attacks.worst@linf:0.1", 0.5, 0.4, word="pass")
    assert [r for r, _ in weaknesses(audit(attacked, low))] == [COSTLY]
    assert weaknesses(audit(low)) == []
    undecided = attacked | {"verdict": "undecided"}
    assert COSTLY not in [r for r, _ in weaknesses(audit(undecided, low))]
    assert available(COSTLY.recipes) == "rift"


@pytest.mark.parametrize(
    ("made_by", "chosen"),
    [("trades", "trades-awp"), ("recipe:pgd-at", "trades-awp"),
     ("label-smoothing", "adversarial-fine-tuning"), ("mine.py:recipe", "adversarial-fine-tuning"),
     ("", "adversarial-fine-tuning")],
)  # fmt: skip
def test_what_was_hardened_before_is_not_fine_tuned_again(
    made_by: str, chosen: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    about = {"recipe": made_by} if made_by else {}
    save_file({"w": torch.zeros(1)}, "hard.safetensors", metadata=about)
    results = audit(gate("attacks.worst@linf:0.1", 0.3, 0.4))
    monkeypatch.setattr(prescribe, "last_results", lambda model: results)
    monkeypatch.setattr(prescribe, "odd_labels", lambda school: 0.0)
    name, why = prescribed("hard.safetensors", Taught())  # type: ignore[arg-type]
    assert name == chosen and ("hardened before" in why) == (chosen == AGAIN.recipes[0])


class Taught:
    def trained(self) -> bool:
        return True


def test_only_what_is_in_the_catalogue_is_chosen():
    assert available(("no-such-recipe", "pgd-at", "trades")) == "pgd-at"
    assert available(("no-such-recipe",)) == ""
    for remedy in (TABLE[0], TABLE[1], TABLE[3], NOISY):
        assert available(remedy.recipes)


class Rows:
    def __init__(self, x: torch.Tensor, y: torch.Tensor) -> None:
        self.learn = Batches(x=x, y=y)


def test_wrong_labels_are_seen_by_their_neighbours_and_hard_data_are_not_called_wrong():
    x, y = rows(300)
    assert odd_labels(Rows(x, y)) == 0.0  # type: ignore[arg-type]
    wrong = y.clone()
    wrong[::5] = (y[::5] + 1) % 3
    assert 0.15 < odd_labels(Rows(x, wrong)) < 0.25  # type: ignore[arg-type]
    g = torch.Generator().manual_seed(0)
    noise = torch.rand(300, 36, generator=g)
    anything = torch.randint(10, (300,), generator=g)
    assert odd_labels(Rows(noise, anything)) == 0.0  # type: ignore[arg-type]


def test_without_an_audit_it_says_what_to_do(folder, capsys):
    assert run([*HARDEN, "--recipe", "auto", "--no-audit"]) == 2
    assert "holdfast audit net.pt" in capsys.readouterr().err


def test_it_reads_the_last_audit_says_why_and_the_card_repeats_it(folder, capsys, monkeypatch):
    Path("holdfast.toml").write_text('[gate]\n"attacks.worst@*" = ">= 1.0"\n')
    line = ["audit", "net.pt", "--arch", "net.py:build", "--reference", "rows.npz"]
    assert run([*line, *WORDS[2:], "--profile", "few.toml"]) in (1, 3)
    capsys.readouterr()
    monkeypatch.setattr(prescribe, "available", lambda names: "pgd-at" if "pgd-at" in names else "")
    assert run([*HARDEN, "--recipe", "auto", "--no-audit", "--json"]) == 0
    out, err = capsys.readouterr()
    card = json.loads(out)
    assert card["recipe"] == "pgd-at" and "attacks.worst@linf:0.05" in card["why"]
    assert "auto: pgd-at, because it does not hold under attack" in err
    assert "passes" in err and "ways back" in err
    assert "lr': 0.01" in str(card["settings"]) and "learned already" in card["why"]
    assert card["passes"] == {"forwards": 12.0, "backwards": 11.0}
    assert "Chosen because it does not hold" in Path("hard.md").read_text()


def test_audits_before_and_after_show_what_changed(folder, capsys):
    assert run([*HARDEN, "--recipe", "pgd-at"]) == 0
    out, _ = capsys.readouterr()
    assert "what has changed since" in out and "verdict:" in out
    assert run([*HARDEN, "--recipe", "pgd-at", "--json"]) == 0
    changed = json.loads(capsys.readouterr().out)["audit_changes"]
    found = {r["name"]: r for r in changed["readings"]}
    assert found["attacks.worst@linf:0.05"]["after"]["n"] == 30, "the rows held out, no others"
    assert changed["before"] != changed["after"] and len(changed["verdicts"]) == 2


def test_the_half_that_was_audited_is_audited_again(folder, capsys):
    run(["audit", "net.pt", *WORDS, "--profile", "few.toml"])
    first = json.loads(next(Path(".holdfast/runs").glob("*/results.json")).read_text())
    capsys.readouterr()
    assert run([*HARDEN, "--recipe", "pgd-at", "--half", "--json"]) == 0
    changed = json.loads(capsys.readouterr().out)["audit_changes"]
    assert len(list(Path(".holdfast/runs").iterdir())) == 2, "the audit before is not repeated"
    found = {r["name"]: r for r in changed["readings"]}
    assert found["clean.accuracy"]["after"]["n"] == first["subject"]["data"]["n"]


def test_temperature_divides_the_last_layer_and_refuses_where_it_is_not_the_last():
    x, y = rows(120)
    net = nn.Sequential(nn.Flatten(), nn.Linear(36, 3))
    with torch.no_grad():
        net[1].weight.zero_()
        for k in range(3):
            net[1].weight[k].reshape(6, 6)[:, 2 * k : 2 * k + 2] = 5.0
        before = net(x)
    data = Batches(x=x, y=(y + (torch.arange(120) % 4 == 0)) % 3)
    run = Recalibrated(held=data)(net, data)
    heat = run.history[0]["temperature"]
    assert heat > 1 and torch.allclose(net(x) * heat, before, atol=1e-4)
    with pytest.raises(Unsupported, match="last linear layer"):
        Recalibrated()(nn.Sequential(net, nn.Tanh()), data)
    assert torch.allclose(net(x) * heat, before, atol=1e-4), "a refusal changes nothing"


def test_a_net_that_has_learned_little_is_not_fine_tuned(monkeypatch):
    school: Any = Rows(*rows(60))
    attacked = audit(gate("attacks.worst@linf:0.1", 0.1, 0.4))
    monkeypatch.setattr(prescribe, "last_results", lambda model: attacked)
    for trained, name in ((True, "adversarial-fine-tuning"), (False, "short-at")):
        school.trained = lambda known=trained: known
        assert prescribed("net.pt", school)[0] == name


def test_nothing_wrong_still_hardens_and_nothing_that_helps_is_said(folder, monkeypatch):
    school: Any = Rows(*rows(60))
    monkeypatch.setattr(prescribe, "last_results", lambda model: audit())
    assert prescribed("net.pt", school)[0] == "pgd-at"
    bad = audit(gate("corruptions.mean", 0.1, 0.7))
    monkeypatch.setattr(prescribe, "last_results", lambda model: bad)
    monkeypatch.setattr(prescribe, "available", lambda names: "")
    with pytest.raises(ConfigError, match="E0149"):
        prescribed("net.pt", school)
