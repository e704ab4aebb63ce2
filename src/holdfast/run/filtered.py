"""A writer whose texts a filter may reject."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from holdfast.core.dice import Dice
from holdfast.core.kinds import Writer


@dataclass(frozen=True, eq=False)
class Filtered:
    """Writes again until a text scores below a threshold.

    Without a limit of tries the chance of a bad text is that of one that is bad and passes, over
    that of one that passes. Where no try passes, the text is replaced.

    Args:
        writer: (prompts, samples, dice) -> texts.
        score: (prompts, texts) -> `(B,)`, chance that the text is bad.
        threshold: texts that score below it pass.
        tries: texts written at most for each.
        otherwise: what stands where none passed.
    """

    writer: Writer
    score: Callable[[Sequence[str], Sequence[str]], Tensor]
    threshold: float
    tries: int = 8
    otherwise: str = ""

    def __call__(self, prompts: Sequence[str], samples: int, dice: Dice) -> list[list[str]]:
        """Texts for each prompt; each is the first of its tries that passes."""
        done: list[list[str]] = [[self.otherwise] * samples for _ in prompts]
        waiting = [(row, k) for row in range(len(prompts)) for k in range(samples)]
        for number in range(self.tries):
            if not waiting:
                break
            written = self.writer(prompts, samples, dice.spawn(f"try{number}"))
            texts = [written[row][k] for row, k in waiting]
            passed = self.score([prompts[row] for row, _ in waiting], texts) < self.threshold
            for (row, k), text, ok in zip(waiting, texts, passed.tolist(), strict=True):
                if ok:
                    done[row][k] = text
            waiting = [place for place, ok in zip(waiting, passed.tolist(), strict=True) if not ok]
        return done
