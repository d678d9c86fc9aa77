# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of tablespaces in the dictionary of a server that is not running."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host import below
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.restore import holders

NAMED = Path("/srv/tables/shop/named.ibd")


@pytest.mark.parametrize("before", [*range(90, 130), 200])
def test_a_name_is_found_wherever_it_is_in_the_file(
    before: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holders, "_CHUNK", 128)
    (tmp_path / "mysql.ibd").write_bytes(b"\0" * before + os.fsencode(NAMED) + b"\0" * 300)
    assert holders.named_in([tmp_path / "mysql.ibd"], [NAMED, NAMED.with_name("other.ibd")]) == {NAMED}


def test_a_file_that_its_owner_shortens_meanwhile_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mapped file would: the kernel sends SIGBUS."""
    dictionary = tmp_path / "mysql.ibd"
    dictionary.write_bytes(os.fsencode(NAMED) + b"\0" * (8 << 20))

    def open_and_shorten(path: Path) -> int:
        descriptor = below.open_file(path)
        os.truncate(path, 4096)
        return descriptor

    assert holders.named_in([dictionary], [NAMED], open_and_shorten) == {NAMED}
