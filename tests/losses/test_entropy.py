"""Cross-entropy with a price on doubt, written out."""

import pytest
import torch
import torch.nn.functional as F

from holdfast.core.errors import ConfigError
from holdfast.losses.entropy import entropy_penalized_cross_entropy


def test_it_is_cross_entropy_plus_weighted_entropy():
    g = torch.Generator().manual_seed(0)
    z, y = torch.randn(20, 5, generator=g).double(), torch.randint(5, (20,), generator=g)
    p = z.softmax(1)
    for weight in (0.0, 0.5, 3.0):
        entropy = torch.distributions.Categorical(probs=p).entropy()
        truth = F.cross_entropy(z, y, reduction="none") + weight * entropy
        assert torch.allclose(entropy_penalized_cross_entropy(z, y, weight=weight), truth)
    shares = torch.rand(20, 5, generator=g).double().softmax(1)
    mixed = F.cross_entropy(z, shares, reduction="none") + 0.5 * entropy
    assert torch.allclose(entropy_penalized_cross_entropy(z, shares), mixed)


def test_negative_weights_are_refused():
    with pytest.raises(ConfigError):
        entropy_penalized_cross_entropy(torch.zeros(1, 2), torch.tensor([0]), weight=-1.0)
