# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The statement that disables an event of MySQL."""

from __future__ import annotations

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery.mysql import events as mysql_events


def test_names_and_definer_are_quoted() -> None:
    event = {"EVENT_SCHEMA": "a`b", "EVENT_NAME": 'e"1', "DEFINER": "o'w`n@home@%"}
    assert mysql_events.statement_of(event, "REPLICA") == (
        "ALTER DEFINER = `o'w``n@home`@`%` EVENT `a``b`.`e\"1` DISABLE ON REPLICA"
    )
