"""The pieces of one long search: kept while it runs, read when it goes on, removed behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import rmtree

from holdfast.core.records import Subject
from holdfast.run.executors import Executor
from holdfast.run.keeper import Keeper, kept

WORTH = 0.25  # seconds; pieces that took less are done again when a search goes on


@contextmanager
def resumed(
    folder: Path, executor: Executor | None, task: Callable[[Subject], None]
) -> Iterator[Keeper | None]:
    """Keep the pieces of the searches of a block, and share them with those who help.

    The folder is removed when the block ends well. When it is stopped or killed the folder stays,
    and the next block with the same folder reads what is there.

    Args:
        folder: of this search and no other.
        executor: who helps; nobody unless given.
        task: the searches of the block, for those who help.

    Returns:
        What keeps the pieces; None where nothing can be written, and then nobody helps.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        yield None
        return
    worth = WORTH if executor is None else 0.0
    keeper = Keeper(folder, worth, shared=executor is not None)
    try:
        with kept(keeper):
            if executor is None:
                yield keeper
            else:
                with executor.helped(task, folder):
                    yield keeper
        rmtree(folder, ignore_errors=True)
    finally:
        if not any(folder.glob("*.safetensors")):  # nothing that could be gone on with
            rmtree(folder, ignore_errors=True)
        with suppress(OSError):  # as far as they are empty
            for place in folder.parents[:2]:
                place.rmdir()
