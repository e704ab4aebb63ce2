"""`holdfast doctor`: what is installed, what is missing, what the machine offers."""

from __future__ import annotations

import json as text
import os
import platform
import shutil
from typing import Annotated, Any

import typer

EXTRAS = (
    "kornia", "transformers", "onnx", "ray", "submitit", "cvxpy", "gymnasium", "POT", "flwr",
    "starlette", "uvicorn",
)  # fmt: skip


def facts() -> dict[str, Any]:
    """Versions and licences of what holdfast needs, devices, folders."""
    from importlib import metadata

    from holdfast import __version__

    needed = []
    for line in metadata.requires("holdfast") or ():
        if "extra ==" not in line:
            needed.append(line.split(";")[0].split(">")[0].split("=")[0].strip())
    versions, licences = {}, {}
    for name in needed:
        try:
            about = metadata.metadata(name)
            versions[name] = about["Version"]
            stated = [about[k] for k in ("License-Expression", "License") if k in about]
            licences[name] = "".join(stated[:1]).partition("\n")[0]
        except metadata.PackageNotFoundError:
            versions[name] = "missing"
    extras = {}
    for name in EXTRAS:
        try:
            extras[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            extras[name] = ""
    return {
        "holdfast": __version__, "python": platform.python_version(),
        "platform": platform.platform(), "cores": os.cpu_count(), "packages": versions,
        "licences": licences, "extras": extras,
        "free_gb": round(shutil.disk_usage(".").free / 1e9, 1),
        "writable": os.access(".", os.W_OK),
    }  # fmt: skip


def doctor(
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> int:
    """Check the installation; ends with 1 if something needed is missing."""
    found = facts()
    found["device"] = "cpu"
    if found["packages"].get("torch") != "missing":
        import torch

        if torch.cuda.is_available():
            found["device"] = torch.cuda.get_device_name()
    missing = [name for name, version in found["packages"].items() if version == "missing"]
    if json:
        print(text.dumps(found | {"missing": missing}, indent=1, sort_keys=True))
        return 1 if missing else 0
    print(f"holdfast {found['holdfast']}, python {found['python']}, {found['platform']}")
    print(f"{found['cores']} cores, device {found['device']}, {found['free_gb']} GB free")
    for name, version in found["packages"].items():
        mark = "✗" if version == "missing" else "✓"
        print(f"  {mark} {name:<14} {version:<12} {found['licences'].get(name, '')[:40]}".rstrip())
    print("  optional: " + ", ".join(f"{k} {v or '-'}" for k, v in found["extras"].items()))
    if missing:
        print(f"repair: pip install {' '.join(missing)}")
    return 1 if missing else 0
