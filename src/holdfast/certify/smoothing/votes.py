"""Counting votes under noise: the loop in which smoothing spends its time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor, nn

from holdfast.core.dice import Dice
from holdfast.core.goal import logits
from holdfast.core.kinds import Model
from holdfast.defend.smoothed import Smoothed, ballots
from holdfast.ops.batch import portion

NEAR, FAR = 2**17, 2**22  # numbers that are worked on at once: on a CPU, elsewhere
LEAST = 16  # copies per pass, below which starting an operation costs more than caches save
PLAIN = (nn.Flatten, nn.Identity, nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


def votes(model: Smoothed, x: Tensor, samples: int, dice: Dice, *, shared: bool = False) -> Tensor:
    """`(B, ...)` counts by class: how many noisy copies of each row vote for each class.

    Draws depend on the seed, the row's key and the stream alone, so they are the same for any
    batch. Copies whose outputs are not finite, or whose largest output is tied, do not vote.

    Args:
        model: whose base votes.
        x: `(B, ...)` inputs.
        samples: copies per row.
        dice: of the rows.
        shared: every row meets the same noise, which goes through the layers before the first
            bend once for all rows (`x W + e W`); rows then err together.
    """
    if not len(x):
        return torch.zeros(ballots(logits(model.base(x))).shape, dtype=torch.int64, device=x.device)
    return _together(model, x, samples, dice) if shared else _apart(model, x, samples, dice)


class Noise:
    """Standard normal noise of some rows, each from a generator of its own.

    Unlike `Dice.normal`, which hashes every number, it may draw in bulk: the draws of a row are
    a stream that only this row reads. In float32 normal numbers end near 5.8 deviations.

    Args:
        dice: seed, keys and stream.
        dtype: of the noise.
        device: where it is drawn.
    """

    def __init__(self, dice: Dice, dtype: torch.dtype, device: torch.device) -> None:
        self.dtype, self.device, self.made = dtype, device, []
        for key in dice.keys.tolist():
            seed = dice.generator(f"noise {key}").initial_seed()
            self.made.append(torch.Generator(device).manual_seed(seed))

    def draw(self, rows: Iterable[int], copies: int, shape: torch.Size) -> Tensor:
        """`(B, copies, *shape)`: the next copies of some rows."""
        chosen = list(rows)
        noise = torch.empty(len(chosen), copies, *shape, dtype=self.dtype, device=self.device)
        for own, row in zip(noise, chosen, strict=True):
            own.normal_(generator=self.made[row])
        return noise


def together(x: Tensor) -> int:
    """How many numbers of noise to draw at once where these inputs are."""
    return NEAR if x.device.type == "cpu" else FAR


def blocks(samples: int, x: Tensor) -> Iterator[int]:
    """How many copies of a row to draw at once, a function of its size and place alone."""
    block = max(1, min(samples, together(x) // max(1, x[0].numel())))
    return (min(block, samples - done) for done in range(0, samples, block))


def outputs(base: Model, copies: Tensor) -> Tensor:
    """Logits of noisy copies, sent through the model in portions that its caches hold."""
    return torch.cat([logits(base(part)) for part in copies.split(portion(copies))])


def _apart(model: Smoothed, x: Tensor, samples: int, dice: Dice) -> Tensor:
    """Counts of rows that each meet noise of their own."""
    found = []
    sizes = list(blocks(samples, x))
    per = max(1, together(x) // max(1, sizes[0] * x[0].numel()))
    for start in range(0, len(x), per):
        part = x[start : start + per]
        noise = Noise(dice.part(slice(start, start + len(part))), x.dtype, x.device)
        total = torch.zeros((), dtype=torch.int64, device=x.device)
        for n in sizes:
            total = total + heard(model, part, noise.draw(range(len(part)), n, x.shape[1:]))
        found.append(total)
    return torch.cat(found)


def heard(model: Smoothed, x: Tensor, noise: Tensor) -> Tensor:
    """`(B, ...)` counts by class of the votes of the copies that noise `(B, n, ...)` makes.

    Args:
        model: whose base votes.
        x: `(B, ...)` inputs.
        noise: of standard deviation 1; it is written over.
    """
    copies = torch.add(x[:, None], noise, alpha=model.sigma, out=noise)
    z = outputs(model.base, copies.flatten(0, 1)).unflatten(0, noise.shape[:2])
    return ballots(z).sum(1)


def _together(model: Smoothed, x: Tensor, samples: int, dice: Dice) -> Tensor:
    """Counts of all rows under the same noise."""
    head, rest = split(model.base)
    noise = Noise(dice.one(), x.dtype, x.device)
    rows = _laid(head(x) - head(torch.zeros_like(x[:1])))  # W x; the shift stays with the noise
    total = torch.zeros((), dtype=torch.int64, device=x.device)
    for n in blocks(samples, x):
        moved = _laid(head(noise.draw([0], n, x.shape[1:])[0].mul_(model.sigma)))
        most = max(LEAST, 2 * together(x) // moved[0].numel())
        for part in moved.chunk(math.ceil(n / most)):  # of one size
            z = torch.stack([logits(rest(part + row)) for row in rows])
            total = total + ballots(z).sum(1)
    return total


def _laid(x: Tensor) -> Tensor:
    """Images on a CPU with the channels of a pixel side by side, as convolutions like them."""
    if x.dim() != 4 or x.device.type != "cpu":
        return x
    return x.contiguous(memory_format=torch.channels_last)


def split(base: Model) -> tuple[Callable[[Tensor], Tensor], Model]:
    """A model as its layers before the first bend, and the rest.

    Only what is known to be affine row by row counts: flattening, linear layers and convolutions
    padded with zeros, in plain sequences and without hooks. Of any other model the first part is
    nothing at all, and noise is added to its inputs. The rest may write over what it is given
    where the first part is something: a sum that nobody else reads.
    """
    layers = list(_layers(base))
    first = 0
    while first < len(layers) and _affine(layers[first]):
        first += 1
    if not first:
        return (lambda x: x), base
    rest = layers[first:]
    if rest and type(rest[0]) is nn.ReLU and not _hooked(rest[0]):
        rest[0] = nn.ReLU(inplace=True)
    return nn.Sequential(*layers[:first]), nn.Sequential(*rest)


def _layers(base: object) -> Iterator[nn.Module]:
    """The layers of a plain sequence, sequences inside it opened; none for anything else."""
    if type(base) is nn.Sequential and not _hooked(base):
        for layer in base:
            inner = list(_layers(layer))
            yield from inner if inner else [layer]


def _affine(layer: nn.Module) -> bool:
    padded = getattr(layer, "padding_mode", "zeros") == "zeros"
    rows_kept = not isinstance(layer, nn.Flatten) or layer.start_dim == 1
    return type(layer) in PLAIN and padded and rows_kept and not _hooked(layer)


def _hooked(layer: nn.Module) -> bool:
    return bool(layer._forward_hooks or layer._forward_pre_hooks)
