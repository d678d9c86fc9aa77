# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A MySQL recovery server: what it is told, what it is given."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import FormatError, InvalidOption
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.family import Flavor
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery.mysql import server as mysql_server
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery.mysql.server import (
    command_line,
    file_of_space,
    fill_scratch,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery.program import ServerProgram
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery.recovery_server import (
    RecoverySettings,
    Scratch,
)

PROGRAM = ServerProgram(Path("/usr/sbin/mysqld"), "9.7.4", Flavor.MYSQL)
KEYRING = json.dumps({"version": "1.0", "elements": []})


def settings(**changes: object) -> RecoverySettings:
    return RecoverySettings(16384, "ibdata1:12M:autoextend", 0, 64 << 20, 32 << 20, **changes)  # type: ignore[arg-type]


def test_the_server_is_isolated() -> None:
    words = command_line(Path("/b"), settings(), PROGRAM, Path("/b/s"))
    assert words[:2] == ["/usr/sbin/mysqld", "--no-defaults"]
    for word in (
        "--datadir=/b",
        "--skip-networking",
        "--skip-grant-tables",
        "--skip-replica-start",
        "--skip-log-bin",
        "--persisted-globals-load=OFF",
        "--event-scheduler=DISABLED",
        "--secure-file-priv=NULL",
        "--loose-mysqlx=OFF",
        "--upgrade=MINIMAL",
        "--tmpdir=/b/s",
        "--socket=s/socket",
        "--innodb-validate-tablespace-paths=ON",
    ):
        assert word in words
    assert not any(word.startswith("--user") for word in words)


def test_its_socket_has_a_short_name_wherever_it_is() -> None:
    deep = Path("/" + "directory/" * 30)
    words = command_line(deep, settings(), PROGRAM, deep / ".xtrabackup-scratch")
    assert "--socket=.xtrabackup-scratch/socket" in words


def test_torn_pages_are_guarded_against_only_where_the_copy_matters() -> None:
    kept = command_line(Path("/b"), settings(), PROGRAM, Path("/b/s"))
    thrown_away = command_line(Path("/b"), settings(disposable=True), PROGRAM, Path("/b/s"))
    assert {"--innodb-doublewrite=ON", "--innodb-flush-log-at-trx-commit=1", "--innodb-flush-method=fsync"} <= set(kept)
    assert "--innodb-doublewrite=OFF" in thrown_away


@pytest.mark.parametrize("gtid_mode", [True, False])
def test_it_gets_a_copy_of_the_binary_log(tmp_path: Path, gtid_mode: bool) -> None:
    (tmp_path / "binlog.000012").write_bytes(b"events")
    scratch = tmp_path / ".scratch"
    scratch.mkdir()
    wanted = settings(binary_log=tmp_path / "binlog.000012", gtid_mode=gtid_mode)
    fill_scratch(wanted, PROGRAM, Scratch(scratch, scratch))
    words = command_line(tmp_path, wanted, PROGRAM, scratch)
    assert "--log-bin=.scratch/binlog" in words
    assert f"--gtid-mode={'ON' if gtid_mode else 'OFF'}" in words
    listed = (scratch / "binlog.index").read_text().strip()
    assert (tmp_path / listed).read_bytes() == b"events"
    assert (tmp_path / "binlog.000012").exists()


def test_a_keyring_is_given_as_a_copy_that_is_only_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plugins = tmp_path / "plugins-of-the-server"
    plugins.mkdir()
    (plugins / "component_keyring_file.so").write_text("library")
    monkeypatch.setattr(mysql_server, "places", lambda _program: {"plugin-dir": f"{plugins}/", "basedir": "/usr/"})
    (tmp_path / "keys").write_text(KEYRING)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    wanted = settings(keyring_file=tmp_path / "keys")
    fill_scratch(wanted, PROGRAM, Scratch(scratch, scratch))
    words = command_line(tmp_path, wanted, PROGRAM, scratch)
    assert words[0] == str(scratch / "mysqld")
    assert json.loads((scratch / "mysqld.my").read_text()) == {"components": "file://component_keyring_file"}
    configuration = json.loads((scratch / "plugins" / "component_keyring_file.cnf").read_text())
    assert configuration["read_only"] is True
    assert Path(configuration["path"]).read_text() == KEYRING
    assert Path(configuration["path"]) != tmp_path / "keys"
    assert {f"--plugin-dir={scratch}/plugins", "--basedir=/usr/"} <= set(words)
    assert list(plugins.iterdir()) == [plugins / "component_keyring_file.so"]


def test_what_is_no_keyring_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mysql_server, "places", lambda _program: {"plugin-dir": str(tmp_path)})
    (tmp_path / "keys").write_text("not JSON")
    with pytest.raises(FormatError, match="keys"):
        fill_scratch(settings(keyring_file=tmp_path / "keys"), PROGRAM, Scratch(tmp_path, tmp_path))
    (tmp_path / "keys").write_text(KEYRING)
    with pytest.raises(InvalidOption, match=r"component_keyring_file\.so"):
        fill_scratch(settings(keyring_file=tmp_path / "keys"), PROGRAM, Scratch(tmp_path, tmp_path))


def test_the_file_of_a_tablespace_is_found_by_its_id(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    for number, name in enumerate(("shop/a.ibd", "shop/b.ibd", "undo_001"), 5):
        (tmp_path / name).write_bytes(bytes(34) + number.to_bytes(4, "big") + bytes(100))
    assert file_of_space(tmp_path, 6) == "shop/b.ibd"
    assert file_of_space(tmp_path, 7) == "undo_001"
    assert file_of_space(tmp_path, 8) is None
