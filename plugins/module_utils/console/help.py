# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Help text, manual page and documentation page: the tables, for people."""

from __future__ import annotations

import textwrap

from .dialects import DIALECTS, STREAM, ToolDialect
from .option import ACTION, DIFFERENT, FLAG, NEEDLESS, REFUSED, SAME, Option
from .tables import BACKUP_SECTIONS, STREAM_SECTIONS, sections_of
from .version import VERSION

_COLUMN = 30
_WIDTH = 100
_NAMES = {
    SAME: "same",
    DIFFERENT: "different",
    NEEDLESS: "accepted, changes nothing",
    REFUSED: "refused",
}
_FILES = (
    ("print-defaults", "Print the options of the option files and end. Must come first."),
    ("no-defaults", "Read no option file. Must come first."),
    ("defaults-file=#", "Read this option file only. Must come first."),
    ("defaults-extra-file=#", "Read this option file after the usual ones. Must come first."),
    ("defaults-group-suffix=#", "Read also groups with this suffix. Must come first."),
    ("defaults-group=name", "Read also this group, as the server's."),
)


def version(dialect: ToolDialect) -> str:
    """Returns the text of ``--version``."""
    return f"{dialect.program} {VERSION} (innodb.xtrabackup)\n"


def usage(dialect: ToolDialect) -> str:
    """Returns the usage lines of the program."""
    if dialect.tool == STREAM:
        return (
            f"Usage: {dialect.program} -x [OPTIONS] < STREAM\n       {dialect.program} -c [OPTIONS] FILES... > STREAM\n"
        )
    return (
        f"Usage: {dialect.program} [--defaults-file=#] --backup | --prepare | --copy-back | --move-back [OPTIONS]\n"
        f"       {dialect.program} [--decrypt=ALGORITHM] [--decompress] [OPTIONS]\n"
    )


def text(dialect: ToolDialect) -> str:
    """Returns the text of ``--help``."""
    parts = [version(dialect), "\n", usage(dialect)]
    if dialect.tool != STREAM:
        parts.append("\nOption files (groups: " + " ".join(_groups(dialect)) + "):\n")
        parts.extend(_entry(f"  --{name}", remark) for name, remark in _FILES)
    for title, options in sections_of(dialect).items():
        parts.append(f"\n{title}:\n")
        parts.extend(_entry(f"  {option.usage()}", describe(option)) for option in options)
    return "".join(parts)


def describe(option: Option) -> str:
    """Returns what an option does, and how that differs from the stock tool."""
    sentences = [option.help]
    if option.choices and option.kind not in (FLAG, ACTION):
        sentences.append(f"One of {', '.join(option.choices)}.")
    if option.default not in (None, 0, "0"):
        sentences.append(f"Default: {option.default}.")
    if option.verdict == REFUSED:
        sentences.append(f"REFUSED: {option.remark}")
    elif option.verdict == NEEDLESS:
        sentences.append(f"Accepted, changes nothing: {option.remark}")
    elif option.remark:
        sentences.append(f"Here: {option.remark}")
    return " ".join(sentences)


def _entry(head: str, body: str) -> str:
    lines = textwrap.wrap(body, _WIDTH - _COLUMN, break_on_hyphens=False) or [""]
    first = f"{head:<{_COLUMN - 1}} {lines.pop(0)}" if len(head) < _COLUMN else head
    return "\n".join([first, *(" " * _COLUMN + line for line in lines)]) + "\n"


def _groups(dialect: ToolDialect) -> list[str]:
    return list(dict.fromkeys((*dialect.own_groups, *dialect.server_groups, *dialect.client_groups)))


# --- manual page -----------------------------------------------------------------------------------


def manual(dialect: ToolDialect) -> str:
    """The manual page of a program (man(7))."""
    title = "unpack and make streams of backups" if dialect.tool == STREAM else "hot backups of MariaDB and MySQL"
    lines = [
        f'.TH {dialect.program.upper()} 1 "" "innodb.xtrabackup {VERSION}"',
        ".SH NAME",
        f"{dialect.program} \\- {title}",
        ".SH SYNOPSIS",
        ".nf",
        *(_roff(line.replace("Usage: ", "").strip()) for line in usage(dialect).splitlines()),
        ".fi",
        ".SH DESCRIPTION",
        _roff(
            f"Answers to the options of the stock {dialect.program}, with their meaning. What is different says so, "
            "what is not done is refused by name, with a status that is not zero. All is well exactly when the last "
            'line is "completed OK!" and the status is zero.'
            if dialect.tool != STREAM
            else f"Answers to the options of the stock {dialect.program}, with their meaning."
        ),
    ]
    if dialect.tool != STREAM:
        lines += [".SH OPTION FILES", _roff("Groups: " + ", ".join(_groups(dialect)) + ".")]
        for name, remark in _FILES:
            lines += [".TP", f".B {_roff('--' + name)}", _roff(remark)]
    for section, options in sections_of(dialect).items():
        lines.append(f'.SH "{section.upper()}"')
        for option in options:
            lines += [".TP", f".B {_roff(option.usage())}", _roff(describe(option))]
    return "\n".join(lines) + "\n"


def _roff(line: str) -> str:
    escaped = line.replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + escaped if escaped.startswith((".", "'")) else escaped


# --- documentation ---------------------------------------------------------------------------------


def documentation() -> str:
    """The page of the documentation that lists every option of the stock tools (reStructuredText)."""
    lines = [
        ".. _ansible_collections.innodb.xtrabackup.docsite.console_options:",
        "",
        "Options of the command line",
        "===========================",
        "",
        "Every option of the stock tools, and what it does here. The programs read the same table (``make console``).",
        "",
    ]
    for heading, sections in (
        ("xtrabackup, mariadb-backup, mariabackup", BACKUP_SECTIONS),
        ("xbstream, mbstream", STREAM_SECTIONS),
    ):
        lines += [heading, "-" * len(heading), ""]
        for title, options in sections.items():
            lines += [
                title,
                "^" * len(title),
                "",
                ".. list-table::",
                "   :header-rows: 1",
                "   :widths: 26 14 14 46",
                "",
            ]
            lines += _row("option", "of", "here", "what it does")
            for option in options:
                lines += _row(
                    f"``{option.usage()}``", _owners(option), _NAMES[option.verdict], _literal(_prose(option))
                )
            lines.append("")
    return "\n".join(lines)


def _owners(option: Option) -> str:
    if option.ours:
        return "ours alone"
    owners: dict[tuple[str, ...], str] = {("percona",): "Percona", ("mariadb",): "MariaDB"}
    return owners.get(option.vendors, "both")


def _prose(option: Option) -> str:
    return f"{option.help} {option.remark}".strip()


def _literal(prose: str) -> str:
    """``prose`` with option names as literals, and nothing in it that reStructuredText takes for markup."""
    words = prose.replace("*", "\\*").replace("[mysqld]", "``[mysqld]``").split(" ")
    return " ".join(_mark(word) for word in words)


def _mark(word: str) -> str:
    bare = word.strip("(),.;:")
    if bare.startswith(("--", "xtrabackup_")):
        before, _bare, after = word.partition(bare)
        return f"{before}``{bare}``{after}"
    return word


def _row(*cells: str) -> list[str]:
    return [f"   {'*' if number == 0 else ' '} - {cell}" for number, cell in enumerate(cells)]


def programs() -> list[str]:
    """The names that this answers to."""
    return list(DIALECTS)
