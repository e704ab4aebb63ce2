"""A search in pieces: each chunk of rows is read where it was kept, and attacked otherwise."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from holdfast.core.dice import Dice
from holdfast.core.digest import digest
from holdfast.core.goal import Goal
from holdfast.core.kinds import Attack, Model, Threat
from holdfast.core.quiet import modules_of
from holdfast.run.cells import code_of, module_of, parts
from holdfast.run.keeper import Keeper, Piece
from holdfast.run.source import source_digest

FORMAT = 1
CHUNK = 512  # rows attacked at once
FEW = 128  # the same where a row is dear
DEAR_MODEL, DEAR_ROW = 2**18, 2**11  # weights, and numbers of a row, from which it is


class Job(NamedTuple):
    """Rows to attack at once, with all that belongs to them."""

    x: Tensor
    goal: Goal
    threat: Threat
    dice: Dice


def at_once(model: Model, x: Tensor) -> int:
    """How many rows are attacked at once: one piece that is kept, shared and told of.

    Small pieces make a cheap model spend its time on starting operations, up to twice as much of
    it; a dear one, where sharing pays, does not notice. The number follows from model and rows
    alone, never from workers or clocks, so that it is the same wherever the search runs.

    Args:
        model: what is attacked.
        x: its inputs, rows first.
    """
    if x.device.type != "cpu":
        return CHUNK
    weights = sum(p.numel() for top in modules_of(model) for p in top.parameters())
    row = x[0].numel() if len(x) else 0
    return FEW if weights >= DEAR_MODEL or row >= DEAR_ROW else CHUNK


def attack_digest(attack: Attack, model: Model) -> str:
    """Identity of an attack on a model: settings, sources, weights, modes."""
    modes = [m.training for top in modules_of(model) for m in top.modules()]
    modules = {type(attack).__module__, *map(module_of, parts(attack))}
    sources = {name: source_digest(name) for name in sorted(modules)}
    torches = [torch.__version__, str(torch.get_default_dtype())]
    return digest([FORMAT, attack, sources, model, code_of(model), modes, *torches])


def piece_key(whole: str, job: Job) -> str:
    """Identity of a piece: all that its result depends on, rows and draws included.

    Args:
        whole: as given by `attack_digest`.
        job: rows of the piece, before the first draw.
    """
    x, goal, threat, dice = job
    draws = [dice.seed, dice.keys, dice.stream, dice.calls]
    return digest([whole, x, str(x.device), goal, threat, threat.spec, *draws])


def gathered(
    jobs: Sequence[Job],
    work: Callable[[Job], Piece],
    keep: Keeper | None,
    about: tuple[Attack, Model],
    told: Callable[[Piece], None],
) -> list[Piece]:
    """Every piece, in the order of the jobs: read where it was kept, made otherwise.

    Pieces that another process is at are left for the end; they are made here only if it died.

    Args:
        jobs: rows with all that belongs to them.
        work: makes a piece.
        keep: where pieces are kept, if anywhere.
        about: whose work it is, on which model.
        told: called with each piece as it is there.
    """
    done: dict[int, Piece] = {}
    whole = attack_digest(*about) if keep and jobs else ""
    keys = [piece_key(whole, job) for job in jobs] if keep else [""] * len(jobs)
    for wait in (False, True):
        for number, (job, key) in enumerate(zip(jobs, keys, strict=True)):
            if number in done:
                continue
            piece = work(job) if keep is None else _one(job, key, work, keep, wait=wait)
            if piece is not None:
                done[number] = piece
                told(piece)
    return [done[number] for number in range(len(jobs))]


def _one(
    job: Job, key: str, work: Callable[[Job], Piece], keep: Keeper, *, wait: bool
) -> Piece | None:
    """A piece that was kept, or is made now and kept; None if another process is making it."""
    with keep.claim(key, wait=wait) as mine:
        piece = keep.get(key, job.threat.none(job.x))
        if piece is None and mine:
            start, piece = time.perf_counter(), work(job)
            if time.perf_counter() - start >= keep.worth:
                keep.put(key, piece)
    return piece
