"""An audit keeps what is finished, repeats nothing, and survives whatever a check does."""

import json

import pytest
import torch
from tests.run.doubles import Says, Wants, subject, suite

from holdfast.core.errors import ConfigError, Contradiction
from holdfast.report import render_json
from holdfast.run.cells import Cells, cell_key, subject_key
from holdfast.run.document import document
from holdfast.run.plan import plan
from holdfast.run.restored import outcome_of
from holdfast.run.store import Store
from holdfast.run.suite import audit, identity
from holdfast.run.verdict import CUT, STOPPED, verdict
from holdfast.run.writing import plain


def words(report, asked, checks):
    judged = verdict(report.readings, (), report.outcomes)
    return render_json(document(report, asked, checks, judged))


def test_outcomes_come_in_the_order_of_the_suite_whatever_ran_first(tmp_path):
    asked = suite(Says(name="a", dear=50.0), Says(name="b", dear=1.0), Says(name="c", dear=10.0))
    assert [c.place for c in plan(asked.checks, subject())] == [1, 2, 0]
    assert [c.place for c in plan(asked.checks, subject(), (100.0, 1.0, 1.0))] == [0, 1, 2]
    report = audit(asked, subject(), store=Store(tmp_path))
    assert [o.readings[0].name for o in report.outcomes] == ["a", "b", "c"]


def test_nothing_finished_is_computed_again_and_the_document_is_the_same(tmp_path):
    log = tmp_path / "log"
    asked = suite(Says(name="a", log=str(log)), Says(name="b", log=str(log)))
    first = audit(asked, subject(), store=Store(tmp_path))
    again = audit(asked, subject(), store=Store(tmp_path))
    assert log.read_text().split() == ["a", "b"]
    assert words(first, subject(), asked.checks) == words(again, subject(), asked.checks)
    changed = suite(asked.checks[0], Says(name="b", value=0.5, log=str(log)))
    audit(changed, subject(), store=Store(tmp_path))
    assert log.read_text().split() == ["a", "b", "b"]
    audit(asked, subject(), store=Store(tmp_path), resume=False)
    assert log.read_text().split() == ["a", "b", "b", "a", "b"]


def test_whatever_a_check_does_the_others_answer(tmp_path):
    odd = [Says(ends="crash"), Says(ends="unsupported"), Wants(), Says(name="last")]
    report = audit(suite(*odd), subject(), store=Store(tmp_path), run="r")
    crash, cannot, lacks, last = report.outcomes
    assert crash.error == "RuntimeError: it broke at 0x..." and not crash.skipped
    assert cannot.skipped.startswith("cannot do it") and not cannot.error
    assert "writer" in lacks.skipped and last.readings[0].name == "last"
    assert "RuntimeError" in next((tmp_path / "runs/r/errors").iterdir()).read_text()
    assert Cells(tmp_path / "cells").get(crash.cell) is None  # tried again next time


def test_a_contradiction_ends_the_audit():
    with pytest.raises(Contradiction) as caught:
        audit(suite(Says(ends="contradiction"), Says()), subject())
    assert caught.value.witnesses == {"attack": 1, "certificate": 2}


def test_ctrl_c_gives_what_is_finished_and_code_130(tmp_path):
    asked = suite(Says(name="a"), Says(ends="stop", dear=5.0), Says(name="c", dear=9.0))
    report = audit(asked, subject(), store=Store(tmp_path))
    assert report.outcomes[0].readings and not report.outcomes[0].skipped
    assert all(o.skipped.startswith(STOPPED) for o in report.outcomes[1:])
    assert verdict(report.readings, (), report.outcomes).code == 130


def test_a_forecast_alone_leaves_nothing_out_while_there_is_time():
    asked = suite(Says(name="a"), Says(name="b", dear=1e15))
    report = audit(asked, subject(), budget=60.0)
    assert report.outcomes[0].readings and report.outcomes[1].readings
    report = audit(asked, subject(), budget=0.0)
    assert all(o.skipped.startswith(CUT) for o in report.outcomes)


@pytest.mark.parametrize("change", ["weights", "data", "seed", "mode", "threat", "about"])
def test_the_key_of_a_cell_covers_all_it_depends_on(change):
    check, one = Says(), subject()
    other = subject()
    if change == "weights":
        with torch.no_grad():
            other.model.weight[0, 0] += 1e-3
    elif change == "data":
        other.batches.y[0] = 2
    elif change == "mode":
        other.model.eval()
    elif change == "threat":
        from holdfast.threats.grammar import parse

        other = subject(threats=(parse("linf:8/255"),))
    else:
        other = subject(seed=1) if change == "seed" else subject(about={"units": "pt"})
    assert cell_key(check, subject_key(one)) == cell_key(check, subject_key(subject()))
    assert cell_key(check, subject_key(one)) != cell_key(check, subject_key(other))


def test_a_name_is_no_part_of_the_key_and_a_setting_is():
    whole = subject_key(subject())
    assert whole == subject_key(subject(about={"name": "another"}))
    assert cell_key(Says(), whole) != cell_key(Says(value=0.8), whole)


def test_a_damaged_cell_counts_as_absent(tmp_path):
    cells = Cells(tmp_path)
    (outcome,) = audit(suite(Says()), subject()).outcomes
    cells.put(outcome)
    kept = cells.get(outcome.cell)
    assert kept is not None and plain(kept) == plain(outcome) == plain(outcome_of(plain(outcome)))
    file = next(tmp_path.rglob("*.json"))
    file.write_text(file.read_text().replace("0.9", "0.8"))
    assert cells.get(outcome.cell) is None
    file.write_text("{")
    assert cells.get(outcome.cell) is None


def test_runs_are_named_found_and_kept(tmp_path):
    store, asked = Store(tmp_path), suite(Says())
    whole = identity(asked, subject())
    name = store.name_run("My Net!", whole, "2026-01-02")
    assert name == f"2026-01-02-my-net-{whole[:4]}"
    store.ledger.open_run(name, whole, "My Net!", "double", "t", {"data": "digits"})
    report = audit(asked, subject(), store=store, run=name)
    store.ledger.add(name, report.outcomes[0])  # a second time changes nothing
    store.ledger.close_run(name, "t2", "finished", "READY", 0)
    store.keep(name, "results.json", {"a": float("nan")})
    assert store.name_run("My Net!", whole, "2026-01-03") == name
    assert store.name_run("My Net!", whole, "2026-01-02", fresh=True) == f"{name}-2"
    assert store.find_run("last").word == "READY" and store.find_run("my-net").id == name
    assert json.loads((store.folder(name) / "results.json").read_text()) == {"a": None}
    assert store.ledger.history("clean.accuracy") == [(name, 0.9)]
    for wrong in ("last~1", "nothing"):
        with pytest.raises(ConfigError, match="E0124"):
            store.find_run(wrong)
