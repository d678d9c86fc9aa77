# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Words of a command line, or of an option file, as options: by the rules of the servers' own programs.

Names may be written with underscores, and as their beginning while only one fits; ``skip-``, ``disable-`` and
``enable-`` switch flags, ``loose-`` makes an unknown name no error.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ..engine.errors import InvalidOption
from .option import ACTION, ASK, FLAG, NEEDLESS, REFUSED, Option, Value

_PREFIXES = {"skip-": "0", "disable-": "0", "enable-": "1"}


class UnknownOption(InvalidOption):
    """No option has this name."""

    code = "invalid_option"


@dataclass
class Arguments:
    """Arguments of a command line: ``values`` by option, the last one wins; other ``words``; ``warnings`` to show."""

    values: dict[str, Value] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def text(self, name: str) -> str | None:
        """The value of a text option, None when it was not given or is empty."""
        value = self.values.get(name)
        return None if value is None or value == "" else str(value)

    def number(self, name: str, default: int = 0) -> int:
        """The value of a number, or the default."""
        return int(self.values.get(name, default))

    def flag(self, name: str) -> bool:
        """Returns whether a flag was given."""
        return bool(self.values.get(name, False))


class Parser:
    """Reads words with the options of one tool."""

    def __init__(self, options: Mapping[str, Option]) -> None:
        self._options = options
        self._shorts = {option.short: option for option in options.values() if option.short}

    def command_line(self, words: Sequence[str], arguments: Arguments) -> None:
        """Take the words of a command line; raises InvalidOption."""
        rest = iter(words)
        for word in rest:
            if word == "--":
                arguments.words.extend(rest)
            elif word.startswith("--"):
                option = self._long(word[2:], rest, arguments)
                if option is not None and option.name == "mysqld-args":
                    self.shared_group(list(rest), self._options, arguments)
            elif word.startswith("-") and len(word) > 1:
                self._cluster(word[1:], rest, arguments)
            else:
                arguments.words.append(word)

    def own_group(self, words: Sequence[str], arguments: Arguments) -> None:
        """Take what option files have in the groups of this tool alone; raises InvalidOption."""
        for word in words:
            self._long(word[2:], iter(()), arguments)

    def shared_group(self, words: Sequence[str], wanted: Collection[str], arguments: Arguments) -> None:
        """Take the options ``wanted`` of groups that others read, too; what else is there is theirs."""
        for word in words:
            name, equals, value = word[2:].partition("=")
            normal = _normal(name)
            option = self._options.get(normal)
            if option is None or normal not in wanted or not word.startswith("--"):
                continue
            if option.verdict == REFUSED:
                arguments.warnings.append(f"{normal} in an option file is not taken into account: {option.remark}")
            elif option.verdict != NEEDLESS:
                if option.takes_word and not equals:
                    raise InvalidOption(f"{normal} in an option file needs a value", option=normal)
                arguments.values[normal] = option.read(value if equals else None)

    # --- inside ----------------------------------------------------------------------------------

    def _long(self, text: str, rest: Iterator[str], arguments: Arguments) -> Option | None:
        name, equals, value = text.partition("=")
        normal = _normal(name)
        loose = name.replace("_", "-").startswith("loose-")
        try:
            option, forced = self._find(normal)
        except UnknownOption:
            if not loose:
                raise
            arguments.warnings.append(f"unknown option --{normal}")
            return None
        given: str | None = value if equals else None
        if forced is not None:
            given = forced
        elif given is None and option.takes_word:
            given = next(rest, None)
            if given is None:
                raise InvalidOption(f"--{option.name} needs a value", option=option.name)
        self._take(option, given, arguments)
        return option

    def _find(self, name: str) -> tuple[Option, str | None]:
        """The option that ``name`` means, and the value that a prefix of it gives."""
        found = self._match(name)
        if found is not None:
            return found, None
        for prefix, value in _PREFIXES.items():
            if name.startswith(prefix):
                found = self._match(name[len(prefix) :])
                if found is not None and found.kind in (FLAG, ACTION):
                    return found, value
                if found is not None and found.implied == ASK and prefix != "enable-":
                    return found, ""  # no password, and none is asked for
        raise UnknownOption(f"unknown option '--{name}'", remedy="--help lists the options.", option=name)

    def _match(self, name: str) -> Option | None:
        if name in self._options:
            return self._options[name]
        fitting = [option for option in self._options.values() if name and option.name.startswith(name)]
        if len(fitting) > 1:
            names = ", ".join(f"--{option.name}" for option in fitting[:5])
            raise InvalidOption(f"ambiguous option '--{name}' ({names})", option=name)
        return fitting[0] if fitting else None

    def _cluster(self, letters: str, rest: Iterator[str], arguments: Arguments) -> None:
        """Short options: ``-xv``, ``-C dir``, ``-p4``."""
        for index, letter in enumerate(letters, 1):
            option = self._shorts.get(letter)
            if option is None:
                raise UnknownOption(f"unknown option '-{letter}'", remedy="--help lists the options.", option=letter)
            value: str | None = letters[index:]
            if option.kind in (FLAG, ACTION):
                self._take(option, None, arguments)
                continue
            if option.takes_word and not value:
                value = next(rest, None)
                if value is None:
                    raise InvalidOption(f"-{letter} needs a value", option=option.name)
            self._take(option, value or None, arguments)
            return

    @staticmethod
    def _take(option: Option, text: str | None, arguments: Arguments) -> None:
        if option.verdict == REFUSED:
            value: Value = text if text is not None and option.kind not in (FLAG, ACTION) else option.read(text)
            if not option.is_off(value):
                raise InvalidOption(
                    f"--{option.name} is not supported: {option.remark}",
                    remedy="Leave it out; --help and the documentation list what is the same, different and refused.",
                    option=option.name,
                )
            return
        value = option.read(text)
        if option.verdict == NEEDLESS:
            if option.on_only and value is False:
                raise InvalidOption(f"--skip-{option.name} is not supported: {option.remark}", option=option.name)
            arguments.warnings.append(f"--{option.name} changes nothing: {option.remark}")
            return
        arguments.values[option.name] = value


def _normal(name: str) -> str:
    normal = name.strip().replace("_", "-")
    return normal[len("loose-") :] if normal.startswith("loose-") else normal
