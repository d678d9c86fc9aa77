# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Page-compressed tables in streams that MariaDB's own tool reads or writes."""

from __future__ import annotations

import subprocess
from pathlib import Path

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.family import Family
from ansible_collections.innodb.xtrabackup.tests.integration_servers.conftest import ServerFactory
from ansible_collections.innodb.xtrabackup.tests.support.holes import Holes


def test_mbstream_reads_what_is_not_sparse(make_server: ServerFactory, workdir: Path) -> None:
    holes = Holes(make_server, workdir, Family.MARIADB, {})
    archive, directory = holes.backup("plain.xbstream", format="xbstream"), workdir / "stock"
    directory.mkdir()
    with open(archive, "rb") as source:
        subprocess.run(["mbstream", "-x", "-C", str(directory)], stdin=source, check=True, capture_output=True)
    subprocess.run(
        ["mariadb-backup", "--prepare", f"--target-dir={directory}"], check=True, capture_output=True, timeout=300
    )
    host = make_server("host", start=False)
    directory.rename(host.datadir)
    assert holes.restored_tables(host) == holes.tables


def test_what_the_stock_tool_streams_is_unpacked_with_holes(make_server: ServerFactory, workdir: Path) -> None:
    holes = Holes(make_server, workdir, Family.MARIADB, {})
    archive = workdir / "stock.mbstream"
    with open(archive, "wb") as stream:
        subprocess.run(
            ["mariadb-backup", f"--defaults-file={holes.source.option_file}", "--backup", "--stream=mbstream"],
            stdout=stream,
            stderr=subprocess.DEVNULL,
            check=True,
            timeout=300,
        )
    holes.extract(archive, "unpacked", require_manifest=False)
