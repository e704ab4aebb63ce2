"""Codes of other machines, provoked without any: a cluster that is silent, jobs that end."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.cli.errors.said import Said, Tell, failed
from tests.run.doubles import Says, subject


def unfit(here: Path, patch: Any, tell: Tell, page: Any) -> Said:
    """A worker on a machine that does not see the folder."""
    from holdfast.run.elsewhere import Place, refused
    from holdfast.run.plan import plan

    (cell,) = plan((Says(),), subject())
    found = Place(subject, str(here / "not-shared")).enter(cell)
    assert found is not None

    def ended() -> None:
        raise refused(found)

    return failed(ended)


def silent(here: Path, patch: Any, tell: Tell, page: Any) -> Said:
    """Ray is there, and no cluster; tests/run/test_on_ray.py asks a real one."""

    def init(*words: object, **more: object) -> None:
        raise ConnectionError("Could not find any running Ray instance.")

    ray = SimpleNamespace(is_initialized=lambda: False, init=init, shutdown=lambda: None)
    patch.setitem(sys.modules, "ray", ray)
    return tell(page.case)


def without_sbatch(here: Path, patch: Any, tell: Tell, page: Any) -> Said:
    """submitit is there, and no Slurm."""

    def executor(folder: Path, cluster: str) -> None:
        raise RuntimeError('Could not detect "srun", are you indeed on a slurm cluster?')

    patch.setitem(sys.modules, "submitit", SimpleNamespace(AutoExecutor=executor))
    return tell(page.case)


def idle(here: Path, patch: Any, tell: Tell, page: Any) -> Said:
    """Jobs that are over at once, with nothing done."""
    from holdfast.run.on_slurm import Slurm
    from holdfast.run.plan import plan

    class Job:
        job_id, paths = "17", SimpleNamespace(stderr="17.err")

        def done(self) -> bool:
            return True

        def cancel(self, check: bool) -> None:
            return None

    slurm = Slurm(subject, here / "slurm", jobs=1, cluster="local", grace=0.0)
    sender = SimpleNamespace(submit=lambda *given: Job())
    patch.setattr(Slurm, "_submitter", lambda self: sender)
    return failed(lambda: list(slurm.run(iter(plan((Says(),), subject())), subject())))


def without_package(here: Path, patch: Any, tell: Tell, page: Any) -> Said:
    package = {"E0606": "ray", "E0607": "submitit", "E0608": "uvicorn"}[page.code]
    patch.setitem(sys.modules, package, None)
    return tell(page.case)


CASES = {
    "E0194": unfit,
    "E0195": silent,
    "E0196": without_sbatch,
    "E0198": idle,
    "E0606": without_package,
    "E0607": without_package,
    "E0608": without_package,
}
