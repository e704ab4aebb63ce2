"""What checks have cost on this machine: it shapes forecasts, never results."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from holdfast.run.load import busy
from holdfast.run.writing import canonical, write

KEPT = 60  # observations of each check
EACH = 5  # of them about one and the same question
FIXED = 0.05  # seconds below which a check is not told from another
LEAST = 1e-4  # seconds
SAME, NEAR, NEW = 0.1, 0.35, 0.5  # how far off, in logarithms: seen, seen of others, never seen


class Seen(NamedTuple):
    """A check as it was timed.

    Args:
        nominal: seconds that it usually takes.
        seconds: that it took, as if nobody else had worked on the machine.
        about: which question it was; empty if nobody said.
    """

    nominal: float
    seconds: float
    about: str = ""


class Guess(NamedTuple):
    """Seconds of a check on a quiet machine, and how far off that typically is, in logarithms."""

    seconds: float
    doubt: float


class Rates:
    """Seconds that checks really took, beside what they usually take.

    What the same question took, of a model of the same form, it will take again: the later of its
    times count more, each twice as much as the one before. For other models a forecast
    scales the nearest observation: twice the passes, or a model half as fast, take
    twice as long. Without an observation it is what is usual. Observations are kept as if nobody
    else worked on the machine, and forecasts are for a machine as busy as it is now.

    Args:
        file: where observations are kept; None keeps them for this process.
        busy: tells how many seconds pass for one of work; 1 always unless given.
    """

    def __init__(self, file: Path | None = None, busy: Callable[[], float] | None = None) -> None:
        self.file, self.busy = file, busy or (lambda: 1.0)
        self._seen: dict[str, list[Seen]] = {}
        if file is not None:
            with suppress(OSError, ValueError, TypeError, AttributeError):
                rows: dict[str, Any] = json.loads(file.read_text("utf-8"))
                for name, seen in rows.items():
                    own = [Seen(float(a), float(b), *map(str, rest)) for a, b, *rest in seen]
                    self._seen[str(name)] = [s for s in own if _sound(s.nominal, s.seconds)]

    @classmethod
    def of_machine(cls) -> Rates:
        """Those of this user on this machine."""
        from platformdirs import user_cache_path

        return cls(user_cache_path("holdfast") / "pace.json", busy)

    def guess(self, name: str, nominal: float, about: str = "") -> Guess:
        """Seconds that a check will take on a quiet machine, and how sure that is.

        Args:
            name: of the check in the catalogue.
            nominal: seconds that it usually takes.
            about: which question it is; empty if nobody can say.
        """
        seen = self._seen.get(name)
        if not seen:
            return Guess(nominal, NEW)
        same = [math.log(s.seconds) for s in seen if about and s.about == about]
        if same:
            weights = [2.0**k for k in range(len(same))]
            mean = sum(w * s for w, s in zip(weights, same, strict=True)) / sum(weights)
            return Guess(math.exp(mean), SAME)
        least = min(abs(math.log(nominal / s.nominal)) for s in seen)
        near = [s for s in seen if abs(math.log(nominal / s.nominal)) <= least + 0.2]
        ratios = [(s.seconds + FIXED) / (s.nominal + FIXED) for s in near]
        ratio = math.exp(sum(map(math.log, ratios)) / len(ratios))
        return Guess(max(ratio * (nominal + FIXED) - FIXED, LEAST), NEAR)

    def nominal(self, name: str, about: str) -> float:
        """Seconds that this question was said to take usually; 0 if it was never seen."""
        seen = self._seen.get(name, []) if about else []
        return next((s.nominal for s in reversed(seen) if s.about == about), 0.0)

    def most(self, name: str, usual: float) -> float:
        """The longest of the last times; the usual one where nothing is known."""
        seen = [s.seconds for s in self._seen.get(name, [])[-5:]]
        return self.busy() * max(seen, default=usual)

    def learn(
        self, name: str, nominal: float, seconds: float, about: str = "", alone: float = 0.0
    ) -> None:
        """Note what a check took.

        Args:
            name: of the check in the catalogue.
            nominal: seconds that it usually takes.
            seconds: that it took.
            about: which question it was.
            alone: of them those in which it did not wait for a processor; 0 if unknown.
        """
        if _sound(nominal, seconds):
            alone = alone if _sound(alone) else seconds / self.busy()
            seen = [*self._seen.get(name, ()), Seen(nominal, alone, about)]
            own = [k for k, s in enumerate(seen) if s.about == about]
            if len(own) > EACH:
                del seen[own[0]]
            self._seen[name] = seen[-KEPT:]

    def save(self) -> None:
        """Keep what was learned; where nothing can be written, nothing is kept."""
        if self.file is not None:
            with suppress(OSError):
                self.file.parent.mkdir(parents=True, exist_ok=True)
                write(self.file, canonical({k: list(map(list, v)) for k, v in self._seen.items()}))


def _sound(*values: float) -> bool:
    return all(math.isfinite(value) and value > 0 for value in values)
