# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A MySQL server whose redo log cannot be followed is refused."""

from __future__ import annotations

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.mysql.support import refusals_of_redo_log


def test_a_redo_log_that_records_nothing_or_cannot_grow_is_a_reason_to_refuse() -> None:
    assert refusals_of_redo_log({"Innodb_redo_log_enabled": "ON", "Innodb_redo_log_read_only": "OFF"}) == []
    (reason,) = refusals_of_redo_log({"Innodb_redo_log_enabled": "OFF", "Innodb_redo_log_read_only": "OFF"})
    assert "ENABLE INNODB REDO_LOG" in reason
    (reason,) = refusals_of_redo_log({"Innodb_redo_log_enabled": "ON", "Innodb_redo_log_read_only": "ON"})
    assert "read-only" in reason
