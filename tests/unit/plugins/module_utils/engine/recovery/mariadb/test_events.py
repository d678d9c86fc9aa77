# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The answer of a MariaDB recovery server about its events."""

from __future__ import annotations

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery.mariadb import events as mariadb_events


def test_an_answer_counts_when_its_last_line_is_there() -> None:
    names = ["shop.tick", "a`b.ü"]
    text = "".join(f"{name.encode().hex().upper()}\n" for name in names) + "\n"
    assert mariadb_events.parse_list(text) == names
    assert mariadb_events.parse_list("\n") == []
    for length in range(len(text)):
        assert mariadb_events.parse_list(text[:length]) is None
