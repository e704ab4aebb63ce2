"""The deadline of an audit: when it has come, the work ends wherever it is."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

AGAIN = 2.0  # seconds after which code that went on regardless is told once more


class Late(BaseException):
    """The time is over; passes through whatever a method or a check catches."""


class Alarm:
    """Raises `Late` in the block as soon as a deadline has passed, also inside a check.

    It needs the main thread and a system with timers; elsewhere nothing is raised, and the
    deadline is kept between cells only. One operation of torch is never cut in two.

    Args:
        deadline: as `time.monotonic` tells it; None for never.
    """

    def __init__(self, deadline: float | None) -> None:
        self.deadline = deadline
        self._held, self._rang, self._set = 0, False, False
        self._before: Any = None

    @property
    def left(self) -> float:
        """Seconds until the deadline; infinite without one."""
        return float("inf") if self.deadline is None else self.deadline - time.monotonic()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let the block end before anything is raised: it puts something on disk."""
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1
        if self._rang and not self._held:
            self._rang = False
            raise Late

    def _ring(self, number: int, frame: FrameType | None) -> None:
        if self._held:
            self._rang = True
        else:
            raise Late

    def __enter__(self) -> Alarm:
        able = threading.current_thread() is threading.main_thread()
        if self.deadline is not None and able and hasattr(signal, "setitimer"):
            self._before = signal.signal(signal.SIGALRM, self._ring)
            self._set = True
            signal.setitimer(signal.ITIMER_REAL, max(self.left, 1e-3), AGAIN)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.off()

    def off(self) -> None:
        """Raise nothing any more; also where the alarm rang while the block was being left."""
        self._held += 1
        if self._set:
            signal.setitimer(signal.ITIMER_REAL, 0.0)
            signal.signal(signal.SIGALRM, self._before)
            self._set = False
