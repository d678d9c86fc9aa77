# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the progress of a job is shown."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.plugins.plugin_utils.progress_lines import (
    Lines,
    described,
    duration,
    progress_bar,
    size,
)

HALF: dict[str, Any] = {
    "phase": "receiving",
    "bytes": 2 << 30,
    "bytes_total": 4 << 30,
    "mib_per_second": 310.4,
    "eta_seconds": 6.6,
}


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 bytes"), (1023, "1023 bytes"), (1536, "1.5 KiB"), (200 << 20, "200 MiB"), (5 << 40, "5.0 TiB")],
)
def test_sizes_have_at_most_four_digits(count: int, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(("seconds", "text"), [(6.6, "6 s"), (200, "3 min 20 s"), (7500, "2 h 05 min")])
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_status_tells_phase_share_bytes_rate_and_time_left() -> None:
    assert described(HALF) == "receiving, 50%, 2.0 GiB of 4.0 GiB, 310 MiB/s, 6 s left"


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (
            {"phase": "listening", "bytes": 0, "bytes_total": None, "mib_per_second": 0.0, "eta_seconds": None},
            "listening",
        ),
        (
            {"phase": "copying", "bytes": 3 << 20, "bytes_total": None, "mib_per_second": 1.5},
            "copying, 3.0 MiB, 2 MiB/s",
        ),
        (
            {"phase": "sending", "bytes": 9, "bytes_total": 4, "eta_seconds": 0},
            "sending, 100%, 9 bytes of 4 bytes, 0 s left",
        ),
        ({"phase": "copying", "redo_behind_bytes": 12 << 20}, "copying, redo 12.0 MiB behind"),
        ({"phase": "copying", "redo_behind_bytes": 0}, "copying"),
        ({}, "starting"),
    ],
)
def test_what_is_not_known_is_not_told(status: dict[str, Any], text: str) -> None:
    assert described(status) == text


def test_a_bar_fits_into_the_terminal() -> None:
    drawn = progress_bar("db2", HALF, 60)
    assert len(drawn) == 59
    assert drawn.startswith("db2: [============            ] receiving, 50%")
    assert "[" not in progress_bar("db2", {"phase": "listening"}, 60)


def test_a_line_is_due_at_a_new_phase_at_each_tenth_and_after_half_a_minute() -> None:
    lines = Lines()
    assert lines.due({"phase": "receiving", "bytes": 1, "bytes_total": 100}, 0)
    assert not lines.due({"phase": "receiving", "bytes": 9, "bytes_total": 100}, 1)
    assert lines.due({"phase": "receiving", "bytes": 10, "bytes_total": 100}, 2)
    assert not lines.due({"phase": "receiving", "bytes": 10, "bytes_total": 100}, 31)
    assert lines.due({"phase": "receiving", "bytes": 10, "bytes_total": 100}, 32)
    assert lines.due({"phase": "publishing"}, 33)
    assert not lines.due({}, 99)
