"""Goals are margins: their signs, their ways, their linear form."""

import pytest
import torch
import torch.nn.functional as F

from holdfast.core.errors import ShapeError, Unsupported
from holdfast.core.goal import AllOf, AnyOf, AtLeast, Pixels, Targeted, Untargeted

G = torch.Generator().manual_seed(0)
Z = torch.randn(20, 5, generator=G, dtype=torch.float64)
Y = torch.randint(5, (20,), generator=G)


def test_untargeted_margin_is_best_other_minus_own() -> None:
    naive = torch.stack(
        [max(z[k] - z[y] for k in range(5) if k != y) for z, y in zip(Z, Y, strict=True)]
    )
    assert torch.equal(Untargeted(Y)(Z), naive)
    assert ((Untargeted(Y)(Z) < 0) == (Z.argmax(1) == Y)).all()


def test_soft_is_the_cross_entropy() -> None:
    assert torch.allclose(Untargeted(Y).soft(Z), F.cross_entropy(Z, Y, reduction="none"))


@pytest.mark.parametrize(
    "goal",
    [
        Untargeted(Y),
        AtLeast(torch.linspace(-1, 1, 20).double(), 2, -1),
        AnyOf([Untargeted(Y), AtLeast(torch.zeros(20).double(), 1)]),
    ],
)
def test_linear_form_gives_the_ways(goal: Untargeted) -> None:
    big, small = goal.linear(5)
    assert torch.allclose(torch.einsum("bwk,bk->bw", big, Z) + small, goal.ways(Z))


def test_unlabelled_rows_cannot_be_won() -> None:
    y = Y.clone()
    y[3] = -100
    assert Untargeted(y)(Z)[3] == -torch.inf
    big, small = Untargeted(y).linear(5)
    assert (torch.einsum("bwk,bk->bw", big, Z) + small)[3].amax() == -torch.inf


def test_targeted() -> None:
    won = Targeted(Y)(Z) > 0
    assert (won == (Z.argmax(1) == Y)).all()
    assert torch.allclose(Targeted(Y).soft(Z), -F.cross_entropy(Z, Y, reduction="none"))


def test_pixels_are_won_by_a_share() -> None:
    z = torch.randn(6, 10, 3, generator=G)
    y = torch.randint(3, (6, 10), generator=G)
    y[:, 8:] = -100
    wrong = ((z.argmax(-1) != y) & (y >= 0)).sum(1)
    for share in (0.125, 0.5, 1.0):
        assert ((Pixels(y, share)(z) > 0) == (wrong >= share * 8)).all()


def test_any_and_all_compose() -> None:
    a, b = Untargeted(Y), Targeted((Y + 1) % 5)
    assert torch.equal(AnyOf([a, b])(Z), torch.maximum(a(Z), b(Z)))
    assert torch.equal(AllOf([a, b])(Z), torch.minimum(a(Z), b(Z)))
    rows = torch.tensor([4, 2])
    assert torch.equal(AnyOf([a, b]).take(rows)(Z[rows]), AnyOf([a, b])(Z)[rows])
    with pytest.raises(Unsupported):
        AllOf([a, b]).linear(5)


def test_wrong_shapes_are_named() -> None:
    with pytest.raises(ShapeError, match="20 labels"):
        Untargeted(Y)(Z[:3])
