# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""JSON that somebody else may have written: bounded, without what our own files never hold.

The standard parser follows any depth until Python's stack ends, turns ``1e999`` into infinity, takes NaN, reads
integers of any length in quadratic time, and lets a later key silently replace an earlier one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from ..errors import FormatError
from .names import is_text

LONGEST_TEXT = 1 << 20  # bytes of one string
DEEPEST = 16  # levels of lists and objects in a record
LARGEST = (1 << 64) - 1  # LSNs and sizes are of 64 bits
_LONGEST_NUMBER = 40  # characters


def parse_object(data: bytes, where: str, *, max_bytes: int) -> dict[str, Any]:
    """The JSON object in ``data``, as ``parse_value``; raises FormatError for anything else, too."""
    found = parse_value(data, where, max_bytes=max_bytes)
    if not isinstance(found, dict):
        raise FormatError(f"{where}: not a JSON object", where=where)
    return found


def parse_value(data: bytes, where: str, *, max_bytes: int) -> Any:
    """The JSON in ``data``, found at ``where``; bytes that are not UTF-8 become surrogates.

    Raises FormatError for what is no JSON, for more than ``max_bytes``, numbers beyond 64 bits, and keys given twice.
    How deep it may be is up to ``require_plain``; what is too deep for the parser is refused here.
    """
    if len(data) > max_bytes:
        raise FormatError(f"{where}: {len(data)} bytes, which is more than {max_bytes}", where=where)
    try:
        return json.loads(
            data.decode("utf-8", "surrogateescape"),
            parse_int=_integer,
            parse_float=_real,
            parse_constant=_constant,
            object_pairs_hook=_object,
        )
    except RecursionError:
        raise FormatError(f"{where}: lists or objects nested too deeply", where=where) from None
    except ValueError as error:
        raise FormatError(f"{where}: {error}", where=where) from error


def require_plain(value: object, where: str) -> None:
    """Raises FormatError when parsed JSON is nested more than DEEPEST, or holds text that cannot be written again."""
    level: list[object] = [value]
    for _depth in range(DEEPEST + 1):
        following: list[object] = []
        for item in level:
            if isinstance(item, dict):
                following += [*item, *item.values()]
            elif isinstance(item, list):
                following += item
            elif isinstance(item, str) and not is_text(item, LONGEST_TEXT):
                raise FormatError(f"{where}: text that is too long or no text", where=where)
        if not following:
            return
        level = following
    raise FormatError(f"{where}: lists or objects nested more than {DEEPEST} deep", where=where)


def whole(value: object, where: str, what: str, largest: int = LARGEST) -> int:
    """``value`` when it is an integer from 0 to ``largest``; raises FormatError."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= largest:
        raise FormatError(f"{where}: {what} is {str(value)[:40]!r}, not a number from 0 to {largest}", where=where)
    return value


def whole_of(text: str, where: str, what: str, largest: int = LARGEST) -> int:
    """The number from 0 to ``largest`` that ``text`` says in decimal digits; raises FormatError."""
    digits = text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER
    return whole(int(text) if digits else text, where, what, largest)


def text(value: object, where: str, what: str, longest: int = LONGEST_TEXT) -> str:
    """``value`` when it is text of at most ``longest`` bytes; raises FormatError."""
    if not isinstance(value, str) or not is_text(value, longest):
        raise FormatError(f"{where}: {what} is {str(value)[:40]!r}, not a text of up to {longest} bytes", where=where)
    return value


def typed(fields: Mapping[str, Any], kinds: Mapping[str, tuple[type, ...]], where: str, inside: str = "") -> None:
    """Raises FormatError when a field that ``kinds`` names is there and of no type that it names."""
    for name, allowed in kinds.items():
        value = fields.get(name)
        if name in fields and (not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed)):
            raise FormatError(
                f"{where}: {inside}{name} cannot be {str(value)[:40]!r}", where=where, field=inside + name
            )


def _integer(digits: str) -> int:
    # int() takes quadratic time
    if len(digits) > _LONGEST_NUMBER or abs(value := int(digits)) > LARGEST:
        raise ValueError(f"the number {digits[:_LONGEST_NUMBER]} is out of range")
    return value


def _real(digits: str) -> float:
    value = float(digits) if len(digits) <= _LONGEST_NUMBER else math.inf
    if not math.isfinite(value):
        raise ValueError(f"the number {digits[:_LONGEST_NUMBER]} is out of range")
    return value


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number")


def _object(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"the key {name[:100]!r} is there twice")
        found[name] = value
    return found
