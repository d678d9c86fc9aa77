# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A made-up backup and a made-up server, for tests of everything around a recovery."""

from __future__ import annotations

import os
import struct
import sys
from pathlib import Path
from typing import Any

import crc32c
import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine import manifest
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format import file_kinds
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.mariadb.redo_10_8 import (
    render_backup_header,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.mariadb.redo_format import (
    MariadbCheckpoint,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.manifest import FileEntry, Manifest

FIRST_LSN = 20000
REDO_BYTES = 5000
LAST_LSN = FIRST_LSN + REDO_BYTES

CONFIGURATION = """\
# made by hand
[mysqld]
innodb_data_file_path=ibdata1:12M:autoextend
innodb_log_file_size=33554432
innodb_page_size=16384
innodb_undo_tablespaces=3
"""

CHECKPOINTS = """\
backup_type = full-backuped
from_lsn = 0
to_lsn = 24000
last_lsn = 25000
recover_binlog_info = 0
"""

INFO = """\
uuid = 0e4cd5b0-aaaa-11f1-9c4e-02fc00000001
tool_name = mariadb-backup
server_version = 10.11.19-MariaDB-log
start_time = 2026-11-21 03:33:36
end_time = 2026-11-21 03:34:36
"""


def redo_log(creator: bytes = b"Backup 10.11.19", size: int = REDO_BYTES) -> bytes:
    """An ib_logfile0 whose data is not looked at."""
    log = bytearray(render_backup_header(MariadbCheckpoint(FIRST_LSN, FIRST_LSN), "10.11.19"))
    log[16:48] = creator.ljust(32, b"\0")
    struct.pack_into(">I", log, 508, crc32c.crc32c(bytes(log[:508])))
    return bytes(log) + bytes(size)


class Backup:
    """A backup directory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.put("ib_logfile0", redo_log())
        self.put("backup-my.cnf", CONFIGURATION)
        self.put("xtrabackup_checkpoints", CHECKPOINTS)
        self.put("xtrabackup_info", INFO)
        self.put("xtrabackup_binlog_info", "binlog.000007\t4711\t0-1-815\n")
        self.put("ibdata1", b"s" * 40000)
        self.put("undo001", b"u" * 20000)
        self.put("aria_log_control", b"a" * 52)
        self.put("shop/t.ibd", b"t" * 70000)
        self.put("shop/t.frm", b"f" * 900)
        (path / "empty").mkdir()

    def put(self, name: str, content: bytes | str) -> Path:
        target = self.path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)
        return target

    def add_manifest(self, **record: Any) -> str:
        """Make it one of ours; returns the manifest's digest."""
        entries = []
        for path in sorted(self.path.rglob("*")):
            if path.is_file() and path.name != file_kinds.MANIFEST_NAME:
                with open(path, "rb", buffering=0) as source:
                    size, digest = manifest.digest_file(source)
                entries.append(FileEntry(str(path.relative_to(self.path)), size, digest))
        fields = {
            "id": "ours-1",
            "type": "full",
            "state": "copied",
            "server": {"flavor": "mariadb", "version": "10.11.19-MariaDB"},
            "binlog": {"file": "binlog.000007", "position": 4711, "gtid": "0-1-815"},
            "last_lsn": LAST_LSN,
        }
        data = Manifest({**fields, **record}, tuple(entries)).render()
        self.put(file_kinds.MANIFEST_NAME, data)
        return manifest.digest_of(data)

    def content(self) -> dict[str, bytes]:
        return {
            str(path.relative_to(self.path)): path.read_bytes()
            for path in sorted(self.path.rglob("*"))
            if path.is_file()
        }


@pytest.fixture
def backup(tmp_path: Path) -> Backup:
    """A copied backup without a manifest, as the stock tool leaves it."""
    return Backup(tmp_path / "full")


FAKE_SERVER = """\
#!/usr/bin/env python3
import os, sys, time
if "--version" in sys.argv:
    print("mariadbd  Ver 10.11.19-MariaDB for Linux on x86_64")
    sys.exit(0)
options = dict(word[2:].partition("=")[::2] for word in sys.argv[1:])
datadir = options["datadir"]
def say(text):
    print("2026-11-21  3:33:54 0 " + text, file=sys.stderr, flush=True)
def put(name, content):
    with open(os.path.join(datadir, name), "wb") as target:
        target.write(content)
END = %(end)r
say("[Note] Starting MariaDB 10.11.19-MariaDB source revision x as process 1")
say("[Note] InnoDB: Starting crash recovery from checkpoint LSN=20000")
%(before)s
say("[Note] InnoDB: End of log at LSN=" + END)
%(middle)s
put("ib_logfile0", %(log)r)
put("shop/t.ibd", b"T" * 80000)
put("ibtmp1", b"x")
put("server.pid", b"1")
say("[Note] InnoDB: Starting in background the rollback of recovered transactions")
say("[Note] InnoDB: log sequence number 25000; transaction id 660")
answered = 0
for line in sys.stdin:
    name = line.rsplit("INTO OUTFILE", 1)[1].split("'")[1]
    if "INNODB_SYS_TABLES" in line:
        with open(name, "w") as answer:
            answer.write("0\\tend\\n")
        continue
    assert "INNODB_TRX" in line, line
    with open(name, "w") as answer:
        answer.write("1\\n" if answered < 2 else "0\\n")
    answered += 1
    if answered == 2:
        say("[Note] InnoDB: Rolled back recovered transaction 221")
    if answered > 3:
        say("[ERROR] asked again after the last answer")
%(after)s
sys.exit(0)
"""


_STARTED: list[list[str]] = []


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    # the server itself can write nothing outside the directory
    if event == "subprocess.Popen":
        _STARTED.append([os.fsdecode(word) for word in arguments[1]])


sys.addaudithook(_note)


class FakeServer:
    """An executable that talks as a recovering mariadbd does and changes the directory as one would."""

    def __init__(self, place: Path) -> None:
        self.path = place / "mariadbd"
        place.mkdir()
        self.says()

    def says(self, *, end: int = LAST_LSN, before: str = "", middle: str = "", after: str = "") -> None:
        """Its end of the log, and Python statements to run at three points."""
        log = redo_log(b"MariaDB 10.11.19")
        parts = {"end": str(end), "before": before, "middle": middle, "after": after, "log": log}
        self.path.write_text(FAKE_SERVER % parts)
        self.path.chmod(0o755)

    @property
    def calls(self) -> list[str]:
        """The arguments of each run of it that this process has started, but for those that ask for its version."""
        runs = (words for words in _STARTED if words[0] == str(self.path) and "--version" not in words)
        return [repr(words[1:]) for words in runs]


@pytest.fixture
def server(tmp_path: Path) -> FakeServer:
    """A server that recovers the made-up backup."""
    return FakeServer(tmp_path / "bin")
