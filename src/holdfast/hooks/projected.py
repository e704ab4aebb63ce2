"""Directions of the weights that old rows depend on, and gradients without them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import jvp

from holdfast.core.catalog import register
from holdfast.core.errors import ShapeError, Unsupported
from holdfast.core.fields import Ingredient, ingredient, settings
from holdfast.core.goal import Untargeted, logits
from holdfast.core.kinds import Hook, Run
from holdfast.core.quiet import quiet

Bases = Mapping[str, Tensor]  # orthonormal columns by name of the layer


def layers_of(model: nn.Module) -> dict[str, nn.Linear | nn.Conv2d]:
    """Linear layers and convolutions by name, in order.

    Raises:
        Unsupported: for grouped convolutions, or without any layer.
    """
    found = {n: m for n, m in model.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)}
    if not found or any(isinstance(m, nn.Conv2d) and m.groups > 1 for m in found.values()):
        raise Unsupported(
            "projections need linear layers or convolutions of one group",
            fix="Name other layers, or freeze this one.",
        )
    return found


def _columns(layer: nn.Linear | nn.Conv2d, h: Tensor, last: float) -> Tensor:
    """`(d + 1, m)`: what the weights of a layer are multiplied with, and `last` for its bias."""
    if isinstance(layer, nn.Conv2d):
        if layer.padding_mode != "zeros" or isinstance(layer.padding, str):
            raise Unsupported(
                "projections need convolutions padded with zeros",
                fix="Name other layers, or pad with zeros.",
            )
        patches = F.unfold(h, layer.kernel_size, layer.dilation, layer.padding, layer.stride)
        flat = patches.transpose(1, 2).flatten(0, 1)
    else:
        flat = h.flatten(0, -2)
    return torch.cat([flat, torch.full_like(flat[:, :1], last)], 1).T


def _seen(model: nn.Module, x: Tensor) -> list[Tensor]:
    """The inputs of all layers, in their order."""
    found: dict[str, Tensor] = {}
    layers = layers_of(model)
    handles = [
        m.register_forward_pre_hook(lambda m, given, name=n: found.__setitem__(name, given[0]))
        for n, m in layers.items()
    ]
    try:
        model(x)
    finally:
        for handle in handles:
            handle.remove()
    return [found[n] for n in layers]


def _ways(model: nn.Module, x: Tensor, y: Tensor, every: bool) -> list[Tensor]:
    """Directions of the input: those of the loss, or all coordinates."""
    if every:
        eye = torch.eye(x[0].numel(), dtype=x.dtype, device=x.device)
        return [e.reshape(x[:1].shape).expand_as(x) for e in eye]
    moved = x.clone().requires_grad_()
    with torch.enable_grad():
        (slope,) = torch.autograd.grad(Untargeted(y).soft(logits(model(moved))).sum(), moved)
    size = slope.flatten(1).norm(dim=1).clamp(min=1e-12)
    return [slope / size.reshape(-1, *[1] * (x.dim() - 1))]


def _grown(basis: Tensor | None, columns: Tensor, share: float) -> Tensor:
    """The basis with the fewest further directions that hold a share of the columns' energy."""
    total = columns.square().sum()
    known = columns.new_zeros(len(columns), 0) if basis is None else basis
    rest = columns - known @ (known.T @ columns)
    left, power, _ = torch.linalg.svd(rest, full_matrices=False)
    held = torch.cat([total[None] - rest.square().sum(), power.square()]).cumsum(0)
    count = len(power) if share >= 1 else int((held < share * total).sum())
    kept = left[:, :count][:, power[:count] > 1e-12 * total.sqrt()]
    joined: Tensor = torch.linalg.qr(torch.cat([known, kept], 1)).Q
    return joined


def grown(
    model: nn.Module, x: Tensor, y: Tensor, bases: Bases | None = None, *,
    outputs: float = 0.97, slopes: float = 0.97, every: bool = False,
) -> dict[str, Tensor]:  # fmt: skip
    """Directions in which a step of each layer's weights would change what it does to rows.

    A step that is orthogonal to all inputs of a layer leaves its outputs on these rows; one that
    is also orthogonal to how its inputs move when the row moves leaves the slope of its outputs.
    Biases count as weights of an input that is always 1.

    Args:
        model: after a task was learned; left as found.
        x: some hundred rows of the task.
        y: their labels.
        bases: of the tasks before.
        outputs: share of the energy of layer inputs that is kept.
        slopes: share of the energy of their moves that is kept; 0 keeps outputs alone.
        every: rows move along each coordinate, not along the slope of their loss.

    Returns:
        For each layer orthonormal columns, as many rows as it has inputs and one for the bias.

    Raises:
        Unsupported: for layers that are no plain linear layer or convolution.

    Cost: a forward pass, a backward pass, and a forward pass per direction; an SVD per layer.
    """
    layers, found = layers_of(model), dict(bases or {})
    with quiet(model), torch.no_grad():
        model.eval()
        ways = _ways(model, x, y, every) if slopes > 0 else []
        at = _seen(model, x)
        moves = [jvp(lambda v: tuple(_seen(model, v)), (x,), (way,))[1] for way in ways]
        for k, (name, layer) in enumerate(layers.items()):
            basis = _grown(found.get(name), _columns(layer, at[k], 1.0).double(), outputs)
            if ways:
                columns = torch.cat([_columns(layer, move[k], 0.0) for move in moves], 1).double()
                basis = _grown(basis, columns, slopes)
            found[name] = basis
    return found


@register("hook", cites="dgp-robust-continual", name="projected",
          says="Steps leave alone what old rows depend on.")  # fmt: skip
@settings
class Projected(Hook):
    """Double gradient projection: steps orthogonal to what earlier tasks depend on.

    The gradient of each layer's weights and bias is projected off a basis (`grown`) of the inputs
    that old rows give it and of their moves along the slope of the loss. As long as no ReLU
    switches, outputs on those rows and their slopes, and with them robustness, stay as they were
    up to the share of energy that was kept. Parameters of other layers stay. Needs an optimizer
    whose steps are sums of gradients: SGD, momentum included, without weight decay.

    Unlike the paper, which is not explicit about its second matrix: the exact condition that a
    step annihilates the moves of a layer's input, along the slope of the loss or along all
    coordinates.

    Args:
        bases: by name of the layer; without any, gradients stay as they are.

    Raises (in a run):
        ShapeError: if a basis does not fit its layer.
    """

    bases: Ingredient[Bases] = ingredient()

    @torch.no_grad()
    def gradients(self, run: Run) -> None:
        if not self.bases:
            return
        moving = set()
        for name, layer in layers_of(run.model).items():
            basis = self.bases.get(name)
            moving |= {id(layer.weight), id(layer.bias)}
            if basis is not None and layer.weight.grad is not None:
                _project(layer, basis.to(layer.weight), name)
        for p in run.model.parameters():
            if id(p) not in moving:
                p.grad = None


def _project(layer: nn.Linear | nn.Conv2d, basis: Tensor, name: str) -> None:
    """Take the part of the gradients that lies in the basis away."""
    slope: Tensor = layer.weight.grad  # type: ignore[assignment]
    flat = slope.flatten(1)
    if len(basis) != flat.shape[1] + 1:
        raise ShapeError(
            f"Projected: the basis of {name!r} has {len(basis)} rows",
            fix="Make the bases from this model.",
        )
    bias = None if layer.bias is None else layer.bias.grad
    both = torch.cat([flat, flat.new_zeros(len(flat), 1) if bias is None else bias[:, None]], 1)
    left = both - (both @ basis) @ basis.T
    if bias is None:  # the constant input has no weight that could balance the others
        inner = torch.linalg.qr(basis[:-1]).Q
        left = flat - (flat @ inner) @ inner.T
    slope.copy_(left[:, : flat.shape[1]].reshape(slope.shape))
    if bias is not None:
        bias.copy_(left[:, -1])
