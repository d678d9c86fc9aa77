# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Selection of files of a backup: databases and tables by their names, files by patterns; all of them together."""

from __future__ import annotations

import difflib
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from ..errors import InvalidOption, Option, Program
from ..format.file_kinds import (
    ARCHIVE_DATA,
    ARCHIVE_META,
    ARIA,
    CSV,
    FRM,
    LINK,
    MARIADB_NOTES,
    MERGE,
    MYISAM,
    PARTITIONS,
    TABLESPACE,
    TRIGGERS,
    extensions_of,
)
from ..format.file_names import decode_name, encode_name

# files of a table; new, del and ren are what mariadb-backup notes about schema changes in streams of its own
_TABLE_EXTENSIONS = extensions_of(
    TABLESPACE, LINK, FRM, PARTITIONS, TRIGGERS, MYISAM, ARIA, MERGE, CSV, ARCHIVE_DATA, ARCHIVE_META, MARIADB_NOTES
)
_TABLE_FILE = re.compile(rf"([^/]+)/([^/]+?)(#[Pp]#[^/]+)?\.({_TABLE_EXTENSIONS})", re.DOTALL)
_GLOB_TOKEN = re.compile(r"(?P<deep>(?:(?<=/)|^)\*\*/)|(?P<all>\*\*)|(?P<some>\*)|(?P<one>\?)|(?P<set>\[!?\]?[^\]]*\])")


@dataclass(frozen=True)
class Selection:
    """Wanted part of a backup. ``databases`` and ``tables`` (``database.table``) as users write them; ``files``:
    patterns of paths within the backup, in which ``*`` does not cross a ``/`` and ``**`` does."""

    databases: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    files: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.databases or self.tables or self.files)

    def choose(self, paths: Iterable[str], where: str, *, lower_case: bool = False) -> set[str]:
        """Those of ``paths`` that are wanted; ``where`` names the backup in errors, ``lower_case``: its server keeps
        names in lower case. Raises InvalidOption when a name or a pattern matches nothing."""
        content = _Content(paths)
        missing: dict[str, list[str]] = defaultdict(list)
        chosen: set[str] = set()
        for option, names, find in (
            ("databases", self.databases, content.database),
            ("tables", self.tables, content.table),
            ("files", self.files, content.matching),
        ):
            for name in names:
                found = find(name.lower() if lower_case and option != "files" else name)
                chosen |= found
                if not found:
                    missing[option].append(name)
        if missing:
            raise _nothing_matches(missing, content, where)
        return chosen


class _Content:
    """The paths of a backup, by database and by table."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._paths = set(paths)
        self._databases: dict[str, set[str]] = defaultdict(set)
        self._tables: dict[tuple[str, str], set[str]] = defaultdict(set)
        for path in self._paths:
            if "/" in path:
                self._databases[path.partition("/")[0]].add(path)
            if match := _TABLE_FILE.fullmatch(path):
                self._tables[match[1], match[2]].add(path)

    def database(self, name: str) -> set[str]:
        """Everything below the directory of the database ``name``."""
        return self._databases.get(encode_name(name), set())

    def table(self, name: str) -> set[str]:
        """Every file of the table, its partitions included; the first dot ends the name of the database."""
        database, dot, table = name.partition(".")
        if not (dot and database and table):
            raise InvalidOption(
                f"{Option('tables')}: {name!r} is not the name of a table with its database",
                remedy="Write database.table; the first dot ends the name of the database.",
                option="tables",
            )
        return self._tables.get((encode_name(database), encode_name(table)), set())

    def matching(self, glob: str) -> set[str]:
        """The paths that ``glob`` matches."""
        pattern = _pattern(glob)
        return {path for path in self._paths if pattern.fullmatch(path)}

    def similar(self, option: str, name: str) -> list[str]:
        """Names that are there and look like ``name``."""
        databases = {decode_name(directory) for directory in self._databases}
        if option == "databases":
            return difflib.get_close_matches(name, sorted(databases), n=3)
        database, _dot, table = name.partition(".")
        if database not in databases:
            return [f"database {found}" for found in difflib.get_close_matches(database, sorted(databases), n=3)]
        tables = {decode_name(stem) for directory, stem in self._tables if decode_name(directory) == database}
        return [f"{database}.{found}" for found in difflib.get_close_matches(table, sorted(tables), n=3)]


def _nothing_matches(missing: dict[str, list[str]], content: _Content, where: str) -> InvalidOption:
    wrong = [(option, name) for option, names in missing.items() for name in names]
    reported = []
    for option, name in wrong[:5]:
        similar = content.similar(option, name) if option != "files" else []
        reported.append(f"{option}: {name}" + (f" (there is {', '.join(similar)})" if similar else ""))
    return InvalidOption(
        f"{where} holds nothing of {'; '.join(reported)}" + (f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""),
        remedy=f"Correct the names; {Program('xbstream')} with {Option('state', 'listed')} shows what is there.",
        option=next(iter(missing)),
        missing=dict(missing),
    )


def _pattern(glob: str) -> re.Pattern[str]:
    """The regular expression of a pattern with ``*``, ``**``, ``?`` and ``[...]``. Raises InvalidOption."""
    pieces = []
    end = 0
    for match in _GLOB_TOKEN.finditer(glob):
        pieces += [re.escape(glob[end : match.start()]), _GLOB_MEANS.get(match.lastgroup or "") or _set(match[0])]
        end = match.end()
    pieces.append(re.escape(glob[end:]))
    try:
        return re.compile("".join(pieces), re.DOTALL)
    except re.error as error:
        raise InvalidOption(f"{Option('files')}: {glob!r} is not a pattern: {error}", option="files") from error


_GLOB_MEANS = {"deep": "(?:.*/)?", "all": ".*", "some": "[^/]*", "one": "[^/]"}


def _set(text: str) -> str:
    """``[...]`` and ``[!...]`` of a pattern; neither matches a ``/``."""
    inner = text[1:-1].replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]").replace("^", "\\^")
    return f"(?!/)[^{inner[1:]}]" if inner.startswith("!") else f"(?!/)[{inner}]"
