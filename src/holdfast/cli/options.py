"""Words of the command line turned into values, and the settings of a project's file."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from holdfast.core.errors import ConfigError

if TYPE_CHECKING:
    from holdfast.run.gates import Gate

_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}
CONFIG = "holdfast.toml"
STORE = ".holdfast"
REMEMBERED = (
    "data", "reference", "profile", "threat", "limit", "arch", "mean", "std", "target", "seed",
    "max_bytes", "plugin",
)  # fmt: skip
USUAL: dict[str, Any] = {"profile": "standard", "threat": ["linf:8/255"], "seed": 0}


def given(arguments: dict[str, Any]) -> dict[str, Any]:
    """Of the arguments of a command those that are remembered; threats as a list or None."""
    kept = {name: arguments.get(name) for name in REMEMBERED}
    threat = [kept["threat"]] if isinstance(kept["threat"], str) else kept["threat"]
    free = {"plugin": kept["plugin"] or None, "allow_network": arguments.get("allow_network")}
    return kept | {"threat": threat or None} | free


def stem(model: str) -> str:
    """A short name of a model for the folder of a run: of an address its host."""
    if "://" in model:
        return model.split("/")[2].partition(":")[0]
    if model.startswith("hf:"):
        return model.removeprefix("hf:").partition("@")[0].rpartition("/")[2]
    return Path(model.rpartition(":")[0] or model).stem


def patient() -> None:
    """Let idle threads of torch sleep instead of spinning; works only before torch is imported.

    On a machine that has other work to do, spinning threads wait for each other: the same audit
    then takes many times as long. Whoever has set the policy himself is left alone.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def shape(x: Any) -> tuple[int, ...] | None:
    """The shape of one row where the rows are one tensor."""
    return tuple(x.shape[1:]) if hasattr(x, "shape") else None


def seconds(text: str | None) -> float | None:
    """Seconds from `90`, `90s`, `5m` or `1h30m`."""
    if text is None:
        return None
    parts = re.findall(r"(\d+(?:\.\d+)?)([smh]?)", text.strip())
    total = sum(float(n) * _UNITS[u] for n, u in parts)
    if "".join(n + u for n, u in parts) != text.strip() or total <= 0:
        raise ConfigError(
            f"--budget: cannot read {text!r}", fix="Write 90s, 5m or 1h30m.", code="E0104"
        )
    return total


def numbers(text: str | None, name: str) -> tuple[float, ...] | None:
    """Numbers between commas: `0.49,0.48,0.45`."""
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise ConfigError(
            f"{name}: cannot read {text!r}", fix=f"Write {name} 0.49,0.48,0.45.", code="E0105"
        ) from None


def project(folder: Path | None = None) -> dict[str, Any]:
    """The tables of `holdfast.toml`, or of `[tool.holdfast]` in `pyproject.toml`."""
    here = folder or Path()
    for file in (here / CONFIG, here / "pyproject.toml"):
        if file.is_file():
            try:
                document = tomllib.loads(file.read_text("utf-8"))
            except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
                raise ConfigError(
                    f"{file.name}: {error}", fix="Repair the file.", code="E0121"
                ) from None
            table = document if file.name == CONFIG else document.get("tool", {}).get("holdfast")
            if isinstance(table, dict):
                return table
    return {}


def gates(folder: Path | None = None) -> tuple[tuple[Gate, ...], str]:
    """The gates that apply and where they come from."""
    from holdfast.run.gates import read_gates
    from holdfast.suites import default_gates

    here = folder or Path()
    for name in (CONFIG, "pyproject.toml"):
        if (here / name).is_file() and (own := read_gates(here / name)) is not None:
            return own, name
    return default_gates(), "default"
