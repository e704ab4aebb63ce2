"""What checks have cost on this machine: it shapes forecasts, never results."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from holdfast.run.load import busy
from holdfast.run.writing import canonical, write

KEPT = 12  # observations of each check
FIXED = 0.05  # seconds below which a check is not told from another
LEAST = 1e-4  # seconds


class Rates:
    """Seconds that checks really took, beside what they usually take.

    A forecast scales the nearest observation: twice the passes, or a model half as fast, take
    twice as long. Without an observation it is what is usual. Observations are kept as if nobody
    else worked on the machine, and forecasts are for a machine as busy as it is now.

    Args:
        file: where observations are kept; None keeps them for this process.
        busy: tells how many seconds pass for one of work; 1 always unless given.
    """

    def __init__(self, file: Path | None = None, busy: Callable[[], float] | None = None) -> None:
        self.file, self.busy = file, busy or (lambda: 1.0)
        self._seen: dict[str, list[tuple[float, float]]] = {}
        if file is not None:
            with suppress(OSError, ValueError, TypeError, AttributeError):
                rows: dict[str, Any] = json.loads(file.read_text("utf-8"))
                for name, pairs in rows.items():
                    own = [(float(a), float(b)) for a, b in pairs]
                    self._seen[str(name)] = [p for p in own if all(map(_sound, p))]

    @classmethod
    def of_machine(cls) -> Rates:
        """Those of this user on this machine."""
        from platformdirs import user_cache_path

        return cls(user_cache_path("holdfast") / "pace.json", busy)

    def forecast(self, name: str, nominal: float) -> float:
        """Seconds that a check will take.

        Args:
            name: of the check in the catalogue.
            nominal: seconds that it usually takes.
        """
        return self.busy() * self._alone(name, nominal)

    def _alone(self, name: str, nominal: float) -> float:
        seen = self._seen.get(name)
        if not seen:
            return nominal
        least = min(abs(math.log(nominal / passes)) for passes, _ in seen)
        near = [p for p in seen if abs(math.log(nominal / p[0])) <= least + 0.2]
        ratios = [(seconds + FIXED) / (passes + FIXED) for passes, seconds in near]
        mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
        return max(mean * (nominal + FIXED) - FIXED, LEAST)

    def most(self, name: str, usual: float) -> float:
        """The longest of the last times; the usual one where nothing is known."""
        seen = [seconds for _, seconds in self._seen.get(name, [])[-5:]]
        return self.busy() * max(seen, default=usual)

    def learn(self, name: str, nominal: float, seconds: float) -> None:
        """Note what a check took."""
        if _sound(nominal) and _sound(seconds):
            alone = seconds / self.busy()
            self._seen[name] = [*self._seen.get(name, ()), (nominal, alone)][-KEPT:]

    def save(self) -> None:
        """Keep what was learned; where nothing can be written, nothing is kept."""
        if self.file is not None:
            with suppress(OSError):
                self.file.parent.mkdir(parents=True, exist_ok=True)
                write(self.file, canonical({k: list(v) for k, v in self._seen.items()}))


def _sound(value: float) -> bool:
    return math.isfinite(value) and value > 0
