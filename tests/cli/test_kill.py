"""Killed or stopped at any moment, an audit continues to the same bytes."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.forked import Forks
from tests.cli.world import CHECKS, WORDS, lay

# How often; the pool's processes import torch anew each time, so that one kill is dear there.
KILLS = int(os.environ.get("HOLDFAST_KILLS", "12"))
KILLS_OF_A_POOL = int(os.environ.get("HOLDFAST_KILLS_OF_A_POOL", "1"))
STOPS = int(os.environ.get("HOLDFAST_STOPS", "5"))
WITHIN = 2.0  # seconds of the processor: other tests may hold it meanwhile
ALL = [*WORDS, "all.toml"]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks and clocks of Linux")


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    made = Forks()
    yield made
    made.close()


@pytest.fixture(scope="module")
def laid(tmp_path_factory) -> Path:
    return lay(tmp_path_factory.mktemp("laid"))


def fresh(laid: Path, folder: Path) -> Path:
    shutil.copytree(laid, folder)
    return folder


def one(folder: Path, pattern: str) -> Path:
    (found,) = folder.glob(pattern)
    return found


def results(folder: Path) -> bytes:
    return one(folder, ".holdfast/runs/*/results.json").read_bytes()


def killed(forks: Forks, laid: Path, tmp_path: Path, more: list[str], kills: int) -> bytes:
    """Kill at random moments of a straight run, each in a folder of its own, and continue.

    Returns the document that all of them ended with.
    """
    straight = tmp_path / "straight"
    timed = forks.run(fresh(laid, straight), [*ALL, *more])
    assert timed["code"] == 0, (straight / "err").read_text()
    expected, rng, done, tried = results(straight), random.Random(20), 0, 0
    while done < kills:
        tried += 1
        assert tried <= 4 * kills + 4, "the audit ends before it can be killed"
        folder = fresh(laid, tmp_path / f"killed{tried}")
        moment = rng.uniform(0, timed["seconds"])
        first = forks.run(folder, [*ALL, *more], (signal.SIGKILL, moment))
        if first["code"] != -signal.SIGKILL:  # it had ended by then
            timed["seconds"] = min(timed["seconds"], first["seconds"])
            continue
        done += 1
        kept = len(list(folder.glob(".holdfast/cells/*/*.json")))
        again = forks.run(folder, [*ALL, *more])
        told = (folder / "err").read_text()
        assert again["code"] == 0, told
        cells = kept - 1  # one of them is the preflight
        if cells > 0:
            assert cells == len(CHECKS) or f"{cells} found finished" in told, "a cell was repeated"
        assert results(folder) == expected, f"killed after {moment:.3f} s with {kept} cells"
        print(f"killed at {moment:.3f} s: {kept} cells kept, {again['seconds']:.2f} s to continue")
    return expected


def test_results_are_the_same_bytes_after_kill_9_at_random_moments(forks, laid, tmp_path):
    killed(forks, laid, tmp_path, [], KILLS)


@pytest.mark.slow
def test_and_so_they_are_where_two_processes_share_the_work(forks, laid, tmp_path):
    shared = killed(forks, laid, tmp_path, ["--on", "local:2"], KILLS_OF_A_POOL)
    alone = fresh(laid, tmp_path / "alone")
    forks.run(alone, ALL)
    assert results(alone) == shared


def partial(folder: Path) -> dict[str, object]:
    """The report of an interrupted run: whole files, and what is missing says why."""
    document = json.loads(results(folder))
    assert (document["verdict"]["word"], document["verdict"]["code"]) == ("INCOMPLETE", 130)
    reasons = {n["reason"] for n in document["not_tested"]}
    assert "stopped on request before it was finished" in reasons
    html = one(folder, ".holdfast/runs/*/report.html").read_text("utf-8")
    assert html.rstrip().endswith("</html>") and "INCOMPLETE" in html
    assert "Traceback" not in (folder / "err").read_text()
    return document


def test_ctrl_c_leaves_a_partial_report_and_the_same_command_continues(forks, laid, tmp_path):
    straight = fresh(laid, tmp_path / "straight")
    timed = forks.run(straight, ALL)
    assert timed["code"] == 0
    expected, rng, done, reports, tried = results(straight), random.Random(7), 0, 0, 0
    while done < STOPS:
        tried += 1
        assert tried <= 4 * STOPS + 4, "the audit ends before it can be stopped"
        folder = fresh(laid, tmp_path / f"stopped{tried}")
        moment = rng.uniform(0, timed["seconds"] * 0.8)
        first = forks.run(folder, ALL, (signal.SIGINT, moment))
        if first["code"] == 0:  # it was writing its report, or had ended
            assert results(folder) == expected
            continue
        done, kept = done + 1, 0
        assert first["code"] == 130, (folder / "err").read_text()
        assert first["cpu_after"] <= WITHIN
        if list(folder.glob(".holdfast/runs/*")):
            reports += 1
            kept = sum(not o["skipped"] for o in partial(folder)["outcomes"])
        else:  # before there was a run
            assert "E0700" in (folder / "err").read_text()
        again = forks.run(folder, ALL)
        assert again["code"] == 0, (folder / "err").read_text()
        assert results(folder) == expected
        assert not kept or f"{kept} found finished" in (folder / "err").read_text()
        print(
            f"stopped at {moment:.2f} s: {kept} kept, {first['cpu_after']:.2f} s of the processor "
            f"and {first['after']:.2f} s to the end"
        )
    assert reports >= STOPS // 2


def test_a_second_ctrl_c_does_not_tear_the_report(forks, laid, tmp_path):
    """The request comes again while the report is written."""
    folder = fresh(laid, tmp_path / "twice")
    first = forks.run(folder, ALL, (signal.SIGINT, 0.6), again=0.05)
    assert first["code"] in (0, 130)
    if first["code"] == 130 and list(folder.glob(".holdfast/runs/*")):
        partial(folder)


def test_ctrl_c_ends_a_pool_of_processes_too(forks, laid, tmp_path):
    """Workers that are still starting must neither be waited for nor complain."""
    folder = fresh(laid, tmp_path / "pool")
    words = [*WORDS, "few.toml", "--on", "local:2"]
    first = forks.run(folder, words, (signal.SIGINT, 1.5))
    err = (folder / "err").read_text()
    assert "Traceback" not in err
    assert first["code"] in (0, 130) and first["cpu_after"] <= WITHIN + 6, err
