"""Adversarial training as others do it: a loop by hand, and ART's trainer."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STEPS, BATCH, RATE, MOMENTUM = 10, 128, 0.1, 0.9
Rival = Callable[[nn.Module, Tensor, Tensor, float, int], None]


def by_hand(model: nn.Module, x: Tensor, y: Tensor, radius: float, epochs: int) -> None:
    """PGD-10 adversarial training as it is commonly written: SGD, a cosine, a random start."""
    optimizer = torch.optim.SGD(model.parameters(), RATE, momentum=MOMENTUM)
    steps = epochs * -(-len(x) // BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(epochs):
        for part in torch.randperm(len(x)).split(BATCH):
            a, b = x[part], y[part]
            model.eval()
            delta = torch.empty_like(a).uniform_(-radius, radius)
            for _ in range(STEPS):
                delta.requires_grad_()
                loss = F.cross_entropy(model((a + delta).clamp(0, 1)), b)
                (slope,) = torch.autograd.grad(loss, delta)
                moved = delta.detach() + 2.5 * radius / STEPS * slope.sign()
                delta = moved.clamp(-radius, radius)
            model.train()
            optimizer.zero_grad()
            F.cross_entropy(model((a + delta).clamp(0, 1)), b).backward()
            optimizer.step()
            schedule.step()
    model.eval()


def art(model: nn.Module, x: Tensor, y: Tensor, radius: float, epochs: int) -> None:
    """ART's trainer of Madry's protocol, with its own order of things and the same optimizer."""
    from art.defences.trainer import AdversarialTrainerMadryPGD
    from art.estimators.classification import PyTorchClassifier

    optimizer = torch.optim.SGD(model.parameters(), RATE, momentum=MOMENTUM)
    shape = tuple(x.shape[1:])
    classifier = PyTorchClassifier(
        model, nn.CrossEntropyLoss(), shape, int(y.max()) + 1, optimizer, clip_values=(0.0, 1.0),
        device_type="cpu",
    )  # fmt: skip
    trainer = AdversarialTrainerMadryPGD(
        classifier, nb_epochs=epochs, batch_size=BATCH, eps=radius,
        eps_step=2.5 * radius / STEPS, max_iter=STEPS, num_random_init=1,
    )  # fmt: skip
    trainer.fit(x.numpy(), F.one_hot(y).float().numpy())
    model.eval()


RIVALS: dict[str, Rival] = {"PGD-AT by hand": by_hand, "ART, AdversarialTrainerMadryPGD": art}
