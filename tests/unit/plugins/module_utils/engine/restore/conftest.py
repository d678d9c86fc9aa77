# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A made-up prepared backup and a made-up host."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine import manifest
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format import file_kinds
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.family import Family
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host.copying import Ownership
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.manifest import FileEntry, Manifest
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.progress import Progress
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.restore.layout import (
    HostLayout,
    layout_from_options,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.restore.place import RestoreResult, restore
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.restore.plan import RestoreOptions, plan_restore

CHECKPOINTS = "backup_type = log-applied\nfrom_lsn = 0\nto_lsn = 1\nlast_lsn = 2\nrecover_binlog_info = 0\n"
CONFIGURATION = "[mysqld]\ninnodb_data_file_path=ibdata1:4K:autoextend\ninnodb_page_size=16384\n"

DATA = {
    "ibdata1": b"s" * 4096,
    "ib_logfile0": b"l" * 300,
    "undo001": b"u" * 200,
    "aria_log_control": b"a" * 52,
    "aria_log.00000001": b"A" * 60,
    "mysql/user.frm": b"m" * 90,
    "shop/t.ibd": b"t" * 7000,
    "shop/t.frm": b"f" * 900,
    "xtrabackup_binlog_info": b"binlog.000007\t4711\t0-1-815\n",
}
SKIPPED = {
    "backup-my.cnf": CONFIGURATION.encode(),
    "xtrabackup_checkpoints": CHECKPOINTS.encode(),
    "auto.cnf": b"[auto]\nserver-uuid=1\n",
}


def tree(path: Path) -> dict[str, bytes]:
    """Every file below ``path`` and its content; {} when there is nothing."""
    found = {}
    for directory, _names, files in os.walk(path):
        for name in files:
            full = Path(directory) / name
            found[str(full.relative_to(path))] = full.read_bytes()
    return found


class Host:
    """A directory with a prepared backup ``ready`` and a host that it can be restored on."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.backup = place / "ready"
        self.datadir = place / "data"
        self.options = {"datadir": str(self.datadir), "innodb_data_file_path": "ibdata1:4K:autoextend"}
        self.make_backup(self.backup, "ours-1")

    def make_backup(self, path: Path, name: str, state: str = "prepared", *, with_manifest: bool = True) -> None:
        entries = []
        for file, content in {**DATA, **SKIPPED}.items():
            target = path / file
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
            with open(target, "rb", buffering=0) as source:
                size, digest = manifest.digest_file(source)
            # a prepared manifest knows the digest of some files only
            entries.append(FileEntry(file, size, digest if file.endswith(".frm") else ""))
        (path / "empty").mkdir()
        record: dict[str, Any] = {
            "id": name,
            "state": state,
            "binlog": {"file": "binlog.000007", "position": 4711, "gtid": "0-1-815"},
            "prepared": {"source_sha256": self.origin(name)},
        }
        if with_manifest:
            (path / file_kinds.MANIFEST_NAME).write_bytes(Manifest(record, tuple(entries)).render())
            if state == "prepared":
                manifest.note_preparation(path, self.origin(name))

    @staticmethod
    def origin(name: str) -> str:
        """The digest of the backup that the one of this name was prepared from."""
        return hashlib.sha256(name.encode()).hexdigest()

    def layout(self) -> HostLayout:
        return layout_from_options(self.options, None, Family.MARIADB, known=True)

    def spread(self) -> None:
        """Let the server want its files in several places outside and inside its data directory."""
        self.options.update(
            innodb_log_group_home_dir=str(self.place / "redo"),
            innodb_undo_directory=str(self.datadir / "undo"),
            aria_log_dir_path=str(self.place / "aria"),
        )

    def restore(self, source: Path | None = None, **changes: Any) -> RestoreResult:
        options = RestoreOptions(**{"ownership": Ownership(os.getuid(), os.getgid()), **changes})
        planned = plan_restore(source or self.backup, self.layout(), options)
        result = restore(planned, options, Progress("restore"))
        assert result.changed == planned.changed
        return result

    def leftovers(self) -> list[str]:
        """Names beside backup and data directory that should not be there."""
        known = {"ready", "data", "redo", "aria", "system", "log", "second"}
        return sorted(path.name for path in self.place.iterdir() if path.name not in known)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A host on which nothing was restored yet."""
    return Host(tmp_path)
