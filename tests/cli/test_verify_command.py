import csv
import json

import pytest
from tests.certify.onnx_nets import mlp, specification

from holdfast.cli.front import run

pytest.importorskip("onnx")


def instance(folder, limit, name="s"):
    net = mlp(folder / "n.onnx", (2, 4, 2))
    return net, specification(folder / f"{name}.vnnlib", [-1, -1], [1, 1],
                              f"(>= Y_0 {limit!r})", count=2)  # fmt: skip


def test_unsat_with_a_proof_that_is_accepted(tmp_path, capsys):
    net, spec = instance(tmp_path, 100.0)
    proof = tmp_path / "p.npz"
    assert run(["verify", str(net), str(spec), "--timeout", "20", "--proof", str(proof)]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "unsat"
    assert run(["check-proof", str(net), str(spec), str(proof)]) == 0
    assert capsys.readouterr().out.startswith("accepted")
    _, other = instance(tmp_path, -100.0, "other")
    assert run(["check-proof", str(net), str(other), str(proof), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["accepted"] is False


def test_sat_with_its_witness(tmp_path, capsys):
    net, spec = instance(tmp_path, -100.0)
    assert run(["verify", str(net), str(spec), "--timeout", "20"]) == 1
    first, *rest = capsys.readouterr().out.splitlines()
    assert first == "sat"
    assert rest[0].startswith("((X_0 ")
    assert rest[-1].endswith("))")
    place = tmp_path / "w.txt"
    assert run(["verify", str(net), str(spec), "--json", "--witness", str(place)]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["answer"] == "sat"
    assert len(told["witness"]["x"]) == 2
    assert place.read_text().startswith("((X_0 ")


def test_unknown_says_why(tmp_path, capsys, monkeypatch):
    import holdfast.cli.verify as command
    from holdfast.certify.properties.verify import Verification

    told = Verification("unknown", reason="no proof and no witness in time")
    monkeypatch.setattr(command, "decided", lambda *a, **k: (told, ""))
    net, spec = instance(tmp_path, 0.0)
    assert run(["verify", str(net), str(spec)]) == 3
    shown = capsys.readouterr()
    assert shown.out == "unknown\n"
    assert "in time" in shown.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["verify"], "name a network"),
        (["verify", "none.onnx", "none.vnnlib"], "no file"),
        (["verify", "--index", "none.csv"], "no file"),
        (["verify", "a.onnx", "--index", "i.csv"], "--index takes no network"),
        (["verify", "a.onnx", "b.vnnlib", "--timeout", "soon"], "cannot read"),
        (["check-proof", "a", "b", "c"], "no file"),
    ],
)
def test_wrong_use_is_explained(words, says, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(words) == 2
    assert says in capsys.readouterr().err


def test_a_table_goes_on_where_it_was(tmp_path, capsys, monkeypatch):
    net, safe = instance(tmp_path, 100.0, "safe")
    _, unsafe = instance(tmp_path, -100.0, "unsafe")
    index, out = tmp_path / "index.csv", tmp_path / "out.csv"
    index.write_text(
        "onnx,vnnlib,expected\n"
        f"{net.name},{safe.name},unsat\n{net.name},{unsafe.name},sat\n{net.name},gone.vnnlib,sat\n"
    )
    words = ["verify", "--index", str(index), "--out", str(out), "--timeout", "10"]
    assert run(words) == 3  # one cannot be read
    assert "1/3  unsat" in capsys.readouterr().out
    rows = list(csv.DictReader(out.open()))
    assert [row["answer"] for row in rows] == ["unsat", "sat", "unknown"]
    assert "no file" in rows[2]["reason"]
    whole = out.read_text()
    assert run(words) == 3
    assert out.read_text() == whole  # nothing ran again
    out.write_text("\n".join(whole.splitlines()[:2]) + "\n")  # stopped after one row
    assert run([*words, "--json"]) == 3
    assert [row["answer"] for row in csv.DictReader(out.open())] == ["unsat", "sat", "unknown"]


def test_an_answer_that_differs_is_seen(tmp_path, capsys):
    net, safe = instance(tmp_path, 100.0, "safe")
    index = tmp_path / "index.csv"
    index.write_text(f"onnx,vnnlib,expected\n{net.name},{safe.name},sat\n")
    words = ["verify", "--index", str(index), "--out", str(tmp_path / "o.csv"), "--timeout", "10"]
    assert run(words) == 1
    assert "EXPECTED sat" in capsys.readouterr().out
