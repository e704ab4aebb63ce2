"""The preflight as a cell: asked once, found again as long as nothing it depends on has changed."""

from __future__ import annotations

from collections.abc import Callable

import torch

from holdfast.core.digest import digest
from holdfast.core.records import Finding, Outcome, Subject
from holdfast.run.cells import FORMAT, Cells, subject_key
from holdfast.run.preflight import preflight
from holdfast.run.restored import settled
from holdfast.run.source import source_digest

_QUESTION = "Is the question sound?"


def looked(
    subject: Subject,
    cells: Cells | None = None,
    *,
    resume: bool = True,
    first: Callable[[], None] | None = None,
) -> list[Finding]:
    """The findings of the preflight, from disk where they are known.

    Args:
        subject: what is asked about.
        cells: where finished cells are kept; None keeps nothing.
        resume: whether finished cells are looked up.
        first: called before anything is asked anew; may raise.

    Cost: that of `preflight`, or no pass at all.
    """
    key = digest(
        [
            FORMAT, "preflight", source_digest("holdfast.run.preflight"), subject_key(subject),
            torch.__version__, str(torch.get_default_dtype()),
        ]
    )  # fmt: skip
    kept = cells.get(key) if cells is not None and resume else None
    if kept is None:
        if first is not None:
            first()
        findings = tuple(preflight(subject))
        kept = settled(Outcome(check="preflight", question=_QUESTION, findings=findings, cell=key))
        if cells is not None:
            cells.put(kept)
    return list(kept.findings)
