"""Names of models on a hub, `hf:organisation/name@revision`: fetched only where that is allowed."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import Any

from holdfast.core.errors import ConfigError, MissingExtra

_NAME = re.compile(r"(?:[A-Za-z0-9][\w.-]*/)?[A-Za-z0-9][\w.-]*")
_REVISION = re.compile(r"[A-Za-z0-9][\w./-]*")
# Descriptions, weights without code, vocabularies; never Python files, never pickles.
WANTED = ("*.json", "*.safetensors")


def is_hub(spec: str) -> bool:
    """Whether a text names a model on a hub."""
    return spec.startswith("hf:")


def extra(package: str) -> Any:
    """A package of the extra `hf`.

    Raises:
        MissingExtra: if it is not installed.
    """
    try:
        return import_module(package)
    except ImportError:
        raise MissingExtra(
            f"reading models of Hugging Face needs the package {package}",
            fix="pip install 'holdfast[hf]'",
            code="E0603",
        ) from None


def fetched(spec: str, allowed: bool) -> tuple[Path, str]:
    """The folder of a model, and a sentence that says which revision it is.

    A branch or a tag is resolved to the commit that it means now, and that one is fetched, so that
    the sentence names exactly what was audited.

    Args:
        spec: `hf:organisation/name`, with `@revision` or without.
        allowed: whether the network may be used.

    Raises:
        ConfigError: E0166 without leave, E0110 if it is no such name, E0190 if it is not there.
    """
    name, _, revision = spec.removeprefix("hf:").partition("@")
    if (
        not _NAME.fullmatch(name)
        or ".." in spec
        or (revision and not _REVISION.fullmatch(revision))
    ):
        raise ConfigError(
            f"{spec[:80]!r} is no name of a model on the hub",
            fix="Write hf:organisation/name, or hf:organisation/name@revision.",
            code="E0110",
        )
    if not allowed:
        raise ConfigError(
            f"{spec} lies on the hub, and fetching it needs the network",
            fix="Say --allow-network, or fetch it yourself and give its folder.",
            code="E0166",
        )
    hub = extra("huggingface_hub")
    try:
        commit = str(hub.HfApi().model_info(name, revision=revision or None).sha)
        folder = hub.snapshot_download(name, revision=commit, allow_patterns=list(WANTED))
    except Exception as error:  # of the hub, of the line, of the disk
        raise ConfigError(
            f"{spec} cannot be fetched: {type(error).__name__}: {str(error).strip()[:200]}",
            fix="Check the name, the revision and the line; or give a local folder.",
            code="E0190",
        ) from error
    return Path(folder), f"Fetched from the hub: {name}, revision {commit}."
