"""Every command on a small network: what it prints where, what it writes, how it ends."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from tests.cli.world import WORDS, copied, lay, toml

from holdfast.cli.front import run
from holdfast.core import catalog
from holdfast.core.certificate import Certificate
from holdfast.core.fields import settings
from holdfast.core.kinds import Certifier
from holdfast.run.store import Store

FAILS = '[gate]\n"clean.accuracy" = "<= 0.5"\n'
CLOSE = '[gate]\n"clean.accuracy" = ">= 0.99"\n'


@pytest.fixture
def liar(monkeypatch):
    """A certifier in the catalogue that calls every row proved."""
    catalog.entries()
    monkeypatch.setattr(catalog, "_ENTRIES", dict(catalog._ENTRIES))
    monkeypatch.setattr(catalog, "_BY_ID", dict(catalog._BY_ID))

    @catalog.register("certifier", name="liar", says="Everything is proved.")
    @settings
    class Liar(Certifier):
        def __call__(self, model, x, goal, threat, *, dice=None):
            return Certificate(about=model, threat=threat, margin=torch.full((len(x),), -1.0))


@pytest.fixture(scope="module")
def audited(tmp_path_factory):
    """A folder in which two audits are finished: of all rows, and of 60 of them."""
    folder = lay(tmp_path_factory.mktemp("audited"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert run([*WORDS, "few.toml"]) == 0
        assert run([*WORDS, "few.toml", "--limit", "60"]) == 0
    return folder


@pytest.fixture
def here(audited, tmp_path, monkeypatch):
    """A copy of that folder to work in."""
    return copied(audited, tmp_path, monkeypatch)


@pytest.fixture
def clean(here):
    """The same with a suite of one check, asked in no time."""
    (here / "one.toml").write_text(toml("clean"))
    (here / "holdfast.toml").write_text('[gate]\n"clean.accuracy" = ">= 0.9"\n')
    return [*WORDS, "one.toml"]


def latest(folder: Path) -> Path:
    store = Store(folder / ".holdfast")
    return store.folder(store.find_run("last").id)


def test_json_is_one_document_and_the_one_on_disk(here, capsys):
    assert run([*WORDS, "few.toml", "--json"]) == 0
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert out.encode() == (latest(here) / "results.json").read_bytes()
    assert document["verdict"]["word"] == "READY" and document["subject"]["data"]["n"] == 150
    assert "READY" not in err


def test_the_verdict_is_on_standard_output_and_the_rest_is_not(here, capsys):
    assert run([*WORDS, "few.toml", "--fresh"]) == 0
    out, err = capsys.readouterr()
    assert "READY" in out and "attacks.worst@linf:0.05" in out and "report.html" in out
    assert "4 checks to run" in err and "Worst-case accuracy" in err
    assert "checks to run" not in out
    html = (latest(here) / "report.html").read_text("utf-8")
    assert html.startswith("<!doctype html>")


def test_markdown_junit_and_sarif_say_the_same_verdict(here, clean, capsys):
    (here / "holdfast.toml").write_text(FAILS)
    wanted = ["--markdown", "out/m.md", "--junit", "out/j.xml", "--sarif", "out/s.json"]
    assert run([*clean, *wanted]) == 1
    assert "NOT READY" in capsys.readouterr().out
    assert (here / "out/m.md").read_text("utf-8").startswith("### Holdfast: NOT READY")
    suite = ElementTree.parse(here / "out/j.xml").getroot()
    assert (suite.get("failures"), suite.get("errors")) == ("1", "0")
    (one,) = json.loads((here / "out/s.json").read_text())["runs"]
    assert [r["level"] for r in one["results"] if r["ruleId"].startswith("gate/")] == ["error"]


@pytest.mark.parametrize(("gates", "code", "word"), [
    ('[gate]\n"clean.accuracy" = ">= 0.9"\n', 0, "READY"),
    (FAILS, 1, "NOT READY"),
    (CLOSE, 3, "UNDECIDED"),
    ('[gate]\n"nothing.measures.this" = ">= 0.9"\n', 3, "INCOMPLETE"),
])  # fmt: skip
def test_the_exit_code_is_that_of_the_verdict(here, clean, capsys, gates, code, word):
    (here / "holdfast.toml").write_text(gates)
    assert run([*clean, "--json"]) == code
    document = json.loads(capsys.readouterr().out)
    assert (document["verdict"]["word"], document["verdict"]["code"]) == (word, code)
    assert document["gates_from"] == "holdfast.toml"
    assert run([*clean, "--exit-zero"]) == 0


def test_a_contradiction_between_attack_and_certificate_ends_with_4(here, liar, capsys):
    (here / "one.toml").write_text(
        '[[check]]\nuse = "check:certificates"\ncertifiers = ["certifier:liar"]\n'
    )
    assert run([*WORDS, "one.toml", "--threat", "linf:0.5"]) == 4
    out, err = capsys.readouterr()
    assert out == "" and re.search(r"^E0500  ", err, re.M) and "certificate" in err


def test_a_store_that_cannot_be_written_is_named(here, clean, capsys):
    shutil.rmtree(here / ".holdfast")
    (here / ".holdfast").write_text("a file")
    assert run(clean) == 2
    out, err = capsys.readouterr()
    assert out == "" and "E0144" in err and ".holdfast" in err


def test_limit_measures_a_sample_and_says_so(here, capsys):
    assert run(["show", "last", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["subject"]["data"]["n"] == 60 and document["subject"]["sampled"] is True


def test_what_the_budget_leaves_out_is_not_tested(here, clean, capsys):
    assert run([*WORDS, "few.toml", "--budget", "0.001s", "--fresh", "--json"]) == 3
    document = json.loads(capsys.readouterr().out)
    assert document["verdict"]["word"] == "INCOMPLETE"
    assert "time budget" in document["not_tested"][-1]["reason"]


def test_each_threat_has_one_worst_case(here, capsys):
    (here / "one.toml").write_text(toml("worst-case"))
    assert run([*WORDS, "one.toml", "--threat", "l2:0.2", "--json", "--exit-zero"]) == 0
    document = json.loads(capsys.readouterr().out)
    found = [r for o in document["outcomes"] for f in o["findings"] for r in f["readings"]]
    names = [r["name"] for r in found if r["name"].startswith("attacks.worst@")]
    assert sorted(names) == ["attacks.worst@l2:0.2", "attacks.worst@linf:0.05"]


def test_a_reference_leaves_all_rows_to_be_measured(here, clean, capsys):
    assert run([*clean, "--reference", "rows.npz", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)["subject"]["data"]
    assert (data["n"], data["n_reference"]) == (300, 300)


def test_against_an_earlier_run_relative_gates_are_decided(here, clean, capsys):
    gate = '[gate]\n"clean.accuracy" = ">= baseline - 0.05"\n'
    assert run(clean) == 0
    (here / "holdfast.toml").write_text(gate)
    assert run([*clean, "--limit", "90"]) == 3
    assert "no baseline" in capsys.readouterr().out
    assert run([*clean, "--limit", "90", "--against", "last~1", "--markdown", "m.md"]) == 0
    assert "Since baseline" in (here / "m.md").read_text("utf-8")
    assert run([*clean, "--against", "last~99"]) == 2


def test_without_data_the_last_audit_is_repeated(here, capsys):
    before = (latest(here) / "results.json").read_bytes()
    assert run(["audit"]) == 0
    assert "checks to run" not in capsys.readouterr().err
    assert (latest(here) / "results.json").read_bytes() == before
    assert run(["audit", "net.pt", "--seed", "3"]) == 0
    assert json.loads((latest(here) / "results.json").read_text())["seed"] == 3


def test_ls_lists_runs_with_their_verdicts(here, capsys):
    assert run(["ls"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and all("READY" in line for line in lines)
    assert run(["ls", "--json"]) == 0
    assert [r["state"] for r in json.loads(capsys.readouterr().out)] == ["finished"] * 2
    assert run(["ls", "--resumable"]) == 0
    assert "no runs" in capsys.readouterr().out


def test_show_knows_runs_rows_methods_and_errors(here, capsys):
    assert run(["show", "last~1"]) == 0
    out = capsys.readouterr().out
    assert "READY" in out and "holdfast audit net.pt" in out and "report.html" in out
    assert run(["show", "worst", "--json", "--n", "2"]) == 0
    assert isinstance(json.loads(capsys.readouterr().out), list)
    assert run(["show", "pgd", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["key"] == "attack:pgd"
    assert run(["show", "E0107"]) == 0
    assert "which data" in capsys.readouterr().out
    assert run(["show", "E0107", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["code"] == "E0107"


def test_diff_sets_two_runs_side_by_side(here, capsys):
    assert run(["diff"]) == 0
    assert "verdict: READY -> READY" in capsys.readouterr().out
    assert run(["diff", "last", "last", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert {r["direction"] for r in document["readings"]} == {"same"}
    assert not any(r["sure"] for r in document["readings"])


def test_list_and_papers_print_the_catalogue(here, capsys):
    assert run(["list", "attack"]) == 0
    assert "attack:pgd" in capsys.readouterr().out
    assert run(["list", "--json"]) == 0
    keys = [row["key"] for row in json.loads(capsys.readouterr().out)]
    assert {"attack:pgd", "certifier:crown", "check:clean"} <= set(keys)
    assert run(["list", "suite", "--json"]) == 0
    assert {"quick", "standard", "deep"} <= set(json.loads(capsys.readouterr().out))
    assert run(["papers", "--json"]) == 0
    rows = {row["key"]: row for row in json.loads(capsys.readouterr().out)}
    assert "attack:pgd" in rows["pgd"]["methods"] and rows["pgd"]["link"].startswith("https://")


def test_claim_tries_one_and_enters_it(here, capsys, monkeypatch):
    ledger = here / "docs" / "claims.json"
    ledger.parent.mkdir()
    monkeypatch.setattr("holdfast.claims.harness.ledger_file", lambda: ledger)
    assert run(["claim"]) == 0
    assert re.search(r"^pgd +not tried", capsys.readouterr().out, re.M)
    assert run(["claim", "magnitude-pruning", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["standing"] == "holds" and not row["missed"]
    assert json.loads(ledger.read_text())["magnitude-pruning"]["methods"]
    assert run(["claim", "magnitude-prunning"]) == 2
    assert "magnitude-pruning" in capsys.readouterr().err


def test_harden_writes_weights_and_a_card_and_the_next_audit_reads_them(here, capsys):
    words = "harden net.pt --arch net.py:build --data rows.npz --recipe pgd-at --threat linf:0.05"
    assert run([*words.split(), "--epochs", "1", "--json", "-o", "new.safetensors"]) == 0
    out, _ = capsys.readouterr()
    document = json.loads(out)
    assert document["n"] == 30 and (here / "new.safetensors").is_file()
    assert "PGD" in (here / document["card"]).read_text("utf-8")
    (here / "one.toml").write_text(toml("clean"))
    again = "audit new.safetensors --arch net.py:build --data rows.npz --profile one.toml"
    assert run(again.split()) in (0, 1, 3)


def test_doctor_finds_everything_that_is_needed(here, capsys):
    assert run(["doctor", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["missing"] == [] and document["packages"]["torch"]
    assert run(["doctor"]) == 0
    assert "torch" in capsys.readouterr().out


def test_init_writes_gates_at_which_the_same_run_passes(here, capsys):
    assert run(["init", "--from-run", "last"]) == 0
    out, err = capsys.readouterr()
    assert out == "" and "holdfast.toml" in err
    assert "--junit" in (here / ".github/workflows/holdfast.yml").read_text()
    assert run(["audit"]) == 0
    assert run(["init"]) == 2 and "--force" in capsys.readouterr().err
    assert run(["init", "--force", "--ci", "none"]) == 0


def test_demo_trains_and_audits_from_scratch(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one.toml").write_text(toml("clean"))
    (tmp_path / "holdfast.toml").write_text('[gate]\n"clean.accuracy" = ">= 0.9"\n')
    assert run(["demo", "--profile", "one.toml", "--json"]) == 0
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert document["verdict"]["code"] == 0 and document["outcomes"][0]["check"] == "check:clean"
    assert "trained a small CNN" in err


def test_overview_and_version_are_on_standard_output(capsys):
    for words in ([], ["--help"], ["-h"]):
        assert run(words) == 0
        out, err = capsys.readouterr()
        assert "holdfast demo" in out and err == ""
    assert run(["--version"]) == 0
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", capsys.readouterr().out)
