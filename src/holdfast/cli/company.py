"""Several processes that harden one model: one of them decides, writes and speaks."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from holdfast.core.catalog import resolve
from holdfast.core.errors import ConfigError, HoldfastError, Unsupported
from holdfast.core.kinds import Hook
from holdfast.run import ranks

X = TypeVar("X")


class Elsewhere(Exception):
    """Another process of the group says what went wrong."""


def first() -> bool:
    """Whether this process decides and writes for all; true where it is alone."""
    return ranks.rank() == 0


@contextmanager
def joined() -> Iterator[None]:
    """Train beside the processes that torchrun has started, if it has; all but one are silent.

    Behind it the processes are on their own: what the first one still does nobody waits for, and
    none of it may look for the others again.

    Raises:
        Unsupported: in the first process, if another one ended while it waited for it.
        Elsewhere: in the others.
    """
    ranks.join_group(torch.device("cpu"))
    if ranks.world() == 1:
        yield
        return
    try:
        if first():
            yield
        else:
            with open(os.devnull, "w", encoding="utf-8") as nowhere:
                with redirect_stdout(nowhere), redirect_stderr(nowhere):
                    yield
    except RuntimeError as error:
        if "gloo" not in str(error):
            raise
        if not first():
            raise Elsewhere from error
        raise Unsupported(
            "harden: one of the processes that train together has ended",
            fix="It says why, if it can; the same command goes on where they were.",
            code="E0361",
        ) from error
    finally:
        dist.destroy_process_group()
        for name in ("WORLD_SIZE", "RANK"):
            os.environ.pop(name, None)


def told(make: Callable[[], X]) -> X:
    """What the first process finds out, told to all of them.

    Args:
        make: called in the first process alone; what it returns must be plain.

    Raises:
        HoldfastError: what the first process has to say, in the first process.
        Elsewhere: in the others.
    """
    if ranks.world() == 1:
        return make()
    found: list[Any] = [False, None]
    wrong = None
    if first():
        try:
            found = [True, make()]
        except HoldfastError as error:
            wrong = error
    dist.broadcast_object_list(found, 0)
    if wrong is not None:
        raise wrong
    if not found[0]:
        raise Elsewhere
    return found[1]  # type: ignore[no-any-return]


def alike(make: Callable[[], X]) -> X:
    """What every process makes for itself; where one of them cannot, all end and one says why.

    Args:
        make: must not wait for the others.

    Raises:
        HoldfastError: in the first of the processes that have one to raise.
        Elsewhere: in the others.
    """
    if ranks.world() == 1:
        return make()
    made, wrong = None, None
    try:
        made = make()
    except HoldfastError as error:
        wrong = error
    failed: list[Any] = [None] * ranks.world()
    dist.all_gather_object(failed, wrong is not None)
    if wrong is not None and failed.index(True) == ranks.rank():
        raise wrong
    if any(failed):
        raise Elsewhere
    return made  # type: ignore[return-value]


class Heed:
    """Notes signals to stop, so that all processes stop at the same step and not within one.

    Alone, a process leaves signals to the training loop. The word of one is the word of all.
    """

    def __init__(self) -> None:
        self.raised = self._here = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Heed:
        if ranks.world() > 1:
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
        return self

    def _note(self, number: int, frame: object) -> None:
        self._here = True

    def asked(self) -> bool:
        """Whether any process was asked to stop; to be called in all of them, after each step."""
        if ranks.world() > 1:
            self.raised = ranks.any_rank(self._here, torch.device("cpu"))
        return self.raised

    def __exit__(self, *error: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)


def shared(name: str, recipe: Any, rows: int, *, watched: bool) -> str:
    """Whether several processes can share a recipe, and what is then not as in one.

    Args:
        name: of the recipe.
        recipe: the method.
        rows: of a batch.
        watched: whether it is run by the training loop.

    Returns:
        What the user should know; empty where all is as in one process.

    Raises:
        Unsupported: if it is not run by the loop.
        ConfigError: if some process would never have a row.
    """
    world = ranks.world()
    if world == 1:
        return ""
    if not watched:
        raise Unsupported(
            f"harden: {name} is not run by the training loop; {world} processes cannot share it",
            fix="Run it in one process: holdfast harden ..., without torchrun.", code="E0360",
        )  # fmt: skip
    if world > rows:
        raise ConfigError(
            f"harden: {world} processes share batches of {rows} rows, so that some never learn",
            fix=f"torchrun --nproc-per-node {rows} -m holdfast harden ...", code="E0192",
        )  # fmt: skip
    objective = resolve(getattr(recipe, "objective", None) or "objective:supervised")
    looks = bool(getattr(objective, "coupled", False))
    for hook in map(resolve, getattr(recipe, "hooks", ())):
        looks = looks or any(
            getattr(type(hook), stage) is not getattr(Hook, stage)
            for stage in ("batch", "losses", "share")
        )
    return (
        f"{name} may look at several rows of a batch at once, and each of {world} processes sees "
        "its own rows only: what it learns may differ from that of one process"
        if looks
        else ""
    )
