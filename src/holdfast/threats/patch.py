"""A rectangle whose content and place are free."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.core.fields import Natural, settings
from holdfast.core.kinds import Threat
from holdfast.threats.ball import continuous, within
from holdfast.threats.images import extent
from holdfast.threats.number import box, ends, ordered
from holdfast.threats.places import beside, laid, nearest


@register("threat", name="patch", cites="location-optimized-patches")
@settings
class Patch(Threat):
    """Covers one rectangle of each image with free content at a free place.

    A change holds, side by side (`slices`): the content `C x height x width` as shares of the
    way from low to high, the row and the column of the corner as shares of the possible way,
    and how opaque the patch is; all lie in [0, 1], and opacity 0 is no change. The patch lies on
    whole pixels, so exactly height x width pixels change; the gradient with respect to the
    place is that of a patch moved by fractions of a pixel. A rectangle that must stay clear is
    touched at no pixel.

    Any attack can use it: the place moves by gradient and at random. `attack:patch` is the paper's.

    Args:
        height: of the rectangle in pixels; larger ones cover the whole side.
        width: of the rectangle in pixels.
        low: least valid input value.
        high: largest valid input value.
        clear: top row, left column, height and width of a rectangle, in pixels, that the patch
            must not touch.
    """

    winding = True
    height: Natural = 5
    width: Natural = 5
    low: float = 0.0
    high: float = 1.0
    clear: tuple[Natural, Natural, Natural, Natural] | None = None

    def __post_init__(self) -> None:
        ordered(self.low, self.high)

    @property
    def spec(self) -> str:
        kept = "" if self.clear is None else f":clear={','.join(map(str, self.clear))}"
        return f"patch:{self.height}x{self.width}{kept}{box(self.low, self.high)}"

    @classmethod
    def parsed(cls, words: list[str], text: str) -> Patch:
        """From the words behind the name: height x width, what stays clear, the range."""
        sides = words[0].lower().split("x") if words else []
        kept = [w.partition("=")[2].split(",") for w in words[1:] if w.startswith("clear=")]
        ranges = [w for w in words[1:] if not w.startswith("clear=")]
        whole = all(s.isdigit() for s in [*sides, *(n for k in kept for n in k)])
        count = [len(sides), len(kept) > 1, len(ranges) > 1, *({len(k) for k in kept} - {4})]
        if not whole or count != [2, False, False]:
            raise ConfigError(
                f"threat {text!r}: a patch needs its height and width in whole pixels",
                fix="Write patch:5x5, or patch:5x5:clear=11,11,10,10 (top, left, height, width).",
                code="E0140",
            )
        low, high = ends(ranges, text)
        clear = tuple(int(n) for n in kept[0]) if kept else None
        return cls(height=int(sides[0]), width=int(sides[1]), low=low, high=high, clear=clear)  # type: ignore[arg-type]

    def _sides(self, x: Tensor) -> tuple[int, int, int]:
        """Channels, height and width of the content."""
        height, width = extent(x, self.spec)
        return x.shape[1], min(self.height, height), min(self.width, width)

    def slices(self, x: Tensor) -> dict[str, slice]:
        """Where content, place and opacity stand in a change."""
        channels, height, width = self._sides(x)
        n = channels * height * width
        return {"content": slice(0, n), "place": slice(n, n + 2), "opacity": slice(n + 2, n + 3)}

    def content(self, x: Tensor, change: Tensor) -> Tensor:
        """`(B, C, height, width)`: the content, as shares of the way from low to high."""
        return change[:, self.slices(x)["content"]].reshape(-1, *self._sides(x))

    def ways(self, x: Tensor) -> tuple[int, int]:
        """How many pixels the corner may move down and to the right."""
        _, height, width = self._sides(x)
        return x.shape[2] - height, x.shape[3] - width

    def corner(self, x: Tensor, change: Tensor) -> Tensor:
        """`(B, 2)`: row and column of the patch's corner, whole pixels."""
        return (change[:, self.slices(x)["place"]] * change.new_tensor(self.ways(x))).round()

    def moved(self, x: Tensor, change: Tensor, corner: Tensor) -> Tensor:
        """The change with its corner at other pixels, `(B, 2)`, as near as they are allowed."""
        shares = corner.to(change) / change.new_tensor(self.ways(x)).clamp(min=1)
        at = self.slices(x)["place"]
        return self.project(x, torch.cat([change[:, : at.start], shares, change[:, at.stop :]], 1))

    def allowed(self, x: Tensor) -> Tensor:
        """`(rows, columns)` bool: where the corner may lie.

        Raises:
            Unsupported: if it may lie nowhere.
        """
        _, height, width = self._sides(x)
        free = beside(self.ways(x), (height, width), self.clear, x.device)
        if not bool(free.any()):
            raise Unsupported(
                f"{self.spec}: no place of an image {tuple(x.shape[2:])} is left for the patch",
                fix="Take a smaller patch, or keep less of the image clear.",
            )
        return free

    def _lawful(self, x: Tensor, change: Tensor) -> Tensor:
        """`(B,)` bool: whether the patch leaves clear what it must."""
        corner, (rows, columns) = self.corner(x, change).long(), self.ways(x)
        found: Tensor = self.allowed(x)[corner[:, 0].clamp(0, rows), corner[:, 1].clamp(0, columns)]
        return found

    def none(self, x: Tensor) -> Tensor:
        """Content and place in the middle (or the next place allowed), opacity 0."""
        count = self.slices(x)["opacity"].stop
        change = continuous(x, self).new_full((len(x), count), 0.5)
        change[:, -1] = 0
        return self.project(x, change)

    def sample(self, x: Tensor, dice: Dice) -> Tensor:
        """An opaque patch of uniform noise at a uniform place."""
        count = self.slices(x)["opacity"].stop
        change = dice.uniform((count,), device=x.device, dtype=torch.float64).to(x.dtype)
        change[:, -1] = 1
        if self.clear is None:
            return self.project(x, change)
        places = self.allowed(x).nonzero()
        draw = change[:, self.slices(x)["place"].start].double()
        return self.moved(x, change, places[(draw * len(places)).long().clamp(max=len(places) - 1)])

    def near(
        self, x: Tensor, change: Tensor, share: float, dice: Dice, gradient: Tensor | None = None
    ) -> Tensor:
        """Draws a share of the content anew at 0 or 1 and moves the place by up to that share."""
        parts = self.slices(x)
        draw = dice.uniform(change.shape[1:], device=x.device, dtype=torch.float64)
        flip = dice.integers(2, change.shape[1:], device=x.device).to(change.dtype)
        corner = flip if gradient is None else (gradient > 0).to(change.dtype)
        moved = torch.where(draw < share, corner, change)
        place = change[:, parts["place"]] + share * (2 * draw[:, parts["place"]] - 1)
        moved[:, parts["place"]] = place.to(change.dtype)
        moved[:, -1] = 1
        return self.project(x, moved)

    def project(self, x: Tensor, change: Tensor) -> Tensor:
        change = torch.nan_to_num(change, nan=0.5).clamp(0, 1)
        if self.clear is None or not len(x):
            return change
        at = self.slices(x)["place"]
        moved = nearest(change[:, at], self.allowed(x), self.ways(x))
        place = torch.where(self._lawful(x, change)[:, None], change[:, at], moved)
        return torch.cat([change[:, : at.start], place, change[:, at.stop :]], 1)

    def size(self, x: Tensor, change: Tensor) -> Tensor:
        """The opacity; infinite where content or place leave what is allowed."""
        slack = 4 * torch.finfo(change.dtype).eps
        outside = ((change < -slack) | (change > 1 + slack)).any(1)
        if self.clear is not None:
            outside |= ~self._lawful(x, change)
        lost = self.height * self.width == 0
        return torch.where(outside, torch.inf, 0.0 if lost else change[:, -1])

    def steepest(self, x: Tensor, change: Tensor, gradient: Tensor) -> Tensor:
        """Half a side of the box per coordinate: the change is a box whose sides are 1."""
        return gradient.sign() / 2

    def scaled(self, factor: float) -> Patch:
        return replace(self, height=round(self.height * factor), width=round(self.width * factor))

    def apply(self, x: Tensor, change: Tensor) -> Tensor:
        _, height, width = self._sides(x)
        if not height or not width:
            return x + 0 * change.sum(1).reshape(-1, 1, 1, 1)
        parts = self.slices(x)
        content = self.low + (self.high - self.low) * self.content(x, change)
        place = change[:, parts["place"]] * change.new_tensor(self.ways(x))
        opacity = change[:, -1].reshape(-1, 1, 1, 1)
        y = laid(x, content, place.detach().round(), opacity)
        if place.requires_grad:
            soft = laid(x.detach(), content.detach(), place, opacity.detach())
            y = y + (soft - soft.detach())
        return within(y, x.detach().clamp(max=self.low), x.detach().clamp(min=self.high))
