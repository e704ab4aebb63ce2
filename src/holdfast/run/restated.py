"""Running statistics that belong to the weights they stand beside."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported


def restated(model: nn.Module, state: Mapping[str, Tensor], batches: Batches) -> dict[str, Tensor]:
    """A state with the running statistics of batch normalisation estimated anew.

    Averaged weights have statistics of their own: activations of a mean of nets vary less than
    the mean of their variances, and statistics that are wrong by a factor at each layer are
    wrong by its power at the last. So they are dropped and taken as the plain mean over the
    batches of one pass, in which only batch normalisation is in training mode (dropout is off,
    as it will be when the statistics are used) and labels are not looked at. Rows are shuffled:
    batches of one class each would not show how far the classes lie apart. A batch of a single
    row is left out.

    Cost: one forward pass over the rows, and a copy of the model. Nothing if the model has no
    batch normalisation.

    Args:
        model: the architecture; left as found.
        state: weights, and statistics that are ignored.
        batches: rows like those the model will see, at least two; their size is that of a batch.

    Raises:
        Unsupported: with fewer than two rows, if there is anything to estimate.
    """
    own = deepcopy(model).eval()
    own.load_state_dict(dict(state))
    norms = [m for m in own.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    if norms and (len(batches) < 2 or batches.size < 2):
        raise Unsupported(
            f"statistics need batches of two rows, got {len(batches)} rows by {batches.size}",
            fix="Give the training data.",
        )
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over batches
        norm.train()
    if norms:
        device = next(own.parameters()).device
        with torch.random.fork_rng(), torch.no_grad():
            for batch in replace(batches, augment=None).draw(Dice.of(0, stream="restated")):
                if len(batch.index) > 1:
                    own(batch.x.to(device) if isinstance(batch.x, Tensor) else batch.x)
    return {name: value.detach().clone() for name, value in own.state_dict().items()}
