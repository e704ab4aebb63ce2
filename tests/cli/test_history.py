"""`holdfast history`: one line per number over the runs, and the same in the report."""

from __future__ import annotations

import json

import pytest
import torch
from tests.cli.world import WORDS, copied, lay, toml

from holdfast.cli.front import run
from holdfast.cli.history import lineage, spark
from holdfast.run.history import versions
from holdfast.run.store import Store


@pytest.fixture(scope="module")
def audited(tmp_path_factory):
    """Three versions of one network: weak, weaker, as trained."""
    folder = lay(tmp_path_factory.mktemp("history"))
    (folder / "one.toml").write_text(toml("clean", "calibration"))
    (folder / "holdfast.toml").write_text('[gate]\n"clean.accuracy" = ">= 0.2"\n')
    state = torch.load(folder / "net.pt", weights_only=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("GITHUB_ACTIONS", raising=False)
        for noise in (1.0, 2.0, 0.0):
            generator = torch.Generator().manual_seed(5)
            moved = {k: v + noise * torch.randn(v.shape, generator=generator)
                     for k, v in state.items()}  # fmt: skip
            torch.save(moved, folder / "net.pt")
            run([*WORDS, "one.toml"])
    return folder


@pytest.fixture
def here(audited, tmp_path, monkeypatch):
    return copied(audited, tmp_path, monkeypatch)


def test_signs_rise_with_the_values():
    assert spark([0.0, 0.5, 1.0]) == "▁▅█" and spark([3.0, 3.0]) == "▄▄"
    assert spark([1.0, None, 0.0]) == "█ ▁" and spark([]) == spark([None]) == ""
    assert spark([5.0, 4.0, 3.0, 2.0]) == "".join(sorted(spark([5.0, 4.0, 3.0, 2.0])))[::-1]


def test_it_shows_the_gated_numbers_of_all_versions(here, capsys):
    assert run(["history"]) == 0
    head, line = capsys.readouterr().out.splitlines()
    assert head.startswith("net   3 runs, ") and "clean.accuracy" in line
    assert run(["history", "net", "--json", "--number", "c*"]) == 0
    (rows,) = json.loads(capsys.readouterr().out).values()
    values = [v["numbers"]["clean.accuracy"][0] for v in rows]
    assert spark(values) in line and values[-1] == max(values) and len(set(values)) == 3
    assert {"clean.majority", "calibration.ece"} <= set(rows[0]["numbers"])
    for row in rows:
        results = json.loads((here / ".holdfast/runs" / row["run"] / "results.json").read_text())
        truth = results["outcomes"][0]["findings"][0]["readings"][0]
        assert row["numbers"]["clean.accuracy"] == pytest.approx(
            [truth["value"], truth["low"], truth["high"]]
        )


def test_a_model_that_nobody_audited_is_a_usage_error(here, capsys):
    assert run(["history", "nobody"]) == 2
    err = capsys.readouterr().err
    assert "E0179" in err and "net" in err
    assert run(["history", "--suite", "other"]) == 0


def test_a_folder_without_runs_says_what_to_do(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(["history"]) == 0
    assert "holdfast demo" in capsys.readouterr().out


def test_the_report_of_the_latest_version_shows_them_all(here):
    store = Store(here / ".holdfast")
    first, _, last = [store.folder(r.id) for r in store.ledger.runs()]
    assert "history" not in json.loads((first / "run.json").read_text())
    told = json.loads((last / "run.json").read_text())["history"]
    assert len(told) == 3 and told[-1]["run"] == last.name
    page = (last / "report.html").read_text()
    assert "Change over versions" in page and page.count('<svg class="spark"') == 1
    assert "history" not in (last / "results.json").read_text()


def test_versions_are_runs_of_one_model_and_suite_up_to_this_one(here):
    store = Store(here / ".holdfast")
    every = versions(store.ledger, "net", ["clean.accuracy"], suite="one")
    assert [v.run for v in every] == [r.id for r in store.ledger.runs()]
    assert all(list(v.numbers) == ["clean.accuracy"] for v in every)
    assert versions(store.ledger, "net", suite="other") == []
    assert versions(store.ledger, "other") == []
    gates = {"gates": [{"name": "clean.accuracy"}]}
    middle = lineage(store, every[1].run, "net", "one", gates)["history"]
    assert [v["run"] for v in middle] == [v.run for v in every[:2]]
    assert lineage(store, every[0].run, "net", "one", gates) == {}
