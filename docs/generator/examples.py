"""An example of at most ten lines for every method: written by kind, with its true settings, run.

A kind has several scenes, from the usual to the odd; the first one in which the method does what
it is for becomes its example. A method that none of them suits is built and named.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import warnings
from dataclasses import MISSING, fields, is_dataclass
from typing import Any

from docs.generator.scenes import PLAIN, SCENES

from holdfast.core.catalog import Entry

MOST_LINES = 10
_WIDTH = 88


def settings_of(entry: Entry) -> dict[str, Any]:
    """The settings and their defaults, in the order in which they are declared."""
    thing = entry.thing
    if is_dataclass(thing):
        cls = thing if isinstance(thing, type) else type(thing)
        found = {}
        for f in fields(cls):
            usual = f.default if f.default is not MISSING else None
            own = usual if isinstance(thing, type) else getattr(thing, f.name)
            if f.init:
                found[f.name] = own
        return found
    if callable(thing):
        taken = inspect.signature(thing).parameters.values()
        return {p.name: p.default for p in taken if p.kind is p.KEYWORD_ONLY
                and p.default is not p.empty}  # fmt: skip
    return {}


def built(entry: Entry) -> str:
    """The call that builds the method, with some of its settings as they are."""
    told, known = f'build("{entry.key}")', settings_of(entry)
    order = sorted(known, key=lambda name: name != "epochs")
    for name, value in ((n, known[n]) for n in order):
        if type(value) not in (int, float, bool) or name == "seed":
            continue
        value = 1 if entry.kind == "recipe" and name == "epochs" else value  # an example is brief
        more = f"{told[:-1]}, {name}={value!r})"
        if len(more) > _WIDTH or more.count("=") > 3 or "inf" in more or "nan" in more:
            break
        told = more
    return told


def run(text: str) -> None:
    """Run an example in a namespace of its own, with its own draws, in silence."""
    import torch

    with (
        torch.random.fork_rng(devices=[]),
        contextlib.redirect_stdout(io.StringIO()),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        exec(compile(text, "<example>", "exec"), {"__name__": "example"})


def candidates(entry: Entry) -> list[str]:
    """The examples that may suit the method; the last one suits every method."""
    call = built(entry)
    texts = [scene.replace("BUILT", call) for scene in SCENES.get(entry.kind, ())]
    plain = (call, f'build("{entry.key}")')
    return [*texts, *(PLAIN.replace("BUILT", c) for c in dict.fromkeys(plain))]


def example(entry: Entry) -> tuple[str, bool]:
    """The example of a method, and whether it does more than build it."""
    every = candidates(entry)
    for text in every[:-1]:
        try:
            run(text)
        except Exception:  # not its scene: the next one is tried
            continue
        return text, "print(method)" not in text
    run(every[-1])
    return every[-1], False
