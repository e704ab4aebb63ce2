"""Pictures of reasons: the input, what the answer rests on, and the same from random weights."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.checks.pictures import is_image, png
from holdfast.core.data import Batches
from holdfast.core.records import Cell, Figure


def attributions(
    batches: Batches, answers: Tensor, maps: Tensor, control: Tensor | None, says: str,
    count: int = 4,
) -> tuple[Figure, ...]:  # fmt: skip
    """A gallery of the first rows of different answers; none where rows are not images.

    Args:
        batches: the rows that were explained.
        answers: `(B,)` the class whose logit is explained.
        maps: `(B, d)` attributions, one number per coordinate of the input.
        control: the same for freshly drawn weights, if there are any.
        says: the caption.
        count: rows shown.
    """
    x = batches.x
    if not isinstance(x, Tensor) or not is_image(x):
        return ()
    seen: set[int] = set()
    rows: list[dict[str, Cell]] = []
    for i, answer in enumerate(answers.tolist()):
        if answer in seen or len(rows) == count:
            continue
        seen.add(answer)
        name = batches.classes[answer] if answer < len(batches.classes) else str(answer)
        line: dict[str, Cell] = {
            "title": f"why {name}",
            "caption": f"row {int(batches.index[i])}",
            "image": png(x[i]),
            "reasons": png(_signed(maps[i], x[i])),
        }
        if control is not None:
            line["control"] = png(_signed(control[i], x[i]))
        rows.append(line)
    figure = Figure(
        name="attributions",
        kind="gallery",
        title="Attributions: light speaks for the answer, dark against it",
        says=says,
        rows=tuple(rows),
    )
    return (figure,)


def _signed(values: Tensor, like: Tensor) -> Tensor:
    """One grey picture: middle grey is no weight; channels are added up."""
    grid = values.view(like.shape).sum(0, keepdim=True).double()
    top = grid.abs().amax().clamp(min=torch.finfo(torch.float64).tiny)
    return 0.5 + 0.5 * grid / top
