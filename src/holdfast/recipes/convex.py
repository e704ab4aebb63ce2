"""The best one-hidden-layer network against bounded changes, by one convex program."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn

from holdfast.core.catalog import register, resolve
from holdfast.core.data import Batches
from holdfast.core.dice import Dice, dice_or
from holdfast.core.errors import ShapeError, Unsupported
from holdfast.core.fields import Count, Part, Positive, settings
from holdfast.core.kinds import Threat
from holdfast.ops.cones import Solved, solve
from holdfast.ops.gates import Curve, patterns, program
from holdfast.run.training import TrainingRun
from holdfast.threats.norms import LInf

MOST = 6000  # variables; a dense factor of that size takes a third of a gigabyte


def _layers(model: nn.Module) -> tuple[nn.Linear, nn.Linear]:
    """The two linear layers of Linear, ReLU, Linear; flattening and dropout do not count."""
    plain = [m for m in model.modules() if not list(m.children())]
    kept = [m for m in plain if not isinstance(m, nn.Flatten | nn.Dropout | nn.Identity)]
    stack = isinstance(model, nn.Sequential) and len(plain) == len(list(model.modules())) - 1
    kinds = [type(m) for m in kept]
    if not stack or kinds != [nn.Linear, nn.ReLU, nn.Linear]:
        named = ", ".join(kind.__name__ for kind in kinds[:6])
        raise Unsupported(
            f"recipe convex: the model is not one hidden layer of ReLU units ({named})",
            fix="Use nn.Sequential(nn.Linear(d, width), nn.ReLU(), nn.Linear(width, 2)).",
        )
    first, last = cast("tuple[nn.Linear, nn.Linear]", (kept[0], kept[2]))
    if last.out_features != 2 or first.out_features < 2:
        raise Unsupported(
            f"recipe convex: {last.out_features} outputs and width {first.out_features}; it tells "
            "two classes apart with at least two units",
            fix="Give the last layer two outputs.",
        )
    return first, last


def _rows(batches: Batches, bias: bool) -> tuple[Tensor, Tensor]:
    """Inputs as float64 rows, with a column of ones for the bias, and labels as signs."""
    kept = batches.y != -100
    if not isinstance(batches.x, Tensor) or not bool(kept.any()):
        raise ShapeError("recipe convex: no labelled row of one tensor", fix="Give labelled rows.")
    x, y = batches.x[kept.to(batches.x.device)].flatten(1).double().cpu(), batches.y[kept].cpu()
    if not bool(torch.isfinite(x).all()) or bool(((y != 0) & (y != 1)).any()):
        raise ShapeError("recipe convex: inputs are finite, labels 0 or 1", fix="Leave others out.")
    return torch.cat([x, x.new_ones(len(x), int(bias))], 1), 2.0 * y.double() - 1


@register("recipe", cites="convex-adversarial", says="The best ReLU units by a convex program.")
@settings
class Convex:
    """Train one hidden layer of ReLU units to the optimum of a convex program.

    With the weight decay `decay/2 (|u|^2 + a^2)` on every unit `a relu(u x)`, the best network
    whose units open the rows in given patterns is a convex program: least mean loss of gated
    linear units plus `decay` times their norms, each unit kept inside its pattern. Against an
    l-inf ball each unit must keep its pattern for every change, `(2 gate - 1) x u >= radius
    |u|_1`, and a row's loss is the one at its worst change, `radius` times the 1-norm of its
    summed units. The optimum does not depend on a step size or a starting point, and its value
    bounds the mean loss under attack on the rows trained on, up to rounding of the weights.

    Patterns are those of drawn half-spaces, of rows as they are and of rows moved within the
    ball, and the affine one, as far as some unit keeps them; each takes two units (one adds, one
    subtracts), so half the width of the model is how many are used. Where a radius leaves few
    patterns, the network is nearly linear.

    The run's history holds one row: `loss` (a bound of the mean worst-case loss), `value` (with
    decay), `gap` (largest distance of it from the optimum over these patterns), `patterns`.

    Unlike the paper: an interior-point method whose duality gap is handed out, not a modelling
    language; patterns that no unit can keep are found by a linear program and left out, which
    changes nothing; half-spaces are drawn around the mean of the data where there are biases;
    the two logits share each unit's weight evenly with opposite signs.

    Raises (when called):
        Unsupported: unless the model is Linear, ReLU, Linear with two outputs and the threat an
            l-inf ball, if no pattern survives the radius, if the program is too large, or if
            rounding keeps the gap above a twentieth of the value.
        ShapeError: without labelled rows, or with labels other than 0 and 1.

    Cost: no pass through the model; a linear program per pattern, and 50 to 100 factors of a
    matrix of size `width (inputs + 2) + rows`, with a radius about twice that.

    Args:
        threat: what the network withstands: an l-inf ball; its box is not used, which is safe.
        loss: of a row as a function of its margin: hinge, squared (of labels -1, 1), logistic.
        decay: weight of the units' norms.
        samples: half-spaces drawn.
        tolerance: duality gap at which the solver stops, in the unit of the loss.
    """

    threat: Part[Threat] = LInf()
    loss: Curve = "hinge"
    decay: Positive = 1e-4
    samples: Count = 64
    tolerance: Positive = 1e-6

    def against(self, threat: Threat) -> Convex:
        """The same training, hardened against another threat."""
        return replace(self, threat=threat)

    def __call__(
        self, model: nn.Module, batches: Batches, *, dice: Dice | None = None
    ) -> TrainingRun:
        """Solve and write the units into the model, which is left in evaluation mode."""
        own = dice_or(dice, len(batches))
        first, last = _layers(model)
        threat = resolve(self.threat)
        if type(threat) is not LInf:
            raise Unsupported(
                f"recipe convex: {threat} is not an l-inf ball", fix="Use threat=LInf(radius=...)."
            )
        x, sign = _rows(batches, first.bias is not None)
        if x.shape[1] - int(first.bias is not None) != first.in_features:
            raise ShapeError(
                f"recipe convex: rows do not fit a layer of {first.in_features} inputs",
                fix="Give a net whose first layer takes these inputs.",
            )
        gates, units = self._patterns(x, threat.radius, first, own)
        made, start = program(
            x, sign, gates, units, radius=threat.radius, moved=first.in_features,
            decay=self.decay, loss=self.loss,
        )  # fmt: skip
        found = solve(made, start, slack=self.tolerance)
        gap = self._gap(found, x, threat.radius)
        if gap > 100 * self.tolerance + 0.05 * found.value:
            raise Unsupported(
                f"recipe convex: the solver stalled at a gap of {gap:.2g}",
                fix="Use a larger decay, inputs of the order of 1, or radius=0.0 for a tiny one.",
            )
        self._write(torch.from_numpy(found.x[made.cones[:, 1:]]), first, last)
        run = TrainingRun(model.eval(), nn.ModuleDict(), own, found.steps)
        run.step, run.progress, run.epoch = found.steps, 1.0, 1
        norms = self.decay * float(found.x[made.cones[:, 0]].sum())
        run.history.append(
            {"loss": found.value - norms, "value": found.value, "gap": gap, "patterns": len(gates)}
        )
        return run

    def _patterns(
        self, x: Tensor, radius: float, first: nn.Linear, dice: Dice
    ) -> tuple[Tensor, Tensor]:
        """Patterns that the width has room for and that hold in the ball."""
        d, most = first.in_features, first.out_features // 2
        groups = 2 * min(most, 2 * self.samples + 1)
        size = groups * (x.shape[1] + 1) + len(x) + (d * (groups + len(x)) if radius else 0)
        if size > MOST:
            raise Unsupported(
                f"recipe convex: a program of {size} variables; {MOST} is the most",
                fix="Use fewer samples, a narrower model, fewer rows or fewer inputs.",
            )
        source = dice.generator("gates")
        draws = torch.randn(self.samples, x.shape[1], generator=source, dtype=torch.float64)
        if x.shape[1] > d:  # through the cloud of points, wherever it lies
            mean, spread = x[:, :d].mean(0), x[:, :d].std(0, correction=0)
            draws[:, :d] /= torch.where(spread > 0, spread, 1.0)
            draws[:, d] -= draws[:, :d] @ mean
        noise = x.new_zeros(0, len(x), d)
        if radius > 0:
            noise = torch.rand(self.samples, len(x), d, generator=source, dtype=torch.float64)
            noise = radius * (2 * noise - 1)
        found = patterns(x, draws, noise, radius, d, most)
        if not len(found[0]):
            raise Unsupported(
                f"recipe convex: no drawn unit keeps its pattern within {radius}",
                fix="Use a first layer with biases, a smaller radius or more samples.",
            )
        return found

    def _gap(self, found: Solved, x: Tensor, radius: float) -> float:
        """Distance of the value from the optimum, where value / decay bounds all norms."""
        norms = found.value / self.decay
        wide = float(x.norm(dim=1).max()) + radius * x.shape[1] ** 0.5
        return found.gap(1 + norms * (1 + wide))

    @staticmethod
    def _write(units: Tensor, first: nn.Linear, last: nn.Linear) -> None:
        """Each unit v as `v / sqrt|v|` and an outer `sqrt|v|`, the scaling of least decay: |v|."""
        root = units.norm(dim=1).sqrt()
        inner = units / root[:, None]
        sign = torch.ones(len(root), dtype=torch.float64)
        sign[len(root) // 2 :] = -1
        with torch.no_grad():
            for layer in (first, last):
                for weight in layer.parameters():
                    weight.zero_()
            first.weight[: len(root)] = inner[:, : first.in_features].to(first.weight)
            if first.bias is not None:
                first.bias[: len(root)] = inner[:, first.in_features].to(first.bias)
            half = (sign * root / 2).to(last.weight)
            last.weight[:, : len(root)] = torch.stack([-half, half])
