"""Progress: a line every ten seconds where nobody watches, a live bar on a terminal."""

from __future__ import annotations

import io
import os
import pty
import re
import time

import pytest
from tests.run.doubles import Says, subject, suite

from holdfast.cli import progress
from holdfast.cli.progress import Told, clock
from holdfast.cli.stop import Stop
from holdfast.core.fields import settings
from holdfast.core.records import Finding, Outcome, Reading, Severity
from holdfast.run.perform import Done
from holdfast.run.plan import plan
from holdfast.run.suite import audit


@settings
class Worst(Says):
    """Says a worst case."""

    threat: str = "linf:0.1"

    def __call__(self, subject):
        yield from super().__call__(subject)
        value = self.value / 2
        reading = Reading(
            name=f"attacks.worst@{self.threat}", value=value, low=value, high=value, n=10,
            threat=self.threat,
        )  # fmt: skip
        yield Finding(severity=Severity.INFO, says="The worst.", readings=(reading,))


@pytest.mark.parametrize(("seconds", "said"), [
    (0, "0 s"), (47.4, "47 s"), (99.4, "99 s"), (290, "4:50"), (7390, "2:03:10"), (-3, "0 s"),
])  # fmt: skip
def test_durations_as_people_say_them(seconds, said):
    assert clock(seconds) == said


def test_a_line_for_each_finished_check_and_none_for_what_was_found(tmp_path):
    from holdfast.run.store import Store

    asked = suite(Says(name="a", value=0.5), Says(ends="crash"), Says(ends="unsupported"))
    for found in (False, True):
        stream = io.StringIO()
        with Told(stream) as told:
            audit(asked, subject(), store=Store(tmp_path), progress=told)
        lines = stream.getvalue().splitlines()
        count = "1 checks to run, 2 found finished" if found else "3 checks to run"
        assert count in lines[0]
        assert any("failed: RuntimeError" in line for line in lines)
        assert any("not tested: cannot do it" in line for line in lines) is not found
        assert any("50.0% [45.0, 55.0]  n=10" in line for line in lines) is not found


def test_elsewhere_one_line_per_interval_with_worst_so_far_and_time_left(monkeypatch):
    monkeypatch.setattr(progress, "EVERY", 0.2)
    stream = io.StringIO()
    begun = time.monotonic()
    with Told(stream) as told:
        checks = (Worst(value=0.8), Worst(name="b", value=0.6, dear=2.0, threat="l2:1"),
                  Says(name="c", pause=1.0, dear=3.0))  # fmt: skip
        audit(suite(*checks), subject(), progress=told)
    took = time.monotonic() - begun
    beats = re.findall(r"^  (\d)/3 .*eta .*$", stream.getvalue(), re.M)
    assert 2 <= len(beats) <= took / 0.2 + 1, "one line per interval"
    (last,) = re.findall(r"^  2/3 .*$", stream.getvalue(), re.M)[-1:]
    assert "worst so far l2:1 <= 30.0%" in last and re.search(r"eta \d+ s", last)
    assert "\x1b" not in stream.getvalue() and "\r" not in stream.getvalue()


def test_it_is_ten_seconds():
    assert progress.EVERY == 10.0


def test_on_a_terminal_a_bar_shows_the_worst_so_far(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "120")
    outer, inner = pty.openpty()
    with os.fdopen(inner, "w") as stream:
        with Told(stream) as told:
            checks = (Worst(value=0.8), Says(name="c", pause=2.5, dear=3.0))
            audit(suite(*checks), subject(), progress=told)
        stream.flush()
        os.set_blocking(outer, False)
        seen = b""
        while True:
            try:
                part = os.read(outer, 65536)
            except BlockingIOError:
                break
            seen += part
    os.close(outer)
    text = seen.decode()
    assert "worst so far linf:0.1 <= 40.0%" in text and "eta" in text and "1/2" in text
    assert "\x1b[" in text, "the bar is drawn over itself"
    assert "80.0% [75.0, 85.0]" in text, "and finished checks stay above it"


def test_a_running_cell_shows_the_rows_of_its_search():
    told = Told(io.StringIO())
    first, second = plan((Says(name="a"), Says(name="b", dear=2.0)), subject())
    told.planned((first, second), 1.0)
    told.begins(first, 9.0)
    assert "Says   eta" in told.status()
    told.within(first, 512, 1000, 3)
    told.within(second, 0, 20, 0)
    assert "Says 512/1,000 rows, Says 0/20 rows   eta" in told.status()
    told.within(first, 1000, 1000, 5)
    told.finished(Done(second, Outcome(check="check:says")), False)
    assert "rows" not in told.status(), "what follows a search is not counted"


def test_what_is_foreseen_is_said_only_where_something_runs(tmp_path):
    from holdfast.run.store import Store

    asked = []
    for _ in range(2):
        stream = io.StringIO()
        with Told(stream, foresee=lambda: asked.append(1) or "plan: all of it") as told:
            audit(suite(Says()), subject(), store=Store(tmp_path), progress=told)
    assert asked == [1] and stream.getvalue() == ""


def test_a_request_to_stop_is_heard_between_plan_and_end_only():
    with Stop() as stop:
        told = Told(io.StringIO(), stop=stop)
        stop._hear(2, None)
        with pytest.raises(KeyboardInterrupt):
            told.planned((), 0.0)  # what came before is raised here
        assert not stop.armed
    with Stop() as stop:
        told = Told(io.StringIO(), stop=stop)
        told.planned((), 0.0)
        told.ended()
        stop._hear(2, None)  # while the report is written
        stop._hear(2, None)
        with pytest.raises(KeyboardInterrupt):
            stop._hear(2, None)  # nobody is locked in


def test_an_audit_that_is_asked_to_stop_before_it_begins_still_reports():
    with Stop() as stop, Told(io.StringIO(), stop=stop) as told:
        stop._hear(2, None)
        report = audit(suite(Says(), Says(name="b")), subject(), progress=told)
    assert all(o.skipped.startswith("stopped") for o in report.outcomes)


def test_the_worst_is_the_lowest_whatever_came_first():
    told = Told(io.StringIO())
    (cell,) = plan((Says(),), subject())
    for value in (0.5, 0.2, 0.7):
        r = Reading(name="attacks.worst@linf:0.1", value=value, low=0, high=1, n=1, threat="t")
        found = Finding(severity=Severity.INFO, says="", readings=(r,))
        told.finished(Done(cell, Outcome(check="check:says", findings=(found,))), True)
    assert told.worst is not None and told.worst.value == 0.2 and told.done == 3
