"""A connection to Ray: to a cluster that is there, or to one of this machine that is ours."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from holdfast.core.errors import ConfigError, MissingExtra

# No report of its use goes to Ray's makers, and devices stay visible to actors.
_QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
_CLIENT = "ray://"
_UNREADY = "Initialization failure"  # of a head that listens before it can start what serves us
_PATIENCE = 10.0  # seconds for a connection to be made
_STORE = 100_000_000  # bytes of Ray's own memory: outcomes are small, and go around it


@contextmanager
def joined(address: str, cores: int = 0) -> Iterator[Any]:
    """Ray itself, connected for the block; a connection that was there before stays.

    Args:
        address: `local`, `auto`, or `ray://host:port`.
        cores: that a cluster of our own has; those of the machine for 0.

    Raises:
        MissingExtra: if Ray is not installed.
        ConfigError: if no cluster lets us in.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    if "ray" not in sys.modules and "RAY_AUTH_MODE" not in os.environ:
        # Ray reads these when it is imported: whoever has done that before us has decided.
        if address == "local":  # it listens on every interface; nobody else shall give it work
            os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        elif address.startswith(_CLIENT) and _has_token():
            # A head started where a token lies asks for it, and Ray's client shows it only if told.
            os.environ["RAY_AUTH_MODE"] = "token"
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
    if address.startswith(_CLIENT):
        _knock(address)
        logging.getLogger("ray").setLevel(logging.ERROR)  # the level above goes to the head alone
    for left in reversed(range(3)):  # on a busy machine Ray gives itself up too soon
        try:
            with warnings.catch_warnings(action="ignore"):  # what goes wrong is raised too
                ray.init(address, **told)
            return
        except Exception as error:  # Ray raises whatever it likes, bare ones too
            with suppress(Exception):
                ray.shutdown()
            if left and (address == "local" or _UNREADY in str(error)):
                continue
            raise _unanswered(address, error) from None


def _has_token() -> bool:
    """Whether this machine holds a token, where Ray itself looks for one."""
    if os.environ.get("RAY_AUTH_TOKEN"):
        return True
    said = os.environ.get("RAY_AUTH_TOKEN_PATH")
    return Path(said or Path.home() / ".ray" / "auth_token").is_file()


def _knock(address: str) -> None:
    """Say at once that nobody listens; Ray's client would try for half a minute.

    Raises:
        ConfigError: if no connection is made.
    """
    place = urlsplit(address)
    try:
        socket.create_connection((place.hostname, place.port), timeout=_PATIENCE).close()
    except OSError as error:
        raise ConfigError(
            f"--on {address} cannot be reached ({error.strerror or error})", code="E0195",
            fix=f"On the head: ray start --head --ray-client-server-port={place.port}",
        ) from None  # fmt: skip


def _unanswered(address: str, error: Exception) -> ConfigError:
    """What went wrong while Ray was asked to connect, and what repairs it."""
    says = str(error).strip().partition("\n")[0].rstrip(".")
    if address == "local":
        told = f"--on ray:local: Ray does not start on this machine ({says})"
        fix = "Use processes without Ray: --on local:2"
    elif not address.startswith(_CLIENT):
        told = f"--on ray:{address}: this machine belongs to no Ray cluster ({says})"
        fix = "Use Ray on this machine alone: --on ray:local"
    elif isinstance(error, ConnectionError):
        told = f"--on {address}: something listens there, but does not let us in ({says})"
        fix = "Set RAY_AUTH_TOKEN to what `ray get-auth-token` prints on the head."
    else:
        told = f"--on {address}: the head and this machine do not fit ({says})"
        fix = "Install the same Python and the same Ray on both."
    return ConfigError(told, fix=fix, code="E0195")
