# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests of attacks share."""

from __future__ import annotations

from pathlib import Path

import pytest

# pylint: disable-next=unused-import
from ansible_collections.innodb.xtrabackup.tests.support.host_state import _state  # noqa: F401  a fixture for each test
from ansible_collections.innodb.xtrabackup.tests.unit.plugins.module_utils.engine.restore.conftest import Host


@pytest.fixture(name="host")
def _host(tmp_path: Path) -> Host:
    return Host(tmp_path)


@pytest.fixture(name="victim")
def _victim(tmp_path: Path) -> Path:
    """A tree that is none of the server's business."""
    place = tmp_path / "log" / "victim"
    place.mkdir(parents=True)
    (place / "precious").write_text("x")
    return place
