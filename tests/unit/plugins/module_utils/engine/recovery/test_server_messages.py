# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each message of a recovering server means for the data. The lines are those that real servers wrote."""

from __future__ import annotations

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    BackupIncomplete,
    DecryptionFailed,
    DiskFull,
    PageCorrupt,
    RecoveryFailed,
    XtrabackupError,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery.error_log import ENDED_WELL
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery.mariadb import (
    error_log as mariadb_error_log,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery.mysql import (
    error_log as mysql_error_log,
)

MARIADB, MYSQL = "2026-11-21  3:33:54 0 ", "2026-11-21T11:04:33.695800Z 1 "


def mariadb(*lines: str) -> mariadb_error_log.MariadbRecoveryState:
    state = mariadb_error_log.MariadbRecoveryState()
    for line in lines:
        state.feed(MARIADB + line)
    return state


def mysql(*lines: str) -> mysql_error_log.MysqlRecoveryState:
    state = mysql_error_log.MysqlRecoveryState()
    for line in lines:
        state.feed(MYSQL + line)
    return state


@pytest.mark.parametrize(
    ("line", "kind", "facts"),
    [
        (
            "[ERROR] InnoDB: Failed to read page 24 from file './shop/t.ibd': Page read from tablespace is corrupted.",
            PageCorrupt,
            {"file": "./shop/t.ibd", "page": "24"},
        ),
        ("[ERROR] InnoDB: File './shop/t.ibd' is corrupted", PageCorrupt, {"file": "./shop/t.ibd"}),
        ("[ERROR] InnoDB: The first page of file ./shop/t.ibd is corrupted", PageCorrupt, {"file": "./shop/t.ibd"}),
        (
            "[ERROR] InnoDB: Could not find a valid tablespace file for shop/t. Please refer to https://mariadb.com/docs",
            BackupIncomplete,
            {"file": "shop/t"},
        ),
        (
            "[Warning] InnoDB: Ignoring tablespace for shop/t because it could not be opened.",
            BackupIncomplete,
            {"file": "shop/t"},
        ),
        ("[ERROR] InnoDB: Index `a` of table `shop`.`t` is corrupted", RecoveryFailed, {}),
        ("[ERROR] InnoDB: something that nobody has seen in ./shop/t.ibd", RecoveryFailed, {"file": "./shop/t.ibd"}),
        ("[ERROR] mariadbd: Table './shop/t' is marked as crashed and should be repaired", RecoveryFailed, {}),
    ],
)
def test_mariadb_ends_well_and_has_lost_something(
    line: str, kind: type[XtrabackupError], facts: dict[str, str]
) -> None:
    state = mariadb(line)
    assert state.losses
    error = mariadb_error_log.translate(state, ENDED_WELL)
    assert error.code == kind.code
    assert {name: error.details[name] for name in ("file", "page") if name in error.details} == facts
    assert error.details["lost"]
    assert "new backup" in error.remedy


@pytest.mark.parametrize(
    "line",
    [
        "[Warning] InnoDB: Tablespace for table `shop`.`t` is set as discarded.",
        "[Warning] InnoDB: Ignoring tablespace for shop/t because the DISCARD flag is set",
        "[ERROR] InnoDB: Could not find a valid tablespace file for shop/#sql-ib17. Please refer to https://mariadb.com",
        "[Warning] InnoDB: Tablespace 8 was not found at './shop/t.ibd', but there were no modifications either.",
        "[ERROR] Got error 194 when reading table './shop/t'",
    ],
)
def test_what_does_no_harm_on_mariadb_is_not_even_a_warning(line: str) -> None:
    state = mariadb(line)
    assert (state.losses, state.errors, state.warnings) == ([], [], [])


def test_errors_that_name_no_data_are_warnings() -> None:
    state = mariadb("[ERROR] InnoDB: Operating system error number 2 in a file operation.", "[ERROR] mariadbd: odd")
    assert not state.losses
    assert len(state.errors) == 2


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (
            "[MY-011906] [InnoDB] Database page corruption on disk of page [page id: space=2, page number=4].",
            PageCorrupt,
        ),
        ("[MY-012224] [InnoDB] Checksum mismatch in datafile: ./keyring/t.ibd, Space ID:4, Flags: 1.", PageCorrupt),
        (
            "[MY-012134] [InnoDB] The size of tablespace file './encrypt/t.ibd' is only 65536, should be at least 9!",
            BackupIncomplete,
        ),
        ("[MY-012179] [InnoDB] Could not find any file associated with the tablespace ID: 4", BackupIncomplete),
        ("[MY-019999] [InnoDB] A new message about page 7 of `shop`.`keyring`", RecoveryFailed),
    ],
)
def test_mysql_names_what_it_has_lost_by_number(line: str, kind: type[XtrabackupError]) -> None:
    error = mysql_error_log.translate(mysql(f"[ERROR] {line}"), ENDED_WELL)
    assert error.code == kind.code
    assert error.details["lost"]


@pytest.mark.parametrize(
    "line",
    [
        "[ERROR] [MY-013129] [Server] A message intended for a client: Cannot load 'file://component_keyring_nowhere'.",
        "[Warning] [MY-013412] [InnoDB] The last block of redo had corrupted first_rec_group and became fixed.",
    ],
)
def test_what_does_no_harm_on_mysql_is_not_even_a_warning(line: str) -> None:
    state = mysql(line)
    assert (state.losses, state.errors, state.warnings) == ([], [], [])


def test_a_file_that_mysql_calls_missing_is_for_the_files_to_decide() -> None:
    state = mysql(
        "[Warning] [MY-012351] [InnoDB] Tablespace 18, name 'con/prn', file './con@@@/prn@@@.ibd' is missing!",
        "[ERROR] [MY-013589] [InnoDB] Scanned file '/b/con@@@/prn@@@.ibd' for tablespace con/prn cannot be opened "
        "because it is not in a sub-directory named for the schema.",
    )
    assert not state.losses
    assert len(state.checked) == 2


def test_a_missing_key_comes_before_what_is_missed_without_it() -> None:
    state = mysql(
        "[ERROR] [MY-012226] [InnoDB] Encryption information in datafile: ./shop/t.ibd can't be decrypted.",
        "[ERROR] [MY-012179] [InnoDB] Could not find any file associated with the tablespace ID: 3",
    )
    error = mysql_error_log.translate(state, "exit status 1")
    assert error.code == DecryptionFailed.code
    # with the key, the next run finds it
    assert "lost" not in error.details


def test_a_full_disk_comes_before_what_cannot_be_read_or_written_there() -> None:
    state = mariadb(
        "[ERROR] InnoDB: preallocating 100663296 bytes for file ./shop/t.ibd failed with error 28",
        "[ERROR] InnoDB: File './shop/t.ibd' is corrupted",
    )
    error = mariadb_error_log.translate(state, "exit status 1")
    assert error.code == DiskFull.code
    assert "lost" not in error.details


def test_names_of_databases_explain_nothing() -> None:
    state = mysql("[ERROR] [MY-010119] [Server] Aborting", "[ERROR] [MY-012592] [InnoDB] Odd: './keyring/encrypt.ibd'")
    assert mysql_error_log.translate(state, "exit status 1").code == RecoveryFailed.code
