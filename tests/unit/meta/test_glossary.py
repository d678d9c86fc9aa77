# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The words of the glossary in CONTRIBUTING.md are kept to: words that it has replaced do not come back."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[3]

#: parts of identifiers (between underscores) that have had several meanings, or none that a newcomer could guess
RETIRED_IN_NAMES = frozenset(
    {"settle", "settled", "unsettled", "settling", "sealed", "unsealed", "furnish", "wish", "wishes", "wished"}
    | {"judge", "judged", "stranger", "strangers", "spoke", "accompany", "belongings", "forecast", "patience"}
)
#: whole identifiers
RETIRED_NAMES = frozenset(
    {"told", "look_ahead", "used_up", "is_used_up", "make_ready", "give_away", "stand_still", "stood_still"}
)
#: what guides, comments, docstrings and messages do not say
RETIRED_PHRASES = re.compile(
    r"sealed (run|server)|\bsettle[ds]?\b|\bfurnish(es|ed)?\b|\bwish(es|ed)?\b|\blook(s|ed)? ahead\b|\bstrangers?\b"
    r"|life of a file|\bbelongings\b|\bjudge[ds]?\b",
    re.IGNORECASE,
)
#: a function that raises is a require_x; verify_x compares checksums
RAISING = re.compile(r"_?(check|refuse|prove|ensure|assert)_\w+")
TASK_OPENINGS = re.compile(r"(Look|Looks|Learn|Think|Tell|Make sure|See|Say|Ask|Remember|Note|What|Who|Be)\b")
DOCSTRING_OPENINGS = re.compile(r"(What|Whether|Where|Who|Whose|How|Which|When|As in the base class)\b")

PRODUCT = ("plugins", "roles")
TASKS = ("roles", "playbooks", "extensions/molecule")
DOCUMENTED = ("plugins", "roles")
GUIDES = ("README.md", "docs/docsite/rst", "docs/internals", "docs/examples", "changelogs/fragments")
#: the name of an account in a test of connections
NOT_MEANT = {"'stranger'", '"stranger"'}


def files(places: tuple[str, ...], *suffixes: str) -> Iterator[Path]:
    found = False
    for place in places:
        path = PROJECT / place
        for file in [path] if path.is_file() else sorted(path.rglob("*")):
            if file.suffix in suffixes and "__pycache__" not in file.parts and file.name != Path(__file__).name:
                found = True
                yield file
    assert found, f"no {suffixes} in {places}"


def where(file: Path, line: int, text: str) -> str:
    return f"{file.relative_to(PROJECT)}:{line}: {text}"


def retired(name: str) -> bool:
    return name in RETIRED_NAMES or not RETIRED_IN_NAMES.isdisjoint(name.lower().split("_"))


def tokens(file: Path) -> Iterator[tokenize.TokenInfo]:
    yield from tokenize.generate_tokens(io.StringIO(file.read_text(encoding="utf-8")).readline)


def docstrings(file: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
            text = ast.get_docstring(node)
            if text:
                yield getattr(node, "lineno", 1), text


def tasks(text: str) -> Iterator[tuple[int, str]]:
    """The names of tasks and plays, with their lines."""
    for number, line in enumerate(text.splitlines(), 1):
        match = re.match(r'\s*- name: "?([A-Z].*)', line)
        if match:
            yield number, match[1]


def test_no_identifier_has_a_name_that_was_retired() -> None:
    found = [
        where(file, token.start[0], token.string)
        for file in files((*PRODUCT, "tests"), ".py")
        for token in tokens(file)
        if token.type == tokenize.NAME and not token.string.startswith("test_") and retired(token.string)
        if token.string not in ("look_ahead",) or file.is_relative_to(PROJECT / "plugins")
    ]
    assert found == []


def test_no_file_has_a_name_that_was_retired() -> None:
    found = [
        str(file.relative_to(PROJECT))
        for file in files((*PRODUCT, "playbooks", "extensions", "tests"), ".py", ".yml", ".j2", ".sh")
        if retired(file.stem)
    ]
    assert found == []


def test_no_text_says_what_was_retired() -> None:
    found = [
        where(file, number, line.strip())
        for file in files(GUIDES, ".md", ".rst", ".yml", ".py")
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
        if RETIRED_PHRASES.search(line)
    ]
    found += [
        where(file, token.start[0], match[0])
        for file in files((*PRODUCT, "tests"), ".py")
        for token in tokens(file)
        if token.type in (tokenize.STRING, tokenize.COMMENT) and not any(text in token.string for text in NOT_MEANT)
        for match in RETIRED_PHRASES.finditer(token.string)
    ]
    assert found == []


def test_what_raises_is_named_so() -> None:
    found = [
        where(file, node.lineno, node.name)
        for file in files(("plugins",), ".py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and RAISING.fullmatch(node.name)
        if isinstance(node.returns, ast.Constant) and node.returns.value is None
    ]
    assert found == []


def test_tasks_are_named_as_an_operator_would_search_for_them() -> None:
    found = [
        where(file, number, name)
        for file in files(TASKS, ".yml")
        for number, name in tasks(file.read_text(encoding="utf-8"))
        if TASK_OPENINGS.match(name)
    ]
    assert found == []


def test_docstrings_open_with_a_verb_or_the_things_name() -> None:
    found = [
        where(file, line, text.splitlines()[0])
        for file in files(DOCUMENTED, ".py")
        for line, text in docstrings(file)
        if DOCSTRING_OPENINGS.match(text)
    ]
    assert found == []


@pytest.mark.parametrize("name", ["settle", "_unsettled_pages", "told", "is_used_up", "SEALED"])
def test_a_retired_name_is_recognised(name: str) -> None:
    assert retired(name)


@pytest.mark.parametrize("name", ["settings", "is_signed", "foretold", "used_up_front", "prepare"])
def test_another_name_is_not(name: str) -> None:
    assert not retired(name)


def test_the_names_of_tasks_are_read_and_those_of_packages_are_not() -> None:
    text = '- name: Look at it\n  ansible.builtin.apt:\n    name: Look\n- name: "Check {{ item }}"\n'
    assert list(tasks(text)) == [(1, "Look at it"), (4, 'Check {{ item }}"')]
