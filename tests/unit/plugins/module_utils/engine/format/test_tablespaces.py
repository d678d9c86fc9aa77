# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of MySQL's files in a backup, and the list of those that have been elsewhere."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import FormatError, UnknownFormat
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format import tablespaces


def entry(**other: Any) -> dict[str, Any]:
    return {"file_name": "/d/t.ibd", "tablespace_name": "d/t", "tablespace_type": "TABLESPACE", **other}


@pytest.mark.parametrize(
    "content",
    [
        [],
        {},
        {"version": 2},
        {"version": 2, "external_tablespaces": 1},
        {"version": 2, "external_tablespaces": [1]},
        {"version": 2, "external_tablespaces": [{}]},
        {"version": 2, "external_tablespaces": [entry(file_name="d/t.ibd")]},
        {"version": 2, "external_tablespaces": [entry(file_name="/d/../../etc/t.ibd")]},
        {"version": 2, "external_tablespaces": [entry(file_name="/d/t\0.ibd")]},
        {"version": 2, "external_tablespaces": [entry(file_name=7)]},
        {"version": 2, "external_tablespaces": [entry(tablespace_name=7)]},
        {"version": 2, "external_tablespaces": [entry(tablespace_type="OTHER")]},
    ],
)
def test_what_is_no_such_list_is_refused(content: Any) -> None:
    with pytest.raises(FormatError, match="backup/xtrabackup_tablespaces"):
        tablespaces.parse(json.dumps(content).encode(), "backup/xtrabackup_tablespaces")


def test_bytes_that_are_no_text_and_other_versions_are_refused() -> None:
    for data in (b"", b"\xff\xfe", b"{"):
        with pytest.raises(FormatError):
            tablespaces.parse(data, "xtrabackup_tablespaces")
    with pytest.raises(UnknownFormat, match="version 3"):
        tablespaces.parse(b'{"version":3,"external_tablespaces":[]}', "xtrabackup_tablespaces")
