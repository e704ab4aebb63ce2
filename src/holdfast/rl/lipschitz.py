"""Cloned policies with a Lipschitz constant, and what that promises for the closed loop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from holdfast.core.acting import Agent
from holdfast.core.catalog import register
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.core.fields import Ingredient, Positive, ingredient, settings
from holdfast.rl.agents import LinearFeedback
from holdfast.rl.worlds import DoubleIntegrator


@register(
    "agent",
    name="lipschitz-clone",
    cites="lipschitz-policies",
    says="Imitates an expert as closely as a given Lipschitz constant allows.",
)
@settings
class LipschitzClone(Agent):
    """Of all policies with a Lipschitz constant, one that is nowhere further from the expert.

    From pairs (x_i, u_i) let `delta = max_ij (|u_i - u_j| - lip |x_i - x_j|) / 2`, not below 0: no
    policy with constant lip comes closer to all pairs than delta. The upper envelope
    `min_j u_j + delta + lip |x - x_j|` and the lower one have that constant and stay within
    delta of every pair, and so does their mean, which is what acts. Solved in closed form, exactly.

    Several actions share the constant: each coordinate gets `lip / sqrt(count)`, so that the
    Euclidean constant is at most lip.

    Unlike the paper: the largest residual is minimised, not the mean, so no solver is needed.

    Cost: one distance to every pair per view.

    Args:
        lip: Lipschitz constant, change of the action per change of the view, both Euclidean.
        seen: what the expert saw `(n, d)` and did `(n, m)`.
    """

    lip: Positive = 1.0
    seen: Ingredient[tuple[Tensor, Tensor]] = ingredient()

    @classmethod
    def example(cls, world: Any) -> LipschitzClone:
        """A clone of the sign, on a line."""
        x = torch.linspace(-1, 1, 21, dtype=torch.float64)[:, None]
        return cls(lip=2.0, seen=(x, x.sign()))

    def pairs(self) -> tuple[Tensor, Tensor, float]:
        """Views, actions and the constant of each coordinate.

        Raises:
            ConfigError: without finite pairs of fitting shape.
        """
        if self.seen is None:
            raise ConfigError(
                "agent:lipschitz-clone needs pairs", fix="Pass seen=(views, actions)."
            )
        x, u = (part.double() for part in self.seen)
        if x.dim() != 2 or u.dim() != 2 or len(x) != len(u) or not len(x):
            raise ConfigError(
                f"agent:lipschitz-clone: needs as many views (n, d) as actions (n, m), got "
                f"{tuple(x.shape)} and {tuple(u.shape)}",
                fix="Give seen=(views, actions), the pairs of an expert, row by row.",
            )
        if not bool(x.isfinite().all() & u.isfinite().all()):
            raise ConfigError("agent:lipschitz-clone: pairs must be finite",
                              fix="Leave pairs out that hold NaN or infinity.")  # fmt: skip
        return x, u, self.lip / u.shape[1] ** 0.5

    def residual(self) -> Tensor:
        """`(m,)`: delta of each coordinate, the least possible largest residual."""
        x, u, lip = self.pairs()
        gap = (u[:, None] - u[None]).abs() - lip * torch.cdist(x, x)[..., None]
        found: Tensor = gap.amax((0, 1)).clamp(min=0) / 2
        return found

    def act(self, memory: Any, x: Tensor, dice: Dice) -> tuple[Tensor, Any]:
        known, u, lip = self.pairs()
        if x.dim() != 2 or x.shape[1] != known.shape[1]:
            raise Unsupported(
                f"agent:lipschitz-clone acts on {known.shape[1]} numbers, got {tuple(x.shape)}",
                fix="Give pairs of the world that the agent acts in.",
            )
        far = lip * torch.linalg.vector_norm(x.double()[:, None] - known, dim=2)[..., None]
        slack = self.residual()
        upper = (u + slack + far).amin(1)
        lower = (u - slack - far).amax(1)
        return ((upper + lower) / 2).to(x.dtype), memory


@dataclass(frozen=True)
class ClosedLoop:
    """What a bounded error of a policy does to the closed loop.

    Args:
        error: largest distance from the expert's action at the same view.
        tracking: largest distance from the expert's trajectory.
        regret: largest extra cost per step.
    """

    error: float
    tracking: float
    regret: float


def closed_loop(
    *, lip: float, expert_lip: float, residual: float, gap: float, overshoot: float, decay: float,
    lip_input: float, lip_cost: float = 0.0, disturbance: float = 0.0,
) -> ClosedLoop:  # fmt: skip
    """How far a clone can stray, if the expert's loop forgets where it began.

    Between data the clone errs by at most `residual + (lip + expert_lip) gap`; a view that is
    wrong by `disturbance` adds `lip * disturbance`. In an expert loop whose trajectories close
    in as `overshoot * decay ** t`, an error e of each action adds up to at most
    `overshoot * lip_input * e / (1 - decay)`.

    This holds while the loop stays where the data cover it within `gap`.

    Args:
        lip: Lipschitz constant of the clone.
        expert_lip: that of the expert.
        residual: largest distance between clone and expert on the data.
        gap: largest distance of a view to the nearest datum.
        overshoot: at least 1.
        decay: in [0, 1).
        lip_input: how far a unit of action moves the next state.
        lip_cost: change of the cost per change of (view, action).
        disturbance: largest error of a view.

    Raises:
        ConfigError: for a decay outside [0, 1) or negative constants.
    """
    rest = (lip, expert_lip, residual, gap, lip_input, lip_cost, disturbance)
    if not 0 <= decay < 1 or overshoot < 1 or min(rest) < 0:
        raise ConfigError(
            f"closed_loop: needs a decay in [0, 1), overshoot >= 1 and constants >= 0, got "
            f"{decay}, {overshoot} and {rest}",
            fix="Give decay=0.9 and overshoot=1.0, or those of `contraction`.",
        )
    error = residual + (lip + expert_lip) * gap + lip * disturbance
    tracking = overshoot * lip_input * error / (1 - decay)
    return ClosedLoop(error, tracking, lip_cost * ((1 + min(lip, expert_lip)) * tracking + error))


def contraction(
    loop: Tensor, *, decay: float | None = None, steps: int = 400
) -> tuple[float, float]:
    """Overshoot and decay of a linear loop: `|M^t| <= overshoot * decay ** t` for all t.

    With a decay above the spectral radius the ratio `|M^t| / decay^t` tends to 0; once it
    is at most 1 at some t, submultiplicativity carries the bound on to all larger t.

    Args:
        loop: `(d, d)` matrix M of the closed loop.
        decay: chosen; by default half-way between the spectral radius and 1.
        steps: powers looked at.

    Raises:
        Unsupported: if the loop is not stable, or its powers do not fall below the decay in time.
    """
    rho = float(torch.linalg.eigvals(loop.double()).abs().amax())
    rate = (1 + rho) / 2 if decay is None else decay
    if not rho < rate < 1:
        raise Unsupported(
            f"contraction: the loop has spectral radius {rho:.3g}; a decay of {rate:.3g} does not "
            "lie between it and 1",
            fix=f"Give decay={(1 + rho) / 2:.3g}." if rho < 1 else "Give a loop that is stable.",
        )
    power, over = torch.eye(len(loop), dtype=torch.float64), 1.0
    for t in range(1, steps + 1):
        power = power @ loop.double()
        ratio = float(torch.linalg.matrix_norm(power, 2)) / rate**t
        over = max(over, ratio)
        if ratio <= 1:
            return over, rate
    raise Unsupported(
        f"contraction: after {steps} powers the ratio is still {ratio:.3g}",
        fix=f"Give more steps, such as steps={2 * steps}, or a larger decay.",
    )


def lqr(env: DoubleIntegrator) -> LinearFeedback:
    """The linear feedback of least cost over an endless episode of the double integrator."""
    from scipy.linalg import solve_discrete_are

    a, b = (m.numpy() for m in env.matrices())
    effort = torch.tensor([[env.effort]], dtype=torch.float64).numpy()
    p = solve_discrete_are(a, b, torch.eye(2, dtype=torch.float64).numpy(), effort)
    gain = torch.linalg.solve(torch.as_tensor(effort + b.T @ p @ b), torch.as_tensor(b.T @ p @ a))
    return LinearFeedback(gain=tuple(tuple(-float(v) for v in row) for row in gain))
