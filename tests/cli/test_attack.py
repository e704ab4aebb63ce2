"""`holdfast attack`: the number with its interval and doubts, the ledger, the file."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from tests.cli.world import copied, lay

from holdfast.cli.front import run
from holdfast.core.goal import Untargeted
from holdfast.ops.statistics import clopper_pearson

MODEL = "attack net.pt --arch net.py:build --data rows.npz".split()
PGD = ["--threat", "linf:0.3", "--attack", "pgd", "--set", "steps=10"]

MASKED = """
import torch
from torch import nn


class Round(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(36, 12), nn.ReLU(), nn.Linear(12, 3))
        self.net.load_state_dict(torch.load("net.pt"))

    def forward(self, x):
        return self.net((8 * x).round() / 8)


def build():
    return Round().eval()
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = lay(tmp_path_factory.mktemp("attacked"))
    (folder / "masked.py").write_text(MASKED)
    return folder


@pytest.fixture
def here(world, tmp_path, monkeypatch):
    return copied(world, tmp_path, monkeypatch)


def test_the_document_is_whole_and_repeats(here, capsys):
    told = []
    for _ in range(2):
        assert run([*MODEL, *PGD, "--json"]) == 0
        told.append(json.loads(capsys.readouterr().out))
        told[-1].pop("seconds")
        for stage in told[-1]["stages"]:
            assert stage.pop("seconds") >= 0
    assert told[0] == told[1]
    one = told[0]
    assert (one["n"], one["threat"], one["seed"], one["flags"]) == (150, "linf:0.3", 0, [])
    assert one["attack"]["use"] == "attack:pgd" and one["attack"]["steps"] == 10
    robust, broken = one["robust"], sum(s["broken"] for s in one["stages"])
    assert robust["bound"] == "upper" and robust["value"] == pytest.approx(1 - broken / 150)
    low, high = clopper_pearson(150 - broken, 150)
    assert (robust["low"], robust["high"]) == pytest.approx((float(low), float(high)))
    assert one["clean"]["value"] >= robust["value"] and 0 < broken
    for key in ("forwards", "backwards"):
        assert sum(s[key] for s in one["stages"]) == one["passes"][key]
    assert not (here / ".holdfast").exists()


def test_people_read_the_number_its_interval_and_the_ledger(here, capsys):
    assert run([*MODEL, *PGD, "--limit", "60"]) == 0
    out, err = capsys.readouterr()
    first, second = out.splitlines()[:2]
    assert first.startswith("Robust accuracy") and "upper bound · n=60 · linf:0.3 · seed 0" in first
    assert "[" in first and second.startswith("Clean accuracy") and "doubt" not in out
    stage = next(line for line in out.splitlines() if line.startswith("attack:pgd"))
    assert len(stage.split()) >= 7 and "set aside" in out and "passes per row" in out
    assert "attack:pgd on 60 rows" in err and "self-checks" in err


def test_a_doubted_number_bears_its_flags_everywhere(here, capsys):
    words = "attack masked.py:build --data rows.npz --attack pgd --set steps=5 --limit 60".split()
    words += ["--threat", "linf:0.3"]
    assert run([*words, "--json", "-o", "out.safetensors"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["flags"] and document["robust"]["flags"] == document["flags"]
    failed = [c["check"] for c in document["self_checks"] if not c["passed"]]
    assert [f.partition(":")[0] for f in document["flags"]] == failed and "slopes exist" in failed
    with safe_open("out.safetensors", "pt") as file:
        assert json.loads(file.metadata()["flags"]) == document["flags"]
    assert run(words) == 0
    out = capsys.readouterr().out
    assert "truth may be lower" in out.splitlines()[0]
    assert all(flag in out for flag in document["flags"])


def test_the_file_holds_what_the_judge_would_find_again(here, capsys):
    assert run([*MODEL, *PGD, "--json", "-o", "deep/adv.safetensors"]) == 0
    document = json.loads(capsys.readouterr().out)
    found = load_file("deep/adv.safetensors")
    with safe_open("deep/adv.safetensors", "pt") as file:
        about = file.metadata()
    assert set(document["written"]["tensors"]) == set(found)
    space: dict[str, object] = {}
    exec((here / "net.py").read_text(), space)
    net = space["build"]()
    net.load_state_dict(torch.load("net.pt"))
    with torch.no_grad():
        margin = Untargeted(found["labels"])(net(found["inputs"]))
    assert torch.allclose(margin, found["margins"], atol=1e-5)
    assert found["inputs"].min() >= 0 and found["inputs"].max() <= 1
    assert found["changes"].abs().max() <= 0.3 + 1e-6
    stages = json.loads(about["stages"])
    assert torch.equal(found["breaker"] >= 0, found["margins"] >= 0)
    assert {stages[k] for k in found["breaker"].tolist() if k >= 0} <= {"clean", "attack:pgd"}
    assert (about["threat"], about["seed"]) == ("linf:0.3", "0")
    assert (about["model"], about["data"]) == (document["model"], document["data"])
    assert document["model"] and document["data"]
    assert about["command"].startswith("holdfast attack net.pt")
    assert len(found["index"].unique()) == 150


def test_towards_a_class_counts_only_the_other_rows(here, capsys):
    assert run([*MODEL, *PGD, "--towards", "1", "--json", "-o", "t.safetensors"]) == 0
    document = json.loads(capsys.readouterr().out)
    found = load_file("t.safetensors")
    assert document["n"] == 100 and document["goal"] == "class 1" and 1 not in found["labels"]
    assert document["robust"]["name"] == "attack.pgd.towards.1@linf:0.3"
    assert run([*MODEL, *PGD, "--towards", "1"]) == 0
    assert capsys.readouterr().out.startswith("Not turned into class 1")


def test_the_usual_attack_is_the_ensemble_and_the_last_audit_is_remembered(here, capsys):
    (here / "holdfast.toml").write_text(
        '[audit]\nmodel = "net.pt"\ndata = "rows.npz"\narch = "net.py:build"\nlimit = 40\n'
        'threat = ["l2:0.4"]\n'
    )
    assert run(["attack", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["attack"]["use"] == "attack:ensemble"
    assert (document["n"], document["threat"]) == (40, "l2:0.4")
    again = document["command"].split()
    assert run([*again[1:], "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["robust"] == document["robust"]


@pytest.mark.parametrize(("words", "code", "says", "fix"), [
    ([*MODEL, "--attack", "sqare"], "E0154", "sqare", "--attack square"),
    ([*MODEL, "--attack", "pgd", "--set", "step=3"], "E0155", "step", "--set steps"),
    ([*MODEL, "--attack", "pgd", "--set", "steps=0"], "E0101", "steps", "show"),
    ([*MODEL, "--attack", "pgd", "--set", "steps"], "E0150", "steps", "--set steps=100"),
    ([*MODEL, "--threat", "linff:0.1"], "E0140", "linff", "linf"),
    ([*MODEL, "--towards", "7"], "E0153", "7", "Classes: 0, 1, 2."),
    ([*MODEL, "-o", "net.pt"], "E0151", "net.pt", "another"),
    ([*MODEL, "--attack", "cw", "--threat", "rotation:20"], "E0300", "rotation", "l2"),
    (["attack", "net.pt"], "E0107", "attack", "--data"),
    (["attack"], "E0106", "attack", "MODEL"),
])  # fmt: skip
def test_an_error_teaches(here, capsys, words, code, says, fix):
    assert run(words) == 2
    out, err = capsys.readouterr()
    assert out == "" and (here / "net.pt").stat().st_size > 0
    first, last = err[err.index(code) :].rstrip().split("\n")
    assert says in first and fix in last


def test_a_stop_says_how_to_go_on(here, capsys, monkeypatch):
    def stopped(*words, **settings):
        raise KeyboardInterrupt

    monkeypatch.setattr("holdfast.cli.campaign.search", stopped)
    assert run([*MODEL, *PGD]) == 130
    out, err = capsys.readouterr()
    assert out == "" and "Continue: holdfast attack net.pt" in err
