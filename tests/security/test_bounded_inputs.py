# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small files, frames and options that somebody else has written: how large, how deep and how many, and which numbers.

Each of them ends in an error that names it, at once: in no traceback, no endless wait, and not in all the memory.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any, Callable

import pytest
import yaml

from ansible_collections.innodb.xtrabackup.plugins.filter.restore_request import restore_request
from ansible_collections.innodb.xtrabackup.plugins.module_utils.console.option import Option
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine import manifest
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.catalog import describe_path, read_job
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    FormatError,
    InvalidOption,
    StreamCorrupt,
    XtrabackupError,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format import file_kinds, metadata, tablespaces
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.coordinates import (
    normal_gtid,
    parse_binlog_info,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.file_kinds import IN_PROGRESS_NAME
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host import filling, running
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.mysql.keyring import Keyring
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery.backup_directory import (
    read_backup_directory,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery.prepare_marker import PrepareMarker
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.restore.markers import (
    read_in_progress,
    read_restored,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.restore.mysql.persisted import (
    persisted_variables,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.mariadb.coordinates import gtid_positions
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.mysql.user_tables import (
    _read as read_definition,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.option_file import parse_options
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport import credentials, tls_framing
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.units import parse_duration, parse_size

DEEP = "[" * 200_000
HOSTILE = {
    "deep lists": DEEP,
    "deep objects": '{"a":' * 100_000,
    "closed": '{"a": ' + "[" * 3000 + "]" * 3000 + "}",
    "infinite": '{"pid": 1e999, "version": 1e999, "timeout": 1e999}',
    "no number": '{"pid": NaN, "timeout": NaN}',
    "endless": '{"pid": ' + "9" * 5000 + "}",
    "twice": '{"pid": 1, "pid": 2}',
    "a text": '"' + "x" * 1000 + '"',
    "half": '{"pid": 1',
    "nothing": "",
    "zeros": "\0" * 4096,
}


def backup(place: Path) -> Path:
    """A stock backup."""
    place.mkdir()
    for name, text in {
        "xtrabackup_checkpoints": "backup_type = full-backuped\nfrom_lsn = 0\nto_lsn = 1\nlast_lsn = 2\n",
        "xtrabackup_info": "uuid = 1\nserver_version = 8.0.36\n",
        "backup-my.cnf": "[mysqld]\n",
    }.items():
        (place / name).write_text(text)
    return place


READERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "the manifest": (file_kinds.MANIFEST_NAME, manifest.read_stored),
    "a status": ("status.json", lambda place: read_job(place / "status.json")),
    "the marker of a restore": ("xtrabackup_restore_in_progress.json", read_in_progress),
    "the marker of what was restored": ("xtrabackup_restored.json", read_restored),
    "the marker of a preparation": (IN_PROGRESS_NAME, lambda place: PrepareMarker(read_backup_directory(place))),
    "the list of tablespaces": ("xtrabackup_tablespaces", read_backup_directory),
    "persisted variables": ("mysqld-auto.cnf", lambda place: persisted_variables(place, {})),
    "a keyring": ("keyring", lambda place: Keyring.read(place / "keyring")),
    "a definition": ("t.sdi", lambda place: read_definition(place / "t.sdi", place)),
}


@pytest.mark.parametrize("content", HOSTILE)
@pytest.mark.parametrize("reader", READERS)
def test_a_small_file_is_hostile_json(tmp_path: Path, reader: str, content: str) -> None:
    name, read = READERS[reader]
    place = backup(tmp_path / "b")
    (place / name).write_text(HOSTILE[content])
    if (reader, content) in {("persisted variables", "a text"), ("a keyring", "nothing")}:
        return  # one that names no variable, and one without keys
    with pytest.raises(XtrabackupError) as raised:
        read(place)
    assert name in raised.value.message


@pytest.mark.parametrize("kind", ["fifo", "device"])
@pytest.mark.parametrize("reader", READERS)
def test_a_small_file_is_no_file(tmp_path: Path, reader: str, kind: str) -> None:
    """It is neither waited for nor read without end."""
    name, read = READERS[reader]
    place = backup(tmp_path / "b")
    if kind == "fifo":
        os.mkfifo(place / name)
    else:
        (place / name).symlink_to("/dev/zero")
    with pytest.raises(XtrabackupError) as raised:
        read(place)
    assert name in raised.value.message


@pytest.mark.parametrize("reader", [name for name in READERS if name != "a definition"])
def test_a_small_file_is_larger_than_any_is(tmp_path: Path, reader: str) -> None:
    name, read = READERS[reader]
    place = backup(tmp_path / "b")
    with open(place / name, "wb") as target:
        target.truncate(manifest.MAX_BYTES + 1)
    with pytest.raises(XtrabackupError, match="bytes|no run of this user"):
        read(place)


@pytest.mark.parametrize(
    "name", ["xtrabackup_checkpoints", "xtrabackup_info", "backup-my.cnf", "xtrabackup_binlog_info"]
)
def test_the_texts_of_a_backup_are_larger_than_any_is(tmp_path: Path, name: str) -> None:
    place = backup(tmp_path / "b")
    with open(place / name, "wb") as target:
        target.truncate(1 << 30)
    with pytest.raises(FormatError, match=f"{name} has more than"):
        read_backup_directory(place)


@pytest.mark.parametrize("number", ["9" * 5000, "1e999", "-1", "\u00b2", "\u0661", "1_0", " 1", ""])
def test_numbers_of_texts_are_decimal_digits_of_a_sane_length(number: str) -> None:
    assert parse_binlog_info(f"binlog.000001\t{number}\t0-1-1\n") is None
    assert normal_gtid(f"0-1-{number}")  # raises nothing
    with pytest.raises(ValueError, match="GTID"):
        gtid_positions(f"0-1x-{number}")
    with pytest.raises(FormatError):
        metadata.parse_checkpoints(
            f"backup_type = full-backuped\nfrom_lsn = 0\nto_lsn = {number}\nlast_lsn = 2\n".encode(), "here"
        )
    for read in (parse_size, parse_duration):
        if number != " 1":  # blanks around are allowed there
            with pytest.raises(InvalidOption):
                read(number, "option")


@pytest.mark.parametrize("number", ["9" * 5000, "1e999", "\u00b2"])
def test_numbers_of_the_command_line_are_so_too(number: str) -> None:
    with pytest.raises(InvalidOption):
        Option("parallel", "number", help="").read(number)


def test_a_thousand_options_and_groups_are_read_at_once() -> None:
    text = "[mysqld]\n" + "".join(f"option_{number}={'x' * 100}\n[mysqld]\n" for number in range(50_000))
    started = time.monotonic()
    assert len(parse_options(text.encode(), Path("backup-my.cnf"), {"mysqld"})) == 50_000
    assert time.monotonic() - started < 20


def test_more_files_than_a_backup_can_have() -> None:
    one = {"path": "a", "size": 0, "digest": ""}
    text = json.dumps(one) + ("," + json.dumps(one)) * (manifest.MAX_FILES)
    document = json.dumps({"format": 1, "digest": "xxh3_128", "backup": {"id": "1"}, "files": [], "discarded": []})
    data = document.replace('"files": []', f'"files": [{text}]').encode()
    with pytest.raises(FormatError, match=f"at most {manifest.MAX_FILES} files"):
        manifest.parse(data, "here")


@pytest.mark.parametrize("content", HOSTILE)
def test_the_journal_of_an_unpacking_is_hostile(tmp_path: Path, content: str) -> None:
    """What it names would be removed."""
    (tmp_path / "precious").write_text("precious")
    (tmp_path / filling.MARKER_NAME).write_text(f"123\n{HOSTILE[content]}\n")
    assert not filling.is_free(tmp_path)
    if content != "nothing":
        with pytest.raises(XtrabackupError, match="cannot be read|not empty"):
            filling.Filling(tmp_path)
    assert describe_path(tmp_path)[0]["complete"] is False
    assert (tmp_path / "precious").read_text() == "precious"


@pytest.mark.parametrize("content", HOSTILE)
def test_a_frame_of_the_other_end_is_hostile(content: str) -> None:
    payload = HOSTILE[content].encode()
    for parse in (tls_framing.parse_hello, tls_framing.parse_welcome, tls_framing.parse_ack, tls_framing.parse_end):
        with pytest.raises(XtrabackupError):
            parse(payload, "the sender")
    if content not in ("endless", "infinite", "no number", "twice"):
        with pytest.raises(StreamCorrupt):
            tls_framing.parse_error(payload, "the sender")


@pytest.mark.parametrize("seconds", ["1e300", "-1", "0", "1e999"])
def test_a_time_of_the_other_end_is_none(seconds: str) -> None:
    text = f'{{"version": {tls_framing.PROTOCOL_VERSION}, "timeout": {seconds}}}'
    with pytest.raises(StreamCorrupt):
        tls_framing.parse_welcome(text.encode(), "the receiver")


@pytest.mark.parametrize("content", HOSTILE)
def test_credentials_are_hostile(tmp_path: Path, content: str) -> None:
    path = tmp_path / "sender.json"
    path.write_text(HOSTILE[content])
    path.chmod(0o600)
    with pytest.raises(FormatError, match="no transfer credentials"):
        credentials.load(path)


def test_a_pid_file_is_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pid")
    assert running._named_in(tmp_path / "pid") is None
    (tmp_path / "long").write_text("9" * 5000)
    assert running._named_in(tmp_path / "long") is None


REQUESTS = {
    "deep lists": "a: " + "[" * 30_000,
    "deep mappings": "{a: " * 10_000,
    "deep blocks": "\n".join(" " * depth + "a:" for depth in range(300)),
    "aliases": "a: &a [x, x]\nb: [*a, *a]\n",
    "many values": "hosts: [" + ",".join(f"h{number}" for number in range(100_000)) + "]",
    "digits": "format: " + "9" * 6000,
    "hexadecimal": "format: 0x" + "f" * 60_000,
    "sexagesimal": "format: 1" + ":1" * 20_000,
    "infinite": "format: .inf",
    "no number": "format: .nan",
    "overflow": "format: 1.0e+999",
    "large": "a" * (2 << 20),
    "unknown keys": "".join(f"k{number}: 1\n" for number in range(5000)),
}


@pytest.mark.parametrize("text", REQUESTS)
def test_a_restore_request_is_hostile(text: str) -> None:
    started = time.monotonic()
    problems = restore_request(REQUESTS[text])["problems"]
    assert 1 <= len(problems) <= 50
    assert all(len(problem) < 1000 for problem in problems)
    assert time.monotonic() - started < 30


def test_a_request_for_thousands_of_hosts_is_read_at_once() -> None:
    wanted: dict[str, Any] = {
        "format": 1,
        "id": "r",
        "created": "2026-11-28T10:00:00Z",
        "hosts": [f"h{number}" for number in range(5000)],
        "backup": {"path": "/srv/b", "manifest_sha256": "0" * 64},
    }
    started = time.monotonic()
    assert restore_request(yaml.safe_dump(wanted))["problems"] == []
    assert time.monotonic() - started < 20
    wanted["hosts"].append("h4999")
    assert restore_request(yaml.safe_dump(wanted))["problems"] == ['hosts: holds "h4999" twice']


def test_tablespaces_are_read_at_once_however_many_there_are() -> None:
    entry = {"file_name": "/srv/u.ibu", "tablespace_name": "u", "tablespace_type": "UNDO_LOG"}
    data = json.dumps({"version": 2, "external_tablespaces": [entry] * 20_000}).encode()
    started = time.monotonic()
    assert len(tablespaces.parse(data, "here")) == 20_000
    assert time.monotonic() - started < 20
