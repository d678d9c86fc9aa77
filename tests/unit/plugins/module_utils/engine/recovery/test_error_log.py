# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the error log of a recovering server of either family tells: why it failed, in bounded memory."""

from __future__ import annotations

from typing import Any, Callable, Union

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    BackupIncomplete,
    DecryptionFailed,
    DiskFull,
    PageCorrupt,
    RecoveryFailed,
    RecoveryIncomplete,
    TargetBusy,
    UnsupportedServer,
    XtrabackupError,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.family import Family
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery.mariadb import (
    error_log as mariadb_log,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery.mysql import error_log as mysql_log

State = Union[mariadb_log.MariadbRecoveryState, mysql_log.MysqlRecoveryState]
Translate = Callable[[Any, str], XtrabackupError]

STATES: dict[Family, Callable[[], State]] = {
    Family.MARIADB: mariadb_log.MariadbRecoveryState,
    Family.MYSQL: mysql_log.MysqlRecoveryState,
}
TRANSLATE: dict[Family, Translate] = {Family.MARIADB: mariadb_log.translate, Family.MYSQL: mysql_log.translate}
# what begins a note, a warning, an error
LINES = {
    Family.MARIADB: {name: f"2026-11-21  3:33:54 0 [{name}] InnoDB: " for name in ("Note", "Warning", "ERROR")},
    Family.MYSQL: {
        name: f"2026-11-21T11:04:33.695800Z 1 [{name}] [MY-012345] [InnoDB] " for name in ("Note", "Warning", "ERROR")
    },
}
MARIADB = "2026-11-21  3:33:54 0 "
MYSQL = LINES[Family.MYSQL]["ERROR"]


@pytest.fixture(params=list(Family), ids=[family.value for family in Family])
def family(request: pytest.FixtureRequest) -> Family:
    wanted: Family = request.param
    return wanted


def state_after(family: Family, *lines: str) -> State:
    state = STATES[family]()
    for line in lines:
        state.feed(line)
    return state


FAILURES = [
    (Family.MARIADB, MARIADB + text, kind, fact)
    for text, kind, fact in (
        (
            "[ERROR] InnoDB: Missing FILE_CHECKPOINT(15139755) at 81016719",
            RecoveryIncomplete,
            "81016719",
        ),
        ("[ERROR] InnoDB: Tablespace 8 was not found at ./sb/sbtest1.ibd.", BackupIncomplete, "./sb/sbtest1.ibd"),
        (
            "[ERROR] InnoDB: Unable to apply log to corrupted page 5 in file ./sb/sbtest1.ibd",
            PageCorrupt,
            "page 5 in file ./sb/sbtest1.ibd",
        ),
        ("[ERROR] InnoDB: Cannot map innodb_buffer_pool_size_max=943718400m", RecoveryFailed, "memory"),
        ("[ERROR] InnoDB: Unable to lock ./ibdata1 error: 11", TargetBusy, "ibdata1"),
        (
            "[ERROR] mariadbd: Can't lock aria control file '/r/aria_log_control', error: 11",
            TargetBusy,
            "aria_log_control",
        ),
        (
            "[ERROR] InnoDB: preallocating 100663296 bytes for file ./ib_logfile101 failed with error 28",
            DiskFull,
            "full",
        ),
        ("[ERROR] mariadbd: Can't create file '/r/x' (Errcode: 13 \"Permission denied\")", RecoveryFailed, "may not"),
        ("[ERROR] InnoDB: Unsupported redo log format. The redo log was created with X", UnsupportedServer, "version"),
        ("[ERROR] /usr/sbin/mariadbd: unknown variable 'innodb-undo-directory=x'", RecoveryFailed, "unknown variable"),
    )
] + [
    (Family.MYSQL, MYSQL + text, kind, text)
    for text, kind in (
        ("Error number 28 means 'No space left on device'", DiskFull),
        ("Unable to lock ./ibdata1 error: 11", TargetBusy),
        ("Cannot allocate memory for the buffer pool", RecoveryFailed),
        ("Check keyring fail, please check the keyring is loaded.", DecryptionFailed),
        ("Encryption can't find master key, please check the keyring is loaded.", DecryptionFailed),
        ("Cannot upgrade server earlier than 8.0 to 9.7", UnsupportedServer),
        ("Page [page id: space=5, page number=3] log sequence number 9 is in the future!", RecoveryIncomplete),
        ("Redo log file ./#innodb_redo/#ib_redo3 is missing", RecoveryIncomplete),
        ("Database page corruption on disk of page [page id: space=2, page number=4]. You may", PageCorrupt),
        ("Could not find any file associated with the tablespace ID: 5", BackupIncomplete),
        ("The size of tablespace file './shop/t.ibd' is only 65536, should be at least 114688!", BackupIncomplete),
        ("something else", RecoveryFailed),
    )
]


@pytest.mark.parametrize(("family", "line", "kind", "fact"), FAILURES)
def test_each_failure_becomes_the_error_that_tells_what_to_do(
    family: Family, line: str, kind: type[XtrabackupError], fact: str
) -> None:
    state = state_after(family, line, LINES[family]["ERROR"].replace("InnoDB: ", "") + "Aborting")
    error = TRANSLATE[family](state, "exit status 1")
    assert error.__class__ is kind
    assert error.code == kind.code
    assert fact in error.message
    assert "exit status 1" in error.message
    assert error.remedy
    assert error.details["log"]


def test_an_unknown_failure_shows_the_first_errors(family: Family) -> None:
    lines = [LINES[family]["Note"] + "hello", LINES[family]["ERROR"] + "something new"]
    error = TRANSLATE[family](state_after(family, *lines), "signal SIGSEGV")
    assert error.__class__ is RecoveryFailed
    assert "something new" in error.message
    assert "SIGSEGV" in error.message
    assert any("hello" in line for line in error.details["log"])


def test_a_silent_failure_says_so(family: Family) -> None:
    assert "said nothing" in TRANSLATE[family](state_after(family), "exit status 7").message


def test_warnings_and_errors_are_kept_without_their_time(family: Family) -> None:
    state = state_after(family, LINES[family]["Warning"] + "strange", LINES[family]["ERROR"] + "bad")
    said = {Family.MARIADB: "InnoDB: ", Family.MYSQL: "[MY-012345] "}[family]
    assert (state.warnings, state.errors) == ([said + "strange"], [said + "bad"])


def test_a_flood_of_errors_keeps_the_first_ones_and_stays_bounded(family: Family) -> None:
    state = state_after(family, *(f"{LINES[family]['ERROR']}error {number}" for number in range(5000)))
    assert state.errors[0] == {Family.MARIADB: "InnoDB: ", Family.MYSQL: "[MY-012345] "}[family] + "error 0"
    assert len(state.errors) <= 20
    assert len(state.tail) <= 100
    assert state.tail[-1].endswith("error 4999")


def test_a_printed_page_is_not_kept(family: Family) -> None:
    page = " len 16384; hex " + "ab" * 16384
    state = state_after(family, page, LINES[family]["ERROR"] + page)
    assert max(map(len, [*state.tail, *state.errors, *state.checked, *state.warnings])) <= 1000
