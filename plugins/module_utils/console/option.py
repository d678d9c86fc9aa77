# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One option of the command line; the tables hold them, and parser, help, manual and documentation read those."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Union

from ..engine.errors import InvalidOption
from ..engine.units import parse_size
from .dialects import MARIADB, PERCONA, ToolDialect

#: kinds of values
FLAG = "flag"  # --name, --skip-name, --name=0
TEXT = "text"  # --name=value or --name value
OPTIONAL = "optional"  # --name or --name=value
NUMBER = "number"
SIZE = "size"
ACTION = "action"  # what is to be done

#: the value of a password that is to be asked for; no argument and no line of a file can hold it
ASK = "\0"

#: verdicts
SAME = "same"
DIFFERENT = "different"
NEEDLESS = "needless"  # accepted; what it asks for is so anyway
REFUSED = "refused"

P = (PERCONA,)
M = (MARIADB,)
BOTH = (PERCONA, MARIADB)

Value = Union[str, int, bool]

_TRUE = {"1", "on", "true", "yes"}
_FALSE = {"0", "off", "false", "no"}


@dataclass(frozen=True)
class Option:
    """One option of a stock tool, or of ours alone (``ours``).

    ``vendors``: whose tools have it. ``remark``: how it differs, why it is needless or refused. ``parameter``: the
    engine's parameter that it sets. ``off``: a value that asks for nothing, so that even a refused option may have it.
    ``implied``: the value of an OPTIONAL one that is given without, and of a password that ``--skip-`` switches off.
    ``aliases``: other words for a choice, the numbers of the stock tools' lists among them. ``minimum``: a smaller
    number is raised to it. ``on_only``: a needless flag that cannot be
    switched off. ``secret``: never shown anywhere. ``speaks``: errors name it, of several that set one parameter.
    """

    name: str
    kind: str
    help: str
    verdict: str = SAME
    remark: str = ""
    vendors: tuple[str, ...] = BOTH
    short: str = ""
    parameter: str = ""
    default: Value | None = None
    choices: tuple[str, ...] = ()
    aliases: tuple[tuple[str, str], ...] = ()
    minimum: int = 0
    implied: str = ""
    off: tuple[str, ...] = ()
    on_only: bool = False
    secret: bool = False
    ours: bool = False
    speaks: bool = False

    @property
    def takes_word(self) -> bool:
        """Returns whether the next word of the command line is its value."""
        return self.kind in (TEXT, NUMBER, SIZE)

    def is_of(self, dialect: ToolDialect) -> bool:
        """Returns whether the tool of ``dialect`` has this option."""
        return self.ours or dialect.vendor in self.vendors

    def usage(self) -> str:
        """The option as a help text shows it."""
        value = {
            FLAG: "",
            ACTION: "",
            TEXT: "=name",
            NUMBER: "=#",
            SIZE: "=#",
            OPTIONAL: "[=name]",
        }[self.kind]
        return f"{'-' + self.short + ', ' if self.short else ''}--{self.name}{value}"

    def read(self, text: str | None) -> Value:
        """The value that ``text`` means (None: the option was given without). Raises InvalidOption."""
        if self.kind in (FLAG, ACTION):
            return self._read_flag(text)
        if text is None:
            return self.implied
        if self.choices:
            return self._read_choice(text)
        if self.kind == NUMBER:
            return max(self._read_number(text), self.minimum)
        if self.kind == SIZE:
            return parse_size(text or "0", f"--{self.name}")
        return text

    def _read_choice(self, text: str) -> str:
        word = dict(self.aliases).get(text.lower(), text)
        found = next((choice for choice in self.choices if choice.lower() == word.lower()), None)
        if found is None:
            raise self._invalid(text, f"one of {', '.join(self.choices)}")
        return found

    def _read_number(self, text: str) -> int:
        """As the servers' own programs: nothing is 0, and K, M, G ... are powers of 1024."""
        match = re.fullmatch(r"([0-9]{0,20})([kmgtpe]?)", text, re.IGNORECASE)
        if match is None or (match[2] and not match[1]):
            raise self._invalid(text, "a number")
        return int(match[1] or 0) << (10 * (" kmgtpe".index(match[2].lower()) if match[2] else 0))

    def is_off(self, value: Value) -> bool:
        """Returns whether ``value`` asks for nothing."""
        if isinstance(value, bool):
            return not value
        return str(value).lower() in self.off

    def _read_flag(self, text: str | None) -> bool:
        if text is None or text.lower() in _TRUE:
            return True
        if text.lower() in _FALSE:
            return False
        raise self._invalid(text, "ON or OFF")

    def _invalid(self, text: str, wanted: str) -> InvalidOption:
        shown = "the value" if self.secret else repr(text)
        return InvalidOption(f"--{self.name}: {shown} is not {wanted}", option=self.name)
