# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages name the other end as people know it."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport import sockets


@pytest.mark.parametrize(
    "address, name",
    [
        (("192.0.2.1", 4444), "the sender 192.0.2.1:4444"),
        (("::ffff:192.0.2.1", 4444, 0, 0), "the sender 192.0.2.1:4444"),
        (("2001:db8::1", 4444, 0, 0), "the sender [2001:db8::1]:4444"),
        (("fe80::1%eth0", 4444, 0, 2), "the sender [fe80::1%eth0]:4444"),
    ],
)
def test_a_sender_is_named_by_the_address_that_people_know(address: tuple[Any, ...], name: str) -> None:
    assert sockets.sender_name(address) == name
