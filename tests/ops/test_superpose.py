"""Superposition against scipy, and what it may not do."""

from __future__ import annotations

import torch
from scipy.spatial.transform import Rotation

from holdfast.ops.superpose import distance_rmsd, moved_share, rmsd
from holdfast.testing.worlds import draws


def _clouds():
    return torch.randn(5, 12, 3, generator=draws(0), dtype=torch.float64)


def test_moving_a_structure_as_a_whole_changes_nothing():
    p = _clouds()
    turn = torch.from_numpy(Rotation.random(5, random_state=1).as_matrix())
    q = p @ turn + torch.tensor([3.0, -1.0, 2.0])
    assert (rmsd(p, q) < 1e-6).all() and (distance_rmsd(p, q) < 1e-9).all()
    assert (moved_share(p, q) == 1).all()


def test_mirror_images_stay_apart():
    p = _clouds()
    q = p * torch.tensor([1.0, 1.0, -1.0])
    assert (rmsd(p, q) > 0.1).all() and (distance_rmsd(p, q) < 1e-9).all()


def test_the_deviation_is_that_of_scipy():
    p = _clouds()
    q = p + 0.3 * torch.randn(p.shape, generator=draws(2), dtype=torch.float64)
    for a, b, found in zip(p, q, rmsd(p, q), strict=True):
        _, total = Rotation.align_vectors((b - b.mean(0)).numpy(), (a - a.mean(0)).numpy())
        assert abs(total / 12**0.5 - float(found)) < 1e-9
    flat = torch.zeros(1, 4, 3, dtype=torch.float64)
    assert float(rmsd(flat, flat)) == 0
