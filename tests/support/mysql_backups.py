# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups of MySQL servers made by hand, from the data directory of a server that was killed.

It shares no code with the engine: the log is joined by the rules of the format, the files beside the data are written
as Percona's tool writes them.
"""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import crc32c

from .mysql import MySQLServer

_HEADER = 2048
_BLOCK = 512
_ENCRYPTION = 1072
_NOT_COPIED = shutil.ignore_patterns(
    "#innodb_redo", "#innodb_temp", "#ib_*.dblwr", "ibtmp1", "auto.cnf", "*.pem", "binlog.*", "mysql_upgrade_history"
)


@dataclass(frozen=True)
class Coordinates:
    """Where the binary log of a server stood, and which GTIDs it had executed."""

    file: str
    position: int
    gtid: str


def coordinates(server: MySQLServer) -> Coordinates:
    """Those of ``server`` now."""
    row = server.rows("SHOW BINARY LOG STATUS")[0]
    return Coordinates(str(row["File"]), int(row["Position"]), str(row["Executed_Gtid_Set"]).replace("\n", ""))


def join_log(redo: Path, target: Path, last_lsn: int | None = None) -> tuple[int, int]:
    """Write the log in ``redo`` (a directory ``#innodb_redo``) as ``xtrabackup_logfile``, cut at ``last_lsn``; returns
    the LSNs of its checkpoint and its end."""
    files = {
        int(match.group(1)): path.read_bytes()
        for path in redo.iterdir()
        if (match := re.fullmatch(r"#ib_redo(\d+)", path.name))
    }
    heads = [data[:_HEADER] for data in files.values()]
    checkpoint = max(
        _number(head, at + 8, 8) for head in heads for at in (512, 1536) if _has_right_checksum(head[at : at + 512])
    )
    start = lsn = checkpoint - checkpoint % _BLOCK
    blocks: list[bytes] = []
    for _number_of_file, data in sorted(files.items()):
        first = _number(data, 8, 8)
        while first <= lsn < first + len(data) - _HEADER:
            block = data[_HEADER + lsn - first :][:_BLOCK]
            right = _number(block, 0, 4) & 0x7FFFFFFF == 1 + (lsn // _BLOCK & 0x3FFFFFFF)
            # the checksum of an encrypted block is that of the plain one
            if not right or not (_is_encrypted(block) or _has_right_checksum(block)):
                break
            blocks.append(block)
            lsn += _BLOCK
    end = lsn - _BLOCK + (_number(blocks[-1], 4, 2) & 0x7FFF)
    if last_lsn is not None and last_lsn < end:
        end = last_lsn
        blocks = blocks[: (end - start) // _BLOCK + 1]
        blocks[-1] = _cut(blocks[-1], end % _BLOCK)
    # the key of an encrypted log is in some files only
    head = bytearray(next((head for head in heads if head[_ENCRYPTION : _ENCRYPTION + 2] == b"lC"), heads[0]))
    head[8:16] = start.to_bytes(8, "big")
    head[16:52] = b"xtrabkup 261121 11:00:00".ljust(36, b"\0")
    for at in (512, 1536):
        head[at : at + 512] = bytes(8) + checkpoint.to_bytes(8, "big") + bytes(496)
    for at in (0, 512, 1536):
        head[at : at + 512] = _seal(bytes(head[at : at + 512]))
    target.write_bytes(bytes(head) + b"".join(blocks))
    return checkpoint, end


def _is_encrypted(block: bytes) -> bool:
    return bool(_number(block, 4, 2) & 0x8000)


def _number(data: bytes, offset: int, size: int) -> int:
    return int.from_bytes(data[offset : offset + size], "big")


def _has_right_checksum(block: bytes) -> bool:
    return len(block) == _BLOCK and _number(block, 508, 4) == crc32c.crc32c(block[:508])


def _seal(block: bytes) -> bytes:
    return block[:508] + crc32c.crc32c(block[:508]).to_bytes(4, "big")


def _cut(block: bytes, used: int) -> bytes:
    """The block as it was when it had ``used`` bytes."""
    group = _number(block, 6, 2)
    head = block[:4] + used.to_bytes(2, "big") + (group if group < used else 0).to_bytes(2, "big")
    return _seal((head + block[8:used]).ljust(_BLOCK, b"\0"))


def backup_of_killed(server: MySQLServer, target: Path, where: Coordinates | None) -> Path:
    """A backup in ``target``, without a manifest, of ``server``, which was killed: its files and its whole log.

    ``where``: its coordinates as it died, None when it had no binary log.
    """
    data = server.datadir
    shutil.copytree(data, target, ignore=_NOT_COPIED)
    checkpoint, end = join_log(data / "#innodb_redo", target / "xtrabackup_logfile")
    if where is not None:
        shutil.copyfile(data / where.file, target / where.file)
        (target / "binlog.index").write_text(f"./{where.file}\n")
        (target / "xtrabackup_binlog_info").write_text(f"{where.file}\t{where.position}\t{where.gtid}\n")
    external = _bring_what_is_outside(server, target)
    (target / "xtrabackup_tablespaces").write_text(json.dumps({"version": 2, "external_tablespaces": external}))
    (target / "xtrabackup_checkpoints").write_text(
        f"backup_type = full-backuped\nfrom_lsn = 0\nto_lsn = {checkpoint}\nlast_lsn = {end}\nflushed_lsn = 0\n"
        "redo_memory = 0\nredo_frames = 0\n"
    )
    (target / "xtrabackup_info").write_text(
        f"uuid = by-hand-{end}\nname = \ntool_name = xtrabackup\nserver_version = 9.7.4-2\nserver_flavor = MySQL\n"
        "start_time = 2026-11-21 11:00:00\nend_time = 2026-11-21 11:00:01\n"
    )
    (target / "backup-my.cnf").write_text(
        "[mysqld]\n"
        f"innodb_data_file_path={server.options.get('innodb_data_file_path', 'ibdata1:12M:autoextend')}\n"
        f"innodb_page_size={_page_size(server)}\n"
        f"lower_case_table_names={server.options.get('lower_case_table_names', 0)}\n"
    )
    return target


def _page_size(server: MySQLServer) -> int:
    text = str(server.options.get("innodb_page_size", "16k"))
    return int(text.rstrip("k")) * 1024


def _bring_what_is_outside(server: MySQLServer, target: Path) -> list[dict[str, str]]:
    """Copy undo tablespaces and tables that lie elsewhere; returns the entries of ``xtrabackup_tablespaces``."""
    entries = []
    undo = Path(str(server.options.get("innodb_undo_directory", server.datadir)))
    for path in sorted([*undo.glob("undo_*"), *undo.glob("*.ibu")]):
        if undo != server.datadir:
            shutil.copyfile(path, target / path.name)
        entries.append({"file_name": str(path), "tablespace_name": path.name, "tablespace_type": "UNDO_LOG"})
    for directory in filter(None, str(server.options.get("innodb_directories", "")).split(";")):
        for path in sorted(Path(directory).rglob("*.ibd")):
            name = str(path.relative_to(directory))
            (target / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(path, target / name)
            entries.append(
                {"file_name": str(path), "tablespace_name": name[: -len(".ibd")], "tablespace_type": "TABLESPACE"}
            )
    return entries
