# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Option files (``my.cnf``), read as the servers and clients read them.

Format facts: MariaDB documentation "Configuring MariaDB with Option Files", and what ``my_print_defaults`` prints.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection, Iterator
from pathlib import Path

from ..errors import FormatError, InvalidOption
from ..format.file_kinds import OPTION_FILE_SUFFIX
from ..host import durable

_MAX_INCLUDE_DEPTH = 10
# what the servers' programs say, with status 0
_IGNORED = re.compile(r"World-writable config file '(.+)' is ignored")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "s": " ", '"': '"', "'": "'", "\\": "\\"}


def read_options(path: Path, groups: Collection[str]) -> dict[str, str]:
    """The options of ``groups`` in the option file ``path``; a later line wins, whichever group it is in.

    Names are in the form ``ssl_ca`` (dashes become underscores, a ``loose_`` prefix is dropped); an option without
    a value has "". Raises StorageError when a file cannot be read, InvalidOption when a line cannot be understood, and
    for a file that everybody can write to: servers and clients ignore it.
    """
    return {name: value or "" for name, value in given_options(path, groups)}


def given_options(path: Path, groups: Collection[str]) -> list[tuple[str, str | None]]:
    """As ``read_options``, all of them in their order; the value of an option without ``=`` is None."""
    return list(_options(path, frozenset(groups), 0))


def parse_options(data: bytes, where: Path, groups: Collection[str]) -> dict[str, str]:
    """As ``read_options``, of the content of an option file that is part of a backup, which was found at ``where``.

    It stands for itself: raises FormatError for a directive (``!include``), which would name a file of this host.
    """
    return {name: value or "" for name, value in _options_in(data, where, frozenset(groups), None)}


def require_heeded(said: bytes) -> None:
    """Raises InvalidOption when the servers' program that read option files says on stderr (``said``) that it ignored
    one, as the server does: its options would be missing, and another server's files or socket be taken."""
    found = _IGNORED.search(os.fsdecode(said))
    if found is not None:
        raise _ignored(found[1])


def _ignored(path: str) -> InvalidOption:
    return InvalidOption(
        f"the option file {path} can be written to by everybody, so servers and clients ignore it",
        remedy=f"chmod o-w {path}",
        option="defaults_file",
        path=path,
    )


def _options(path: Path, groups: frozenset[str], depth: int) -> Iterator[tuple[str, str | None]]:
    """Name and value of each option of ``groups``, in the order of the file and of what it includes."""
    if depth > _MAX_INCLUDE_DEPTH:
        raise InvalidOption(f"option file {path}: more than {_MAX_INCLUDE_DEPTH} nested !include lines")
    with durable.storage_errors("reading option file", path), path.open("rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        if stat.S_ISREG(mode) and mode & stat.S_IWOTH:
            raise _ignored(str(path))
        data = file.read()
    yield from _options_in(data, path, groups, depth)


def _options_in(data: bytes, path: Path, groups: frozenset[str], depth: int | None) -> Iterator[tuple[str, str | None]]:
    """``depth``: of included files; None where nothing may be included."""
    wanted = False
    in_group = False
    for number, raw in enumerate(data.decode("utf-8", "surrogateescape").splitlines(), 1):
        line = raw.strip()
        if not line or line[0] in "#;":
            continue
        if line[0] == "!":
            if depth is None:
                raise FormatError(
                    f"{path}, line {number}: {line[:80]!r} would include another file, which a backup's cannot do",
                    remedy="Nobody's backup has such a line: find out who has written it, and use another copy.",
                    where=str(path),
                )
            for included in _included(line, path, number):
                yield from _options(included, groups, depth + 1)
        elif line[0] == "[":
            end = line.find("]")
            if end < 0:
                raise InvalidOption(f"option file {path}, line {number}: a group name has no closing bracket")
            in_group, wanted = True, line[1:end].strip() in groups
        elif not in_group:
            raise InvalidOption(f"option file {path}, line {number}: an option stands before the first [group]")
        elif wanted:
            name, equals, value = _without_comment(line).partition("=")
            yield _normal_name(name), unquote(value) if equals else None


def _included(line: str, path: Path, number: int) -> list[Path]:
    """The files that an ``!include FILE`` or ``!includedir DIRECTORY`` line names (``*.cnf``, sorted)."""
    word, _space, argument = line.partition(" ")
    target = Path(argument.strip())
    if word == "!include" and argument:
        return [target]
    if word == "!includedir" and argument:
        with durable.storage_errors("reading option directory", target):
            return sorted(entry for entry in target.iterdir() if entry.suffix == OPTION_FILE_SUFFIX)
    raise InvalidOption(f"option file {path}, line {number}: unknown directive {word}")


def _normal_name(name: str) -> str:
    normal = name.strip().replace("-", "_")
    return normal[len("loose_") :] if normal.startswith("loose_") else normal


def _without_comment(line: str) -> str:
    """``line`` up to a ``#`` that is outside quotes; a backslash protects a quote only inside quotes."""
    quote = ""
    escaped = False
    for index, character in enumerate(line):
        if character in "'\"" and not escaped:
            if not quote:
                quote = character
            elif quote == character:
                quote = ""
        if character == "#" and not quote:
            return line[:index]
        escaped = bool(quote) and character == "\\" and not escaped
    return line


def unquote(text: str) -> str:
    """A value as the server sees it: blanks around it and one pair of quotes dropped, escapes resolved.

    An unknown escape keeps its backslash.
    """
    value = text.strip()
    if len(value) > 1 and value[0] in "'\"" and value[-1] == value[0]:
        value = value[1:-1]
    characters: list[str] = []
    escaped = False
    for character in value:
        if escaped:
            characters.append(_ESCAPES.get(character, "\\" + character))
            escaped = False
        elif character == "\\":
            escaped = True
        else:
            characters.append(character)
    return "".join(characters) + ("\\" if escaped else "")
