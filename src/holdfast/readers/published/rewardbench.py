"""RewardBench and files like it: prompts with a chosen and a rejected response, a JSON per line."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from holdfast.core.errors import ConfigError, ShapeError, UntrustedFile
from holdfast.readers.archive import MAX_BYTES
from holdfast.readers.packed import unpacked

LINK = "https://huggingface.co/datasets/allenai/reward-bench"
LAYOUT = 'FILE.jsonl with lines {"prompt": ..., "chosen": ..., "rejected": ..., "subset": ...}'
TEXTS = ("prompt", "chosen", "rejected")


@dataclass(frozen=True, eq=False)
class Preferences:
    """Pairs of responses to the same prompt, of which the first one is better.

    Args:
        prompt: one per pair.
        chosen: the better response.
        rejected: the worse one.
        subset: name of the subset of each pair, empty where the file says none.
        total: pairs in the file.
    """

    prompt: tuple[str, ...]
    chosen: tuple[str, ...]
    rejected: tuple[str, ...]
    subset: tuple[str, ...]
    total: int

    def __len__(self) -> int:
        return len(self.prompt)

    def only(self, subset: str) -> Preferences:
        """The pairs of one subset."""
        kept = [i for i, s in enumerate(self.subset) if s == subset]
        prompt, chosen, rejected = (
            tuple(own[i] for i in kept) for own in (self.prompt, self.chosen, self.rejected)
        )
        return Preferences(prompt, chosen, rejected, (subset,) * len(kept), self.total)

    def rewards(self, model: Callable[[Sequence[str], Sequence[str]], Tensor]) -> Tensor:
        """`(N, 2)` rewards of the chosen and the rejected response, as the measures take them.

        Args:
            model: prompts and responses -> `(N,)` rewards.

        Cost: one call for the chosen responses and one for the rejected ones.
        """
        found = [model(self.prompt, own) for own in (self.chosen, self.rejected)]
        if any(r.shape != (len(self),) for r in found):
            raise ShapeError(
                f"rewards of shape {tuple(found[0].shape)} for {len(self)} responses",
                fix="Return one number per response.",
            )
        return torch.stack(found, 1)


def read_rewardbench(
    file: str | Path, *, limit: int | None = None, max_bytes: int = MAX_BYTES
) -> Preferences:
    """Pairs of responses of a file with one JSON document per line.

    Args:
        file: also packed with gzip.
        limit: at most so many pairs, the first ones.
        max_bytes: largest size of the file.

    Raises:
        ConfigError: if there is no such file, or it has no pairs.
        UntrustedFile: if a line is no JSON, or lacks a text.
    """
    path = Path(file)
    if not path.is_file():
        raise ConfigError(
            f"rewardbench: there is no {path}",
            fix=f"It is published at {LINK}; save it as {LAYOUT}.", code="E0131",
        )  # fmt: skip
    text = unpacked(path, max_bytes).decode("utf-8", "replace")
    lines = [(n, line) for n, line in enumerate(text.split("\n"), 1) if line.strip()]
    if not lines:
        raise ConfigError(f"{path.name} has no pairs", fix=f"Write {LAYOUT}.", code="E0137")
    rows = [_pair(line, n, path.name) for n, line in lines[:limit]]
    prompt, chosen, rejected, subset = zip(*rows, strict=True)
    return Preferences(prompt, chosen, rejected, subset, len(lines))


def _pair(line: str, number: int, name: str) -> tuple[str, str, str, str]:
    try:
        raw = json.loads(line)
        prompt, chosen, rejected = (raw[key] for key in TEXTS)
        subset = raw.get("subset") or ""
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UntrustedFile(
            f"{name}, line {number} is no pair: {error!r:.60}",
            fix=f"Write {LAYOUT}.", code="E0414",
        ) from None  # fmt: skip
    if not all(isinstance(t, str) for t in (prompt, chosen, rejected, subset)):
        raise UntrustedFile(
            f"{name}, line {number}: {', '.join(TEXTS)} and subset must be texts",
            fix=f"Write {LAYOUT}.", code="E0414",
        )  # fmt: skip
    return prompt, chosen, rejected, subset
