"""A catalogue that forgets after a test what its plugins brought."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from holdfast.cli import plugged
from holdfast.core import catalog
from holdfast.run import cells, plugins


@contextmanager
def forgetting() -> Iterator[None]:
    """Let plugins come in for the block, and go behind it."""
    catalog.entries()
    modules = set(sys.modules)
    cells._catalogue.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalog, "_ENTRIES", dict(catalog._ENTRIES))
        patch.setattr(catalog, "_BY_ID", dict(catalog._BY_ID))
        for name in ("_METHODS", "_PACKAGES"):
            patch.setattr(plugins, name, {})
        patch.setattr(plugins, "_THINGS", {slot: {} for slot in plugins.SLOTS})
        patch.setattr(plugged, "_DONE", set())
        yield
    cells._catalogue.cache_clear()
    for name in set(sys.modules) - modules:
        if name.startswith("entry_"):
            del sys.modules[name]
