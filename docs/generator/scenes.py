"""The scenes of the examples: BUILT stands for the call that builds the method."""

from __future__ import annotations

PLAIN = """\
from holdfast.core.catalog import build

method = BUILT
print(method)
"""
_NET = """model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3))
x = torch.rand(8, 1, 8, 8)
"""
_ATTACK = f"""\
import torch
from holdfast.core.catalog import build
from holdfast.core.goal import Untargeted
from holdfast.run.search import search
from holdfast.threats.grammar import parse

{_NET}method = BUILT
found = search(method, model, x, Untargeted(model(x).argmax(1)), parse("THREAT"))
print(found.broken.float().mean(), found.passes)
"""
_CERTIFIER = f"""\
import torch
from holdfast.core.catalog import build
from holdfast.core.goal import Untargeted
from holdfast.threats.grammar import parse

{_NET}method = BUILT
found = method(model, x, Untargeted(model(x).argmax(1)), parse("THREAT"))
print(found.margin < 0)  # proved
"""
_SMOOTHED = _CERTIFIER.replace(
    "from holdfast.threats", "from holdfast.defend.smoothed import smoothed\nfrom holdfast.threats"
).replace("x = torch", "model, x = smoothed(model, sigma=0.25), torch")
_DATA = """\
import torch
from holdfast.core.catalog import build
from holdfast.core.data import Batches

x, y = torch.rand(48, SHAPE), torch.arange(48) % 2
"""
_TABLE_NET = (
    "model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))\n"
)
_IMAGE_NET = "model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(SIDE, 2))\n"
_TRAIN = "method = BUILT\nrun = method(model, Batches(x=x, y=y, size=16))\nprint(model)\n"
_FIT = "method = BUILT\nscore = method.fit(model, Batches(x=x, y=y))\nprint(score(x[:4]))\n"
_HELD = "method = BUILT\nheld = method(model, Batches(x=x, y=y))\nprint(held(x[:4]))\n"


def _table(end: str) -> str:
    return _DATA.replace("SHAPE", "4") + _TABLE_NET + end


def _image(end: str, channels: int = 1, side: int = 8) -> str:
    shape, inputs = f"{channels}, {side}, {side}", str(channels * side * side)
    return _DATA.replace("SHAPE", shape) + _IMAGE_NET.replace("SIDE", inputs) + end


_SHIFT = """\
import torch
from holdfast.core.catalog import build
from holdfast.core.data import Batch
from holdfast.core.dice import Dice

batch = Batch(torch.rand(4, CHANNELS, SIZE, SIZE), torch.arange(4), torch.arange(4))
method = BUILT
print(method(batch, 0.6, Dice.of(4, 0)).x.shape)
"""
_TEXTS = _SHIFT.replace(
    "batch = Batch(torch.rand(4, CHANNELS, SIZE, SIZE), torch",
    'texts = ["The picture was good and I liked the long ending."] * 4\nbatch = Batch(texts, torch',
).replace(".x.shape", ".x[0]")
_TABULAR = _SHIFT.replace("CHANNELS, SIZE, SIZE", "6")
_THREAT = """\
import torch
from holdfast.core.catalog import build
from holdfast.core.dice import Dice

x = INPUTS
method = BUILT
change = method.sample(x, Dice.of(4, 0))
print(method.apply(x, change).shape, method.size(x, change))
"""
_LOSS = """\
import torch
from holdfast.core.catalog import build

outputs, target = torch.randn(6, 3), torch.arange(6) % 3
method = BUILT
print(method(outputs, target))
"""
_MEASURE = """\
from holdfast.core.catalog import build
from holdfast.core.kinds import readings
from holdfast.testing.laws.measure_scenes import scene

method = BUILT
for reading in readings(method(*scene(method).arguments)):
    print(reading.name, reading.value, reading.low, reading.high, reading.n)
"""
_OBJECTIVE = _DATA.replace("SHAPE", "SHAPED").replace(
    "from holdfast.core.data",
    "from holdfast.recipes.standard import Standard\nfrom holdfast.core.data",
)
_LEARN = "recipe = Standard(FIELD=BUILT, epochs=1)\nrecipe(model, Batches(x=x, y=y, size=16))\n"


def _learn(field: str) -> tuple[str, ...]:
    end = _LEARN.replace("FIELD", field) + "print(model)\n"
    end = end.replace("hooks=BUILT", "hooks=(BUILT,)")
    return (
        _OBJECTIVE.replace("SHAPED", "4") + _TABLE_NET + end,
        _OBJECTIVE.replace("SHAPED", "1, 8, 8") + _IMAGE_NET.replace("SIDE", "64") + end,
        _OBJECTIVE.replace("SHAPED", "3, 8, 8") + _IMAGE_NET.replace("SIDE", "192") + end,
    )


_CHECK = """\
import torch
from holdfast.core.catalog import build
from holdfast.readers import read_data, read_model, subject
from holdfast.threats.grammar import parse

net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
asked = subject(read_model(net), read_data("digits", limit=40), threats=(parse("linf:8/255"),))
method = BUILT
print([finding.says for finding in method(asked)])
"""
_EXPLAIN = f"""\
import torch
from holdfast.core.catalog import build

{_NET}method = BUILT
print(method(model, x, lambda outputs: outputs[:, 0]).shape)
"""
_WRAP = f"""\
import torch
from holdfast.core.catalog import build

{_NET}method = BUILT
print(method(model)(x).shape)
"""
_REWRITE = _image("method = BUILT\nprint(method(model, Batches(x=x, y=y)))\n")
_MERGE = """\
import torch
from holdfast.core.catalog import build

states = [torch.nn.Linear(4, 2).state_dict() for seed in range(3)]
method = BUILT
print(method(states, None)["weight"])
"""
_SOURCE = """\
from holdfast.core.catalog import build
from holdfast.core.dice import Dice

method = BUILT
batches = method(20, Dice.of(20, 0))
print(len(batches), batches.truth)
"""
_OPTIMIZER = """\
import torch
from holdfast.core.catalog import build
from holdfast.recipes.standard import Standard
from holdfast.core.data import Batches

x, y = torch.rand(48, 4), torch.arange(48) % 2
model = torch.nn.Linear(4, 2)
recipe = Standard(optimizer=BUILT, epochs=1)
recipe(model, Batches(x=x, y=y, size=16))
"""
_INPUTS = ("torch.rand(4, 3, 8, 8)", "torch.randint(1, 50, (4, 12))", "torch.rand(4, 6)")

SCENES: dict[str, tuple[str, ...]] = {
    "attack": tuple(_ATTACK.replace("THREAT", t) for t in ("linf:0.3", "l2:2", "l1:20", "l0:16")),
    "certifier": (
        _CERTIFIER.replace("THREAT", "linf:8/255"), _CERTIFIER.replace("THREAT", "l2:0.1"),
        _SMOOTHED.replace("THREAT", "l2:0.1"),
    ),
    "threat": tuple(_THREAT.replace("INPUTS", x) for x in _INPUTS),
    "shift": (
        *(_SHIFT.replace("CHANNELS", c).replace("SIZE", s)
          for c, s in (("3", "32"), ("1", "28"), ("3", "64"))), _TABULAR, _TEXTS,
    ),
    "loss": (_LOSS, _LOSS.replace("torch.arange(6) % 3", "torch.rand(6, 3)")),
    "measure": (_MEASURE,),
    "recipe": (_table(_TRAIN), _image(_TRAIN), _image(_TRAIN, 3)),
    "objective": _learn("objective"),
    "hook": _learn("hooks"),
    "backward": _learn("backward"),
    "optimizer": (_OPTIMIZER,),
    "check": (_CHECK,),
    "explainer": (_EXPLAIN,),
    "defence": (_WRAP,),
    "detector": (_table(_FIT), _image(_FIT)),
    "rewrite": (_REWRITE,),
    "merge": (_MERGE,),
    "source": (_SOURCE,),
}  # fmt: skip
