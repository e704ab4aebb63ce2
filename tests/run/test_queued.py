"""Where Slurm keeps no accounts, a job has ended when it left its result or the queue."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from holdfast.run import queued
from holdfast.run.queued import Queue


@pytest.fixture
def tools(tmp_path, monkeypatch) -> Path:
    """A cluster of two commands: `sacct` as where no accounts are kept, and a queue of our own."""
    (tmp_path / "queue").write_text("7\n8\n")
    put(tmp_path, "sacct", "echo Slurm accounting storage is disabled >&2; exit 1")
    put(tmp_path, "squeue", f"echo x >> {tmp_path}/asked; cat {tmp_path}/queue")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path


def put(folder: Path, name: str, words: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{words}\n")
    (folder / name).chmod(0o755)


def job(folder: Path, name: str) -> Any:
    def done() -> bool:
        raise AssertionError("accounts are asked where there are none")

    paths = SimpleNamespace(result_pickle=folder / f"{name}.pkl")
    return SimpleNamespace(job_id=name, paths=paths, done=done)


def test_a_job_that_was_killed_is_gone_from_the_queue(tools, monkeypatch):
    queue, own, other = Queue("slurm"), job(tools, "7"), job(tools, "8")
    assert not queue.ended(own) and not queue.ended(other)
    assert (tools / "asked").read_text().count("x") == 1, "one look tells of all jobs"
    (tools / "queue").write_text("8\n")
    monkeypatch.setattr(queued, "FRESH", 0.0)
    assert queue.ended(own) and not queue.ended(other)


def test_a_job_that_came_after_the_last_look_is_looked_for(tools):
    queue = Queue("slurm")
    assert not queue.ended(job(tools, "7"))
    (tools / "queue").write_text("7\n9\n")
    assert not queue.ended(job(tools, "9"))


def test_a_result_ends_a_job_whatever_the_queue_says(tools):
    (tools / "7.pkl").write_text("")
    assert Queue("slurm").ended(job(tools, "7"))


def test_a_queue_that_does_not_answer_has_lost_nobody(tools):
    put(tools, "squeue", "exit 1")
    assert not Queue("slurm").ended(job(tools, "7"))
    (tools / "squeue").unlink()
    assert not Queue("slurm").ended(job(tools, "7"))


def test_where_accounts_are_kept_they_are_asked(tools):
    put(tools, "sacct", "exit 0")
    told = SimpleNamespace(done=lambda: True)
    assert Queue("slurm").ended(told) and Queue("local").ended(told)
