# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restore leaves to the host: its keys and configuration, directories of its server, files in use."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup import job
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.progress import Progress
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery.prepare import PrepareOptions, prepare
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.connection import ConnectionParameters
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.sink import DirectorySink
from ansible_collections.innodb.xtrabackup.tests.integration_servers.conftest import ServerFactory
from ansible_collections.innodb.xtrabackup.tests.support import console
from ansible_collections.innodb.xtrabackup.tests.support.checksums import TableState, table_states
from ansible_collections.innodb.xtrabackup.tests.support.playbook import run_module
from ansible_collections.innodb.xtrabackup.tests.support.servers import MariaDBServer, OptionValue

RESTORE = "xtrabackup_restore"
MARKER = "xtrabackup_restored.json"


@dataclass(frozen=True)
class Prepared:
    """A prepared backup, and what its tables hold."""

    path: Path
    tables: dict[str, TableState]


@pytest.fixture(name="prepared", scope="module")
def _prepared() -> Iterator[Prepared]:
    """Of a server whose data directory holds directories of logs and temporary files, which look like databases."""
    place = Path(tempfile.mkdtemp(prefix="xtrabackup-", dir=os.environ.get("XTRABACKUP_TEST_DIR", "/var/tmp")))
    own = {"log_bin": "logs/binlog", "relay_log": "logs/relay", "tmpdir": str(place / "source" / "data" / "scratch")}
    source = MariaDBServer(place / "source", own)
    try:
        source.initialise()
        for name in ("logs", "scratch"):
            (source.datadir / name).mkdir()
        source.start()
        source.execute(
            "CREATE DATABASE nothing_in_it",
            "CREATE DATABASE shop",
            "CREATE TABLE shop.t (id INT PRIMARY KEY)",
            "INSERT INTO shop.t VALUES (1), (2), (3)",
            "CREATE EVENT shop.hourly ON SCHEDULE EVERY 1 HOUR STARTS '2037-01-01' DO DELETE FROM shop.t",
        )
        connection = ConnectionParameters(unix_socket=str(source.socket), user="root")
        wanted = job.BackupOptions(connection=connection, tool_version="0.1.0")
        job.take_backup(wanted, DirectorySink(place / "ready"), Progress("backup"))
        prepare(place / "ready", None, PrepareOptions(), Progress("prepare"))
        tables = table_states(source)
        source.stop()
        yield Prepared(place / "ready", tables)
    finally:
        source.kill()
        shutil.rmtree(place, ignore_errors=True)


@pytest.fixture(name="programs", scope="module")
def _programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return console.build(tmp_path_factory.mktemp("console"))


def options(host: MariaDBServer, source: Path, **more: Any) -> dict[str, Any]:
    return {"src": str(source), "defaults_file": str(host.option_file), **more}


def copy_of(prepared: Prepared, workdir: Path) -> Path:
    subprocess.run(["cp", "-a", str(prepared.path), str(workdir / "ready")], check=True)
    return workdir / "ready"


def names(path: Path) -> list[str]:
    return sorted(str(one.relative_to(path)) for one in path.rglob("*"))


def test_directories_of_logs_and_temporary_files_are_no_databases(prepared: Prepared) -> None:
    found = {path.name for path in prepared.path.iterdir()}
    assert {"nothing_in_it", "shop"} <= found
    assert not {"logs", "scratch"} & found


def with_keys(make_server: ServerFactory, workdir: Path) -> MariaDBServer:
    """A host with all that an administrator makes in a data directory before there are data."""
    own: dict[str, OptionValue | bool] = {
        "log_bin": "logs/deep/binlog",
        "relay_log": "relays/relay",
        "tmpdir": str(workdir / "host" / "data" / "scratch"),
        "plugin_load_add": "file_key_management",
        "file_key_management_filename": str(workdir / "host" / "data" / "keys" / "list"),
        "ssl_cert": "server.crt",
        "ssl_key": "tls/private",
    }
    host = make_server("host", own, start=False)
    for name in ("logs/deep", "relays", "scratch", "keys", "tls"):
        (host.datadir / name).mkdir(parents=True)
    (host.datadir / "scratch").chmod(0o1770)
    (host.datadir / "keys" / "list").write_text("1;" + "0f" * 16)
    certificate = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=host", "-days", "9"]
    files = ["-keyout", str(host.datadir / "tls" / "private"), "-out", str(host.datadir / "server.crt")]
    subprocess.run([*certificate, *files], check=True, capture_output=True)
    return host


@pytest.mark.parametrize("method", ["copy", "move"])
def test_what_is_the_hosts_own_outlives_the_data(
    prepared: Prepared, make_server: ServerFactory, programs: Path, workdir: Path, method: str
) -> None:
    host = with_keys(make_server, workdir)
    kept = ["keys/list", "server.crt", "tls/private"]

    def look() -> dict[str, tuple[bytes, int]]:
        return {name: ((host.datadir / name).read_bytes(), (host.datadir / name).stat().st_mode) for name in kept}

    before = look()
    for force in (False, True):
        source = copy_of(prepared, workdir)
        if force:
            # other data than the backup's
            (host.datadir / MARKER).unlink()
            refused = run_module(RESTORE, options(host, source, method=method), fails=True)
            assert refused["error"]["code"] == "target_not_empty"
            done = run_module(RESTORE, options(host, source, method=method, force=True), diff=True)
            assert done["configuration"] == {"kept": kept, "dropped": []}
            assert done["diff"]["before"]["configuration"] == done["diff"]["after"]["configuration"] == kept
            assert "the backup has events" in str(done["warnings"])
        else:
            program: list[str | Path] = [
                programs / "mariadb-backup",
                f"--defaults-file={host.option_file}",
                f"--{method}-back",
            ]
            console.require(console.run(*program, f"--target-dir={source}"))
        assert look() == before
        assert (host.datadir / "scratch").stat().st_mode & 0o7777 == 0o1770
        with host:
            assert table_states(host) == prepared.tables
            assert host.variable("have_ssl") == "YES"
            host.execute("CREATE TABLE shop.secret (id INT PRIMARY KEY) ENGINE=InnoDB ENCRYPTED=YES")
        shutil.rmtree(source, ignore_errors=True)


def test_a_file_that_a_process_has_open_is_never_replaced(
    prepared: Prepared, make_server: ServerFactory, workdir: Path
) -> None:
    host = make_server("host", {"log_bin": str(workdir / "log" / "binlog")}, start=False)
    host.initialise()
    (workdir / "log").mkdir()
    (workdir / "log" / "binlog.000001").touch()
    for path in (host.datadir / "mysql" / "db.frm", workdir / "log" / "binlog.000001"):
        before = names(workdir)
        # somebody saves the old data
        with subprocess.Popen(["sleep", "600"], stdin=path.open("rb")) as process:
            for check in (True, False):
                wanted = options(host, prepared.path, force=True)
                failed = run_module(RESTORE, wanted, fails=True, check=check)
                assert (failed["error"]["code"], failed["error"]["details"]["path"]) == ("file_in_use", str(path))
                assert f"process {process.pid} (sleep)" in failed["msg"]
            process.kill()
        assert names(workdir) == before
    run_module(RESTORE, options(host, prepared.path, force=True))
    with host:
        assert table_states(host) == prepared.tables
