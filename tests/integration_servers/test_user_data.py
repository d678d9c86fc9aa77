# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a data directory holds anything of a user, asked of real servers and of their files."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.tests.support.estate import KINDS
from ansible_collections.innodb.xtrabackup.tests.support.playbook import run_module
from ansible_collections.innodb.xtrabackup.tests.support.servers import DatabaseServer


def user_data(server: DatabaseServer, user: str = "root", password: str | None = None) -> dict[str, Any]:
    options = {"src": str(server.datadir), "server_optional": True, **server.login(user, password)}
    found: dict[str, Any] = run_module("xtrabackup_info", options)["user_data"]
    return found


# what is made, what is found, what takes it away
COMMON = [
    ("CREATE TABLE mysql.notes (a INT)", "table mysql.notes", "DROP TABLE mysql.notes"),
    ("CREATE PROCEDURE sys.mine() SELECT 1", "routine sys.mine", "DROP PROCEDURE sys.mine"),
    ("CREATE EVENT sys.e ON SCHEDULE EVERY 1 DAY DO SELECT 1", "event sys.e", "DROP EVENT sys.e"),
    ("CREATE VIEW sys.mine AS SELECT 1 AS a", "view sys.mine", "DROP VIEW sys.mine"),
]
ONLY_MYSQL = [
    ("CREATE TABLE sys.hidden (a INT) TABLESPACE innodb_system", "table sys.hidden", "DROP TABLE sys.hidden"),
    ("CREATE TABLESPACE mine ADD DATAFILE 'mine.ibd'", "tablespace mine", "DROP TABLESPACE mine"),
]


@pytest.mark.parametrize("flavor", ["mariadb", "mysql"])
def test_whatever_a_user_has_made_is_found_and_what_nobody_can_tell_is_unknown(workdir: Path, flavor: str) -> None:
    with KINDS[flavor](workdir / "server") as server:
        server.execute("CREATE USER blind@localhost IDENTIFIED BY 'secret'")
        assert user_data(server) == {"state": "none", "running": True, "databases": [], "objects": [], "unknown": []}
        blind = user_data(server, "blind", "secret")
        assert blind["state"] == "unknown"
        assert blind["unknown"] == ["the account that its server was asked with does not see everything"]
        away = user_data(server, "nobody", "secret")
        assert (away["state"], away["running"]) == ("unknown", True)
        for statement, name, undo in [*COMMON, *(ONLY_MYSQL if flavor == "mysql" else [])]:
            server.execute(statement)
            found = user_data(server)
            assert found["state"] == "found"
            assert name in found["objects"]
            server.execute(undo)
        # a database whose directory is a link to another disk
        server.execute("CREATE DATABASE crm")
        shutil.move(server.datadir / "crm", workdir / "disk")
        (server.datadir / "crm").symlink_to(workdir / "disk")
        assert user_data(server)["databases"] == ["crm"]
        server.stop()
        assert user_data(server)["databases"] == ["crm"]
        (server.datadir / "crm").unlink()
        stopped = user_data(server)
        assert (stopped["state"], stopped["running"]) == ("unknown", False)
        server.start()
