"""Finished pieces of a search on disk: what was attacked once is read, not attacked again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, NamedTuple

import torch
from torch import Tensor

from holdfast.core.dice import Dice
from holdfast.core.digest import digest
from holdfast.core.errors import UntrustedFile
from holdfast.core.goal import Goal
from holdfast.core.kinds import Attack, Model, Threat
from holdfast.core.quiet import modules_of
from holdfast.run.cells import code_of, module_of, parts
from holdfast.run.checkpoint import read_state, write_state
from holdfast.run.passes import Passes
from holdfast.run.source import source_digest
from holdfast.run.stages import Stage

try:
    import fcntl
except ImportError:  # no such locks on this system: two processes may do the same piece
    fcntl = None  # type: ignore[assignment]

FORMAT = 1


@dataclass(frozen=True, eq=False)
class Piece:
    """What an attack found on one chunk of rows, judged.

    Args:
        change: rows first, inside the threat.
        margin: `(B,)` under that change.
        finite: `(B,)` bool, whether the outputs were.
        passes: spent.
        stages: that they were spent in.
        said: the stage that broke each row, as far as the attack says so.
    """

    change: Tensor
    margin: Tensor
    finite: Tensor
    passes: Passes
    stages: tuple[Stage, ...]
    said: tuple[str, ...]


class Job(NamedTuple):
    """Rows to attack at once, with all that belongs to them."""

    x: Tensor
    goal: Goal
    threat: Threat
    dice: Dice


class Keeper:
    """Pieces in a folder, found again by the digest of all that they depend on.

    A piece is on disk when `put` returns, so a process that is killed loses the piece it was at.
    Several processes may work on the same search with the same folder: each piece is done by the
    one that claims it first, and a claim ends with the process that holds it.

    Args:
        folder: made when the first piece is kept.
        worth: seconds; pieces that took less are not kept. 0 where processes share the work.
    """

    def __init__(self, folder: Path, worth: float = 0.0) -> None:
        self.folder, self.worth = folder, worth

    @property
    def shared(self) -> bool:
        """Whether other processes may be at work here: then every piece is claimed and kept."""
        return self.worth == 0

    def _file(self, key: str) -> Path:
        return self.folder / f"{key}.safetensors"

    def get(self, key: str, like: Tensor) -> Piece | None:
        """The piece kept under a key; None without one, or if its file was damaged.

        Args:
            key: as given by `piece_key`.
            like: a change of these rows, for its device.
        """
        if not self._file(key).exists():
            return None
        try:
            state = read_state(self._file(key))
            passes, stages = Passes(*state["passes"]), [Stage(**s) for s in state["stages"]]
            piece = Piece(
                state["change"].to(like.device), state["margin"].to(like.device),
                state["finite"].to(like.device), passes, tuple(stages), tuple(state["said"]),
            )  # fmt: skip
        except (UntrustedFile, OSError, KeyError, TypeError, AttributeError):
            return None
        return piece if piece.change.shape == like.shape else None

    def put(self, key: str, piece: Piece) -> None:
        """Keep a piece; it is on disk when this returns."""
        write_state(self._file(key), {
            "change": piece.change, "margin": piece.margin, "finite": piece.finite,
            "passes": [piece.passes.forwards, piece.passes.backwards],
            "stages": [asdict(s) for s in piece.stages], "said": list(piece.said),
        })  # fmt: skip

    @contextmanager
    def claim(self, key: str, *, wait: bool) -> Iterator[bool]:
        """Claim a piece for the block; False if another process has it.

        Args:
            key: of the piece.
            wait: until the other process has done it, or has died.
        """
        if fcntl is None or not self.shared:
            yield True
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / f"{key}.claim").open("w") as file:
            yield _locked(file, wait=wait)


def _locked(file: IO[str], *, wait: bool) -> bool:
    """Lock a file until it is closed, which the end of a process does too."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True


def attack_digest(attack: Attack, model: Model) -> str:
    """Identity of an attack on a model: settings, sources, weights, modes."""
    modes = [m.training for top in modules_of(model) for m in top.modules()]
    modules = {type(attack).__module__, *map(module_of, parts(attack))}
    sources = {name: source_digest(name) for name in sorted(modules)}
    torches = [torch.__version__, str(torch.get_default_dtype())]
    return digest([FORMAT, attack, sources, model, code_of(model), modes, *torches])


def piece_key(whole: str, job: Job) -> str:
    """Identity of a piece: all that its result depends on, rows and draws included.

    Args:
        whole: as given by `attack_digest`.
        job: rows of the piece, before the first draw.
    """
    x, goal, threat, dice = job
    draws = [dice.seed, dice.keys, dice.stream, dice.calls]
    return digest([whole, x, str(x.device), goal, threat, threat.spec, *draws])


def gathered(
    jobs: Sequence[Job],
    work: Callable[[Job], Piece],
    keep: Keeper | None,
    about: tuple[Attack, Model],
    told: Callable[[Piece], None],
) -> list[Piece]:
    """Every piece, in the order of the jobs: read where it was kept, made otherwise.

    Pieces that another process is at are left for the end; they are made here only if it died.

    Args:
        jobs: rows with all that belongs to them.
        work: makes a piece.
        keep: where pieces are kept, if anywhere.
        about: whose work it is, on which model.
        told: called with each piece as it is there.
    """
    done: dict[int, Piece] = {}
    whole = attack_digest(*about) if keep and jobs else ""
    keys = [piece_key(whole, job) for job in jobs] if keep else [""] * len(jobs)
    for wait in (False, True):
        for number, (job, key) in enumerate(zip(jobs, keys, strict=True)):
            if number in done:
                continue
            piece = work(job) if keep is None else _one(job, key, work, keep, wait=wait)
            if piece is not None:
                done[number] = piece
                told(piece)
    return [done[number] for number in range(len(jobs))]


def _one(
    job: Job, key: str, work: Callable[[Job], Piece], keep: Keeper, *, wait: bool
) -> Piece | None:
    """A piece that was kept, or is made now and kept; None if another process is making it."""
    with keep.claim(key, wait=wait) as mine:
        piece = keep.get(key, job.threat.none(job.x))
        if piece is None and mine:
            start, piece = time.perf_counter(), work(job)
            if time.perf_counter() - start >= keep.worth:
                keep.put(key, piece)
    return piece


_HERE: ContextVar[Keeper | None] = ContextVar("keeper", default=None)


def present() -> Keeper | None:
    """The keeper of the block that is running, if it has one."""
    return _HERE.get()


@contextmanager
def kept(keeper: Keeper | None) -> Iterator[None]:
    """Every search of a block keeps its pieces, and reads those that are there."""
    token = _HERE.set(keeper)
    try:
        yield
    finally:
        _HERE.reset(token)
