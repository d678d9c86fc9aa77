# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors of the engine name options that exist in a module; the command line has them, or says what does the same."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from ansible_collections.innodb.xtrabackup.plugins.module_utils import console, engine
from ansible_collections.innodb.xtrabackup.plugins.module_utils.console import spelling
from ansible_collections.innodb.xtrabackup.plugins.module_utils.console.dialects import BACKUP, DIALECTS, STREAM
from ansible_collections.innodb.xtrabackup.plugins.module_utils.console.option import REFUSED
from ansible_collections.innodb.xtrabackup.plugins.module_utils.console.spelling import ConsoleSpelling
from ansible_collections.innodb.xtrabackup.plugins.module_utils.console.tables import options_of
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    Clause,
    DecryptionFailed,
    InvalidOption,
    Keyword,
    LockTimeout,
    NotPrepared,
    Option,
    Program,
    TargetNotEmpty,
    wording,
)

ENGINE = Path(engine.__file__).parent
COLLECTION = ENGINE.parents[2]
MARKERS = ("Option", "Program", "Keyword", "Clause")
#: keys that are not written where the error is: the file, and the keys that it can have there
DYNAMIC = {
    "destinations/registry.py": ("compress", "encrypt", "sparse"),
    "restore/request.py": ("request.id", "request.sha256", "request.created", "request.expires"),
    "server/replication_model.py": (
        "channel", "connect_retry", "source_host", "source_password", "source_port", "source_ssl_ca",
        "source_ssl_cert", "source_ssl_key", "source_user",
    ),
}  # fmt: skip
#: names of a module in text that no command line shows, or that are not options where they stand
LITERAL = {
    ("backup/mysql/timeline.py", "safe_slave_backup"),  # a warning
    ("backup/run.py", "keyring_file"),  # a warning
}


@dataclass(frozen=True)
class Use:
    """A term in a text of the engine; ``optional``: in a clause that is left out where the term cannot be spelled."""

    file: str
    line: int
    term: Any
    optional: bool


def module_of(path: Path) -> ModuleType:
    """The module of the engine whose file is ``path``."""
    parts = path.relative_to(ENGINE).with_suffix("").parts
    return importlib.import_module(".".join([engine.__name__, *(part for part in parts if part != "__init__")]))


def terms_in(text: str) -> Iterator[tuple[Any, bool]]:
    """The terms in a marked text, and whether each is in a clause."""
    for part in wording.Wording.of(text).parts:
        if isinstance(part, tuple):
            yield from ((term, True) for term in part[0].terms())
            yield from ((term, False) for term in part[1].terms())
        elif not isinstance(part, str):
            yield part, False


def uses_in(path: Path) -> Iterator[Use]:
    """All terms that texts in ``path`` have."""
    name = str(path.relative_to(ENGINE))
    module = module_of(path)

    def visit(node: ast.AST, optional: bool) -> Iterator[Use]:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in MARKERS:
            if node.func.id == "Clause":
                yield from visit(node.args[0], True)
                for rest in node.args[1:]:
                    yield from visit(rest, optional)
                return
            kind = getattr(wording, node.func.id)
            key = node.args[0]
            value = node.args[1] if len(node.args) > 1 else None
            known = value.value if isinstance(value, ast.Constant) else "x" if value is not None else None
            keys = (str(key.value),) if isinstance(key, ast.Constant) else DYNAMIC[name]
            for one in keys:
                yield Use(name, node.lineno, kind(one) if kind is Program else kind(one, known), optional)
            return
        if isinstance(node, ast.FormattedValue) and isinstance(node.value, ast.Name):
            bound = getattr(module, node.value.id, None)
            if isinstance(bound, (Option, Program, Keyword, Clause)):
                for term, conditional in terms_in(str(bound)):
                    yield Use(name, node.lineno, term, optional or conditional)
            return
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            bound = getattr(module, node.targets[0].id, None) if isinstance(node.targets[0], ast.Name) else None
            if isinstance(bound, (Option, Program, Keyword)):
                return  # counts where it is used
        for child in ast.iter_child_nodes(node):
            yield from visit(child, optional)

    yield from visit(ast.parse(path.read_text()), False)


USES = [use for path in sorted(ENGINE.rglob("*.py")) for use in uses_in(path)]


def module_options() -> set[str]:
    """All options of the modules, those in others by their path: ``encrypt.key_file``, and by their last name."""
    found: set[str] = set()

    def add(options: dict[str, Any] | None, prefix: str = "") -> None:
        for name, facts in (options or {}).items():
            found.update({name, prefix + name})
            add(facts.get("suboptions"), f"{prefix}{name}.")

    for path in (COLLECTION / "plugins" / "modules").glob("[!_]*.py"):
        source = ast.parse(path.read_text())
        texts = {
            node.targets[0].id: str(node.value.value)
            for node in source.body
            if isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Name)
            and isinstance(node.value, ast.Constant)
        }
        add(yaml.safe_load(texts["DOCUMENTATION"]).get("options"))
    for path in (COLLECTION / "plugins" / "doc_fragments").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and "options:" in node.value:
                add(yaml.safe_load(node.value).get("options"))
    return found


OPTIONS = module_options()


def closure(*names: str) -> set[str]:
    """The files of the engine that these modules of the console import, directly or not."""
    todo = [Path(console.__file__).parent / f"{name}.py" for name in names]
    root = ENGINE.parent
    seen: set[Path] = set()
    while todo:
        path = todo.pop()
        if path in seen or not path.is_file():
            continue
        seen.add(path)
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.level:
                base = path.parents[node.level - 1]
                place = base.joinpath(*(node.module or "").split(".")) if node.module else base
                todo += [place.with_suffix(".py"), *(place / f"{alias.name}.py" for alias in node.names)]
    return {str(path.relative_to(ENGINE)) for path in seen if ENGINE in path.parents and root in path.parents}


BACKUP_FILES = closure("backup", "recovery", "restore") | {str(p.relative_to(ENGINE)) for p in ENGINE.glob("errors/*")}
#: texts in files that are reached, about what the command line never asks for: selections, restores by digest, events
#: that are disabled, another place for what is prepared, a group
UNREACHED = {
    ("host/ownership.py", "group"),
    ("recovery/events.py", "target_dir"),
    ("recovery/prepare.py", "target_dir"),
    ("restore/pinned.py", "force"),
    ("restore/pinned.py", "target_dir"),
    ("stream/selection.py", "files"),
    ("stream/selection.py", "tables"),
}
#: what unpacking and sending a stream can raise: everything but what is about servers and other hosts
STREAM_FILES = {
    file
    for file in closure("stream")
    if not file.startswith("server/") and file not in ("errors/server.py", "errors/wording.py", "stream/codec.py")
}


def test_the_texts_of_the_engine_name_many_options() -> None:
    assert len(USES) > 100
    assert {"force", "login_unix_socket", "lock_timeout", "keyring_file", "decrypt"} <= {use.term.key for use in USES}


@pytest.mark.parametrize("use", USES, ids=lambda use: f"{use.file}:{use.line}:{use.term.key}")
def test_an_error_names_an_option_that_a_module_has(use: Use) -> None:
    if isinstance(use.term, Option):
        assert use.term.key in OPTIONS
    elif isinstance(use.term, Program):
        places = (COLLECTION / "plugins" / "modules" / f"{use.term.key}.py", COLLECTION / "roles" / "install")
        assert any(place.exists() for place in places)
        assert use.term.key in spelling.PROGRAMS
    else:
        assert use.term.key in {"become", "become_user", "environment"}


@pytest.mark.parametrize("program", DIALECTS)
def test_the_command_line_spells_all_that_its_errors_name(program: str) -> None:
    dialect = DIALECTS[program]
    spell = ConsoleSpelling(dialect)
    options = options_of(dialect)
    reached = BACKUP_FILES if dialect.tool == BACKUP else STREAM_FILES
    wrong = []
    for use in USES:
        if use.file not in reached or use.optional or use.term.key in spelling.NEVER_SHOWN:
            continue
        if (use.file, use.term.key) in UNREACHED or use.file.startswith(("restore/request", "transport/")):
            continue
        said = spell(use.term)
        if said is None:
            if not (isinstance(use.term, Program) and spelling.PROGRAMS.get(use.term.key) == ""):
                wrong.append(f"{use.file}:{use.line} {use.term!r}")
            continue
        for word in said.split():
            name = word[2:].partition("=")[0]
            if word.startswith("--") and name != "defaults-file" and "(of xtrabackup" not in said:
                assert name in options or dialect.tool == STREAM, f"{use.file}:{use.line} {said}"
                assert name not in options or options[name].verdict != REFUSED
    assert not wrong, "\n" + "\n".join(wrong)


def test_what_has_an_equivalent_is_in_no_list_of_what_has_none() -> None:
    for program in DIALECTS:
        spell = ConsoleSpelling(DIALECTS[program])
        exact = {key for key in spelling.NEVER_SHOWN if (found := spell.option(key)) and found.parameter == key}
        assert exact == set()
    named = {use.term.key for use in USES}
    assert {(use.file, use.term.key) for use in USES} >= UNREACHED
    assert named >= spelling.NEVER_SHOWN
    assert named >= spelling.WITHOUT


def test_no_text_of_the_engine_has_an_option_that_is_not_marked() -> None:
    """An option's name with an underscore is that of nothing else."""
    names = {name for name in OPTIONS if "_" in name and "." not in name}
    programs = {path.stem for path in (COLLECTION / "plugins" / "modules").glob("xtrabackup_*.py")}
    left = set()
    for path in sorted(ENGINE.rglob("*.py")):
        if path.parent.name == "replica":
            continue  # it speaks to users of the role replica alone
        tree = ast.parse(path.read_text())
        docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
                if " " not in node.value:
                    continue
                words = set(node.value.replace(":", " ").replace(",", " ").replace("(", " ").replace(")", " ").split())
                left |= {
                    (str(path.relative_to(ENGINE)), word.rstrip(".")) for word in words if word.rstrip(".") in names
                }
                assert not words & programs, path
    assert left == LITERAL


def said_by(program: str, error: Any) -> str:
    message, remedy = error.spelled(ConsoleSpelling(DIALECTS[program]))
    return f"{message}. {remedy}"


@pytest.mark.parametrize(
    ("program", "error", "said"),
    [
        ("xtrabackup", LockTimeout("late"), "or raise --ftwrl-wait-timeout."),
        ("mariadb-backup", LockTimeout("late"), "or raise --ftwrl-wait-timeout."),
        ("xtrabackup", NotPrepared("no"), "Run --prepare on it first."),
        ("xtrabackup", TargetNotEmpty("full"), "full. Choose an empty place."),
        ("xtrabackup", InvalidOption(f"{Option('dest')}: bad"), "--target-dir: bad. "),
        ("xbstream", DecryptionFailed("no"), "(--decrypt=ALGORITHM and --encrypt-key-file); if"),
        ("xtrabackup", DecryptionFailed("no"), "(--decrypt=ALGORITHM and --encrypt-key-file, --keyring-file); if"),
        ("mariadb-backup", DecryptionFailed("no"), "--encrypt-key-file (of xtrabackup, another name of this program)"),
        (
            "xtrabackup",
            InvalidOption("x", remedy=f"Name {Option('allow_missing_tables', ['a.b', 'c.d'])}."),
            "Name --allow-missing-tables=a.b,c.d.",
        ),
        ("xtrabackup", InvalidOption("x", remedy=f"Say {Option('safe_slave_backup', True)}."), "--safe-slave-backup."),
        (
            "xtrabackup",
            InvalidOption("x", remedy=f"Say {Option('safe_slave_backup', False)}."),
            "Say --skip-safe-slave-backup.",
        ),
    ],
)
def test_errors_are_told_in_the_words_of_the_command_line(program: str, error: Any, said: str) -> None:
    assert said in said_by(program, error)
