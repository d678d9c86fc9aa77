# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The login of a channel, tried where only the outcome of trying is known; real logins are in tests with servers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.family import Family
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.replica.source_login import (
    SourceLogin,
    try_source,
)
from ansible_collections.innodb.xtrabackup.tests.support.ports import free_port

LOGIN = SourceLogin("127.0.0.1", 3306, "repl", "canary")


def test_nothing_that_listens_is_a_refusal_that_names_the_place() -> None:
    port = free_port()
    answer = try_source(replace(LOGIN, port=port))
    assert answer["state"] == "refused"
    assert f"127.0.0.1:{port}" in answer["error"]["message"]
    assert "canary" not in str(answer)


@pytest.mark.parametrize("path", ["ca.pem", "/nosuch/ca.pem"])
def test_with_files_that_only_the_server_can_read_nothing_is_tried(path: str) -> None:
    assert try_source(replace(LOGIN, ssl=True, ssl_ca=path)) == {"state": "unknown", "error": None}


@pytest.mark.parametrize(
    ("given", "family", "version", "ssl", "verify", "by_host"),
    [
        ({}, Family.MARIADB, (10, 11, 6), False, True, False),
        ({}, Family.MYSQL, (8, 4, 3), True, False, False),
        ({"ssl_ca": "/ca"}, Family.MYSQL, (8, 4, 3), True, True, False),
        ({"ssl_ca": "/ca", "ssl_verify": False}, Family.MYSQL, (8, 4, 3), True, False, False),
        ({"ssl": True}, Family.MARIADB, (10, 11, 6), True, True, True),
        ({"ssl": True, "ssl_verify": False}, Family.MARIADB, (10, 11, 6), True, False, False),
        ({"ssl": True, "ssl_ca": "/ca"}, Family.MARIADB, (10, 11, 6), True, True, False),
        ({"ssl": True}, Family.MARIADB, (11, 4, 2), True, True, False),
        ({"ssl": False}, Family.MYSQL, (8, 4, 3), False, False, False),
    ],
)
def test_what_is_not_given_is_that_of_a_new_channel(
    given: dict[str, Any], family: Family, version: tuple[int, ...], ssl: bool, verify: bool, by_host: bool
) -> None:
    login = replace(LOGIN, **given).of_new_channel(family, version)
    assert (login.ssl, login.ssl_verify, login.verified_by_host) == (ssl, verify, by_host)


def test_files_count_only_for_a_channel_with_tls(tmp_path: Path) -> None:
    login = replace(LOGIN, ssl_ca=str(tmp_path / "ca.pem"), ssl_verify=True)
    assert (login.parameters().ca_cert, login.parameters().uses_tls) == (None, False)
    login = replace(login, ssl=True)
    assert (login.parameters().ca_cert, login.parameters().uses_tls) == (str(tmp_path / "ca.pem"), True)
    assert replace(login, ssl_ca="").parameters().uses_tls
    assert "canary" not in repr(login)
