"""What a search tells while it runs, and what its stages took: heard by the block around it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from holdfast.run.keeper import Piece
from holdfast.run.stages import Stage, Times

Progress = Callable[[int, int, int], None]  # rows done, of how many, how many of them broken


@dataclass
class Watch:
    """Hears what happens within a block.

    Args:
        progress: told by every search that has no listener of its own.
        times: seconds of every ledger that was closed so far.
    """

    progress: Progress | None = None
    times: Times = field(default_factory=dict)


_HERE: ContextVar[Watch | None] = ContextVar("watch", default=None)


@contextmanager
def watched(progress: Progress | None) -> Iterator[Watch]:
    """Hear the searches of a block."""
    watch = Watch(progress)
    token = _HERE.set(watch)
    try:
        yield watch
    finally:
        _HERE.reset(token)


def listener() -> Progress | None:
    """Who hears the block around; None for nobody."""
    watch = _HERE.get()
    return None if watch is None else watch.progress


def timed(ledger: str, stages: Sequence[Stage]) -> None:
    """Tell what the stages of a ledger took, which findings leave out: they hold no times.

    Args:
        ledger: name of the figure that shows it.
        stages: with their seconds.
    """
    watch = _HERE.get()
    if watch is not None:
        watch.times[ledger] = {stage.name: stage.seconds for stage in stages}


def counter(count: int, progress: Progress | None) -> Callable[[Piece], None]:
    """Adds up the rows of finished pieces, and tells them.

    Args:
        count: rows of the search.
        progress: told; whoever hears the block around unless given.
    """
    watch = _HERE.get()
    tell, done = progress, [0, 0]
    if tell is None and watch is not None and (tell := watch.progress) is not None and count:
        tell(0, count, 0)

    def told(piece: Piece) -> None:
        done[0] += len(piece.margin)
        done[1] += int((piece.margin >= 0).sum())
        if tell is not None:
            tell(done[0], count, done[1])

    return told
