# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of options: what parser, help, manual and documentation read."""

from __future__ import annotations

import re
import subprocess

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.console import help as help_texts
from ansible_collections.innodb.xtrabackup.plugins.module_utils.console import option as options
from ansible_collections.innodb.xtrabackup.plugins.module_utils.console.dialects import DIALECTS, ToolDialect
from ansible_collections.innodb.xtrabackup.plugins.module_utils.console.tables import (
    BACKUP_SECTIONS,
    STREAM_SECTIONS,
    options_of,
    sections_of,
)
from ansible_collections.innodb.xtrabackup.tests.support.plays import PROJECT
from ansible_collections.innodb.xtrabackup.tests.support.servers import program

ALL = [option for sections in (BACKUP_SECTIONS, STREAM_SECTIONS) for rows in sections.values() for option in rows]
PROGRAMS = list(DIALECTS.values())
# options that come before all others, and are read by option_files
FIRST = {
    "print-defaults", "no-defaults", "defaults-file", "defaults-extra-file", "defaults-group-suffix", "defaults-group",
}  # fmt: skip


@pytest.mark.parametrize("option", ALL, ids=lambda option: option.name)
def test_each_option_says_how_it_differs_or_why_it_is_refused(option: options.Option) -> None:
    assert option.help.endswith(".")
    assert bool(option.remark) == (option.verdict != options.SAME)
    assert option.remark == "" or option.remark.endswith(".")
    if option.parameter == "" and option.verdict in (options.SAME, options.DIFFERENT):
        # what sets no parameter of the engine's decides what is done, or how it is told
        assert option.kind == options.ACTION or option.name in (
            "directory", "verbose", "encrypt-key", "mysqld-args", "encrypt-key-file",
        )  # fmt: skip


@pytest.mark.parametrize("dialect", PROGRAMS, ids=lambda dialect: dialect.program)
def test_names_and_letters_are_unique_in_each_dialect(dialect: ToolDialect) -> None:
    rows = [option for section in sections_of(dialect).values() for option in section]
    assert len({option.name for option in rows}) == len(rows)
    letters = [option.short for option in rows if option.short]
    assert len(set(letters)) == len(letters)


@pytest.mark.parametrize("name", ["mariadb-backup", "mbstream"])
def test_every_option_of_the_installed_stock_tool_is_in_the_table(name: str) -> None:
    said = subprocess.run([program(name), "--help"], capture_output=True, text=True, check=False)
    text = (said.stdout + said.stderr).partition("Variables (--variable-name")[0]
    found = set(re.findall(r"^  (?:-\S, )?--([a-z][a-z-]+)", text, re.MULTILINE)) - FIRST
    assert len(found) > 4
    assert found - set(options_of(DIALECTS[name])) == set()


@pytest.mark.parametrize("dialect", PROGRAMS, ids=lambda dialect: dialect.program)
def test_help_and_manual_name_every_option(dialect: ToolDialect) -> None:
    text, manual = help_texts.text(dialect), help_texts.manual(dialect).replace("\\-", "-")
    for name in options_of(dialect):
        assert f"--{name}" in text
        assert f"--{name}" in manual


def test_the_page_of_the_documentation_is_what_the_table_says() -> None:
    page = PROJECT / "docs" / "docsite" / "rst" / "console_options.rst"
    assert page.read_text(encoding="utf-8") == help_texts.documentation()


@pytest.mark.parametrize("line", [1, 40, -1])
def test_the_manual_is_a_manual_for_man(line: int) -> None:
    made = help_texts.manual(DIALECTS["xtrabackup"]).splitlines()
    assert made[0].startswith(".TH XTRABACKUP 1 ")
    assert made[line].startswith(".") or not made[line].startswith("'")
