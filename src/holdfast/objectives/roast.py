"""Fine-tuning with embeddings moved by one step, and predictions that must not follow."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.core.catalog import register, resolve
from holdfast.core.data import Batch
from holdfast.core.fields import NonNegative, Part, settings
from holdfast.core.goal import Outputs, logits
from holdfast.core.kinds import Loss, Objective, Run, Threat
from holdfast.core.quiet import quiet
from holdfast.objectives.adversarial import tensor_of
from holdfast.objectives.adversary import divergence
from holdfast.objectives.supervised import per_row
from holdfast.ops.derivative import gradient
from holdfast.threats.bind import bind
from holdfast.threats.embedding import Embedding


def _apart(p: Tensor, outputs: Outputs) -> Tensor:
    """`(B,)`: divergence from fixed log-probabilities, both ways."""
    q = logits(outputs).log_softmax(-1)
    return divergence(p, q) + divergence(q, p)


@register("objective", cites="roast", name="roast", says="Both losses, and both ways of KL.")
@settings
class EmbeddingConsistency(Objective):
    """RoAST's loss: on rows and on their moved embeddings, and predictions that stay together.

    A step of full length moves every token's vector in the direction in which the prediction
    changes fastest, seen from a start close by: at the row itself the slope is zero. The loss is
    the mean of the losses on both, plus the divergence between both predictions either way, each
    time with the first of the two taken as fixed. At radius 0 it is the loss alone. Classifiers
    whose inputs are numbers have these moved. The other half of the method is
    `hook:selective`, and `recipe:roast` is both.

    Unlike the paper: the start is a random point of a threat that is smaller by a thousand.

    Cost: four forward passes and two backward passes.

    Args:
        threat: changes of the embeddings.
        loss: of both outputs against the labels.
        weight: of the divergences.
    """

    threat: Part[Threat] = Embedding(radius=0.1, norm="linf", relative=False)
    loss: Part[Loss] = "loss:cross-entropy"
    weight: NonNegative = 0.01

    def __call__(self, run: Run, batch: Batch) -> Tensor:
        x, threat, loss = (
            tensor_of(batch),
            bind(resolve(self.threat), run.model),
            resolve(self.loss),
        )
        change = self.moved(run, x, threat)
        z, moved = logits(run.model(x)), logits(threat.through(run.model, x, change))
        task = (per_row(loss(z, batch.y), batch.y) + per_row(loss(moved, batch.y), batch.y)) / 2
        p, q = z.log_softmax(-1), moved.log_softmax(-1)
        return task + self.weight * (divergence(p.detach(), q) + divergence(q.detach(), p))

    def moved(self, run: Run, x: Tensor, threat: Threat) -> Tensor:
        """One full step uphill from a point close by; admissible."""
        dice = run.dice.spawn("attack")
        with quiet(run.model):
            run.model.eval()
            with torch.no_grad():
                p = logits(run.model(x)).log_softmax(-1)
            start = threat.sample(x, dice) / 1000
            slope = gradient(lambda c: _apart(p, threat.through(run.model, x, c)), start)
            return threat.project(x, start + threat.steepest(x, start, slope)).detach()
