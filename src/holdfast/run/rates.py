"""What checks have cost on this machine: it shapes forecasts, never results."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from pathlib import Path
from typing import Any

from holdfast.run.writing import canonical, write

KEPT = 12  # observations of each check
FIXED = 0.2  # seconds that a check takes for itself, however few rows it sees


class Rates:
    """Seconds that checks really took, beside what their passes alone would have taken.

    A forecast scales the nearest observation: twice the passes, or a model half as fast, take
    twice as long. Without an observation it is the time of the passes.

    Args:
        file: where observations are kept; None keeps them for this process.
    """

    def __init__(self, file: Path | None = None) -> None:
        self.file = file
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

        return cls(user_cache_path("holdfast") / "rates.json")

    def forecast(self, name: str, nominal: float) -> float:
        """Seconds that a check will take.

        Args:
            name: of the check in the catalogue.
            nominal: seconds that its passes alone would take.
        """
        seen = self._seen.get(name)
        if not seen:
            return nominal + FIXED
        least = min(abs(math.log(nominal / passes)) for passes, _ in seen)
        near = [p for p in seen if abs(math.log(nominal / p[0])) <= least + 0.2]
        ratios = [seconds / (passes + FIXED) for passes, seconds in near]
        mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
        return mean * (nominal + FIXED)

    def most(self, name: str, usual: float) -> float:
        """The longest of the last times; the usual one where nothing is known."""
        return max((seconds for _, seconds in self._seen.get(name, [])[-5:]), default=usual)

    def learn(self, name: str, nominal: float, seconds: float) -> None:
        """Note what a check took."""
        if _sound(nominal) and _sound(seconds):
            self._seen[name] = [*self._seen.get(name, ()), (nominal, seconds)][-KEPT:]

    def save(self) -> None:
        """Keep what was learned; where nothing can be written, nothing is kept."""
        if self.file is not None:
            with suppress(OSError):
                self.file.parent.mkdir(parents=True, exist_ok=True)
                write(self.file, canonical({k: list(v) for k, v in self._seen.items()}))


def _sound(value: float) -> bool:
    return math.isfinite(value) and value > 0
