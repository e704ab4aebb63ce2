"""Models whose answers a hardened one learns from: read like any other model, and never changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any

from torch import nn

from holdfast.core.catalog import resolve
from holdfast.core.digest import digest
from holdfast.core.errors import ConfigError, ShapeError
from holdfast.ops.batch import take

if TYPE_CHECKING:
    from holdfast.cli.lesson import Lesson
    from holdfast.cli.school import School

_NAMES = ("teacher", "clean", "robust")  # what objectives call the models that they learn from
_WITHIN = ("base", "penalty")  # parts of an objective that are objectives


@dataclass(frozen=True)
class Teacher:
    """A model to learn from.

    Args:
        source: as the user named it.
        model: takes [0, 1] and gives logits first.
    """

    source: str
    model: Any

    @property
    def about(self) -> dict[str, str]:
        """What the card says of it."""
        return {"source": self.source, "digest": digest(self.model)}


def hired(sources: Sequence[str], school: School, trust: bool) -> tuple[Teacher, ...]:
    """Read teachers as an audit reads models; weights take the architecture of the student.

    Raises:
        ShapeError: if one of them answers with another number of classes than the student.
    """
    from holdfast.cli.prepare import model_of
    from holdfast.readers import subject
    from holdfast.run.forward import outputs

    found = []
    for source in sources:
        read = model_of(source, school.chosen, school.parts[0], trust)
        asked: Any = subject(read, school.parts[0], reference=school.pool).model
        if isinstance(asked, nn.Module):
            asked.eval().requires_grad_(False)
        some: Any = take(school.learn.x, slice(0, 2))
        theirs, ours = (int(outputs(m, some).shape[-1]) for m in (asked, school.model))
        if theirs != ours:
            raise ShapeError(
                f"harden: the teacher {source} has {theirs} outputs, the model {ours}",
                fix="Name a teacher of the same classes: --teacher FILE", code="E0211",
            )  # fmt: skip
        found.append(Teacher(source, asked))
    return tuple(found)


def places(recipe: Any) -> list[str]:
    """What the objective of a recipe calls the models that it learns from, in their order."""
    return [name for name, _ in _places(_objective(recipe))]


def _objective(recipe: Any) -> Any:
    named = getattr(recipe, "objective", None)
    return None if named is None else resolve(named)


def _places(method: Any) -> list[tuple[str, Any]]:
    if not is_dataclass(method) or isinstance(method, type):
        return []
    own = [f.name for f in fields(method) if f.metadata.get("ingredient") and f.name in _NAMES]
    found = [(name, getattr(method, name)) for name in own]
    for name in _WITHIN:
        if hasattr(method, name):
            found += _places(resolve(getattr(method, name)))
    return found


def taught_by(made: Lesson, teachers: Sequence[Teacher]) -> Lesson:
    """The same recipe with its teachers.

    Args:
        made: the recipe.
        teachers: in the order in which its objective names them.

    Raises:
        ConfigError: if it learns from another number of models.
    """
    slots = places(made.recipe)
    if not teachers:
        return made
    if len(slots) != len(teachers):
        wanted = f"{len(slots)} ({', '.join(slots)})" if slots else "none"
        fix = " ".join(f"--teacher {slot.upper()}" for slot in slots) or "Leave out --teacher."
        raise ConfigError(
            f"harden: {made.name} learns from {wanted}, and {len(teachers)} teachers were named",
            fix=fix, code="E0180",
        )  # fmt: skip
    left = [teacher.model for teacher in teachers]
    return replace(
        made, recipe=replace(made.recipe, objective=_filled(_objective(made.recipe), left))
    )


def _filled(method: Any, left: list[Any]) -> Any:
    """A method with the next teachers in their places; those that are placed are taken away."""
    if not is_dataclass(method) or isinstance(method, type):
        return method
    own = [f.name for f in fields(method) if f.metadata.get("ingredient") and f.name in _NAMES]
    changed: dict[str, Any] = {name: left.pop(0) for name in own}
    for name in (n for n in _WITHIN if hasattr(method, n)):
        part = resolve(getattr(method, name))
        if _places(part):
            changed[name] = _filled(part, left)
    return replace(method, **changed) if changed else method


def missed(made: Lesson, error: ConfigError) -> ConfigError:
    """What to say where a recipe could not begin: that it lacks its teachers, if it does."""
    empty = [name for name, model in _places(_objective(made.recipe)) if model is None]
    if not empty:
        return error
    one = "a teacher" if len(empty) == 1 else f"{len(empty)} teachers: {', '.join(empty)}"
    return ConfigError(
        f"harden: {made.name} learns from {one}; none was named",
        fix=" ".join(f"--teacher {name.upper()}" for name in empty), code="E0180",
    )  # fmt: skip
