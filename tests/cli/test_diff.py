"""Two audits on shared rows, from the command line: rows kept, pairs found, gates judged."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.cli.world import build, copied, lay, toml

from holdfast.cli.diff import compared, said
from holdfast.cli.front import run
from holdfast.run.paired import flips
from holdfast.run.rows import FILE, beside, unpacked
from holdfast.run.store import Store

CHECKS = ("clean", "worst-case", "corruptions", "calibration")
AUDIT = "audit {} --arch net.py:build --data rows.npz --threat linf:0.05 --profile four.toml"


def folders(place: Path) -> list[Path]:
    store = Store(place / ".holdfast")
    return [store.folder(r.id) for r in store.ledger.runs()]


@pytest.fixture(scope="module")
def audited(tmp_path_factory):
    """Three runs: a network, the same on 100 rows, and one that is far too unsure."""
    folder = lay(tmp_path_factory.mktemp("diff"))
    (folder / "four.toml").write_text(toml(*CHECKS))
    (folder / "holdfast.toml").write_text('[gate]\n"clean.accuracy" = ">= 0.5"\n')
    model = build()
    state = torch.load(folder / "net.pt", weights_only=True)
    model.load_state_dict(state)
    with torch.no_grad():
        model[3].weight *= 0.1
        model[3].bias *= 0.1
    torch.save(model.state_dict(), folder / "unsure.pt")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("GITHUB_ACTIONS", raising=False)
        for words in ("net.pt", "net.pt --limit 100", "unsure.pt"):
            name, _, more = words.partition(" ")
            assert run([*AUDIT.format(name).split(), *more.split()]) == 0
    return folder


@pytest.fixture
def here(audited, tmp_path, monkeypatch):
    folder = copied(audited, tmp_path, monkeypatch)
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    return folder


def test_rows_are_kept_and_their_totals_are_the_readings(here):
    for folder in folders(here):
        results = json.loads((folder / "results.json").read_text())
        rows = unpacked(folder / FILE)
        values = {r["name"]: r["value"] for o in results["outcomes"] for f in o["findings"]
                  for r in f["readings"]}  # fmt: skip
        assert {"clean.accuracy", "attacks.worst@linf:0.05", "corruptions.mean",
                "calibration.ece", "calibration.brier", "calibration.nll"} <= set(rows)  # fmt: skip
        for name, one in rows.items():
            total = one.values.mean()
            if one.group is not None:
                sums = [one.values[one.group == g].sum() for g in np.unique(one.group)]
                total = np.abs(sums).sum() / len(one.values)
            assert total == pytest.approx(values[name], abs=2e-6), name
        cells = Store(here / ".holdfast").cells
        assert all(beside(cells, o["cell"]).is_file() for o in results["outcomes"])


def test_diff_pairs_rows_and_says_how_sure_it_is(here, capsys):
    assert run(["diff", "last~2", "last"]) == 0
    out = capsys.readouterr().out
    head, *lines, count = out.strip().splitlines()
    assert head.split() == ["before", "after", "change", "sure?"]
    (ece,) = [x for x in lines if x.startswith("calibration.ece ")]
    assert ece.rstrip().endswith("yes (p<.001)")
    assert not any(x.startswith("clean.accuracy") for x in lines), "scaled logits answer the same"
    assert "worse" in count and count.endswith("verdict: READY -> READY")
    assert run(["diff", "last~2", "last", "--json"]) == 0
    rows = {r["name"]: r for r in json.loads(capsys.readouterr().out)["readings"]}
    clean = rows["clean.accuracy"]
    assert clean["paired"]["change"] == 0 and clean["sure"] is False and clean["paired"]["n"] == 150
    assert rows["calibration.ece"]["direction"] == "worse" and rows["calibration.ece"]["sure"]
    assert rows["clean.majority"]["paired"] is None and rows["clean.majority"]["sure"] is None


def test_only_shared_rows_are_paired_and_it_says_so(here, capsys):
    assert run(["diff", "last~1", "last", "--json"]) == 0
    rows = {r["name"]: r for r in json.loads(capsys.readouterr().out)["readings"]}
    pair = rows["calibration.nll"]["paired"]
    assert pair is not None and pair["n"] < 150
    assert run(["diff", "last~1", "last"]) == 0
    out = capsys.readouterr().out
    assert f"{pair['n']} shared rows" in out


def test_without_rows_nothing_is_sure(here, capsys):
    for folder in folders(here):
        (folder / FILE).unlink()
    assert run(["diff", "last~2", "last", "--all"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(x.rstrip().endswith(" -") for x in lines[1:-1]) and len(lines) > 5


def test_a_relative_gate_on_the_same_rows_passes_where_intervals_would_not(here, capsys):
    rule = '[gate]\n"clean.accuracy" = ">= baseline - 0.02"\n"calibration.nll" = "<= baseline"\n'
    (here / "holdfast.toml").write_text(rule)
    words = AUDIT.format("unsure.pt").split()
    assert run([*words, "--against", "last~2"]) == 1
    out = capsys.readouterr().out
    assert "changed by +0 pt [" in out and "on 150 shared rows" in out
    results = json.loads((folders(here)[-1] / "results.json").read_text())
    words_ = {g["name"]: g["verdict"] for g in results["gates"]}
    assert words_ == {"clean.accuracy": "pass", "calibration.nll": "fail"}


def test_an_audit_that_goes_on_finds_its_rows_again(here):
    folder = folders(here)[-1]
    before = (folder / FILE).read_bytes()
    (folder / FILE).unlink()
    assert run(AUDIT.format("unsure.pt").split()) == 0
    assert (folder / FILE).read_bytes() == before


def test_words_of_one_line():
    before = {"name": "a", "value": 0.9, "n": 100, "unit": "share", "better": "higher"}
    after = before | {"value": 0.8}
    assert said(compared(before, after, None, 1.0)) == ("-10.0 pt", "-")
    row = compared(before, after, flips(0, 10, 100), 0.0123)
    assert said(row)[1] == "yes (p=.012)" and row["direction"] == "worse"
    assert said(compared(before, after, flips(0, 1, 50), 1.0))[1] == "no, 50 shared rows"
    assert said(compared(before, before | {"value": None}, None, 1.0)) == ("?", "-")
    nats = {"unit": "nats", "better": "lower"}
    row = compared(before | nats, after | nats, flips(0, 10, 100), 0.0)
    assert row["direction"] == "better" and said(row)[0].startswith("-0.1 [")
