"""Prediction endpoints: a model behind an address, asked over HTTP, a black box without gradients.

A request is `{"inputs": [row, ...]}`, a row a nested list of numbers or a text; an answer is
`{"logits": [[...], ...]}` or `{"probabilities": [[...], ...]}`, one list per row. Only the host of
the address is ever asked; where it sends on to another one, that is an error.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from holdfast.core.digest import digest
from holdfast.core.errors import ConfigError, HoldfastError, ShapeError
from holdfast.readers.address import Failed, address_of, posted

TIMEOUT = 30.0  # seconds of one request
ROWS = 64  # of one request
PAUSES = (0.2, 1.0)  # seconds before asking again, where that may help
LEAST = 1e-38  # a probability of 0, so that its logarithm is finite in float32
PROBES = ("", "a", "The film was not as bad as I had feared.", "0 1 2")
READING = (
    "It is asked at its address: a black box without gradients, known by its answers to {} fixed "
    "rows."
)


class Endpoint(nn.Module):
    """The model behind an address.

    What it is cannot be seen, so its answers to a few fixed rows identify it: another model at the
    same address is another subject, and nothing that was measured on the old one is reused.

    Args:
        url: `http://...` or `https://...`; nothing else is ever asked.
        shape: of one row; None for texts.

    Raises:
        ConfigError: E0164 without an answer, E0165 for one that is no logits or probabilities.

    Cost: eight rows.
    """

    def __init__(self, url: str, shape: tuple[int, ...] | None) -> None:
        super().__init__()
        self.url, self.address = url, address_of(url)
        self.probed, self.classes = 0, 0
        self.answers = self._identity(shape)
        self.eval()

    @property
    def reading(self) -> str:
        """How it is asked, for the reader of a report."""
        return READING.format(self.probed)

    def forward(self, x: Tensor | Sequence[str]) -> Tensor:
        parts = [self._asked(x[i : i + ROWS]) for i in range(0, len(x), ROWS)]
        known = self.classes or (parts[0].shape[1] if parts else 0)
        if any(p.shape[1] != known for p in parts):
            raise self._odd("another number of classes than before")
        z = torch.from_numpy(np.concatenate([np.zeros((0, known)), *parts])).float()
        return z.to(x.device) if isinstance(x, Tensor) else z

    def _identity(self, shape: tuple[int, ...] | None) -> str:
        """A digest of what it answers to fixed rows, to three digits."""
        draws = torch.Generator().manual_seed(0)
        rows: Any = list(PROBES) if shape is None else torch.rand(8, *shape, generator=draws)
        try:
            z = self(rows).double()
        except HoldfastError:
            if shape is not None:
                raise
            return ""  # it may not take texts; whoever asks it next will say what is wrong
        self.probed, self.classes = len(rows), z.shape[1]
        scale = z.nan_to_num(0, 0, 0).abs().amax().clamp(min=1e-12)
        return digest((z / scale * 1000).round().nan_to_num(2e3, 3e3, -3e3).long())

    def _asked(self, x: Tensor | Sequence[str]) -> np.ndarray:
        """Logits `(B, K)` of one request's rows."""
        rows = x.detach().cpu().tolist() if isinstance(x, Tensor) else list(x)
        try:
            body = json.dumps({"inputs": rows}, allow_nan=False).encode()
        except ValueError:
            raise ShapeError(
                "a row with NaN or infinity cannot be sent to an endpoint",
                fix="Fill the gaps, or remove these rows.",
            ) from None
        for pause in (*PAUSES, None):
            try:
                return self._read(posted(self.address, body, TIMEOUT), len(rows))
            except Failed as failed:
                if failed.lasting or pause is None:
                    raise ConfigError(
                        f"the endpoint {self.address.name} {failed.says}",
                        fix="Check that it runs and takes the rows: curl -X POST -d "
                        f"'{{\"inputs\": [...]}}' {self.url.partition('?')[0]}",
                        code="E0164",
                    ) from None
                time.sleep(pause)
        raise self._odd("nothing")

    def _read(self, raw: bytes, count: int) -> np.ndarray:
        try:
            found = json.loads(raw)
            named = [n for n in ("logits", "probabilities") if n in found]
            values = np.asarray(found[named[0]], np.float64)
        except (ValueError, TypeError, LookupError, OverflowError, RecursionError):
            raise self._odd(f"{raw[:60].decode('utf-8', 'replace')!r}") from None
        if values.ndim != 2 or len(values) != count or not values.shape[1]:
            raise self._odd(f"{named[0]} of shape {values.shape} for {count} rows")
        if named[0] == "logits":
            return values
        known = values[np.isfinite(values).all(1)]
        if ((known < 0) | (known > 1)).any() or (abs(known.sum(1) - 1) > 1e-2).any():
            raise self._odd("probabilities that do not sum to 1")
        return np.log(np.clip(values, LEAST, None))

    def _odd(self, what: str) -> ConfigError:
        return ConfigError(
            f"the endpoint {self.address.name} answers with {what}",
            fix='Answer {"logits": [[...], ...]} or {"probabilities": [[...], ...]}, one list per '
            "row.",
            code="E0165",
        )
