# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A backup that is asked for by its digest, from the day it is taken to the server that is started on it."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any, Union

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.file_kinds import MANIFEST_NAME
from ansible_collections.innodb.xtrabackup.tests.integration_servers.conftest import MySQLFactory, ServerFactory
from ansible_collections.innodb.xtrabackup.tests.support.mysql import SERVER_PROGRAM, MySQLServer
from ansible_collections.innodb.xtrabackup.tests.support.playbook import run_module
from ansible_collections.innodb.xtrabackup.tests.support.servers import MariaDBServer

Server = Union[MariaDBServer, MySQLServer]


@pytest.fixture(name="pair", params=["mariadb", "mysql"])
def _pair(
    request: pytest.FixtureRequest, make_server: ServerFactory, make_mysql: MySQLFactory
) -> tuple[Server, Server, dict[str, Any]]:
    """A server with data, a host for a copy of them, and what else modules have to be told about it."""
    if request.param == "mysql":
        return make_mysql("source"), make_mysql("host", start=False), {"server_program": str(SERVER_PROGRAM)}
    return make_server("source"), make_server("host", start=False), {}


def rewrite(path: Path) -> None:
    """Another byte in the middle, and the times of before."""
    status = path.stat()
    with open(path, "r+b") as target:
        target.seek(status.st_size // 2)
        byte = target.read(1)
        target.seek(status.st_size // 2)
        target.write(bytes([byte[0] ^ 1]))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_a_pin_holds_from_the_backup_to_the_server_and_no_longer_than_its_files(
    pair: tuple[Server, Server, dict[str, Any]], workdir: Path
) -> None:
    source, host, more = pair
    source.execute("CREATE DATABASE shop", "CREATE TABLE shop.t (id INT PRIMARY KEY)", "INSERT INTO shop.t VALUES (7)")
    directory, archive = workdir / "full", workdir / "full.xbstream"
    wanted = {**source.login(), "file_digest": "sha256"}
    taken = run_module("xtrabackup_backup", {**wanted, "dest": str(directory)})["backup"]
    packed = run_module("xtrabackup_backup", {**wanted, "dest": str(archive), "format": "xbstream"})["backup"]
    source.kill()
    manifest = json.loads((directory / MANIFEST_NAME).read_bytes())
    assert manifest["digest"] == "sha256"
    for file in manifest["files"]:
        assert file["digest"] == hashlib.sha256((directory / file["path"]).read_bytes()).hexdigest()
    run_module("xbstream", {"state": "verified", "src": str(archive)})

    ready = workdir / "ready"
    prepare = {"src": str(directory), "target_dir": str(ready), **more}
    prepared = run_module("xtrabackup_prepare", prepare)["backup"]
    own, pinned = prepared["manifest"]["sha256"], taken["manifest"]["sha256"]
    assert prepared["prepared"]["source_sha256"] == pinned
    facts = run_module("xtrabackup_info", {"src": str(ready)})["source"]
    assert (facts["source_sha256"], facts["manifest_sha256"], facts["file_digest"]) == (pinned, own, "sha256")

    restore = {"src": str(ready), "defaults_file": str(host.option_file), "method": "move", **more}
    (changed,) = (path for path in ready.glob("shop/t.ibd"))
    rewrite(changed)
    for asked in (pinned, packed["manifest"]["sha256"]):
        refused = run_module("xtrabackup_restore", {**restore, "manifest_sha256": asked}, fails=True)["error"]
        assert refused["code"] == "backup_mismatch"
    facts = run_module("xtrabackup_info", {"src": str(ready)})["source"]
    assert facts["source_sha256"] == own
    assert not run_module("xtrabackup_restore", {**restore, "manifest_sha256": own}, check=True).get("failed")

    # with force it is made anew, and known again
    assert run_module("xtrabackup_prepare", {**prepare, "force": True})["changed"]
    for changes in (True, False):
        done = run_module("xtrabackup_restore", {**restore, "manifest_sha256": pinned})
        assert done["changed"] is changes
    host.start()
    assert host.value("SELECT id FROM shop.t") == 7
    host.kill()

    restore = {**restore, "src": str(archive), "force": True}
    for changes in (True, False):
        done = run_module("xtrabackup_restore", {**restore, "manifest_sha256": packed["manifest"]["sha256"]})
        assert done["changed"] is changes
    host.start()
    assert host.value("SELECT id FROM shop.t") == 7
