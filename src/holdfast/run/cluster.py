"""A connection to Ray: to a cluster that is there, or to one of this machine that is ours."""

from __future__ import annotations

import os
import secrets
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from holdfast.core.errors import ConfigError, MissingExtra

# No report of its use goes to Ray's makers, and devices stay visible to actors.
_QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
_STORE = 100_000_000  # bytes of Ray's own memory: outcomes are small, and go around it


@contextmanager
def joined(address: str, cores: int = 0) -> Iterator[Any]:
    """Ray itself, connected for the block; a connection that was there before stays.

    Args:
        address: `local`, `auto`, or `ray://host:port`.
        cores: that a cluster of our own has; those of the machine for 0.

    Raises:
        MissingExtra: if Ray is not installed.
        ConfigError: if no cluster answers.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    if address == "local" and "ray" not in sys.modules and "RAY_AUTH_MODE" not in os.environ:
        # Ray listens on every interface; with a token nobody else can give it work. It reads
        # these when it is imported: whoever has done that before us has decided.
        os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    heard = signal.getsignal(signal.SIGTERM)
    try:
        import ray
    except ImportError:
        raise MissingExtra(
            "--on ray: Ray is not installed", fix="pip install 'holdfast[ray]'", code="E0606"
        ) from None
    finally:
        with suppress(ValueError):  # outside the main thread there is nothing to put back
            signal.signal(signal.SIGTERM, heard)  # Ray takes it when it is imported
    ours = not ray.is_initialized()
    if ours:
        _connect(ray, address, cores or os.cpu_count() or 1)
    try:
        yield ray
    finally:
        if ours:
            ray.shutdown()


def _connect(ray: Any, address: str, cores: int) -> None:
    told: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address == "local":
        told |= {"num_cpus": cores, "include_dashboard": False, "object_store_memory": _STORE}
    tries = 3 if address == "local" else 1  # on a busy machine Ray gives itself up too soon
    for left in reversed(range(tries)):
        try:
            ray.init(address, **told)
            return
        except Exception as error:  # Ray raises whatever it likes, bare ones too
            with suppress(Exception):
                ray.shutdown()
            if left:
                continue
            says = str(error).strip().partition("\n")[0]
            raise ConfigError(
                f"--on ray:{address}: no cluster answers ({says})",
                fix="Start one with `ray start --head`, or write --on ray:local.", code="E0195",
            ) from None  # fmt: skip
