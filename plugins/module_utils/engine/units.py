# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sizes and times as people write them (``10MiB``, ``1G``, ``512``; ``30s``, ``10m``, ``24h``), and lists as they read
them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .errors import InvalidOption

_NUMBER = r"[0-9]{1,20}(?:\.[0-9]{1,20})?"
_SIZE_FACTORS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_TIME_FACTORS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


def is_digits(text: str) -> bool:
    """Returns whether ``text`` is a number of at most 20 decimal digits, which ``int`` takes at once."""
    return len(text) <= 20 and text.isascii() and text.isdigit()


def parse_size(text: str | int, option: str) -> int:
    """Bytes of ``text``: digits with an optional k, M, G, T (also kB, KiB ...; all powers of 1024, as in
    server option files). Raises InvalidOption naming ``option``."""
    match = re.fullmatch(rf"\s*({_NUMBER})\s*([kmgt]?)(?:i?b)?\s*", str(text), re.IGNORECASE)
    if not match:
        raise InvalidOption(
            f"{option}: {text!r} is not a size",
            remedy="Write bytes, or a number with a unit such as 512K, 10MiB, 1G.",
            option=option,
        )
    return int(float(match.group(1)) * _SIZE_FACTORS[match.group(2).lower()])


def parse_duration(text: str | int | float, option: str) -> float:
    """Seconds of ``text``: a number with an optional ms, s, m, h, d. Raises InvalidOption naming ``option``."""
    match = re.fullmatch(rf"\s*({_NUMBER})\s*([a-z]*)\s*", str(text), re.IGNORECASE)
    factor = _TIME_FACTORS.get(match.group(2).lower()) if match else None
    if match is None or factor is None:
        raise InvalidOption(
            f"{option}: {text!r} is not a time",
            remedy="Write seconds, or a number with a unit such as 500ms, 30s, 10m, 24h.",
            option=option,
        )
    return float(match.group(1)) * factor


def format_size(size: float) -> str:
    """``size`` bytes for a person: ``1.5 GiB``."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if abs(size) < 1024:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def some_of(items: Sequence[str]) -> str:
    """The first few of ``items``, and how many more there are."""
    return "; ".join(items[:5]) + (f" and {len(items) - 5} more" if len(items) > 5 else "")
