"""Checks proofs that a network satisfies a specification; shares no code with what finds them.

Nothing here imports anything else of this project: numpy, scipy.sparse, the package that parses
ONNX, and the standard library are all it rests on. `docs/proofs.md` describes what it checks.
"""

from __future__ import annotations

from holdfast.certify.checker.check import Accepted, check
from holdfast.certify.checker.rejected import Rejected

__all__ = ["Accepted", "Rejected", "check"]
