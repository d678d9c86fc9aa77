# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Manifests that somebody else has written: what they name, how deep they are, which numbers they hold."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine import manifest
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import FormatError
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format import file_kinds
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.progress import Progress
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery.backup_directory import (
    read_backup_directory,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.entry import Decoding
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.unpack_directory import (
    UnpackOptions,
    apply_manifest_in_place,
    unpack_directory,
)

STATE_NAMES = [
    "xtrabackup_prepare_in_progress",
    "xtrabackup_restore_in_progress.json",
    "xtrabackup_restored.json",
    ".xtrabackup_unfinished",
    ".xtrabackup.partial/x",
    ".xtrabackup-restore/x",
    ".xtrabackup-unpacked",
    ".unpacking.partial/x",
]
OUTSIDE = ["../victim", "/etc/passwd", "a/../../victim", "./ibdata1", "a//b", "", "a\0b", 7, None, ["a"], {"a": 1}]


def document(**changes: Any) -> dict[str, Any]:
    """A manifest that is right, but for ``changes``."""
    return {
        "format": manifest.FORMAT_VERSION,
        "digest": "xxh3_128",
        "backup": {"id": "1"},
        "files": [{"path": "ibdata1", "size": 3, "digest": "0" * 32}],
        "discarded": [],
        **changes,
    }


def parsed(text: str | dict[str, Any]) -> manifest.Manifest:
    data = text if isinstance(text, str) else json.dumps(text)
    return manifest.parse(data.encode("utf-8", "surrogatepass"), "here")


def test_the_manifest_that_the_others_differ_from_is_right() -> None:
    assert parsed(document()).id == "1"


@pytest.mark.parametrize("name", [*OUTSIDE, *STATE_NAMES, file_kinds.MANIFEST_NAME])
def test_discarded_names_a_file_outside_or_our_own_state(name: object) -> None:
    with pytest.raises(FormatError):
        parsed(document(discarded=[name]))


@pytest.mark.parametrize("name", [*OUTSIDE, *STATE_NAMES, file_kinds.MANIFEST_NAME])
@pytest.mark.parametrize("key", ["path", "stored"])
def test_a_file_is_outside_or_our_own_state(key: str, name: object) -> None:
    if key == "stored" and name is None:
        return  # that is how "as path" is said
    file = {"path": "ibdata1", "size": 3, "digest": "", key: name}
    with pytest.raises(FormatError):
        parsed(document(files=[file]))


@pytest.mark.parametrize("name", ["../victim", "absolute"])
def test_a_manifest_has_a_file_outside_the_directory_deleted(tmp_path: Path, name: str) -> None:
    """By --decompress, and by --prepare after the stock mbstream."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    directory = tmp_path / "backup"
    directory.mkdir()
    (directory / "ibdata1").write_bytes(b"abc")
    named = str(victim) if name == "absolute" else name
    (directory / file_kinds.MANIFEST_NAME).write_text(json.dumps(document(discarded=[named])))
    with pytest.raises(FormatError):
        apply_manifest_in_place(directory)
    with pytest.raises(FormatError):
        unpack_directory(directory, UnpackOptions(Decoding(decompress=True, decrypt=False)), Progress("unpack"))
    assert victim.read_text() == "precious"


@pytest.mark.parametrize("opening", ["[", '{"a":'])
@pytest.mark.parametrize("depth", [20, 200_000])
def test_nested_lists_end_in_a_recursion_error(opening: str, depth: int) -> None:
    closing = "]" if opening == "[" else "}"
    nested = opening * depth + "1" + closing * depth
    text = json.dumps(document()).replace('{"id": "1"}', '{"id": "1", "x": ' + nested + "}")
    with pytest.raises(FormatError, match="nested"):
        parsed(text)


@pytest.mark.parametrize(
    "number", ["1e999", "-1e999", "NaN", "Infinity", "-1", "1.5", "9" * 30, "9" * 5000, "true", '"3"']
)
def test_a_size_is_a_number_that_no_size_is(number: str) -> None:
    text = json.dumps(document()).replace('"size": 3', f'"size": {number}')
    with pytest.raises(FormatError):
        parsed(text)


@pytest.mark.parametrize("number", ["1e999", "NaN", "9" * 5000, "-Infinity"])
def test_a_record_holds_a_number_out_of_range(number: str) -> None:
    text = json.dumps(document()).replace('{"id": "1"}', '{"id": "1", "seconds": ' + number + "}")
    with pytest.raises(FormatError):
        parsed(text)


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"id": ""},
        {"id": "a/b"},
        {"id": "1\n2"},
        {"id": 1},
        {"id": "1", "server": "mariadb"},
        {"id": "1", "server": {"flavor": ["mysql"]}},
        {"id": "1", "replication": {"a": 1}},
        {"id": "1", "replication": ["x"]},
        {"id": "1", "replication": [{"position": "1e999"}]},
        {"id": "1", "prepared": "yes"},
        {"id": "1", "missing_tables": [7]},
        {"id": "1", "bytes": {"read": "many"}},
        {"id": "1", "note": "\ud800"},
        [],
        None,
    ],
)
def test_a_record_has_other_types_than_the_engine_acts_on(record: object) -> None:
    with pytest.raises(FormatError):
        parsed(document(backup=record))


@pytest.mark.parametrize("file", ["/etc/shadow", "../../etc/shadow", "db/x", "..", "a\0", "xtrabackup_restored.json"])
def test_the_binary_log_of_a_manifest_is_a_path(file: str) -> None:
    with pytest.raises(FormatError):
        parsed(document(backup={"id": "1", "binlog": {"file": file, "position": 4, "gtid": ""}}))


@pytest.mark.parametrize("file", ["/etc/shadow", "../../etc/shadow"])
def test_the_binary_log_of_a_stock_backup_is_a_path(tmp_path: Path, file: str) -> None:
    (tmp_path / "xtrabackup_checkpoints").write_text(
        "backup_type = full-backuped\nfrom_lsn = 0\nto_lsn = 1\nlast_lsn = 2\n"
    )
    (tmp_path / "xtrabackup_info").write_text("uuid = 1\nserver_version = 8.0.36\nserver_flavor = MySQL\n")
    (tmp_path / "backup-my.cnf").write_text("[mysqld]\n")
    (tmp_path / "xtrabackup_binlog_info").write_text(f"{file}\t4\n")
    with pytest.raises(FormatError, match="binlog"):
        read_backup_directory(tmp_path)


def test_a_key_that_is_there_twice_says_two_things() -> None:
    text = json.dumps(document()).replace('{"id": "1"}', '{"id": "1", "id": "2"}')
    with pytest.raises(FormatError, match="twice"):
        parsed(text)


@pytest.mark.parametrize("name", [file_kinds.MANIFEST_NAME, "backup-my.cnf", "xtrabackup_checkpoints"])
@pytest.mark.parametrize("kind", ["link", "fifo", "device"])
def test_metadata_that_is_no_regular_file_is_read_or_waited_for(tmp_path: Path, name: str, kind: str) -> None:
    for file, text in (
        ("xtrabackup_checkpoints", "backup_type = full-backuped\nfrom_lsn = 0\nto_lsn = 1\nlast_lsn = 2\n"),
        ("xtrabackup_info", "uuid = 1\nserver_version = 10.11.19-MariaDB\n"),
        ("backup-my.cnf", "[mysqld]\n"),
    ):
        (tmp_path / file).write_text(text)
    (tmp_path / name).unlink(missing_ok=True)
    if kind == "fifo":
        os.mkfifo(tmp_path / name)
    else:
        (tmp_path / name).symlink_to("/etc/passwd" if kind == "link" else "/dev/zero")
    with pytest.raises(FormatError, match="is a symbolic link|is not a regular file"):
        read_backup_directory(tmp_path)
