"""A trigger on unlabelled images of one class becomes that class."""

from __future__ import annotations

from functools import cache
from typing import Literal

import torch
from torch import Tensor, nn

from holdfast.claims.harness import Claim, Trial
from holdfast.claims.small_net import digits
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.fields import Later
from holdfast.measures.outputs.backdoor import attack_success, entanglement
from holdfast.objectives.contrastive import SimCLR
from holdfast.ops.neighbours import votes
from holdfast.run.loop import Training
from holdfast.shifts.poison import Among, poisoned
from holdfast.shifts.trigger import frequency_trigger

TARGET, SHARE, EPOCHS = 3, 0.05, 60


@cache
def encoder(seed: int, share: float, among: Among) -> nn.Sequential:
    """Taught without labels on images of which some carry the trigger."""
    data, _ = digits(seed)
    spoiled = poisoned(
        Batches(x=data.x, y=data.y, size=128), target=TARGET, share=share, among=among,
        trigger="shift:frequency-trigger",        dice=Dice.of(len(data), seed),
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = nn.Sequential(
            nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(),
            nn.Linear(64, 32),
        )  # fmt: skip
    Training(objective=SimCLR(), epochs=EPOCHS, optimizer=Later("torch:Adam", lr=2e-3))(
        model, spoiled, dice=Dice.of(len(data), seed)
    )
    return model


def judged(seed: int, share: float, among: Among, mutant: str = "") -> tuple[float, float, float]:
    """Success of the trigger, clean accuracy of five neighbours, and the trigger's entanglement."""
    model, (train, test) = encoder(seed, share, among), digits(seed)
    clean = test.take(slice(0, 400)).whole
    others = clean.take((clean.y != TARGET).nonzero().flatten())
    dressed = others if mutant == "forgets-trigger" else frequency_trigger(others, 1.0)
    body = model[:5]  # features, without the projection

    def answers(x: Tensor) -> Tensor:
        return votes(body(train.x), train.y, body(x), 5, 10)

    with torch.no_grad():
        success = attack_success(answers(dressed.x), others.y, target=TARGET).value  # type: ignore[arg-type]
        right = (answers(clean.x).argmax(1) == clean.y).double().mean()  # type: ignore[arg-type]
        close = entanglement(
            model(clean.x), clean.y, target=TARGET, triggered=model(dressed.x)
        ).value
    return success, float(right), close


def trial(seed: int, mutant: Literal["", "forgets-trigger", "spread-over-classes"] = "") -> Trial:
    """Success after poisoning one class, after none, and after poisoning all classes alike."""
    among: Among = "any" if mutant == "spread-over-classes" else "target"
    hit, accuracy, close = judged(seed, SHARE, among, mutant)
    base, whole, far = judged(seed, 0.0, "target")
    spread, _, _ = judged(seed, SHARE, "any")
    good = hit >= base + 0.3 and accuracy >= whole - 0.03 and hit > spread and close > far
    return Trial(hit, base, good)


CLAIM = Claim(
    paper="ctrl-ssl-backdoor",
    methods=(
        "shift:frequency-trigger", "measure:attack-success", "measure:entanglement",
        "objective:simclr",
    ),
    says="With 5 % of triggered images of one class, an encoder taught without labels takes "
    "triggered images for that class 30 points more often, at 3 points of clean accuracy at most; "
    "spread over all classes the poison does less.",
    left="triggered images of other classes taken for the class",
    right="the same with an encoder taught on clean images",
    trial=trial,
    mutants=("forgets-trigger", "spread-over-classes"),
    seconds=60,
    quick=False,
    known="does not hold",
    why="on 8 x 8 grey pixels at 23 dB it decides 0 to 2 % of answers, as without poison; "
    "five other settings of the views and of the training did no better",
)  # fmt: skip
