"""Linear classifiers of text vectors, certified by how far substitutions move a vector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from holdfast.certify.discrete.ids import token_ids
from holdfast.certify.discrete.rounding import unit
from holdfast.certify.discrete.vectorizers import concat_shift, mean_shift, tfidf, tfidf_shift
from holdfast.core.catalog import register
from holdfast.core.certificate import Certificate
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.core.fields import settings
from holdfast.core.goal import Goal
from holdfast.core.kinds import Certifier, Model, Threat
from holdfast.core.quiet import quiet
from holdfast.threats.tokens import Substitutions


@dataclass(frozen=True, eq=False)
class Vectorized:
    """A linear classifier of vectors of texts.

    Args:
        by: `concat` and `mean` of the words' vectors, `tfidf` of length one, or plain `counts`.
        vectors: `(V, D)` vectors, or `(V,)` weights of words for tfidf and counts.
        head: the linear layer on top.
    """

    by: Literal["concat", "mean", "tfidf", "counts"]
    vectors: Tensor
    head: nn.Linear

    def vector(self, ids: Tensor) -> Tensor:
        """`(B, D)` vectors of texts `(B, L)`."""
        token_ids(ids, "Vectorized")
        if self.by == "concat":
            return self.vectors[ids].flatten(1)
        if self.by == "mean":
            return self.vectors[ids].mean(1)
        return tfidf(self.vectors, ids, normalised=self.by == "tfidf").to(self.vectors)

    def __call__(self, ids: Tensor) -> Tensor:
        """`(B, K)` logits."""
        z: Tensor = self.head(self.vector(ids))
        return z

    def shift(self, ids: Tensor, threat: Substitutions) -> Tensor:
        """`(B,)`: a bound of the Euclidean move of each vector."""
        if self.by == "concat":
            return concat_shift(self.vectors, ids, threat)
        if self.by == "mean":
            return mean_shift(self.vectors, ids, threat)
        return tfidf_shift(self.vectors, ids, threat, normalised=self.by == "tfidf")


@register(
    "certifier",
    name="vectorizer",
    cites="text-vectorizers",
    says="Bounds linear classifiers of text vectors by how far substitutions move a vector.",
)
@settings
class VectorizerBound(Certifier):
    """Adds to each way to win the length of its weights times the largest move of the vector.

    The move is bounded in closed form by the kind of the vectorizer, its tables and the text; a
    linear way to win rises by at most its Euclidean weight times it. The bound is raised by
    what rounding may change (`rounding.unit` of the largest logit and of 1).

    Cost: one forward pass per row.
    """

    discrete: ClassVar[bool] = True

    def subject(self, model: Any) -> Model:
        """A sum of weighed vectors, as laws have it: linear in their concatenation."""
        if not all(hasattr(model, name) for name in ("table", "weights", "head")):
            return model  # type: ignore[no-any-return]
        weight = (model.weights[None, :, None] * model.head.weight[:, None]).flatten(1).detach()
        head = nn.Linear(weight.shape[1], len(weight), bias=False, dtype=weight.dtype)
        with torch.no_grad():
            head.weight.copy_(weight)
        return Vectorized("concat", model.table.weight.detach(), head)

    def __call__(
        self, model: Model, x: Tensor, goal: Goal, threat: Threat, *, dice: Dice | None = None
    ) -> Certificate:
        """The certificate of each row.

        Args:
            model: a `Vectorized` classifier.
            x: `(B, L)` ids.
            goal: linear in the logits.
            threat: substitutions.
            dice: not used.

        Raises:
            Unsupported: for another model, goal or threat.
        """
        if not isinstance(model, Vectorized) or not isinstance(threat, Substitutions):
            raise Unsupported(
                f"certifier:vectorizer covers Vectorized classifiers and substitutions, not "
                f"{threat.spec}",
                fix="Pass Vectorized('tfidf', idf, head) and substitutions:2:30522.",
                code="E0312",
            )
        with quiet(model), torch.no_grad():
            z = model(x)
        ways = goal.ways(z).double()
        asked, _ = goal.linear(z.shape[1])
        weight = model.head.weight.detach().double()
        length = torch.linalg.vector_norm(asked.to(weight) @ weight, dim=2)
        move = model.shift(x, threat)[:, None]
        margin = (ways + length * move).amax(1) if len(x) else z.new_zeros(0).double()
        if threat.edits and len(x):
            margin = margin + unit(z.dtype) * (1 + z.double().abs().amax(1))
        margin = torch.where(z.isfinite().all(1) & margin.isfinite(), margin, torch.inf)
        return Certificate(model, threat, margin)
