"""Whether a training ended in the constant answer, which no row can change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from holdfast.cli.school import School


def one_answer(school: School) -> tuple[str, ...]:
    """A note if all rows held out get one answer, though they are of several classes.

    Such a model cannot be attacked where it is right, so its robust accuracy is its clean one,
    which reads like success in a table. It is the end of many trainings against a threat that is
    too large for a fresh net.
    """
    from holdfast.run.forward import outputs

    y: Any = school.held.y
    if y.is_floating_point() or y.dim() != 1 or len(y.unique()) == 1:
        return ()
    answers = outputs(school.model, school.held.x)
    if answers.dim() != 2 or len(answers.argmax(1).unique()) > 1:
        return ()
    number = int(answers[0].argmax())
    names = school.held.classes
    name = names[number] if number < len(names) else str(number)
    return (
        f"the model gives the answer {name} to all {len(y)} rows held out: it has learned nothing "
        "about its inputs, as happens where a threat is too large from the first step on; try "
        "--recipe short-at, whose threat grows, more epochs or a smaller threat",
    )
