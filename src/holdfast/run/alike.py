"""Which questions take alike long: the same of models of the same form, whatever their weights."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.core.digest import digest
from holdfast.core.kinds import Check
from holdfast.core.quiet import modules_of
from holdfast.core.records import Subject

LETTERS = 16  # of a digest: it shapes forecasts alone


def form(subject: Subject) -> str:
    """What the time of a question follows from on this machine: equal where subjects are alike.

    A model that was trained anew has other weights and the same form. So a team that audits each
    version of a model is told what the last version took.

    Args:
        subject: a model of any kind, with or without rows.
    """
    tops = modules_of(subject.model) if subject.model is not None else ()
    layers = [type(m).__qualname__ for top in tops for m in top.modules()]
    weights = [[str(p.device), str(p.dtype), *p.shape] for top in tops for p in top.parameters()]
    x = getattr(subject.batches, "x", None)
    row = [str(x.dtype), *x.shape[1:]] if isinstance(x, Tensor) else type(x).__qualname__
    count = 0 if subject.batches is None else len(subject.batches)
    threats = [threat.spec for threat in subject.threats]
    kind = type(subject.model).__qualname__
    return digest([kind, layers, weights, row, count, threats, torch.get_num_threads()])


def question(check: Check, subject: str) -> str:
    """A question, settings included, about subjects of one form.

    Args:
        check: with its settings.
        subject: as given by `form`.
    """
    return digest([type(check).__qualname__, check, subject])[:LETTERS]
