# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The variable and the statements of an archive; what servers do with them is in
tests/integration_servers/test_mysql_redo_archive.py."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import ConnectionFailed, ServerError
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.connection import Connection
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.mysql.redo_archive import (
    ArchivePlace,
    RedoArchive,
    parse_archive_dirs,
)


class Server:
    """Notes what it is asked; ``starts`` are its answers to starting, by label, an error is raised."""

    def __init__(self, dirs: str, **starts: Any) -> None:
        self.dirs = dirs
        self.starts = starts
        self.said: list[str] = []
        self.alive = True

    def variables(self, *_names: str) -> dict[str, str]:
        return {"innodb_redo_log_archive_dirs": self.dirs, "server_uuid": "u"}

    def scalar(self, sql: str, args: Sequence[Any] = ()) -> Any:
        if "CURRENT_USER" in sql:
            return "me@localhost"
        self.said.append(f"start {args[0]}")
        answer = self.starts.get(args[0], 0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def query(self, sql: str) -> None:
        self.said.append(sql)
        if not self.alive:
            raise ConnectionFailed("the server has gone away", errno=2006)

    execute = query

    def escape(self, value: str) -> str:
        return f"'{value}'"

    def close(self) -> None:
        self.said.append("close")


@pytest.mark.parametrize(
    ("value", "places"),
    [
        ("", []),
        ("a:/x", [("a", "/x")]),
        ("a:/x;b:/y/", [("a", "/x"), ("b", "/y/")]),
        (":/x", [("", "/x")]),
        (";;a:/x;", [("a", "/x")]),
        ("a:/with:colon", [("a", "/with:colon")]),
        # as they stand: the server does not strip either
        (" a: /x ;b:/y", [(" a", " /x "), ("b", "/y")]),
        ("a:/x;a:/y", [("a", "/x")]),
        ("nothing;a:;b:/y", [("b", "/y")]),
    ],
)
def test_labels_and_directories_are_told_apart_as_the_server_does(value: str, places: list[tuple[str, str]]) -> None:
    assert parse_archive_dirs(value) == [ArchivePlace(*place) for place in places]


def archive(server: Server) -> RedoArchive:
    return RedoArchive(cast(Connection, server), lease=7)


def test_it_lasts_as_long_as_its_session_and_a_sign_of_life_is_given(tmp_path: Path) -> None:
    (tmp_path / "archive.u.000001.log").write_bytes(b"")
    server = Server(f"a:{tmp_path}")
    with archive(server) as begun:
        assert (begun.held, begun.path, begun.reason) == (True, str(tmp_path / "archive.u.000001.log"), "")
        begun.advance(5)
    assert not begun.held
    assert server.said == ["start a", "SET SESSION wait_timeout = 7", "SELECT 1", "close"]


def test_the_first_place_that_the_server_accepts_is_taken(tmp_path: Path) -> None:
    (tmp_path / "archive.u.000001.log").write_bytes(b"")
    server = Server(
        f"a:/none;b:/open;c:{tmp_path}",
        a=ServerError("no such directory", errno=3844),
        b=ServerError("accessible to all OS users", errno=3846),
    )
    with archive(server) as begun:
        assert (begun.held, begun.reason) == (True, "")
    assert server.said[:3] == ["start a", "start b", "start c"]


@pytest.mark.parametrize(
    ("dirs", "answer", "reason"),
    [
        ("", 0, "innodb_redo_log_archive_dirs is not set"),
        ("a:/x", ServerError("the file exists", errno=3847), "the file exists"),
        ("a:/x", ServerError("another session archives", errno=3848), "another session archives"),
        ("a:/x", ServerError("no such function", errno=1305), "no such function"),
        ("a:/x", ConnectionFailed("it was killed", errno=2013), "it was killed"),
        ("a:/x", 1, "the server did not begin an archive in /x"),
        (
            "a:/x",
            ServerError("access denied", errno=1227),
            "archiving it needs a privilege: GRANT INNODB_REDO_LOG_ARCHIVE ON *.* TO 'me'@'localhost';",
        ),
    ],
)
def test_why_there_is_none_is_said(dirs: str, answer: Any, reason: str) -> None:
    server = Server(dirs, a=answer)
    with archive(server) as refused:
        assert (refused.held, refused.reason) == (False, reason)
        refused.advance(5)
    assert "SELECT 1" not in server.said
    assert server.said[-1] == "close"


def test_an_archive_that_cannot_be_read_here_is_ended(tmp_path: Path) -> None:
    server = Server(f"a:{tmp_path}")
    with archive(server) as refused:
        assert not refused.held
        assert refused.reason == f"{tmp_path}/archive.u.000001.log: No such file or directory"
        assert server.said[-1] == "close"


def test_a_session_that_has_ended_is_known(tmp_path: Path) -> None:
    (tmp_path / "archive.u.000001.log").write_bytes(b"")
    server = Server(f"a:{tmp_path}")
    with archive(server) as begun:
        server.alive = False
        begun.advance(5)
        assert (begun.held, begun.reason) == (False, "the server has gone away")
