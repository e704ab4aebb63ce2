"""Options that several commands share: what is read, and how it is read."""

from __future__ import annotations

from typing import Annotated

import typer

READ, WRITE = "What is read", "What is written"

Model = Annotated[
    str | None,
    typer.Argument(help="Weights, an ONNX file, a folder, an address, or module:function."),
]
Data = Annotated[
    str | None,
    typer.Option(help="Folder, file, digits, or module:function.", rich_help_panel=READ),
]
Reference = Annotated[
    str | None,
    typer.Option(
        help="Training or calibration data; without it half of DATA stays out.",
        rich_help_panel=READ,
    ),
]
Arch = Annotated[
    str | None, typer.Option(help="module:function or file.py:function.", rich_help_panel=READ)
]
Mean = Annotated[
    str | None, typer.Option(help="Subtracted inside the model.", rich_help_panel=READ)
]
Std = Annotated[str | None, typer.Option(help="Divided by inside the model.", rich_help_panel=READ)]
Target = Annotated[str | None, typer.Option(help="Label column of a table.", rich_help_panel=READ)]
Limit = Annotated[
    int | None, typer.Option(min=1, help="At most so many rows.", rich_help_panel=READ)
]
Trust = Annotated[
    bool, typer.Option("--trust", help="Run code inside the file.", rich_help_panel=READ)
]
AllowNetwork = Annotated[
    bool,
    typer.Option("--allow-network", help="Fetch hf:org/name from the hub.", rich_help_panel=READ),
]
MaxBytes = Annotated[
    int | None,
    typer.Option(min=1, help="Unpack no file to more; 4 GiB.", rich_help_panel=READ),
]
Plugin = Annotated[
    list[str] | None,
    typer.Option(help="A file.py that brings methods; repeatable.", rich_help_panel=READ),
]
Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON document.", rich_help_panel=WRITE)
]
