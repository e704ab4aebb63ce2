"""Ctrl-C: it ends the questions at once and never the writing of the report."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

_IMPATIENT = 3


class Stop:
    """Turns a request to stop into a KeyboardInterrupt where that is dealt with, else remembers it.

    Between `arm` and `disarm` the first SIGINT or SIGTERM raises; before, it raises as soon as
    `arm` is reached; after, what is being written is finished first. The third request always
    raises, so that nobody is locked in.
    """

    def __init__(self) -> None:
        self.heard, self.armed = 0, False
        self._before: dict[int, Any] = {}

    def arm(self) -> None:
        """From here on a request raises; so does one that came earlier."""
        self.armed = True
        if self.heard:
            self._raise()

    def disarm(self) -> None:
        """From here on a request is only remembered."""
        self.armed = False

    def _raise(self) -> None:
        self.armed = False
        raise KeyboardInterrupt

    def _hear(self, number: int, frame: FrameType | None) -> None:
        self.heard += 1
        if self.armed or self.heard >= _IMPATIENT:
            self._raise()

    def __enter__(self) -> Stop:
        if threading.current_thread() is threading.main_thread():
            both = (signal.SIGINT, signal.SIGTERM)
            self._before = {number: signal.signal(number, self._hear) for number in both}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
