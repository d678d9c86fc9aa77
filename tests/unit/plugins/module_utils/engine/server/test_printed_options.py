# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines of options as the servers' program prints them."""

from __future__ import annotations

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.printed_options import parse_options


def test_names_take_dashes_underscores_and_loose_and_the_last_wins() -> None:
    options = parse_options(
        "--innodb-log-group-home-dir=/a\n--loose-innodb_log_group_home_dir=/b\n--skip-name-resolve\nnoise".splitlines()
    )
    assert options == {"innodb_log_group_home_dir": "/b", "skip_name_resolve": ""}
