"""Small networks, one for each kind of layer that certifiers read: what bounds are tried on.

Claims, tests and benchmarks share the table. Every network maps `(B, *shape)` to three logits.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from holdfast.testing.probe_layers import LINE, PROBES

__all__ = ["PROBES", "ProbeNet"]


class ProbeNet(nn.Module):
    """An optional linear layer, the layer in question, flattened, and a linear layer.

    Args:
        name: in the table.
        seed: of the weights.
        dtype: of the weights.
    """

    def __init__(self, name: str, seed: int, dtype: torch.dtype = torch.float64) -> None:
        super().__init__()
        probe = PROBES[name]
        self.shape, self.shift = probe.shape, probe.shift
        g = torch.Generator().manual_seed(seed)
        mixed = probe.first and probe.shape == LINE
        self.first = nn.Linear(6, 6) if mixed else None
        middle = probe.middle()
        self.middle = middle
        self.eval()
        with torch.no_grad():
            size = self.features(torch.rand(1, *probe.shape)).shape[1]
            self.last = nn.Linear(size, 3)
            for p in self.parameters():
                wide = p.dim() > 1
                draws = torch.randn(p.shape, generator=g)
                scale = 1.2 / (p[0].numel() ** 0.5) if wide else 0.3
                p.copy_(draws * scale if wide or p.dim() == 0 else draws * scale + 0.2)
            for name_, b in self.named_buffers():
                if b.dtype.is_floating_point:
                    draws = torch.rand(b.shape, generator=g)
                    b.copy_(draws + 0.5 if "var" in name_ else draws)
        self.to(dtype).eval()

    def features(self, x: Tensor) -> Tensor:
        """What goes into the last layer."""
        z = x if self.first is None else self.first(x)
        return self.middle(z + self.shift).flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        """Three logits."""
        z: Tensor = self.last(self.features(x))
        return z
