# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of kinds of files: what each job does with a name, and that no other module spells one again."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils import engine
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format import file_kinds
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.family import Family

ENGINE = Path(engine.__file__).parent

#: modules that may spell names: the table itself, the table of families, which it takes the redo logs from, and the
#: names of Ansible modules and of variables of roles
TABLES = ("format/file_kinds.py", "format/family.py", "errors/base.py", "replica/compatibility.py")
#: what stands for other things, too: a database and a family of servers, our own locks and logs
OTHER_MEANINGS = {file_kinds.SYSTEM_DATABASE, ".lock", ".log"}
#: that are no words when they are without their points
EXTENSIONS = {"ibd", "ibu", "isl", "frm", "sdi", "zst", "xbcrypt"}

WORDS = {
    word
    for kind in (*file_kinds.KINDS, file_kinds.SERVER_FILE)
    for word in (*kind.names, *kind.suffixes, *(kind.prefixes if kind is not file_kinds.SERVER_FILE else ()))
} | file_kinds.NOT_CONTENT
STEMS = (
    "ib_logfile", "ibdata", "ibtmp", "aria_log", r"undo\d", r"undo_\d", "undo_?", "#ib_", "#innodb_", "dblwr", "FTS_",
    "ibd", "ibu", "MYD", "MYI", "MAD", "MAI", "ARZ", "CSV", "frm", "sdi", "zst", "xbcrypt", "ib[", "MA[", "MY[",
)  # fmt: skip
_METACHARACTERS = re.compile(r"\\[.dw]|\.[*+]|\[|\|")


def _texts(source: str) -> Iterator[tuple[int, str]]:
    """Line and value of each string in ``source`` that is no docstring, and does not name a program or a module."""
    tree = ast.parse(source)
    docs = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    programs = {
        id(argument)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Program"
        for argument in node.args
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs | programs:
            yield node.lineno, node.value


def spelled_again(source: str) -> list[tuple[int, str]]:
    """The strings in ``source`` that are a name of the table, or a regular expression for one."""
    found = []
    for line, text in _texts(source):
        is_name = text in WORDS - OTHER_MEANINGS or (f".{text}" in WORDS and (text.isupper() or text in EXTENSIONS))
        is_pattern = " " not in text and _METACHARACTERS.search(text) and any(stem in text for stem in STEMS)
        if is_name or is_pattern:
            found.append((line, text))
    return found


def test_no_other_module_spells_a_name_of_the_table() -> None:
    found = []
    for path in sorted(ENGINE.rglob("*.py")):
        name = str(path.relative_to(ENGINE))
        if name not in TABLES:
            found += [f"{name}:{line} {text}" for line, text in spelled_again(path.read_text())]
    assert found == []


@pytest.mark.parametrize(
    ("source", "seen"),
    [
        ('x = name == "ibdata1"', True),
        ('x = f"{name}.ibd"', True),
        ('x = {"MYD", "other"}', True),
        ('x = re.compile(r"undo_\\d{3}")', True),
        ('x = re.compile(r"#ib_\\d+_\\d+\\.b?dblwr")', True),
        ('x = re.compile(r".*\\.(frm|TRN)")', True),
        ('x = name.startswith("xtrabackup_")', True),
        ('def f():\n    """ibdata1"""', False),
        ('x = "Set innodb_data_file_path=ibdata1:12M first"', False),
        ('x = options.get("innodb_undo_directory")', False),
        ('x = "SELECT 1 FROM mysql.user"', False),
    ],
)
def test_a_name_that_is_spelled_again_is_seen(source: str, seen: bool) -> None:
    assert bool(spelled_again(source)) is seen


# --- the table ------------------------------------------------------------------------------------


def test_every_kind_has_a_name_of_its_own() -> None:
    labels = [kind.label for kind in file_kinds.KINDS]
    assert len(labels) == len(set(labels))
    assert all(kind.names or kind.suffixes or kind.prefixes or kind.pattern for kind in file_kinds.KINDS)


@pytest.mark.parametrize(
    "name",
    ["ibdata1", "ib_logfile0", "#innodb_redo", "aria_log_control", "mysql", "mysql.ibd"],
)
def test_one_list_says_what_a_data_directory_has(name: str) -> None:
    assert name in file_kinds.DATADIR_SIGNS


def test_nothing_else_is_a_sign_of_a_data_directory() -> None:
    assert len(file_kinds.DATADIR_SIGNS) == 6


@pytest.mark.parametrize(
    ("name", "mariadb", "mysql"),
    [
        ("auto.cnf", True, True),
        ("ibtmp1", True, True),
        ("tc.log", True, True),
        ("server.pid", True, True),
        ("mysql.sock", True, True),
        ("ib_logfile101", True, False),
        ("ddl_recovery.log", True, False),
        ("ddl_recovery-backup.log", True, False),
        ("ddl-recovery.log", True, False),
        ("mysql_upgrade_history", False, True),
        ("mysqld-auto.cnf", False, True),
        ("#ib_16384_0.dblwr", False, True),
        ("#ib_16384_1.bdblwr", False, True),
        ("#ib_16384_1.ddblwr", False, True),
        ("undo_1_trunc.log", False, True),
        ("server-key.pem", False, True),
        ("ib_logfile0", False, False),
        ("ibdata1", False, False),
        ("undo_001", False, False),
        ("my.cnf", False, False),
        ("db/ibtmp1", False, False),
    ],
)
def test_what_a_server_leaves_is_that_of_its_family(name: str, mariadb: bool, mysql: bool) -> None:
    assert file_kinds.is_leftover(Family.MARIADB, name) is mariadb
    assert file_kinds.is_leftover(Family.MYSQL, name) is mysql


@pytest.mark.parametrize(
    ("path", "left"),
    [
        ("xtrabackup_manifest.json", True),
        ("xtrabackup_restore_in_progress.json", True),
        ("xtrabackup_prepare_in_progress", True),
        ("xtrabackup_restored.json", True),
        ("backup-my.cnf", True),
        ("xtrabackup_checkpoints", True),
        ("mariadb_backup_checkpoints", True),
        ("xtrabackup_binary", True),
        ("xtrabackup_binlog_pos_innodb", True),
        ("mariadb_backup_binlog_pos_innodb", True),
        ("auto.cnf", True),
        ("ibtmp1", True),
        ("xtrabackup_logfile", True),
        ("xtrabackup_tablespaces", True),
        ("mysqld-auto.cnf", True),
        ("mysql_upgrade_history", True),
        *((f"{place}x.{end}", True) for place in ("", "db/") for end in (
            "pid", "sock", "qp", "zst", "xbcrypt", "pmap", "tmp", "xtrabackup-part",
        )),
        ("db/auto.cnf", False),
        ("db/backup-my.cnf", False),
        ("xtrabackup_info", False),
        ("xtrabackup_binlog_info", False),
        ("xtrabackup_slave_info", False),
        ("ib_logfile0", False),
        ("ibdata1", False),
        ("tc.log", False),
        ("db/t.ibd", False),
        ("aria_log.00000001", False),
    ],
)  # fmt: skip
def test_what_a_restore_leaves_behind(path: str, left: bool) -> None:
    assert file_kinds.is_left_behind(path) is left


@pytest.mark.parametrize(
    ("path", "metadata"),
    [
        ("xtrabackup_info", True),
        ("mariadb_backup_info", True),
        ("backup-my.cnf", True),
        ("xtrabackup_db/t.ibd", False),
        ("my.cnf", False),
    ],
)
def test_metadata_is_at_the_top_of_a_backup(path: str, metadata: bool) -> None:
    assert file_kinds.is_metadata(path) is metadata


def test_what_mariadb_and_mysql_have_beside_the_data() -> None:
    assert file_kinds.METADATA_NAMES[Family.MARIADB] ^ file_kinds.METADATA_NAMES[Family.MYSQL] == {
        file_kinds.REDO_NAME,
        file_kinds.LOGFILE_NAME,
        file_kinds.TABLESPACES_NAME,
    }


@pytest.mark.parametrize(
    ("family", "column", "extensions"),
    [
        (Family.MARIADB, file_kinds.Backup.TABLE, "MYD MYI MRG ARM ARZ CSM CSV MAD MAI"),
        (Family.MYSQL, file_kinds.Backup.TABLE, "MYD MYI MRG ARM ARZ CSM CSV MAD MAI"),
        (Family.MARIADB, file_kinds.Backup.DEFINITION, "frm TRG TRN opt par"),
        (Family.MYSQL, file_kinds.Backup.DEFINITION, "sdi opt"),
    ],
)
def test_files_of_other_engines_are_known_by_their_extensions(
    family: Family, column: file_kinds.Backup, extensions: str
) -> None:
    found = file_kinds.suffixes_of(*file_kinds.kinds_of(family, backup=column))
    assert sorted(found) == sorted(f".{extension}" for extension in extensions.split())
