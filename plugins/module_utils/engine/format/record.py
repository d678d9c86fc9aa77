# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The record of a backup that a manifest holds: each field that the engine acts on has the type that it expects."""

from __future__ import annotations

import re
from typing import Any

from ..errors import FormatError
from . import strict_json
from .names import safe_name

_NONE = type(None)
_ID = re.compile(r"[^\x00-\x1f\x7f/]{1,200}")
_KINDS: dict[str, tuple[type, ...]] = {
    "state": (str, _NONE),
    "type": (str, _NONE),
    "server": (dict, _NONE),
    "layout": (dict, _NONE),
    "binlog": (dict, _NONE),
    "prepared": (dict, _NONE),
    "partial": (dict, _NONE),
    "bytes": (dict, _NONE),
    "replication": (list, _NONE),
    "missing_tables": (list, _NONE),
    "warnings": (list, _NONE),
}
_INSIDE: dict[str, dict[str, tuple[type, ...]]] = {
    "server": {"flavor": (str, _NONE), "version": (str, _NONE)},
    "layout": {"compression_providers": (dict, _NONE), "lower_case_table_names": (int, _NONE)},
    "binlog": {"file": (str, _NONE), "position": (int, _NONE), "gtid": (str, _NONE)},
    "prepared": {"source_sha256": (str,), "gtid_executed": (str, _NONE), "events_disabled": (list, _NONE)},
    "partial": {"source_sha256": (str,)},
    "bytes": {"read": (int, _NONE)},
}
_CHANNEL: dict[str, tuple[type, ...]] = {
    "channel": (str, _NONE),
    "source_host": (str, _NONE),
    "source_port": (int, _NONE),
    "file": (str, _NONE),
    "position": (int, _NONE),
    "gtid": (str, _NONE),
}


def checked_record(record: object, where: str) -> dict[str, Any]:
    """``record`` when it can be a backup's; raises FormatError.

    ``binlog.file`` names a file of the backup, so it is the name of one file and no path.
    """
    if not isinstance(record, dict):
        raise FormatError(f"{where}: the record of the backup is no object", where=where)
    strict_json.require_plain(record, where)
    identity = record.get("id")
    if not isinstance(identity, str) or not _ID.fullmatch(identity):
        raise FormatError(f"{where}: the backup's id cannot be {str(identity)[:40]!r}", where=where)
    strict_json.typed(record, _KINDS, where)
    for name, kinds in _INSIDE.items():
        strict_json.typed(record.get(name) or {}, kinds, where, f"{name}.")
    for channel in record.get("replication") or ():
        if not isinstance(channel, dict):
            raise FormatError(f"{where}: replication is no list of channels", where=where)
        strict_json.typed(channel, _CHANNEL, where, "replication: ")
    for name in ("missing_tables", "warnings"):
        if not all(isinstance(item, str) for item in record.get(name) or ()):
            raise FormatError(f"{where}: {name} is no list of texts", where=where)
    binlog = record.get("binlog") or {}
    if binlog.get("file"):
        safe_name(binlog["file"], f"{where}: binlog.file")
    return record
