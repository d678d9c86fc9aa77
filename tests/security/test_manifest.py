# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A manifest that somebody else has written names nothing outside of its directory; what is none is an error."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine import manifest
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import FormatError

OUTSIDE = ("/etc/passwd", "../victim", "a/../../victim", "..", "", "a//b", "a/./b", "a\0b")


def document(**changes: Any) -> bytes:
    """A manifest with one file, changed."""
    content = {
        "format": manifest.FORMAT_VERSION,
        "digest": manifest.DIGEST_ALGORITHM,
        "backup": {"id": "0d6f8b7e", "binlog": {"file": "binlog.000001", "position": 4, "gtid": None}},
        "files": [{"path": "shop/t.ibd", "size": 3, "digest": "00"}],
        "discarded": ["shop/t.new"],
    }
    return json.dumps({**content, **changes}).encode()


def test_what_a_manifest_names_for_removal_stays_in_its_directory() -> None:
    assert manifest.parse(document(), "here").discarded == ("shop/t.new",)
    for name in (*OUTSIDE, 7, None):
        with pytest.raises(FormatError):
            manifest.parse(document(discarded=[name]), "here")


def test_the_binary_log_of_a_manifest_is_a_name_and_no_path() -> None:
    for name in (*(path for path in OUTSIDE if path), "logs/binlog.000001", 7):
        with pytest.raises(FormatError):
            manifest.parse(document(backup={"id": "1", "binlog": {"file": name}}), "here")
    for binlog in (None, {"file": None}, {"file": "", "position": 0}):
        assert manifest.parse(document(backup={"id": "1", "binlog": binlog}), "here").id == "1"


@pytest.mark.parametrize(
    "data",
    [
        b'{"format": 1, "digest": "xxh3_128", "backup": ' + b"[" * 100_000,
        document(files=[{"path": "t", "size": float("inf"), "digest": "00"}]),
        document(files=[{"path": "t", "size": float("nan"), "digest": "00"}]),
        document().replace(b'"size": 3', b'"size": 1e999'),
        document(backup=[]),
        document(backup={"id": "1", "binlog": "x"}),
        b"[]",
        b"\xff",
    ],
)
def test_what_is_no_manifest_is_a_format_error(data: bytes) -> None:
    with pytest.raises(FormatError):
        manifest.parse(data, "here")
