# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import importlib
import zlib
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream import checksum


def test_the_fast_library_computes_the_same_as_zlib() -> None:
    assert checksum.crc32 is not zlib.crc32
    for data in (b"", b"a", bytes(range(256)) * 4097):
        assert checksum.crc32(memoryview(data)) == zlib.crc32(data)
        assert checksum.crc32(data, 0xDEADBEEF) == zlib.crc32(data, 0xDEADBEEF)


@pytest.mark.parametrize("broken", [None, SimpleNamespace(), SimpleNamespace(crc32=lambda _data: 1)])
def test_without_a_library_that_computes_right_zlib_serves(monkeypatch: pytest.MonkeyPatch, broken: Any) -> None:
    def load(_name: str) -> Any:
        if broken is None:
            raise ImportError
        return broken

    monkeypatch.setattr(importlib, "import_module", load)
    assert checksum._fastest() is zlib.crc32
