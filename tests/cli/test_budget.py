"""`--budget` and `--dry-run`: what they promise and what they say."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time

import pytest
from tests.cli.world import WORDS, lay

from holdfast.cli import began
from holdfast.cli import budget as kept
from holdfast.cli.front import run
from holdfast.core.records import Subject
from holdfast.run.rates import Rates

ASKED = [*WORDS, "few.toml"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    folder = lay(tmp_path)
    monkeypatch.chdir(folder)
    return folder


def test_a_dry_run_prints_plan_and_cost_and_leaves_nothing(here, capsys):
    assert run([*ASKED, "--dry-run", "--json"]) == 0
    out, err = capsys.readouterr()
    told = json.loads(out)
    assert [row["state"] for row in told["checks"]] == ["to run"] * 4 and err == ""
    assert all(row["passes"] > 0 and row["seconds"] > 0 for row in told["checks"])
    assert told["seconds"] == pytest.approx(sum(row["seconds"] for row in told["checks"]))
    assert (told["rows"], told["threats"], told["budget"]) == (150, ["linf:0.05"], None)
    assert not (here / ".holdfast").exists()
    assert run([*ASKED, "--dry-run", "--budget", "1h"]) == 0
    out = capsys.readouterr().out
    assert "worst-case" in out and "passes" in out and "4 checks to run" in out
    assert out.rstrip().endswith("it fits")
    assert run([*ASKED, "--dry-run", "--budget", "0.01s"]) == 0
    assert "what is too long comes last" in capsys.readouterr().out


def test_a_dry_run_knows_what_is_finished(here, capsys):
    assert run([*ASKED, "--exit-zero"]) == 0
    capsys.readouterr()
    assert run([*ASKED, "--dry-run", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {row["state"] for row in told["checks"]} == {"finished"} and told["seconds"] == 0
    assert run([*ASKED, "--dry-run", "--json", "--fresh"]) == 0
    assert json.loads(capsys.readouterr().out)["seconds"] > 0


def test_a_budget_too_short_for_anything_is_undecided_with_words(here, capsys):
    assert run([*ASKED, "--budget", "0.001s", "--json"]) == 3
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert document["verdict"]["word"] == "INCOMPLETE"
    assert document["preflight"][0]["says"].startswith("The time budget ended before the preflight")
    assert {o["skipped"] for o in document["outcomes"]} == {"left out to keep the time budget"}
    assert "the budget of 0.001 s is spent: 4 of 4 checks are not tested" in err
    assert "\nE0740  --budget 0.001s is too small for any verdict" in err
    assert re.search(r"Repeat the command with --budget \d+s or more", err)
    assert run([*ASKED, "--exit-zero", "--json"]) == 0  # the same command with all the time
    assert all(o["findings"] for o in json.loads(capsys.readouterr().out)["outcomes"])


def test_time_for_writing_is_kept_and_learned():
    rates = Rates()
    assert kept.deadline(100.0, None, rates) is None
    assert kept.deadline(100.0, 60.0, rates) == pytest.approx(160.0 - 1.25 * 2.0)
    rates.learn(kept.WRITING, 1.0, 8.0)
    assert kept.deadline(100.0, 60.0, rates) == pytest.approx(160.0 - 1.25 * 8.0)
    assert kept.deadline(100.0, 3.0, rates) == pytest.approx(102.0)  # at most a third


def test_on_a_busy_machine_more_is_kept_for_the_report():
    rates = Rates(busy=lambda: 3.0)
    assert kept.deadline(0.0, 60.0, rates) == pytest.approx(60.0 - 1.25 * 6.0)
    rates.learn(kept.WRITING, 1.0, 6.0)  # 2 s of work
    assert kept.deadline(0.0, 60.0, rates) == pytest.approx(60.0 - 1.25 * 6.0)
    rates.busy = lambda: 1.0
    assert kept.deadline(0.0, 60.0, rates) == pytest.approx(60.0 - 1.25 * 2.0)


def test_the_preflight_leaves_half_of_the_time_to_the_questions(monkeypatch):
    from holdfast.cli import prepare

    def endless(asked, store, fresh):
        while True:
            pass

    monkeypatch.setattr(prepare, "looked", endless)
    begun, budget = time.monotonic(), 2.0
    kept.looked_until(begun + budget, Subject(), None, False)
    assert 0.4 * budget < time.monotonic() - begun


def test_a_command_begins_with_its_process_or_when_it_is_called(monkeypatch):
    before = time.monotonic()
    began.just_now()
    assert began.began() >= before
    began.with_process()
    assert began.began() <= before - 0.9 * time.process_time() + 1.0
    assert began.age() >= time.process_time() > 0
    monkeypatch.delattr("os.sysconf")  # a system that does not tell
    assert 0 < began.age() <= time.process_time()


def test_a_process_knows_when_it_started():
    code = "import time; from holdfast.cli.began import age; time.sleep(0.5); print(age())"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(out.stdout) > 0.5  # more than its processor worked


def test_a_preflight_that_takes_too_long_ends_with_the_budget(monkeypatch):
    from holdfast.cli import prepare

    def endless(asked, store, fresh):
        while True:
            pass

    monkeypatch.setattr(prepare, "looked", endless)
    (found,) = kept.looked_until(0.0, Subject(), None, False)
    assert "before the preflight did" in found.says


def test_rates_shape_no_result(here, capsys):
    def results():
        assert run([*ASKED, "--fresh", "--exit-zero", "--json"]) == 0
        return capsys.readouterr().out

    first = results()
    rates = Rates.of_machine()
    for name in ("check:worst-case", "check:clean"):
        for _ in range(12):
            rates.learn(name, 1e-3, 1e4)
    rates.save()
    assert results() == first
