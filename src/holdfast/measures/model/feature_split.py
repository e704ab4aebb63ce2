"""What a model says on the channels that bear noise alone, and on the others alone."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.inputs import labelled_rows, one_tensor
from holdfast.core.kinds import Model
from holdfast.core.quiet import quiet
from holdfast.core.ranges import inside
from holdfast.core.records import Reading
from holdfast.measures.model.channels import Threshold, channels
from holdfast.measures.model.site import Site
from holdfast.run.reading import average, proportion


@dataclass(frozen=True, eq=False)
class FeatureSplit:
    """Robust and other channels of every row, and the model's answers on each part alone.

    Args:
        robust: `(N, C)` bool.
        noise: `(N, C)` standard deviations.
        answer: `(N,)` the model's own answers.
        from_robust: `(N,)` answers from robust channels alone.
        from_rest: `(N,)` answers from the others alone.
        y: `(N,)` labels.
        name: prefix of the readings.
        alpha: of the intervals.
        seed: of the noise.
    """

    robust: Tensor
    noise: Tensor
    answer: Tensor
    from_robust: Tensor
    from_rest: Tensor
    y: Tensor
    name: str
    alpha: float
    seed: int

    def readings(self) -> tuple[Reading, ...]:
        """Share of robust channels; accuracy, and agreement with the model, of each part."""
        share = average(f"{self.name}.share", self.robust.double().mean(1), better="neither",
                        alpha=self.alpha, seed=self.seed)  # fmt: skip
        pairs = (
            ("robust.right", self.from_robust == self.y),
            ("rest.right", self.from_rest == self.y),
            ("robust.agrees", self.from_robust == self.answer),
            ("rest.agrees", self.from_rest == self.answer),
        )
        return share, *(
            proportion(f"{self.name}.{word}", int(hit.sum()), len(hit), better="neither",
                       alpha=self.alpha, seed=self.seed)
            for word, hit in pairs
        )  # fmt: skip


@register("measure", cites="ib-feature-distillation")
def feature_split(
    model: Model,
    batches: Batches,
    *,
    layer: str = "",
    steps: int = 200,
    rate: float = 0.1,
    weight: float = 0.3,
    threshold: Threshold = "batch",
    alpha: float = 0.05,
    seed: int = 0,
    name: str = "feature-split",
) -> FeatureSplit:
    """Splits a layer into channels that bear noise and channels that do not, row by row.

    Noise is learned per row and channel (see `channels`). What bears more noise than the
    features vary is robust. The rest of the model then answers from either part alone: on
    adversarial inputs with their true labels, robust channels should say the label and the
    others what the adversary wants.

    Args:
        model: inputs -> logits first.
        batches: labelled rows of one tensor of inputs.
        layer: name of a module; the last feature map unless given, or what enters the last
            linear layer where there is none.
        steps: of Adam, per batch.
        rate: of Adam.
        weight: of the information against the cross-entropy.
        threshold: `batch` as released (a row then depends on its batch), `sample` or `channel`.
        alpha: intervals cover with probability at least (shares) or about 1 - alpha.
        seed: of the noise.
        name: prefix of the readings.

    Raises:
        ConfigError: for less than one step, or a layer that does not exist.
        Unsupported: without labelled rows, or if the layer is not passed once per input.

    Cost: `steps + 4` forward and `steps` backward passes per row.

    Unlike the paper: units without places (vectors) are compared with their variance over the
    batch.
    """
    inside("[1, inf]", name, steps=steps)
    inside("(0, inf)", name, rate=rate)
    inside("[0, inf)", name, weight=weight)
    rows = labelled_rows(batches, name)
    parts = []
    with quiet(model):
        site = Site(model, layer, one_tensor(rows.x, name))
        for batch in rows:
            x = one_tensor(batch.x, name)
            with torch.no_grad():
                z, out = site.both(x)
            flat = z.dim() == 2 or z[0, 0].numel() == 1
            spread = z.flatten(1).var(0, unbiased=len(z) > 1).expand(len(z), -1)
            found = channels(site, x, batch.y, steps=steps, rate=rate, weight=weight,
                             threshold=threshold, variance=spread if flat else None,
                             dice=Dice(seed, batch.index, name))  # fmt: skip
            with torch.no_grad():
                said = [site.head(x, found.part(robust)).argmax(1) for robust in (True, False)]
            parts.append((found.robust, found.noise, out.argmax(1), *said, batch.y))
    robust, noise, own, some, rest, y = (torch.cat(v).cpu() for v in zip(*parts, strict=True))
    return FeatureSplit(robust, noise, own, some, rest, y, name, alpha, seed)
