# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a file was made, and that two lives of one name are two."""

from __future__ import annotations

import os
import time
from pathlib import Path

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup.copier import FileIdentity
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host.birth_time import birth_time_ns


def test_a_file_is_as_old_as_it_is_and_writing_does_not_make_it_younger(tmp_path: Path) -> None:
    path = tmp_path / "t.ibd"
    before = time.time_ns()
    with open(path, "wb") as file:
        born = birth_time_ns(file.fileno())
        assert abs(born - before) < 60 * 10**9
        file.write(b"more")
        file.flush()
        os.utime(path, (1, 1))
        assert birth_time_ns(file.fileno()) == born


def test_a_file_that_has_taken_the_place_of_another_is_another_one(tmp_path: Path) -> None:
    path = tmp_path / "t.ibd"
    lives = set()
    for _life in range(2):
        with open(path, "wb") as file:
            identity = FileIdentity.of(file.fileno())
            assert FileIdentity.of(file.fileno()) == identity
            # as on a file system that gives the number again, and knows no generations
            lives.add(FileIdentity(identity.device, 7, 0, identity.born))
        path.unlink()
        time.sleep(0.05)
    assert len(lives) == 2


def test_what_is_no_file_has_no_time() -> None:
    assert birth_time_ns(10_000) == 0
