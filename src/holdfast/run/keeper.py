"""Finished pieces of a search on disk: what was attacked once is read, not attacked again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from torch import Tensor

from holdfast.core.errors import UntrustedFile
from holdfast.run.checkpoint import read_state, write_state
from holdfast.run.passes import Passes
from holdfast.run.stages import Stage

try:
    import fcntl
except ImportError:  # no such locks on this system: two processes may do the same piece
    fcntl = None  # type: ignore[assignment]


class Over(BaseException):
    """What a helper was helping with is finished; passes through whatever a check catches."""


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


class Keeper:
    """Pieces in a folder, found again by the digest of all that they depend on.

    A piece is on disk when `put` returns, so a process that is killed loses the piece it was at.
    Several processes may work on the same search with the same folder: each piece is done by the
    one that claims it first, and a claim ends with the process that holds it.

    Args:
        folder: made when the first piece is kept.
        worth: seconds; pieces that took less are not kept.
        shared: whether other processes may be at work here: then every piece is claimed.
        guest: whether this process only helps the one that made the folder: then it ends its
            work (`Over`) as soon as that one has removed it.
    """

    def __init__(
        self, folder: Path, worth: float = 0.0, *, shared: bool = True, guest: bool = False
    ) -> None:
        self.folder, self.worth, self.shared, self.guest = folder, worth, shared, guest
        self.resumed = 0  # rows read from pieces that were there before
        self._before = frozenset(file.stem for file in folder.glob("*.safetensors"))

    @property
    def before(self) -> int:
        """How many pieces were there before."""
        return len(self._before)

    def _file(self, key: str) -> Path:
        return self.folder / f"{key}.safetensors"

    def get(self, key: str, like: Tensor) -> Piece | None:
        """The piece kept under a key; None without one, or if its file was damaged.

        Args:
            key: as given by `run.pieces.piece_key`.
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
        if piece.change.shape != like.shape:
            return None
        self.resumed += len(piece.margin) if key in self._before else 0
        return piece

    def put(self, key: str, piece: Piece) -> None:
        """Keep a piece; it is on disk when this returns."""
        self._present()
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

        Raises:
            Over: for a guest whose host has finished.
        """
        self._present()
        if fcntl is None or not self.shared:
            yield True
            return
        if not self.guest:
            self.folder.mkdir(parents=True, exist_ok=True)
        with self._claimed(key) as file:
            yield _locked(file, wait=wait)

    def _claimed(self, key: str) -> IO[str]:
        try:
            return (self.folder / f"{key}.claim").open("w")
        except FileNotFoundError:
            raise Over from None

    def _present(self) -> None:
        if self.guest and not self.folder.exists():
            raise Over


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock for the block; other processes wait. Without locks on the system, nobody does."""
    with path.open("w") as file:
        if fcntl is not None:
            _locked(file, wait=True)
        yield


def _locked(file: IO[str], *, wait: bool) -> bool:
    """Lock a file until it is closed, which the end of a process does too."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True


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
