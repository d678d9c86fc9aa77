# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Events of data that are to become a replica's: statements, answers, and what was requested before."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import InvalidOption
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery import events


@pytest.mark.parametrize(
    ("disabled", "requested", "fits"),
    [(None, True, False), ([], True, True), (["a.b"], True, True)]
    + [(None, False, True), ([], False, True), (["a.b"], False, False)],
)
def test_whether_prepared_data_are_as_they_are_wanted(disabled: list[str] | None, requested: bool, fits: bool) -> None:
    assert events.is_as_requested(disabled, requested) is fits
    reported = events.warnings_of(disabled, requested, Path("/backup"))
    assert bool(reported) is (not requested and not fits)


def test_data_that_were_prepared_with_their_events_are_named() -> None:
    events.require_disabled([], Path("/backup"))
    with pytest.raises(InvalidOption, match="/backup was prepared before, and its events are still enabled"):
        events.require_disabled(None, Path("/backup"))
