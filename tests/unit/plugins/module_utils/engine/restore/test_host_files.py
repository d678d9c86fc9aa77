# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What in a data directory is the host's, how it outlives the data, and what of files in use is never replaced."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    FileInUse,
    InvalidOption,
    TargetNotEmpty,
    TargetUnsafe,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.family import Family
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.restore import placement
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.restore.host_files import host_files
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.restore.layout import layout_from_options
from ansible_collections.innodb.xtrabackup.tests.support.dying import killed_at

from .conftest import Host, tree

OWN = {
    "ca.pem": b"-----BEGIN CERTIFICATE-----",
    "my.cnf": b"[mysqld]\n",
    "mysqld-auto.cnf": b"{}",
    "mysqld.my": b"{}",
    "mysqld-debug.my": b"{}",
    "component_keyring_file.cnf": b'{"path": "%s/deep/er/ring"}',
    "deep/er/ring": b'{"version":"1.0","elements":[]}',
    "keyring": b"Keyring file version:2.0",
    "tls/private": b"-----BEGIN PRIVATE KEY-----",
    "tls/named": b"?",
    ".ssh/authorized_keys": b"ssh-ed25519 ...",
}
DATA = {
    "auto.cnf": b"[auto]\n",
    "ibdata1": b"s",
    "keyring_tables.ibd": b"t",
    "keyring_db/db.opt": b"",
    "keyring_db/key.pem": b"-----BEGIN of a table's rows",
    "binlog.000001": b"-----BEGIN no key",
    "galera.cache": b"g",
}


def put(place: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(content.replace(b"%s", str(place).encode()))


def test_keys_certificates_and_configuration_are_the_hosts(tmp_path: Path) -> None:
    put(tmp_path, {**OWN, **DATA})
    (tmp_path / "link.pem").symlink_to("tls/other")
    put(tmp_path, {"tls/other": b"?"})
    (tmp_path / "keyring_link").symlink_to("keyring_db")
    options = {"datadir": str(tmp_path), "ssl_key": "tls/named", "ssl_ca": "gone.pem", "ssl_cert": "link.pem"}
    found = host_files(layout_from_options(options, None, Family.MARIADB, known=True))
    expected = {*OWN, "link.pem", "tls/other"} - {".ssh/authorized_keys"} | {".ssh"}
    assert set(found) == expected


@pytest.mark.parametrize("method", ["copy", "move"])
def test_they_outlive_the_data(host: Host, method: str) -> None:
    put(host.datadir, {**OWN, **DATA})
    (host.datadir / "tls").chmod(0o711)
    (host.datadir / "ca.pem").chmod(0o444)
    host.options.update(ssl_key="tls/named", log_bin="logs/deep/bin")
    own = {name: content for name, content in tree(host.datadir).items() if name in OWN}
    result = host.restore(method=method, force=True)
    found = tree(host.datadir)
    assert {name: found.get(name) for name in own} == own
    assert not set(DATA) - {"ibdata1"} & set(found)
    assert ((host.datadir / "tls").stat().st_mode & 0o777, (host.datadir / "ca.pem").stat().st_mode & 0o777) == (
        0o711,
        0o444,
    )
    assert (host.datadir / "logs" / "deep").is_dir()
    assert set(result.kept) == {*OWN, ".ssh"} - {".ssh/authorized_keys"}
    assert result.dropped == ["auto.cnf"]
    assert host.leftovers() == []


def test_they_alone_are_in_nobodys_way(host: Host) -> None:
    host.options.update(ssl_key="tls/named", log_bin="logs/bin")
    put(host.datadir, OWN)
    (host.datadir / "logs").mkdir()
    host.restore()
    assert set(OWN) <= set(tree(host.datadir))
    (host.datadir / "xtrabackup_restored.json").unlink()
    with pytest.raises(TargetNotEmpty):
        host.restore()


@pytest.mark.parametrize("entry", ["logs/bin.000001", "unnamed/"])
def test_anything_else_in_a_directory_is_in_the_way(host: Host, entry: str) -> None:
    host.options.update(log_bin="logs/bin")
    put(host.datadir, {f"{entry}x" if entry.endswith("/") else entry: b"data"})
    with pytest.raises(TargetNotEmpty):
        host.restore()


def test_a_file_of_the_backup_never_takes_the_place_of_the_hosts(host: Host) -> None:
    put(host.datadir, {"ibdata1": b"s", "shop/t.ibd": b"key"})
    (host.datadir / "shop").rename(host.datadir / "keys")
    (host.datadir / "shop").mkdir()
    put(host.datadir, {"shop/t.frm": b"a key"})
    host.options["ssl_key"] = "shop/t.frm"
    with pytest.raises(InvalidOption, match="host's own"):
        host.restore(force=True)
    assert tree(host.datadir)["shop/t.frm"] == b"a key"


@pytest.mark.parametrize("place", ["data/shop/t.ibd", "redo/ib_logfile0"])
def test_what_a_process_has_open_is_not_replaced(host: Host, place: str) -> None:
    host.spread()
    put(host.place, {"data/ibdata1": b"s", "data/shop/t.ibd": b"t", "redo/ib_logfile0": b"l"})
    before = tree(host.place)
    with subprocess.Popen(["sleep", "600"], stdin=(host.place / place).open("rb")) as process:
        with pytest.raises(FileInUse, match=rf"{place} is in the way, and process {process.pid} \(sleep\)"):
            host.restore(force=True)
        process.kill()
    assert tree(host.place) == before
    host.restore(force=True)


def test_persisted_variables_of_mysql_count_unless_they_are_not_loaded(tmp_path: Path) -> None:
    noted = {"Host": "localhost", "User": "root", "Timestamp": 1796059143663948}
    variables = {
        "Version": 2,
        "mysql_static_parse_early_variables": {"log_bin": {"Value": "logs/bin", "Metadata": noted}},
        "mysql_dynamic_variables": {"super_read_only": {"Value": "ON", "Metadata": noted}},
    }
    (tmp_path / "mysqld-auto.cnf").write_text(json.dumps(variables))
    options = {"datadir": str(tmp_path)}
    for more, expected in (({}, "logs/bin"), ({"persisted_globals_load": "OFF"}, None)):
        layout = layout_from_options({**options, **more}, None, known=True, family=Family.MYSQL)
        assert layout.logs.log_bin == (tmp_path / expected if expected else None)
    assert layout_from_options(options, None, Family.MARIADB, known=True).logs.log_bin is None
    (tmp_path / "mysqld-auto.cnf").write_text("{")
    with pytest.raises(InvalidOption, match="persisted"):
        layout_from_options(options, None, known=True, family=Family.MYSQL)


def test_a_mount_point_in_the_data_directory_is_told_of(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    put(host.datadir, {"ibdata1": b"s"})
    monkeypatch.setattr(placement, "_mount_points", lambda: {str(host.datadir / "logs"), f"{host.datadir}.other"})
    with pytest.raises(TargetUnsafe, match="data/logs is a mount point"):
        host.restore(force=True)
    assert tree(host.datadir) == {"ibdata1": b"s"}


@pytest.mark.parametrize("method", ["copy", "move"])
def test_killed_at_any_step_they_are_there_in_the_end_also_with_another_backup(
    host: Host, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)  # a kill is no power cut
    host.make_backup(host.place / "second", "ours-2")
    step, died = 0, True
    while died:
        for path in (host.datadir, *host.place.glob("data.*"), host.backup):
            shutil.rmtree(path, ignore_errors=True)
        host.make_backup(host.backup, "ours-1")
        put(host.datadir, {"ibdata1": b"old", "deep/key.pem": b"key"})
        died = killed_at(step, lambda: host.restore(method=method, force=True, parallel=1))
        source = host.place / "second" if died else host.backup
        host.restore(source, force=True, method="copy" if died else method)
        assert tree(host.datadir)["deep/key.pem"] == b"key", f"step {step}"
        step += 3
    assert step > 30
