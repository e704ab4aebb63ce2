"""From the command line to the audit: what is read, forecast and proposed."""

from __future__ import annotations

import json
import shlex
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from tests.cli.world import lay
from torch import nn

from holdfast.cli import options
from holdfast.cli.front import run
from holdfast.cli.prepare import foreseen, looked, remedies, subject_of, trainable
from holdfast.cli.said import command
from holdfast.core.data import Batches
from holdfast.core.errors import ConfigError, ShapeError, UntrustedFile
from holdfast.core.records import Finding, Outcome, Reading, Report, Severity, Subject
from holdfast.run.advice import actions, not_tested
from holdfast.run.verdict import verdict
from holdfast.suites import default_gates, load
from holdfast.threats.grammar import parse

CHOSEN = {"data": "rows.npz", "arch": "net.py:build", "threat": ["linf:0.05"], "seed": 0}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return lay(tmp_path)


def test_the_largest_size_reaches_the_readers(folder):
    for name in ("net.pt", "rows.npz"):
        size = 10 if name == "rows.npz" else 1000
        with pytest.raises(UntrustedFile, match="--max-bytes"):
            subject_of("net.pt", CHOSEN | {"max_bytes": size})
    assert subject_of("net.pt", CHOSEN | {"max_bytes": 1 << 20}).model is not None


def test_shape_and_classes_reach_the_reader_of_the_model(folder):
    with pytest.raises(ConfigError, match="E0119"):
        subject_of("net.pt", CHOSEN | {"mean": "0.5,0.5,0.5"})  # the rows have one channel
    Path("flat.py").write_text("from torch import nn\ndef make(): return nn.Linear(5, 3)\n")
    with pytest.raises(ShapeError, match="E0201"):
        looked(subject_of("flat.py:make", CHOSEN | {"arch": None}))
    wanting = "from torch import nn\ndef make(num_classes):\n"
    wanting += "    return nn.Sequential(nn.Flatten(), nn.Linear(36, num_classes))\n"
    Path("wants.py").write_text(wanting)
    torch.save(nn.Sequential(nn.Flatten(), nn.Linear(36, 3)).state_dict(), "wants.pt")
    made = subject_of("wants.pt", CHOSEN | {"arch": "wants.py:make"})
    assert made.batches is not None and made.model(made.batches.x[:2]).shape == (2, 3)


def test_the_limit_is_a_stratified_sample_of_the_measured_rows(folder):
    asked = subject_of("net.pt", CHOSEN | {"limit": 30})
    assert asked.batches is not None and asked.trusted is not None
    assert asked.batches.y.bincount().tolist() == [10, 10, 10] and len(asked.trusted) >= 140
    assert asked.about["sampled"] is True
    again = subject_of("net.pt", CHOSEN | {"limit": 30})
    assert torch.equal(asked.batches.index, again.batches.index)  # type: ignore[union-attr]


def test_a_reference_is_fitted_on_and_every_given_row_is_measured(folder):
    asked = subject_of("net.pt", CHOSEN | {"reference": "rows.npz"})
    assert asked.batches is not None and asked.trusted is not None
    assert len(asked.batches) == len(asked.trusted) == 300
    halves = subject_of("net.pt", CHOSEN)
    assert halves.batches is not None and halves.trusted is not None
    parts = [{r.numpy().tobytes() for r in b.x} for b in (halves.batches, halves.trusted)]
    assert not parts[0] & parts[1] and sum(map(len, parts)) == 300


def asked_about(model: object, *threats: str, kind: str = "state_dict") -> Subject:
    rows = Batches(x=torch.rand(8, 4), y=torch.arange(8) % 2)
    about = {"model": {"kind": kind}}
    return Subject(
        model=model, batches=rows, trusted=rows, threats=tuple(map(parse, threats)), about=about
    )  # type: ignore[arg-type]


def test_the_remedy_is_the_users_own_command(folder):
    chosen = CHOSEN | {"mean": "0.5", "std": "0.25", "target": "y", "max_bytes": 9999, "seed": 3}
    net = nn.Linear(4, 2)
    found = remedies("my net.pt", chosen, asked_about(net, "linf:0.05", "l2:0.5"))
    words = shlex.split(found["l2:0.5"])
    assert words[:3] == ["holdfast", "harden", "my net.pt"] and "--half" in words
    pairs = dict(pairwise(words))
    assert pairs["--threat"] == "l2:0.5" and pairs["--data"] == "rows.npz"
    expected = {"--arch": "net.py:build", "--mean": "0.5", "--std": "0.25", "--target": "y"}
    assert expected.items() <= pairs.items()
    assert pairs["--max-bytes"] == "9999" and pairs["--seed"] == "3"
    own = remedies("net.pt", chosen | {"reference": "train.npz"}, asked_about(net, "linf:0.05"))
    assert "--data train.npz" in own["linf:0.05"] and "--half" not in own["linf:0.05"]
    assert "--limit" not in own["linf:0.05"]


def test_there_is_no_remedy_for_what_cannot_be_trained(folder):
    scripted = torch.jit.trace(nn.Linear(4, 2), torch.rand(2, 4))
    frozen = nn.Linear(4, 2).requires_grad_(False)
    for model in (scripted, frozen, nn.ReLU(), lambda x: x, None):
        assert not trainable(model)
        assert remedies("m.pt", CHOSEN, asked_about(model, "linf:0.05")) == {}
    program = asked_about(nn.Linear(4, 2), "linf:0.05", kind="pt2")
    assert remedies("m.pt2", CHOSEN, program) == {}


def judged(low: float, high: float) -> tuple[Report, object]:
    reading = Reading(
        name="attacks.worst@linf:0.05", value=low, low=low, high=high, n=9, bound="upper"
    )
    advice = "Train the model against changes within linf:0.05 (holdfast harden)."
    finding = Finding(
        severity=Severity.FAILURE, says="It breaks.", readings=(reading,), advice=advice
    )
    report = Report(suite="s", subject={}, outcomes=(
        Outcome(check="check:worst-case", section="attacks", findings=(finding,)),
    ))  # fmt: skip
    gates = [g for g in default_gates() if g.name.startswith("attacks")]
    return report, verdict(report.readings, gates, report.outcomes)


@pytest.mark.parametrize(("low", "high", "named"), [(0.1, 0.2, 1), (0.3, 0.6, 1), (0.5, 0.6, 0)])
def test_harden_is_named_where_the_worst_case_does_not_pass(low, high, named):
    report, ruling = judged(low, high)
    lines = {"linf:0.05": "holdfast harden net.pt --data rows.npz --threat linf:0.05"}
    found = actions(report, ruling, lines, "default")
    commands = [a["command"] for a in found]
    assert commands.count(lines["linf:0.05"]) == named
    assert commands[-1] == "holdfast init --from-run last"
    assert not any(w in c.split() for c in commands for w in ("MODEL", "DATA"))
    assert not any(a["command"] for a in actions(report, ruling, {}, "holdfast.toml"))


def test_a_gate_that_no_check_asks_about_is_named_under_not_tested():
    report, _ = judged(0.5, 0.6)
    ruling = verdict(report.readings, default_gates(), report.outcomes)
    lines = not_tested(report.outcomes, ruling.gates)
    assert {"ood.auroc", "corruptions.mean"} <= {line["check"] for line in lines}
    assert all(line["reason"] for line in lines)


def test_the_command_repeats_the_audit():
    line = command("my net.pt", CHOSEN | {"threat": ["linf:0.1", "l2:1"], "profile": "quick"})
    words = shlex.split(line)
    assert words[:3] == ["holdfast", "audit", "my net.pt"] and words.count("--threat") == 2
    assert "--seed" not in words  # as usual


def test_the_forecast_says_what_a_row_costs_and_nothing_of_a_model_that_fails():
    told = foreseen(asked_about(nn.Linear(4, 2)), load("quick"))
    assert told.startswith("plan: quick, 10 checks on 8 rows; a row takes") and "gradient" in told
    assert foreseen(asked_about(lambda x: 1 / 0), load("quick")) == ""


def test_the_policy_of_threads_is_set_once_and_the_users_own_is_kept(monkeypatch):
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    options.patient()
    assert options.os.environ["OMP_WAIT_POLICY"] == "PASSIVE"
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    options.patient()
    assert options.os.environ["OMP_WAIT_POLICY"] == "ACTIVE"


def test_an_audit_by_a_suite_of_the_project_tells_its_forecast_first(folder, capsys):
    own = '[[suite.mine.check]]\nuse = "check:clean"\n[gate]\n"clean.accuracy" = ">= 0.5"\n'
    Path("holdfast.toml").write_text(own)
    line = "audit net.pt --arch net.py:build --data rows.npz --profile mine --json"
    assert run(line.split()) == 0
    told = capsys.readouterr()
    results = json.loads(told.out)
    assert results["suite"] == "mine" and results["verdict"]["word"] == "READY"
    lines = told.err.splitlines()
    first = next(k for k, line in enumerate(lines) if "plan: mine, 1 checks" in line)
    assert first < next(k for k, line in enumerate(lines) if "Clean accuracy" in line)


def test_the_budget_counts_from_the_beginning_of_the_command(folder, capsys):
    line = "audit net.pt --arch net.py:build --data rows.npz --profile all.toml --json"
    assert run([*line.split(), "--budget", "0.001s"]) == 3
    results = json.loads(capsys.readouterr().out)
    assert results["verdict"]["word"] == "INCOMPLETE"
    assert all(o["skipped"].startswith("left out to keep") for o in results["outcomes"])
    assert {g["verdict"] for g in results["gates"]} == {"missing"}
