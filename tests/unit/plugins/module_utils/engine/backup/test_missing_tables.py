# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which missing files are refused, and which are in the middle of a schema change."""

from __future__ import annotations

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup import missing_tables
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import InvalidOption, TableFileMissing


def test_every_missing_table_must_be_named() -> None:
    missing = ["d/t.ibd", "d/p#P#p0.ibd", "d/p#P#p1.ibd", "d@002d1/t@002e2.ibd", "shared.ibd"]
    allowed = ["d.t", "d.p", "d-1.t.2", "shared.ibd"]
    assert missing_tables.require_allowed(missing, [*allowed, "d.other"]) == ["d-1.t.2", "d.p", "d.t", "shared.ibd"]
    assert missing_tables.require_allowed([], allowed) == []
    with pytest.raises(TableFileMissing, match="d/p#P#p0.ibd of d.p; d/p#P#p1.ibd of d.p") as caught:
        missing_tables.require_allowed(missing, ["d.t", "d-1.t.2", "shared.ibd"])
    assert caught.value.details["tables"] == ["d.p"]
    assert caught.value.remedy.endswith("name them: allow_missing_tables: [d.p].")


@pytest.mark.parametrize("name", ["t", "", ".t", "d."])
def test_what_is_no_name_of_a_table_is_refused(name: str) -> None:
    with pytest.raises(InvalidOption, match="allow_missing_tables"):
        missing_tables.require_allowed([], ["d.t", name])


def test_a_file_that_is_there_at_one_look_is_not_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(missing_tables.time, "sleep", waits.append)
    looks = iter([{"d/t.ibd", "d/gone.ibd"}, {"d/t.ibd", "d/gone.ibd"}, {"d/gone.ibd"}] + [{"d/gone.ibd"}] * 9)
    assert missing_tables.still_missing(lambda: next(looks)) == ["d/gone.ibd"]
    waits.clear()
    assert missing_tables.still_missing(set) == []
    assert missing_tables.still_missing(lambda: {"d/gone.ibd"}, ["d.gone"]) == ["d/gone.ibd"]
    assert not waits
