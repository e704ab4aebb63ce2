"""Public test tools: exactly solvable worlds, the laws of each kind, and `conform`."""

from holdfast.testing.conform import conform
from holdfast.testing.laws import LawBroken

__all__ = ["LawBroken", "conform"]
