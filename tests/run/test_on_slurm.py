"""Jobs as Slurm runs them, in submitit's processes on this machine: nothing but files passes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from tests.run.doubles import Says, Wants, subject, suite
from tests.run.test_executors import Computes, Dies, shown
from tests.run.test_on_ray import other

from holdfast.core.errors import ConfigError, MissingExtra
from holdfast.run.elsewhere import Unfit
from holdfast.run.mailbox import Mailbox, posted
from holdfast.run.on_slurm import Slurm, dealt
from holdfast.run.perform import Done, perform
from holdfast.run.plan import plan
from holdfast.run.store import Store
from holdfast.run.suite import audit
from holdfast.run.workers import Broken

ROOT = Path(__file__).parents[2]


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """An executor whose jobs are processes of this machine."""
    pytest.importorskip("submitit", reason="submitit is not installed (holdfast[slurm])")
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))

    def made(make=subject, jobs=2):
        return Slurm(make, tmp_path / "slurm", jobs=jobs, cluster="local", grace=0.0)

    return made


def test_jobs_give_bit_for_bit_what_this_process_gives_and_leave_nothing(slurm, tmp_path):
    checks = [Computes(scale=s) for s in (0.0, 0.5, 1.0)]
    checks += [Says(ends="crash"), Says(ends="unsupported"), Wants()]
    alone = audit(suite(*checks), subject())
    store = Store(tmp_path / "store")
    both = audit(suite(*checks), subject(), executor=slurm(), store=store)
    assert shown(both) == shown(alone)
    assert not [f for f in (tmp_path / "slurm").rglob("*") if f.is_file()]


def test_a_killed_job_costs_its_cell_one_more_try(slurm, tmp_path):
    log = str(tmp_path / "log")
    checks = [
        Says(name="a", log=log), Dies(once=str(tmp_path / "died")), Dies(), Says(name="b", log=log)
    ]  # fmt: skip
    report = audit(suite(*checks), subject(), executor=slurm(jobs=1))
    first, once, always, last = report.outcomes
    assert first.readings and last.readings
    assert once.findings[0].says == "It lives." and not once.error
    assert always.error == "the process that ran it died twice"
    assert sorted(Path(log).read_text().split()) == ["a", "b"], "no other cell ran twice"


def test_what_jobs_of_a_killed_driver_have_left_is_taken(slurm, tmp_path):
    checks, log = [Says(name="a", log=str(tmp_path / "log")), Says(ends="crash")], tmp_path / "log"
    box = Mailbox(tmp_path / "slurm" / "posted")
    for cell in plan(tuple(checks), subject()):
        box.post(cell, perform(cell, subject()))
    report = audit(suite(*checks), subject(), executor=slurm())
    assert report.outcomes[0].readings and report.outcomes[1].error
    assert log.read_text().split() == ["a"], "asked before, not again"


def test_a_machine_that_sees_other_files_is_not_asked(slurm):
    with pytest.raises(ConfigError, match="differ") as caught:
        audit(suite(Says()), subject(), executor=slurm(other))
    assert caught.value.code == "E0194" and caught.value.fix


def test_jobs_that_never_begin_end_the_audit(slurm, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    executor = slurm(jobs=1)
    executor.place = Unreadable()
    with pytest.raises(ConfigError, match="before they begin") as caught:
        audit(suite(Says()), subject(), executor=executor)
    assert caught.value.code == "E0198" and "log" in caught.value.fix


class Unreadable:
    """Can be packed, and nowhere unpacked."""

    def __reduce__(self):
        return os.kill, (os.getpid(), 0, 0)


def test_a_contradiction_and_a_refusal_travel_too(tmp_path):
    (cell,) = plan((Says(ends="contradiction"),), subject())
    box = Mailbox(tmp_path / "box")
    box.post(cell, Unfit("no", "do"))
    assert box.fetch(cell) == Unfit("no", "do")
    sent = Broken("broken", {"attack": "1"}, "fix")
    box.post(cell, sent)
    assert box.fetch(cell) == sent


def test_seconds_without_waiting_travel_with_an_answer(tmp_path, monkeypatch):
    monkeypatch.setattr("holdfast.run.perform.clock", iter([10.0, 12.5]).__next__)
    (cell,) = plan((Says(),), subject())
    box = Mailbox(tmp_path / "box")
    box.post(cell, perform(cell, subject()))
    found = box.fetch(cell)
    assert found.alone == 2.5 and found.outcome.readings


def test_a_damaged_letter_is_no_letter(tmp_path):
    (cell,) = plan((Says(),), subject())
    box = Mailbox(tmp_path / "box")
    box.post(cell, done := perform(cell, subject()))
    again = box.fetch(cell)
    assert isinstance(again, Done) and again.outcome.readings[0] == done.outcome.readings[0]
    file = box.folder / posted(cell)
    whole = json.loads(file.read_text())
    whole["body"]["outcome"]["findings"][0]["readings"][0]["value"] = 0.99
    file.write_text(json.dumps(whole))
    assert box.fetch(cell) is None
    file.write_text(file.read_text()[:40])
    assert box.fetch(cell) is None


@pytest.mark.parametrize("jobs", [1, 2, 3, 9])
def test_cells_are_dealt_by_cost_and_keep_their_order(jobs):
    costs = (1.0, 9.0, 2.0, 8.0, 3.0, 7.0)
    cells = plan(tuple(Says(name=f"n{c}", dear=c) for c in costs), subject())
    lists = dealt(cells, jobs)
    assert len(lists) == min(jobs, len(cells))
    assert sorted(c.place for each in lists for c in each) == list(range(len(cells)))
    for each in lists:
        assert [c.cost for c in each] == sorted(c.cost for c in each)
    loads = [sum(c.cost for c in each) for each in lists]
    assert max(loads) <= max(sum(costs) / jobs * 4 / 3, max(costs))


def test_without_slurm_or_submitit_it_says_so(tmp_path, monkeypatch):
    if not os.environ.get("SLURM_CONF"):
        pytest.importorskip("submitit", reason="submitit is not installed")
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(ConfigError) as caught:
            audit(suite(Says()), subject(), executor=Slurm(subject, tmp_path / "slurm"))
        assert caught.value.code == "E0196" and "cluster=local" in caught.value.fix
    monkeypatch.setitem(__import__("sys").modules, "submitit", None)
    with pytest.raises(MissingExtra) as missing:
        audit(suite(Says()), subject(), executor=Slurm(subject, tmp_path / "slurm"))
    assert missing.value.fix == "pip install 'holdfast[slurm]'"


def test_one_search_is_not_spread_over_jobs(tmp_path):
    with pytest.raises(ConfigError) as caught:
        Slurm(subject, tmp_path).helped(print, tmp_path)
    assert caught.value.code == "E0197"
