"""What a check must have been given beside rows: a model, a writer, an architecture."""

from __future__ import annotations

from torch import nn

from holdfast.core.errors import Unsupported
from holdfast.core.kinds import Model, Writer
from holdfast.core.records import Subject


def model_of(subject: Subject) -> Model:
    """The function under test.

    Raises:
        Unsupported: if there is none.
    """
    if subject.model is None:
        raise Unsupported(
            "there is no model to ask", fix="Name the model first: holdfast audit MODEL."
        )
    return subject.model


def writer_of(subject: Subject) -> Writer:
    """The generator of texts.

    Raises:
        Unsupported: if there is none.
    """
    if subject.writer is None:
        raise Unsupported("there is no writer to ask", fix="Give Subject(writer=...).")
    return subject.writer


def anew(subject: Subject, seed: int, who: str) -> nn.Module:
    """The architecture with fresh weights, to be trained.

    Raises:
        Unsupported: if none is known, or it is no torch module.
    """
    made = None if subject.make is None else subject.make(seed)
    if not isinstance(made, nn.Module):
        raise Unsupported(
            f"{who} needs an architecture that is a torch module, got {type(made).__name__}",
            fix="Give Subject(make=lambda seed: Net()) with an nn.Module of your own.",
        )
    return made
