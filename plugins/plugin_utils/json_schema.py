# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of JSON Schema (draft 2020-12) that this collection's schemas use: no library is needed on the controller.

A keyword that is not known here is an error, never ignored: a schema must not promise what nobody checks.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Callable

Schema = Mapping[str, Any]

_ANNOTATIONS = frozenset({"$schema", "$comment", "$id", "title", "description", "default", "examples"})
_TYPES = {"object": "a mapping", "array": "a list", "string": "text", "boolean": "true or false", "integer": "a number"}


def problems(value: Any, schema: Schema, where: str = "") -> Iterator[str]:
    """A sentence for each way in which ``value``, at ``where`` of its document, is not what ``schema`` wants.

    Raises ValueError for a schema with keywords that are not known here.
    """
    unknown = schema.keys() - _ANNOTATIONS - _CHECKS.keys()
    if unknown:
        raise ValueError(f"JSON schema, at {where or 'its top'}: unknown keywords {', '.join(sorted(unknown))}")
    wanted = schema.get("type")
    if wanted is not None and not _is_a(value, wanted):
        yield f"{_at(where)}{_shown(value)} is not {_TYPES[wanted]}"
        return
    for keyword, check in _CHECKS.items():
        if keyword in schema:
            yield from check(value, schema, where)


def _is_a(value: Any, name: str) -> bool:
    if name == "integer":
        number = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        return number and not isinstance(value, bool)
    kinds: dict[str, type] = {"object": dict, "array": list, "string": str, "boolean": bool}
    return isinstance(value, kinds[name])


def _equal(one: Any, other: Any) -> bool:
    """Equality of JSON: true is not 1."""
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _key(value: Any) -> str:
    """Returns a key that is the same for values that are equal as JSON has it, where 1 and 1.0 are, and 1 and true are
    not."""
    if isinstance(value, dict):
        return json.dumps({name: _key(item) for name, item in value.items()}, sort_keys=True)
    if isinstance(value, list):
        return json.dumps([_key(item) for item in value])
    return json.dumps(int(value) if _is_a(value, "integer") else value, default=str)


def _at(where: str) -> str:
    return f"{where}: " if where else ""


def _shown(value: Any) -> str:
    """``value`` for people; characters that cannot be seen, or that steer a terminal, as escapes."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    text = text if len(text) <= 80 else f"{text[:77]}..."
    return "".join(one if one.isprintable() else json.dumps(one)[1:-1] for one in text)


def _const(value: Any, schema: Schema, where: str) -> Iterator[str]:
    if not _equal(value, schema["const"]):
        yield f"{_at(where)}{_shown(value)} is not {_shown(schema['const'])}"


def _enum(value: Any, schema: Schema, where: str) -> Iterator[str]:
    if not any(_equal(value, one) for one in schema["enum"]):
        yield f"{_at(where)}{_shown(value)} is none of {', '.join(map(_shown, schema['enum']))}"


def _pattern(value: Any, schema: Schema, where: str) -> Iterator[str]:
    if isinstance(value, str) and not re.search(schema["pattern"], value):
        example = f", as {_shown(schema['examples'][0])} does" if schema.get("examples") else ""
        hint = schema.get("$comment") or f"does not match {schema['pattern']}"
        yield f"{_at(where)}{_shown(value)} {hint}{example}"


def _minimum(value: Any, schema: Schema, where: str) -> Iterator[str]:
    if _is_a(value, "integer") and value < schema["minimum"]:
        yield f"{_at(where)}{_shown(value)} is less than {schema['minimum']}"


def _maximum(value: Any, schema: Schema, where: str) -> Iterator[str]:
    if _is_a(value, "integer") and value > schema["maximum"]:
        yield f"{_at(where)}{_shown(value)} is more than {schema['maximum']}"


def _items(value: Any, schema: Schema, where: str) -> Iterator[str]:
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from problems(item, schema["items"], f"{where}[{number}]")


def _min_items(value: Any, schema: Schema, where: str) -> Iterator[str]:
    if isinstance(value, list) and len(value) < schema["minItems"]:
        yield f"{_at(where)}holds {len(value)} items, and {schema['minItems']} are the least"


def _unique_items(value: Any, schema: Schema, where: str) -> Iterator[str]:
    if isinstance(value, list) and schema["uniqueItems"]:
        seen: set[str] = set()
        for item in value:
            key = _key(item)
            if key in seen:
                yield f"{_at(where)}holds {_shown(item)} twice"
            seen.add(key)


def _required(value: Any, schema: Schema, where: str) -> Iterator[str]:
    if isinstance(value, dict):
        for name in schema["required"]:
            if name not in value:
                yield f"{_at(where)}{name} is missing"


def _properties(value: Any, schema: Schema, where: str) -> Iterator[str]:
    if isinstance(value, dict):
        for name, item in value.items():
            if name in schema["properties"]:
                yield from problems(item, schema["properties"][name], f"{where}.{name}" if where else str(name))


def _additional_properties(value: Any, schema: Schema, where: str) -> Iterator[str]:
    if schema["additionalProperties"] is not False:
        raise ValueError("JSON schema: additionalProperties can only be false here")
    if isinstance(value, dict):
        known = schema.get("properties", {})
        for name in value:
            if name not in known:
                yield f"{_at(where)}{_shown(name)} is unknown; known are {', '.join(known)}"


_CHECKS: dict[str, Callable[[Any, Schema, str], Iterator[str]]] = {
    "type": lambda _value, _schema, _where: iter(()),  # checked first: the others rely on it
    "const": _const,
    "enum": _enum,
    "pattern": _pattern,
    "minimum": _minimum,
    "maximum": _maximum,
    "minItems": _min_items,
    "uniqueItems": _unique_items,
    "items": _items,
    "additionalProperties": _additional_properties,
    "required": _required,
    "properties": _properties,
}
