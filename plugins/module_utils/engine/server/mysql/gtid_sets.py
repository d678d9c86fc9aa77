# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""MySQL's GTID sets: read, written and compared as the server does it.

``3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5:11,4c...:tag:1`` is transactions 1 to 5 and 11 of one server, and the first
one of another server that carries a tag (MySQL 8.3 and newer). MariaDB's GTID positions are something else
(``coordinates``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TAG = re.compile(r"[a-z_][a-z0-9_]{0,31}")
_INTERVAL = re.compile(r"(?P<first>[0-9]{1,19})(?:-(?P<last>[0-9]{1,19}))?")
_LAST = (1 << 63) - 2  # GNO_END - 1 of the server: the highest number that a transaction can have

Interval = tuple[int, int]  # first and last transaction, both included
Source = tuple[str, str]  # server_uuid and tag ("" for most)


@dataclass(frozen=True)
class GtidSet:
    """A set of transactions: for each source its intervals, ascending, neither touching nor overlapping."""

    intervals: tuple[tuple[Source, tuple[Interval, ...]], ...] = ()

    @classmethod
    def parse(cls, text: str) -> GtidSet:
        """The set that ``text`` writes down, blanks and line feeds anywhere; raises ValueError when it is none."""
        found: dict[Source, list[Interval]] = {}
        for part in "".join(text.split()).lower().split(","):
            if part:
                _parse_part(part, found)
        return cls._of(found)

    @classmethod
    def _of(cls, intervals: Mapping[Source, Iterable[Interval]]) -> GtidSet:
        joined = ((source, _joined(found)) for source, found in sorted(intervals.items()))
        return cls(tuple((source, found) for source, found in joined if found))

    def __str__(self) -> str:
        parts: list[str] = []
        previous = None
        for (uuid, tag), found in self.intervals:
            texts = [str(first) if first == last else f"{first}-{last}" for first, last in found]
            text = ":".join([tag, *texts] if tag else texts)
            if uuid == previous:
                parts[-1] += f":{text}"
            else:
                parts.append(f"{uuid}:{text}")
            previous = uuid
        return ",".join(parts)

    def __bool__(self) -> bool:
        return bool(self.intervals)

    def __or__(self, other: GtidSet) -> GtidSet:
        both: dict[Source, list[Interval]] = {}
        for source, found in (*self.intervals, *other.intervals):
            both.setdefault(source, []).extend(found)
        return self._of(both)

    def __sub__(self, other: GtidSet) -> GtidSet:
        gone = dict(other.intervals)
        return self._of({source: _without(found, gone.get(source, ())) for source, found in self.intervals})

    def __le__(self, other: GtidSet) -> bool:
        """Returns whether every transaction of this set is in ``other``."""
        return not self - other

    @property
    def uuids(self) -> frozenset[str]:
        """The servers whose transactions these are."""
        return frozenset(uuid for (uuid, _tag), _found in self.intervals)


def _parse_part(part: str, found: dict[Source, list[Interval]]) -> None:
    """Add what ``part``, of one server, says; raises ValueError."""
    uuid, *rest = part.split(":")
    if not _UUID.fullmatch(uuid) or not rest:
        raise ValueError(f"{part!r} is no part of a GTID set")
    tag = ""
    counted = True  # a tag must be followed by an interval
    for item in rest:
        interval = _INTERVAL.fullmatch(item)
        if interval is not None:
            first = int(interval["first"])
            last = int(interval["last"] or first)
            if not 1 <= first <= _LAST or last > _LAST:
                raise ValueError(f"{item!r} of {part!r} is no interval of transactions")
            # the server takes 5-3 for nothing, too
            found.setdefault((uuid, tag), []).extend([(first, last)] if first <= last else [])
            counted = True
        elif _TAG.fullmatch(item) and counted:
            tag, counted = item, False
        else:
            raise ValueError(f"{item!r} of {part!r} is neither an interval nor a tag")
    if not counted:
        raise ValueError(f"{part!r} has a tag without an interval")


def _joined(intervals: Iterable[Interval]) -> tuple[Interval, ...]:
    joined: list[Interval] = []
    for first, last in sorted(intervals):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(joined[-1][1], last))
        else:
            joined.append((first, last))
    return tuple(joined)


def _without(intervals: Iterable[Interval], gone: Iterable[Interval]) -> list[Interval]:
    left = list(intervals)
    for first, last in gone:
        cut: list[Interval] = []
        for begin, end in left:
            if end < first or begin > last:
                cut.append((begin, end))
                continue
            if begin < first:
                cut.append((begin, first - 1))
            if end > last:
                cut.append((last + 1, end))
        left = cut
    return left
