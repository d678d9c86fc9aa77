# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of the troubleshooting guide that is made from the tree of errors (``make error-pages``).

The guide is a file of the repository, so that it can be read there; what stands between its two marks is made here from
``engine/errors``. A unit test fails when the two differ.
"""

from __future__ import annotations

import inspect
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine import errors
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    backups,
    formats,
    requests,
    server,
    storage,
    streams,
    usage,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors.wording import Wording, as_in_tasks

PROJECT = Path(__file__).resolve().parents[2]
GUIDE = PROJECT / "docs" / "docsite" / "rst" / "guide_troubleshooting.rst"
BEGIN = ".. errors: begin, made by make error-pages\n"
END = ".. errors: end\n"

_TYPED = re.compile(r"\b(?:\w+\.)*\w+_\w+\b(?:\.\w+)*|\binnodb\.xtrabackup\.\w+")


BRANCHES = (usage, server, formats, streams, storage, backups, requests)  # in the guide's order


@dataclass(frozen=True)
class Group:
    """A branch of the tree: its title and its classes, in their order there."""

    title: str
    classes: list[type[errors.XtrabackupError]]


def groups() -> list[Group]:
    """The branches of the tree; its root is in none of them."""
    return [Group(_title(branch), _declared(branch)) for branch in BRANCHES]


def _title(branch: ModuleType) -> str:
    return inspect.cleandoc(branch.__doc__ or "").rstrip(".")


def _declared(branch: ModuleType) -> list[type[errors.XtrabackupError]]:
    return [kind for kind in vars(branch).values() if isinstance(kind, type) and kind.__module__ == branch.__name__]


def render() -> str:
    """The made part of the guide, without its marks."""
    sections = groups()
    classes = sorted((kind for group in sections for kind in group.classes), key=lambda kind: kind.code)
    lines = [".. list-table::", "   :header-rows: 1", "", "   * - code", "     - what has happened"]
    for kind in classes:
        lines += [f"   * - `{kind.code}`_", f"     - {first_sentence(kind)}"]
    lines.append("")
    for group in sections:
        lines += _heading(group.title, "-")
        for kind in group.classes:
            lines += _entry(kind)
    return "\n".join(lines)


def _entry(kind: type[errors.XtrabackupError]) -> list[str]:
    parent = kind.__mro__[1]
    lines = _heading(kind.code, "^")
    for paragraph in _paragraphs(kind):
        lines += [paragraph, ""]
    lines += [f"**What to do:** {_literal(kind.default_remedy)}", ""]
    returned = ", ".join(f":ansplugin:`innodb.xtrabackup.{name}#module`" for name in sorted(kind.modules))
    lines.append(f"Returned by {returned or 'any module'}.")
    if parent is not errors.XtrabackupError:
        assert issubclass(parent, errors.XtrabackupError)
        lines[-1] += f" A special case of `{parent.code}`_."
    return [*lines, ""]


def first_sentence(kind: type[errors.XtrabackupError]) -> str:
    """What has happened."""
    return _paragraphs(kind)[0]


def _paragraphs(kind: type[errors.XtrabackupError]) -> list[str]:
    text = inspect.cleandoc(kind.__doc__ or "")
    return [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]


def _literal(text: str) -> str:
    """``text`` with what is typed as it is (options, variables, names of modules and roles) marked so."""
    wording = Wording.of(text, lambda words: _TYPED.sub(lambda match: f"``{match[0]}``", words))
    return wording.spelled(lambda term: f"``{as_in_tasks(term)}``")


def _heading(text: str, line: str) -> list[str]:
    return [text, line * len(text), ""]


def replaced(guide: str) -> str:
    """The text of a guide with the made part as it is now. Raises ValueError if it has not both marks."""
    head, begin, rest = guide.partition(BEGIN)
    _old, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError("the guide has no marks for the list of errors")
    return f"{head}{begin}\n{render()}\n{end}{tail}"


def main() -> None:
    """Write the guide anew."""
    text = GUIDE.read_text(encoding="utf-8")
    new = replaced(text)
    if new != text:
        GUIDE.write_text(new, encoding="utf-8")
        sys.stdout.write(f"{GUIDE.relative_to(PROJECT)}: written\n")


if __name__ == "__main__":
    main()
