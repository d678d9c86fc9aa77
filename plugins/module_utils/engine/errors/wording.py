# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options in the texts of errors: the engine names them by a key, and each front end spells them.

A text is an ordinary string into which terms are formatted: ``f"Wait, or raise {Option('lock_timeout')}."``. Modules
spell a term as it is written in a task (``lock_timeout``, ``force: true``); so does ``str`` of an error. The command
line spells it as an option of its own (``console/spelling.py``). What makes sense only where an option exists is a
``Clause``.

In the string a term is a mark, which carries a number that is new in each process: no file name can forge one.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from typing import Any, Callable, Union

_NONCE = os.urandom(8).hex()
_BEGIN, _END = f"\x02{_NONCE}", f"\x03{_NONCE}"
_MARK = re.compile(f"{_BEGIN}(.*?){_END}")


class _Marked:
    """Becomes a mark when it is formatted into a text."""

    def __str__(self) -> str:
        # JSON has no control characters, so marks in a clause do not end its own
        return f"{_BEGIN}{json.dumps([type(self).__name__, vars(self)])}{_END}"


@dataclass(frozen=True)
class Option(_Marked):
    """An option, by its name in a module, with the ``value`` that is advised (None: the name alone)."""

    key: str
    value: Any = None


@dataclass(frozen=True)
class Program(_Marked):
    """Something to run, by the name of the module or the role that does it."""

    key: str


@dataclass(frozen=True)
class Keyword(_Marked):
    """A keyword of a task, such as ``become``, with the ``value`` that is advised (None: the name alone)."""

    key: str
    value: Any = None


@dataclass(frozen=True)
class Clause(_Marked):
    """A part of a text that is there only where all terms in it can be spelled; elsewhere ``otherwise`` is."""

    text: str
    otherwise: str = ""


BECOME = Keyword("become", True)
BECOME_USER = Keyword("become_user")
FORCE = Option("force", True)
INSTALL = Program("innodb.xtrabackup.install")
TARGET_DIR = Option("target_dir")

Term = Union[Option, Program, Keyword]
Part = Union[str, Term, "tuple[Wording, Wording]"]
#: how a front end spells a term; None when it has nothing of the kind
Spelling = Callable[[Term], Union[str, None]]

_TERMS: dict[str, type[Term]] = {kind.__name__: kind for kind in (Option, Program, Keyword)}


def as_in_tasks(term: Term) -> str:
    """``term`` as YAML has it: ``force: true``, ``tables: [a, b]``, or the name alone."""
    value = None if isinstance(term, Program) else term.value
    if value is None:
        return term.key
    if isinstance(value, bool):
        value = str(value).lower()
    elif isinstance(value, (list, tuple)):
        value = f"[{', '.join(map(str, value))}]"
    return f"{term.key}: {value}"


class Wording(str):
    """A text as modules show it, which remembers the terms in it: ``parts``."""

    __slots__ = ("parts",)

    parts: tuple[Part, ...]

    @classmethod
    def of(cls, text: str, clean: Callable[[str], str] = str) -> Wording:
        """The wording of ``text``, in which ``clean`` is applied to what is no mark."""
        if isinstance(text, Wording):
            return text
        parts: list[Part] = []
        # one group: texts and marks take turns
        for number, piece in enumerate(_MARK.split(text)):
            parts.append(_read_mark(piece, clean) if number % 2 else clean(piece))
        made = cls(_spelled(parts, as_in_tasks))
        made.parts = tuple(parts)
        return made

    def spelled(self, spelling: Spelling) -> str:
        """The text with its terms as ``spelling`` has them; as in tasks where that has nothing."""
        return _spelled(self.parts, spelling)

    def terms(self) -> list[Term]:
        """All terms, those of clauses too."""
        found: list[Term] = []
        for part in self.parts:
            if isinstance(part, tuple):
                found += part[0].terms() + part[1].terms()
            elif not isinstance(part, str):
                found.append(part)
        return found


def _read_mark(payload: str, clean: Callable[[str], str]) -> Part:
    kind, fields = json.loads(payload)
    if kind == Clause.__name__:
        return Wording.of(fields["text"], clean), Wording.of(fields["otherwise"], clean)
    if isinstance(fields.get("value"), str):
        fields["value"] = clean(fields["value"])
    elif isinstance(fields.get("value"), list):
        fields["value"] = [clean(item) if isinstance(item, str) else item for item in fields["value"]]
    return _TERMS[kind](**fields)


def _spelled(parts: list[Part] | tuple[Part, ...], spelling: Spelling) -> str:
    said = []
    for part in parts:
        if isinstance(part, str):
            said.append(part)
        elif isinstance(part, tuple):
            clause, otherwise = part
            known = all(spelling(term) is not None for term in clause.terms())
            said.append((clause if known else otherwise).spelled(spelling))
        else:
            said.append(spelling(part) or as_in_tasks(part))
    return "".join(said)
