# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How messages name the ends of connections."""

from __future__ import annotations

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.addresses import endpoint


@pytest.mark.parametrize(
    ("host", "named"), [("db1", "db1:4444"), ("192.0.2.1", "192.0.2.1:4444"), ("2001:db8::1", "[2001:db8::1]:4444")]
)
def test_an_end_of_a_connection_is_named_so_that_the_port_can_be_told_from_the_host(host: str, named: str) -> None:
    assert endpoint(host, 4444) == named
