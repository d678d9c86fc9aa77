# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the rows of an applier's tables say about the position of a channel."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.mysql.applied_positions import (
    AppliedPosition,
    applied_positions,
)


def row(file: str, position: int, channel: str = "") -> dict[str, Any]:
    return {"Channel_name": channel, "Master_log_name": file, "Master_log_pos": position}


def only(channel: dict[str, Any], *workers: dict[str, Any]) -> AppliedPosition:
    (found,) = applied_positions([channel], workers)
    return found


@pytest.mark.parametrize("in_order", [False, True])
@pytest.mark.parametrize(
    "workers",
    [[], [row("", 0)], [row("bin.000003", 500), row("bin.000002", 900)], [row("bin.000009", 1, "another")]],
    ids=["none", "new", "behind", "of another channel"],
)
def test_a_channel_of_which_no_worker_is_ahead_has_one_position(workers: list[dict[str, Any]], in_order: bool) -> None:
    assert only(row("bin.000003", 500), *workers).exact(in_order=in_order) == ("bin.000003", 500)


def test_the_worker_that_is_furthest_tells_the_position_where_nothing_before_it_can_be_missing() -> None:
    found = only(row("bin.999999", 500), row("bin.1000000", 157), row("bin.1000000", 300), row("bin.999999", 800))
    assert found.exact(in_order=True) == ("bin.1000000", 300)
    assert found.exact(in_order=False) is None


@pytest.mark.parametrize("other", ["mysql-bin.000004", "bin", "bin.x"])
def test_files_of_two_binary_logs_are_in_no_order(other: str) -> None:
    found = only(row("bin.000003", 500), row(other, 900))
    assert found.exact(in_order=True) is None


def test_a_channel_that_has_never_had_a_position_is_left_out() -> None:
    assert applied_positions([row("", 0)], []) == []
