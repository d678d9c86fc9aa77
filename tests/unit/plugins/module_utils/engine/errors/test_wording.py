# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options in the texts of errors: shown as in tasks, spelled anew by others, and never forged."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    BECOME,
    FORCE,
    Clause,
    InvalidOption,
    Option,
    Program,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors.wording import Term, Wording


def nothing(_term: Term) -> str | None:
    return None


def dashes(term: Term) -> str | None:
    return f"--{term.key}"


@pytest.mark.parametrize(
    ("text", "tasks", "without", "others"),
    [
        (f"Raise {Option('a')}.", "Raise a.", "Raise a.", "Raise --a."),
        (f"Say {Option('a', True)}.", "Say a: true.", "Say a: true.", "Say --a."),
        (f"Say {Option('a', ['b', 'c'])}.", "Say a: [b, c].", "Say a: [b, c].", "Say --a."),
        (f"Say {Option('a', '{x: ...}')}.", "Say a: {x: ...}.", "Say a: {x: ...}.", "Say --a."),
        (f"Run {Program('m')}{Clause(f' ({BECOME}?)')}.", "Run m (become: true?).", "Run m.", "Run --m (--become?)."),
        (f"Wait{Clause(f' or say {FORCE}', '!')}", "Wait or say force: true", "Wait!", "Wait or say --force"),
        (f"Do{Clause('', f' {FORCE}')}.", "Do.", "Do.", "Do."),
        ("Nothing.", "Nothing.", "Nothing.", "Nothing."),
    ],
    ids=["option", "value", "list", "text", "program and clause", "clause", "clause for others", "plain"],
)  # fmt: skip
def test_a_text_is_spelled_for_each_front_end(text: str, tasks: str, without: str, others: str) -> None:
    error = InvalidOption(text, remedy=text)
    assert (str(error), error.message, error.remedy, error.args) == (tasks, tasks, tasks, (tasks,))
    assert error.spelled(nothing) == (without, without)
    assert error.spelled(dashes) == (others, others)
    assert json.loads(json.dumps(error.as_dict()))["remedy"] == tasks
    assert not isinstance(error.as_dict()["message"], Wording)


def test_a_remedy_that_is_passed_on_keeps_its_options() -> None:
    first = InvalidOption("a", remedy=f"Say {FORCE}.")
    second = InvalidOption(first.message, remedy=first.remedy)
    second.message = first.message
    assert second.spelled(dashes)[1] == "Say --force."
    second.remedy = f"Leave {FORCE} out."
    assert (second.remedy, second.spelled(dashes)[1]) == ("Leave force: true out.", "Leave --force out.")


def test_values_are_on_one_line_and_nothing_in_them_is_a_mark() -> None:
    inner = str(FORCE)
    error = InvalidOption(f"{Option('a', 'x' + chr(10) + 'y')} {Option('b', ['z' + chr(27)])}")
    assert str(error) == r"a: x\ny b: [z\x1b]"
    # the name of a file can be anything but the number of this process
    forged = inner.replace(inner[1:17], "0" * 16)
    assert "force" in str(InvalidOption(f"file {forged}"))
    assert InvalidOption(f"file {forged}").spelled(dashes)[0] == str(InvalidOption(f"file {forged}"))


def test_a_path_by_a_descriptor_is_named_in_a_clause_too(tmp_path: Path) -> None:
    place = tmp_path / 'a"b'
    place.mkdir()
    descriptor = os.open(place, os.O_RDONLY)
    try:
        error = InvalidOption("x", remedy=f"Go{Clause(f' to /proc/self/fd/{descriptor}')}.")
    finally:
        os.close(descriptor)
    assert error.remedy == f"Go to {place}."
