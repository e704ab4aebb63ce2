"""The words behind --on that name other machines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from holdfast.cli import options as words
from holdfast.core.errors import ConfigError

if TYPE_CHECKING:
    from holdfast.core.records import Subject
    from holdfast.run.executors import Executor

WAYS = "here, local:N, ray:local, ray:auto, ray://host:port or slurm:partition=NAME"
_ASKS = {
    "partition": "slurm_partition", "account": "slurm_account", "qos": "slurm_qos",
    "minutes": "timeout_min", "memory": "mem_gb",
}  # fmt: skip


def elsewhere(on: str, make: Callable[[], Subject]) -> Executor:
    """Who works on other machines.

    Args:
        on: `ray:local`, `ray:auto`, `ray://host:port`, `slurm`, or `slurm:` and settings between
            commas: partition, account, qos, minutes, memory (in GB), jobs, cluster.
        make: builds the subject on another machine.

    Raises:
        ConfigError: for anything else.
    """
    kind, _, rest = on.partition(":")
    if kind == "ray" and (rest in ("local", "auto") or _at_a_port(on)):
        from holdfast.run.on_ray import Ray

        return Ray(on if rest.startswith("//") else rest, make)
    if kind == "slurm":
        from holdfast.run.on_slurm import Slurm

        pairs = dict(part.partition("=")[::2] for part in rest.split(",") if part)
        counts = sorted({"jobs", "minutes", "memory"} & pairs.keys())
        whole: dict[str, int] = {k: _count(on, pairs[k]) for k in counts}
        cluster = pairs.get("cluster", "slurm")
        known = {*_ASKS, "jobs", "cluster"}
        if pairs.keys() <= known and all(pairs.values()) and cluster in ("slurm", "local"):
            asks = {name: whole.get(k) or pairs[k] for k, name in _ASKS.items() if k in pairs}
            folder = Path(words.STORE) / "slurm"
            return Slurm(make, folder, jobs=whole.get("jobs", 8), asks=asks, cluster=cluster)
    raise unread(on)


def _at_a_port(on: str) -> bool:
    """Whether these words are `ray://host:port`."""
    try:
        place = urlsplit(on)
        return bool(place.netloc and place.hostname and place.port) and not place.path
    except ValueError:  # a port that is no number
        return False


def _count(on: str, text: str) -> int:
    if not text.isdigit() or not int(text):
        raise unread(on)
    return int(text)


def unread(on: str) -> ConfigError:
    """The error of words that name nobody."""
    return ConfigError(
        f"--on: cannot read {on!r}, it is {WAYS}", fix="Write local:2.", code="E0108"
    )
