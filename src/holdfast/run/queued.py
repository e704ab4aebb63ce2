"""Which jobs of Slurm have ended: by its accounts, or by its queue where it keeps none."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

FRESH = 5.0  # seconds for which a job that was in the queue is believed to be there still
_WAIT = 60.0  # seconds after which a command of Slurm is given up


@dataclass
class Queue:
    """Where no accounts are kept, a job that was killed leaves no trace but its absence.

    Args:
        cluster: `slurm`, or `local` for processes of this machine.
    """

    cluster: str
    there: frozenset[str] = frozenset()
    seen: float = field(default=float("-inf"))

    def ended(self, job: Any) -> bool:
        """Whether a job of submitit has come to an end, of whatever kind."""
        if self.accounts:
            return bool(job.done())
        if job.paths.result_pickle.exists():
            return True
        known = job.job_id in self.there
        return not (known and time.monotonic() - self.seen < FRESH) and self._gone(job.job_id)

    @cached_property
    def accounts(self) -> bool:
        """Whether anybody can be asked about jobs that have ended."""
        return self.cluster != "slurm" or _said("sacct", "-n", "-X") is not None

    def _gone(self, name: str) -> bool:
        """Look into the queue; one that does not answer has lost nobody."""
        told = _said("squeue", "--me", "--noheader", "--format=%i")
        if told is None:
            return False
        self.there, self.seen = frozenset(told.split()), time.monotonic()
        return name not in self.there


def _said(*command: str) -> str | None:
    """What a command prints, None where it fails."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_WAIT, check=False, errors="replace"
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
