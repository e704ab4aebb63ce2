"""Best-first search over a tree of edits."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from holdfast.attacks.edited import Edited
from holdfast.core.catalog import register
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.core.fields import Count, Inner, NonNegative, settings
from holdfast.core.goal import Goal
from holdfast.core.kinds import Access, Attack, Model, Threat


@register("attack", cites="contextual-distraction")
@settings
class BestFirst(Attack):
    """Grows a tree of changes and always goes on from the one that promises most.

    The worth of a change is `exp(eagerness / r) / depth ** breadth`, where r is the share of the
    clean margin that is left (for a victim that is asked several times, how often it is still
    right): weakened victims and short changes come first. Expanding a change evaluates its
    children: those that the threat offers (one more sentence for each wrong option), or random
    neighbours. Properties: scores only; a row leaves as soon as a child breaks it; no change is
    evaluated twice; children that the threat does not admit cost nothing.

    Args:
        steps: changes expanded per row.
        samples: children of a change, where the threat does not say.
        share: how far neighbours lie, where the threat offers no children.
        eagerness: how much a weakened victim draws the search (k).
        breadth: how much depth repels it (n).

    Cost: at most `1 + steps * samples` forwards per row.

    Unlike the paper: one breaking change per row is returned, not up to three; the root counts
    as r = 1 and all others relative to it, which is the same where the victim is always right
    at first. The released code asks the victim about the parent again; here it is asked about
    the child.

    Raises:
        Unsupported: if one change has to serve all rows.
    """

    access: ClassVar[Access] = Access.SCORE
    discrete: ClassVar[bool] = True
    steps: Count = 10
    samples: Count = 3
    share: Inner = 0.5
    eagerness: NonNegative = 2.0
    breadth: NonNegative = 1.0

    def __call__(
        self, model: Model, x: Tensor, goal: Goal, threat: Threat, *, dice: Dice | None = None
    ) -> Tensor:
        active = Edited(model, x, goal, threat, dice)
        if active.coupled:
            raise Unsupported(f"{threat.spec}: one change serves all rows", fix="Use attack:gcg.")
        one = torch.ones(len(x), 1, device=x.device, dtype=torch.float64)
        active.own = {
            "nodes": active.best[:, None],
            "worth": worth(one, one, self.eagerness, self.breadth),
            "depth": one,
        }
        active.start()
        for _ in range(self.steps):
            if not len(active) or not bool((active.own["worth"] > -torch.inf).any()):
                break
            self._expand(active)
        return active.best

    def _expand(self, active: Edited) -> None:
        """Evaluate the children of the best open node of each row."""
        best = active.own["worth"].argmax(1, keepdim=True)
        nodes = active.own["nodes"]
        change = nodes.gather(1, best[..., None].expand(-1, -1, nodes.shape[2])).squeeze(1)
        active.own |= {
            "parent": active.own["depth"].gather(1, best).squeeze(1),
            "open": active.own["worth"].amax(1) > -torch.inf,
            "children": self._children(active, change),
            "worth": active.own["worth"].scatter(1, best, -torch.inf),
        }
        for c in range(active.own["children"].shape[1]):
            if not len(active):
                return
            made, own = active.own["children"][:, c], active.own
            new = (made[:, None] != own["nodes"]).any(2).all(1)
            due = own["open"] & new & active.edits.admits(active.x, made)
            margin = active.asked(made[:, None], due[:, None]).squeeze(1)
            depth = own["parent"] + 1
            left = (margin / own["margin"]).clamp(1e-6, 1.0)
            value = worth(left, depth, self.eagerness, self.breadth)
            value = torch.where(due, value, -torch.inf)
            own["nodes"] = torch.cat([own["nodes"], made[:, None]], 1)
            own["worth"] = torch.cat([own["worth"], value[:, None]], 1)
            own["depth"] = torch.cat([own["depth"], depth[:, None]], 1)
            active.see(made, margin)

    def _children(self, active: Edited, change: Tensor) -> Tensor:
        """`(A, C, P)`: what the threat offers, or random neighbours."""
        x, dice = active.x, active.dice
        offered = getattr(active.edits, "children", None)
        if offered is not None:
            made: Tensor = offered(x, change, dice)
            return made
        near = [active.edits.near(x, change, self.share, dice) for _ in range(self.samples)]
        return torch.stack(near, 1)


def worth(left: Tensor, depth: Tensor, eagerness: float, breadth: float) -> Tensor:
    """Logarithm of `exp(eagerness / left) / depth ** breadth`, which itself would overflow."""
    return eagerness / left - breadth * depth.log()
