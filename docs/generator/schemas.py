"""JSON Schemas: of holdfast.toml from the options and checks, of results.json from documents."""

from __future__ import annotations

import inspect
from typing import Any, get_args

from holdfast.cli.options import REMEMBERED
from holdfast.core.catalog import entries
from holdfast.core.fields import schema

DRAFT = "https://json-schema.org/draft/2020-12/schema"
_NAMES = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}
RULE = r"^\s*(>=|<=|>|<)\s*(baseline\s*[-+]\s*)?\d"


def config() -> dict[str, Any]:
    """The schema of holdfast.toml."""
    from holdfast.cli.audit import audit

    taken = inspect.get_annotations(audit, eval_str=True)
    options: dict[str, Any] = {"model": {"type": "string", "description": "Which model."}}
    for name in REMEMBERED:
        kind, about = get_args(taken[name])[:2]
        types = [
            _NAMES[t] for t in get_args(kind) or (kind,) if t in _NAMES and t is not type(None)
        ]
        listed = {"type": ["string", "array"], "items": {"type": "string"}}
        options[name] = (
            (listed if name == "threat" else {"type": types or ["string"]})
            | {"description": about.help or ""}
        )  # fmt: skip
    checks = []
    for entry in entries("check"):
        own = schema(entry.thing) if entry.is_settings else {"properties": {}}
        checks.append({
            "title": entry.key, "description": entry.says,
            "properties": {"use": {"const": entry.key}, "weight": {"exclusiveMinimum": 0}}
            | {k: {"description": str(v.get("description", ""))} | {
                n: v[n] for n in ("type", "minimum", "maximum", "exclusiveMinimum",
                                  "exclusiveMaximum", "enum", "default") if n in v}
               for k, v in own.get("properties", {}).items()},
            "required": ["use"],
        })  # fmt: skip
    check = {"type": "array", "items": {"type": "object", "required": ["use"], "anyOf": checks}}
    suite = {"type": "object", "properties": {"check": check}}
    return {
        "$schema": DRAFT, "title": "holdfast.toml", "type": "object",
        "properties": {
            "audit": {"type": "object", "properties": options},
            "gate": {"type": "object", "additionalProperties": {"type": "string", "pattern": RULE}},
            "suite": {"type": "object", "additionalProperties": suite},
        },
    }  # fmt: skip


def of(value: Any) -> dict[str, Any]:
    """The schema that one value obeys."""
    if isinstance(value, dict):
        return {"type": "object", "properties": {k: of(v) for k, v in sorted(value.items())},
                "required": sorted(value)}  # fmt: skip
    if isinstance(value, list | tuple):
        found: dict[str, Any] = {"type": "array"}
        for item in value:
            found["items"] = joined(found["items"], of(item)) if "items" in found else of(item)
        return found
    return {"type": _NAMES[type(value)]}


def joined(a: dict[str, Any], b: dict[str, Any]) -> dict[str, Any]:
    """The schema that both kinds of value obey."""
    kinds = [x["type"] if isinstance(x["type"], list) else [x["type"]] for x in (a, b)]
    both = sorted({*kinds[0], *kinds[1]})
    made: dict[str, Any] = {"type": both if len(both) > 1 else both[0]}
    if "properties" in a and "properties" in b:
        p, q = a["properties"], b["properties"]
        made["properties"] = {
            k: joined(p[k], q[k]) if k in p and k in q else p.get(k) or q[k]
            for k in sorted({*p, *q})
        }
        made["required"] = sorted({*a["required"]} & {*b["required"]})
    else:
        made |= {k: x[k] for x in (a, b) for k in ("properties", "required") if k in x}
    items = [x["items"] for x in (a, b) if "items" in x]
    if items:
        made["items"] = joined(*items) if len(items) == 2 else items[0]
    return made


def results(documents: list[dict[str, Any]]) -> dict[str, Any]:
    """The schema that all of some audits' results.json obey."""
    found = of(documents[0])
    for each in documents[1:]:
        found = joined(found, of(each))
    return {"$schema": DRAFT, "title": "results.json"} | found
