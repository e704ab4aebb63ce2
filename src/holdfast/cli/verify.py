"""`holdfast verify`: decide a property of a network, or a table of them."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from holdfast.cli import options as words
from holdfast.core.errors import ConfigError

if TYPE_CHECKING:
    from holdfast.certify.properties.verify import Verification

CODES = {"unsat": 0, "sat": 1, "unknown": 3}
ONE, TABLE = "What is written", "A table of instances"


def verify(
    network: Annotated[str | None, typer.Argument(help="An ONNX file, .gz too.")] = None,
    spec: Annotated[str | None, typer.Argument(help="A VNN-LIB file, .gz too.")] = None,
    timeout: Annotated[str, typer.Option(help="As 90s or 5m; for each instance.")] = "60",
    attack: Annotated[
        bool, typer.Option("--attack/--no-attack", help="Look for witnesses besides proofs.")
    ] = True,
    seed: Annotated[int, typer.Option(help="Of the search for witnesses.")] = 0,
    witness: Annotated[
        str | None, typer.Option(help="Write the witness here.", rich_help_panel=ONE)
    ] = None,
    proof: Annotated[
        str | None,
        typer.Option(help="Write a proof, for check-proof: FILE.npz.", rich_help_panel=ONE),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document.", rich_help_panel=ONE)
    ] = False,
    index: Annotated[
        str | None,
        typer.Option(help="A csv with columns onnx, vnnlib (expected).", rich_help_panel=TABLE),
    ] = None,
    root: Annotated[
        str | None,
        typer.Option(help="Where its paths begin; its own folder.", rich_help_panel=TABLE),
    ] = None,
    out: Annotated[
        str, typer.Option(help="Results; finished rows are kept.", rich_help_panel=TABLE)
    ] = "verified.csv",
) -> int:
    """Prove that a network never reaches the unsafe set of a specification, or find where it does.

    Prints unsat (proved: no input of the specification is unsafe), sat and a witness (replayed on
    the original file, by onnxruntime where installed), or unknown. A proof can be checked by
    `holdfast check-proof`. With --index a table of instances is run; the same command again
    continues it, and answers are compared with the column `expected`.

    Exit codes: 0 unsat, 1 sat, 2 usage, 3 unknown, 4 internal, 130 interrupted. For a table: 0
    everything decided, 1 an answer differs from the expected one, 3 something is unknown.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    words.patient()
    limit = words.seconds(timeout) or 60.0
    if index is not None:
        if network is not None or proof or witness:
            raise ConfigError(
                "verify: --index takes no network, --proof or --witness",
                fix=f"holdfast verify --index {index}", code="E0187",
            )  # fmt: skip
        from holdfast.cli.instances import run_table

        return run_table(
            Path(index), Path(root) if root else None, Path(out), limit, attack, seed, json
        )
    if network is None or spec is None:
        raise ConfigError(
            "verify: name a network and a specification",
            fix="holdfast verify NET.onnx SPEC.vnnlib", code="E0187",
        )  # fmt: skip
    found, by = decided(network, spec, limit, attack=attack, seed=seed, record=proof is not None)
    told = document(network, spec, found, by)
    if found.answer == "unsat" and proof is not None:
        told["proof"] = _save(found, network, spec, proof)
    _show(found, told, witness, as_json=json)
    return CODES[found.answer]


def decided(
    network: str, spec: str, limit: float, *, attack: bool, seed: int, record: bool = False
) -> tuple[Verification, str]:
    """The verdict, and what replayed the witness."""
    from holdfast.certify.properties.verify import verify as decide
    from holdfast.core.dice import Dice
    from holdfast.readers.onnx import read_onnx
    from holdfast.readers.replay import Replay
    from holdfast.readers.vnnlib import read_property

    prop, model = read_property(spec), read_onnx(network)
    replay = Replay(network, model)
    found = decide(
        model, prop, shape=model.shape, dtype=model.dtype, timeout=limit, attack=attack,
        record=record, replay=replay, dice=Dice.of(1, seed),
    )  # fmt: skip
    return found, replay.by


def document(network: str, spec: str, found: Verification, by: str) -> dict[str, Any]:
    """The verdict as plain values."""
    told: dict[str, Any] = {
        "network": network, "property": spec, "answer": found.answer,
        "seconds": round(found.seconds, 3), "reason": found.reason, "domains": found.domains,
        "stages": {name: round(seconds, 3) for name, seconds in found.stages.items()},
    }  # fmt: skip
    if found.witness is not None:
        x = [float(v) for v in found.witness.x]
        told["witness"] = {"x": x, "y": list(found.witness.y), "replayed_by": by}
    return told


def _save(found: Verification, network: str, spec: str, place: str) -> str | None:
    """Write the proof that the search kept; None where the checker cannot read the network."""
    import hashlib

    from holdfast.certify.checker.network import Network
    from holdfast.certify.checker.rejected import Rejected
    from holdfast.readers.onnx_file import MAX_BYTES
    from holdfast.readers.packed import unpacked

    raw, text = (unpacked(Path(p), MAX_BYTES) for p in (network, spec))
    try:
        Network(raw)
    except Rejected as error:
        typer.echo(f"no proof is written: {error}", err=True)
        return None
    if found.proof is None:
        return None
    digests = [hashlib.sha256(content).hexdigest() for content in (raw, text)]
    found.proof.save(place, network=digests[0], property=digests[1])
    return place


def _show(found: Verification, told: dict[str, Any], witness: str | None, *, as_json: bool) -> None:
    from holdfast.readers.vnnlib_text import witness_text

    text = witness_text(found.witness.x, found.witness.y) if found.witness else ""
    if text and witness is not None:
        Path(witness).write_text(text, "utf-8")
        told["written"] = witness
    if as_json:
        from holdfast.run.writing import canonical

        typer.echo(canonical(told), nl=False)
        return
    typer.echo(found.answer)
    if text and witness is None:
        typer.echo(text, nl=False)
    if found.reason:
        typer.echo(found.reason, err=True)
