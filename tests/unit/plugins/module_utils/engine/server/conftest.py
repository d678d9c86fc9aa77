# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A replication channel as a server shows it, for tests of what is made of it."""

from __future__ import annotations

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.replication import ActualChannel

HEALTHY = ActualChannel(
    channel="",
    source_host="db1",
    source_port=3306,
    source_user="repl",
    source_ssl=False,
    source_ssl_ca="",
    source_ssl_cert="",
    source_ssl_key="",
    source_ssl_verify=False,
    connect_retry=60,
    using_gtid="Slave_Pos",
    io_running="Yes",
    sql_running="Yes",
    io_state="Waiting for master to send event",
    io_errno=0,
    io_error="",
    sql_errno=0,
    sql_error="",
    read_file="bin.000001",
    read_position=100,
    executed_file="bin.000001",
    executed_position=100,
    gtid_io_pos="0-1-5",
    seconds_behind=0,
)
