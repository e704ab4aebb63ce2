"""The tables of docs/data.md against the registry of the readers."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

from holdfast.core.errors import HoldfastError
from holdfast.readers import coco
from holdfast.readers.published import PYTHON_ONLY, families, noisebench, released, rewardbench
from holdfast.readers.published.release import chosen

PAGE = (Path(__file__).parents[2] / "docs" / "data.md").read_text("utf-8")
LINES = [line.strip("| ").split(" | ") for line in PAGE.splitlines() if line.startswith("| `")]
ROWS = {cells[0].strip("`"): [c.strip("`<>") for c in cells[1:]] for cells in LINES}


def test_every_family_stands_in_a_table_once_and_as_the_readers_say_it() -> None:
    assert len(ROWS) == len(LINES)
    assert set(ROWS) == set(families()) | set(PYTHON_ONLY)
    for name, family in families().items():
        says, layout, example, link = ROWS[name]
        assert (says, layout, link) == (family.says, family.layout, family.link)
        assert example.startswith(f"{name}:")
    links = {
        "coco-o": coco.PUBLISHED,
        "noisebench": noisebench.LINK,
        "rewardbench": rewardbench.LINK,
    }
    for name, reader in PYTHON_ONLY.items():
        function, layout, link = ROWS[name]
        assert function == reader and link == links[name]
        own = getattr(import_module(reader.rpartition(".")[0]), "LAYOUT", layout)
        assert layout == own


@pytest.mark.parametrize("name", sorted(families()))
def test_examples_are_understood(name: str, tmp_path: Path) -> None:
    """An example of a folder that is not there gets as far as missing the folder."""
    example = ROWS[name][2]
    with pytest.raises(HoldfastError) as caught:
        released(example.replace(f"{name}:", f"{name}:{tmp_path}/"))
    assert ROWS[name][3] in caught.value.fix
    _, _, place = example.partition(":")
    parts = place.partition(":")[2]
    with pytest.raises(HoldfastError) as caught:
        chosen(families()[name], name, tmp_path, parts)
    assert all(part in caught.value.says for part in parts.split(","))


def test_commands_of_the_page_name_families_that_are_there() -> None:
    named = re.findall(r"MODEL --data ([\w-]+):FOLDER", PAGE)
    assert named and set(named) <= set(families())
