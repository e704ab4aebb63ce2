"""docs/models.md and docs/data.md against the readers: codes, exchanges, forms."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest
import torch
from tests.readers.servers import served

import holdfast
from holdfast.readers import address, endpoint, onnx_model, read_model
from holdfast.readers.json_rows import TEXTS

DOCS = Path(__file__).parents[2] / "docs"
MODELS, DATA = (" ".join((DOCS / f"{n}.md").read_text("utf-8").split()) for n in ("models", "data"))
BLOCKS = re.findall(r"```json\n(.*?)\n```", (DOCS / "models.md").read_text("utf-8"), re.S)


def codes() -> set[str]:
    """Every code that a reader raises."""
    found = set()
    for file in (Path(holdfast.__file__).parent / "readers").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and re.fullmatch(r"E0\d{3}", str(node.value)):
                found.add(str(node.value))
    return found


def test_codes_of_the_pages_are_raised_by_readers():
    named = set(re.findall(r"E0\d{3}", MODELS + DATA))
    assert {f"E016{k}" for k in range(7)} <= named <= codes()


@pytest.mark.parametrize("answer", BLOCKS[1:])
def test_the_exchange_of_the_page_is_the_one_of_the_program(answer, monkeypatch):
    request = json.loads(BLOCKS[0])

    def told(rows, handler):
        return json.loads(answer) if len(rows) == 2 else {"logits": [[0.0, 0.0]] * len(rows)}

    with served(told) as (url, seen):
        read = read_model(url, shape=(2,), trial=False)
        z = read(torch.tensor(request["inputs"], dtype=torch.float64))
        assert seen[-1] == request["inputs"]
    (said,) = json.loads(answer).values()
    want = torch.tensor(said)
    assert torch.allclose(z if "logits" in answer else z.exp(), want)


def test_numbers_of_the_pages_are_those_of_the_program():
    assert len(BLOCKS) == 3
    assert f"{endpoint.ROWS} rows at most" in MODELS and f"after {endpoint.TIMEOUT:g} s" in MODELS
    assert f"{address.MOST >> 20} MiB" in MODELS and len(endpoint.PAUSES) == 2
    assert f"{onnx_model.TRIED} random rows" in MODELS and f"more than {onnx_model.AGREE}" in MODELS
    assert all(f"`{name}`" in DATA or f'"{name}"' in DATA for name in TEXTS)
