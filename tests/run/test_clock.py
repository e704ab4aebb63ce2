"""The deadline ends whatever runs, never what is being put on disk, and leaves nothing behind."""

from __future__ import annotations

import signal
import threading
import time

import pytest

from holdfast.run import clock
from holdfast.run.clock import Alarm, Late


def soon(seconds: float = 0.05) -> float:
    return time.monotonic() + seconds


def endless() -> None:
    """Catches everything that a method may catch."""
    while True:
        try:
            time.sleep(0.001)
        except Exception:
            continue


def test_it_ends_what_catches_every_exception():
    with pytest.raises(Late), Alarm(soon()):
        endless()


def test_a_deadline_that_has_passed_ends_the_block_at_once():
    with pytest.raises(Late), Alarm(soon(-5.0)) as alarm:
        assert alarm.left < 0
        endless()


def test_what_swallows_it_is_told_again(monkeypatch):
    monkeypatch.setattr(clock, "AGAIN", 0.05)
    swallowed = 0
    with pytest.raises(Late), Alarm(soon()):
        while swallowed < 2:
            try:
                endless()
            except BaseException:
                swallowed += 1
        endless()
    assert swallowed == 2


def test_what_is_held_is_finished_first():
    done = []
    with pytest.raises(Late), Alarm(soon()) as alarm:
        with alarm.held():
            with alarm.held():
                time.sleep(0.1)
            done.append("written")
        done.append("never")
    assert done == ["written"]


def test_an_error_of_what_is_held_is_not_hidden():
    with pytest.raises(OSError), Alarm(soon()) as alarm, alarm.held():
        time.sleep(0.1)
        raise OSError("full")


def test_nothing_is_left_behind():
    before = signal.getsignal(signal.SIGALRM)
    for deadline in (soon(60.0), None):
        with Alarm(deadline) as alarm:
            pass
        alarm.off()
        assert signal.getsignal(signal.SIGALRM) is before
        assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert Alarm(None).left == float("inf")


def test_beside_the_main_thread_nothing_is_raised():
    ended = []

    def work() -> None:
        with Alarm(soon(-1.0)) as alarm:
            time.sleep(0.05)
            ended.append(alarm.left < 0)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert ended == [True]
