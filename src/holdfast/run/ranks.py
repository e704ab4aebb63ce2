"""Several processes that train one model: rows are shared out, gradients are summed."""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterable, Sequence

import torch
import torch.distributed as dist
from torch import Tensor, nn

from holdfast.core.data import Batch
from holdfast.core.dice import Dice


def join_group(device: torch.device) -> None:
    """Join the processes that torchrun started, if it did and nobody has joined them yet.

    The group lasts as long as the process: one that is left and joined again meets addresses of
    the former one at torchrun's meeting point.

    Args:
        device: where the model is; decides how the processes talk.
    """
    if not dist.is_available() or dist.is_initialized():
        return
    if int(os.environ.get("WORLD_SIZE", "1")) < 2 or "RANK" not in os.environ:
        return
    dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
    atexit.register(_leave)


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


def world() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Which of them this is, from 0."""
    return dist.get_rank() if world() > 1 else 0


def seed(dice: Dice, name: str, device: torch.device) -> None:
    """Make global draws (dropout) depend on seed, name and process alone.

    Args:
        dice: holds the seed.
        name: of what draws, such as a step.
        device: where the model is.
    """
    number = dice.bulk_seed(f"{name}/rank{rank()}")
    torch.default_generator.manual_seed(number)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(number)


def mine(batch: Batch) -> Batch:
    """The rows of a batch that belong to this process: every `world()`-th."""
    return batch if world() == 1 else batch.take(slice(rank(), None, world()))


def same_everywhere(modules: Iterable[nn.Module], *, buffers_only: bool = False) -> None:
    """Give every process the weights and buffers of the first one."""
    if world() == 1:
        return
    for module in modules:
        for tensor in module.buffers() if buffers_only else module.state_dict().values():
            dist.broadcast(tensor, 0)


def sum_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Sum the gradients of all processes; what has none anywhere keeps none.

    Each process weighs its rows by their share of the whole batch, so the sum is the gradient
    of the whole batch. One message per dtype.
    """
    if world() == 1:
        return
    trained = [p for p in parameters if p.requires_grad]
    if not trained:
        return
    has = torch.tensor([p.grad is not None for p in trained], device=trained[0].device).float()
    dist.all_reduce(has)
    alive = [p for p, count in zip(trained, has.tolist(), strict=True) if count]
    for dtype in sorted({p.dtype for p in alive}, key=str):
        group = [p for p in alive if p.dtype == dtype]
        parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in group]
        flat = torch.cat([part.reshape(-1) for part in parts])
        dist.all_reduce(flat)
        for p, summed in zip(group, torch.split(flat, [p.numel() for p in group]), strict=True):
            p.grad = summed.view_as(p).clone()


def sum_over_ranks(value: Tensor) -> Tensor:
    """The sum of one tensor over all processes."""
    if world() > 1:
        value = value.clone()
        dist.all_reduce(value)
    return value


def rows_of_step(batches: Sequence[Batch], device: torch.device) -> int:
    """How many rows all processes have in these batches."""
    own = sum(len(b.index) for b in batches)
    return own if world() == 1 else int(sum_over_ranks(torch.tensor(own, device=device)))


def any_rank(flag: bool, device: torch.device) -> bool:
    """Whether any process raises the flag; all get the same answer."""
    if world() == 1:
        return flag
    return bool(sum_over_ranks(torch.tensor(float(flag), device=device)))


def agreed(flag: bool) -> bool:
    """Whether all processes raise the flag, or none does."""
    raised: list[bool | None] = [flag] * world()
    if world() > 1:
        dist.all_gather_object(raised, flag)
    return len(set(raised)) == 1
