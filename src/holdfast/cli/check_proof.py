"""`holdfast check-proof`: accept a proof, or say why not."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from holdfast.core.errors import ConfigError, MissingExtra


def check_proof(
    network: Annotated[str, typer.Argument(help="The ONNX file.")],
    spec: Annotated[str, typer.Argument(help="The VNN-LIB file.")],
    proof: Annotated[str, typer.Argument(help="What `verify --proof` wrote.")],
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> int:
    """Check a proof that no input of a specification is unsafe, without trusting what found it.

    The checker shares no code with the engine. It reads both files by itself and computes every
    bound again, in interval arithmetic that is rounded outward. What an accepted proof says
    stands in docs/proofs.md.

    Exit codes: 0 accepted, 1 rejected, 2 usage, 4 internal.
    """
    for place in (network, spec, proof):
        if not Path(place).is_file():
            raise ConfigError(
                f"there is no file {place}",
                fix=f"Name a file that exists; ls {Path(place).parent} lists what is there.",
                code="E0189",
            )
    from holdfast.certify.checker import Rejected, check

    try:
        found = check(network, spec, proof)
    except ImportError:
        raise MissingExtra(
            "checking proofs needs the package onnx", fix="pip install 'holdfast[onnx]'",
            code="E0604",
        ) from None  # fmt: skip
    except Rejected as reason:
        _say(json, {"accepted": False, "reason": str(reason)}, f"rejected: {reason}")
        return 1
    told: dict[str, object] = {
        "accepted": True, "alternatives": found.alternatives, "leaves": found.leaves,
        "refutations": found.refutations,
    }  # fmt: skip
    _say(json, told, f"accepted: {found.leaves} parts, {found.refutations} refutations")
    return 0


def _say(as_json: bool, told: dict[str, object], text: str) -> None:
    if as_json:
        from holdfast.run.writing import canonical

        typer.echo(canonical(told), nl=False)
    else:
        typer.echo(text)
