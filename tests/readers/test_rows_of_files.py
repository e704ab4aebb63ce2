"""Rows in safetensors, JSON lines and text files: what is read, and what is refused and how."""

from __future__ import annotations

import gzip
import json
import struct

import pytest
import torch
from safetensors.torch import save_file

from holdfast.core.errors import HoldfastError
from holdfast.readers import read_data

X = torch.linspace(0, 1, 5 * 2 * 3).reshape(5, 2, 3)
Y = torch.tensor([0, 1, 2, 1, 0])


def code_of(spec, **more) -> str:
    with pytest.raises(HoldfastError) as caught:
        read_data(spec, **more)
    assert caught.value.says and caught.value.fix, "an error says what is wrong and what to do"
    return caught.value.code


def lines(path, *records):
    path.write_text("\n".join(json.dumps(r) for r in records) + "\n")
    return path


@pytest.mark.parametrize("names", [("x", "y"), ("images", "labels"), ("inputs", "labels")])
def test_tensors_are_those_of_the_file(tmp_path, names):
    save_file(dict(zip(names, (X, Y), strict=True)), tmp_path / "rows")
    target = names[1] if names[0] == "inputs" else None
    found = read_data(tmp_path / "rows", target=target)
    assert torch.equal(found.x, X[:, None]) and torch.equal(found.y, Y)
    assert found.truth.name == "rows" and found.classes == ("0", "1", "2")


def test_short_floats_and_bytes_keep_their_meaning(tmp_path):
    for kind in (torch.float16, torch.bfloat16, torch.float8_e4m3fn):
        save_file({"x": torch.tensor([[0.5, 1.0]]).to(kind), "y": Y[:1]}, tmp_path / "f")
        assert read_data(tmp_path / "f").x.tolist() == [[0.5, 1.0]]
    save_file({"x": torch.full((2, 1, 4, 4), 255, dtype=torch.uint8), "y": Y[:2]}, tmp_path / "b")
    assert read_data(tmp_path / "b").x.unique().tolist() == [1.0]


def test_tensors_that_are_no_rows_are_refused(tmp_path):
    file = tmp_path / "rows.safetensors"
    save_file({"a": X, "b": X.clone(), "y": Y}, file)
    assert code_of(file) == "E0133" and code_of(file, target="z") == "E0132"
    assert code_of(file, target="y") == "E0161"
    save_file({"x": X, "y": Y[:3]}, file)
    assert code_of(file) == "E0204"
    save_file({"x": X, "y": Y - 5}, file)
    assert code_of(file) == "E0204"
    save_file({"x": torch.tensor(1.0), "y": torch.tensor(1)}, file)
    assert code_of(file) in ("E0203", "E0204")
    raw = json.dumps({"x": {"dtype": "F32", "shape": [2**40, 9], "data_offsets": [0, 4]}}).encode()
    file.write_bytes(struct.pack("<Q", len(raw)) + raw + b"\0" * 4)
    assert code_of(file) == "E0411"
    save_file({"x": X, "y": Y}, file)
    file.write_bytes(file.read_bytes()[:-9])
    assert code_of(file) == "E0411"


def test_json_lines_of_texts(tmp_path):
    file = lines(tmp_path / "a", {"text": "one, two", "label": "no"}, {"label": "yes", "text": "é"})
    found = read_data(file)
    assert found.x == ["one, two", "é"] and found.y.tolist() == [0, 1]
    assert found.classes == ("no", "yes") and found.truth.form == "text"
    packed = tmp_path / "b"
    packed.write_bytes(gzip.compress(b"\xef\xbb\xbf" + file.read_bytes()))
    assert read_data(packed).x == found.x
    found = read_data(lines(tmp_path / "c", {"prompt": "why?"}, {"prompt": "how?"}))
    assert found.x == ["why?", "how?"] and found.y.tolist() == [-100, -100]
    found = read_data(
        lines(tmp_path / "d", {"text": "a", "label": 1}, {"text": "b", "label": None})
    )
    assert found.y.tolist() == [1, -100]
    assert read_data(file, limit=1).x[0] in ("one, two", "é")


def test_json_lines_of_numbers(tmp_path):
    rows = [{"b": k / 2, "a": k, "good": k > 1} for k in range(4)]
    found = read_data(lines(tmp_path / "a", *rows), target="good")
    assert found.x.tolist() == [[k / 2, k] for k in range(4)] and found.y.tolist() == [0, 0, 1, 1]
    assert found.truth.columns == ("b", "a") and found.truth.form == "table"
    (tmp_path / "b").write_text(json.dumps(rows, indent=1))
    assert torch.equal(read_data(tmp_path / "b", target="good").x, found.x)
    nested = [{"x": x.tolist(), "y": int(y)} for x, y in zip(X, Y, strict=True)]
    found = read_data(lines(tmp_path / "c", *nested))
    assert torch.equal(found.x, X[:, None]) and torch.equal(found.y, Y)


def test_text_files_are_prompts_line_by_line(tmp_path):
    (tmp_path / "p.txt").write_text("Why, and how?\n\n  Say: it.\n")
    found = read_data(tmp_path / "p.txt")
    assert found.x == ["Why, and how?", "  Say: it."] and found.y.tolist() == [-100, -100]
    (tmp_path / "t.txt").write_text("a,y\n0.5,0\n0.25,1\n")
    assert read_data(tmp_path / "t.txt", target="y").x.tolist() == [[0.5], [0.25]]
    (tmp_path / "p.txt").write_bytes(b"caf\xe9\n")
    assert code_of(tmp_path / "p.txt") == "E0411"
    (tmp_path / "p.txt").write_text("a" * (2 << 20))
    assert code_of(tmp_path / "p.txt") == "E0206"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('{"text": "a", "label": 0}\n{"text": "b"}', "E0160"),  # ragged
        ('{"text": "a", "text": "b"}', "E0160"),  # a key twice
        ('{"text": "a"}\n["b"]', "E0160"),
        ('{"text": "a"\n"label": 0}', "E0160"),
        ('{"a": NaN, "y": 0}', "E0160"),
        ('{"a": ' + "[" * 100_000, "E0160"),  # deep
        ('{"a": ' + "9" * 9999 + ', "y": 0}', "E0160"),
        ("{}", "E0137"),
        ('{"text": "a", "label": 0}\n{"text": 3, "label": 0}', "E0206"),
        ('{"text": "a", "label": "no"}\n{"text": "b", "label": 1}', "E0204"),
        ('{"text": "a", "label": [0, 1]}', "E0204"),
        ('{"text": "a", "label": 0.5}', "E0204"),
        ('{"text": "a", "label": 1e300}', "E0204"),
        ('{"text": "a", "label": 99999999999999999999999}', "E0204"),
        ('{"a": "text", "y": 0}', "E0206"),
        ('{"a": null, "y": 0}', "E0207"),
        ('{"a": 1e999, "y": 0}', "E0206"),
        ('{"a": ' + "9" * 400 + ', "y": 0}', "E0206"),
        ('{"y": 0}', "E0206"),
        ('{"a": 1, "z": 0}', "E0132"),
        ('{"x": [1, 2], "y": 0}\n{"x": [1], "y": 0}', "E0203"),
        ('{"x": [[1], [2, 3]], "y": 0}', "E0203"),
        ('{"x": ["a"], "y": 0}', "E0203"),
        ('{"x": [1, null], "y": 0}', "E0203"),
    ],
)
def test_lines_that_are_no_rows_are_refused(tmp_path, text, code):
    (tmp_path / "rows.jsonl").write_text(text)
    target = None if any(k in text for k in ('"text":', '"x":')) else "y"
    assert code_of(tmp_path / "rows.jsonl", target=target) == code


def test_nothing_is_unpacked_beyond_the_limit(tmp_path):
    row = json.dumps({"text": "a" * 1000, "label": 0}).encode() + b"\n"
    (tmp_path / "bomb").write_bytes(gzip.compress(row * 5000))
    assert code_of(tmp_path / "bomb", max_bytes=1 << 20) == "E0415"
    assert len(read_data(tmp_path / "bomb")) == 5000
    save_file({"x": X, "y": Y}, tmp_path / "rows")
    assert code_of(tmp_path / "rows", max_bytes=100) == "E0135"
