# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables whose pages MariaDB compresses with a plugin: recovered where it is, refused by its name where it is not."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.mariadb.page_compression import PROVIDERS
from ansible_collections.innodb.xtrabackup.tests.integration_servers.conftest import ServerFactory
from ansible_collections.innodb.xtrabackup.tests.support.checksums import table_states
from ansible_collections.innodb.xtrabackup.tests.support.playbook import run_module
from ansible_collections.innodb.xtrabackup.tests.support.servers import MariaDBServer, program

LOADED = {"plugin_load_add": ";".join(PROVIDERS)}


def fill(server: MariaDBServer, algorithms: list[str]) -> None:
    """A table for each algorithm, written to its file."""
    server.execute("CREATE DATABASE packed", "USE packed")
    for name in algorithms:
        server.execute(
            f"SET GLOBAL innodb_compression_algorithm = {name}",
            f"CREATE TABLE {name} (id INT PRIMARY KEY, text VARCHAR(400), KEY (text)) ENGINE=InnoDB PAGE_COMPRESSED=1",
            f"INSERT INTO {name} SELECT seq, CONCAT(REPEAT(MD5(seq MOD 50), 6), seq) FROM seq_1_to_3000",
            database="packed",
        )
        if "innodb_checksum_algorithm" in server.options:
            server.restart()  # in files of the older format a page's algorithm is that of the time when it is written
    server.restart()


def needed(result: dict[str, Any]) -> list[str]:
    found: list[str] = result["backup"]["layout"]["compression_providers"]["needed"]
    return found


@pytest.mark.parametrize("checksum", ["full_crc32", "crc32"])
def test_what_a_plugin_compressed_is_recovered_and_restored(
    make_server: ServerFactory, workdir: Path, checksum: str
) -> None:
    algorithms = sorted(PROVIDERS.values()) if checksum == "full_crc32" else ["lz4", "bzip2"]
    layout = {} if checksum == "full_crc32" else {"innodb_checksum_algorithm": checksum}
    source = make_server("source", {**LOADED, **layout})
    fill(source, algorithms)
    expected = table_states(source)
    with source.connect(autocommit=False) as writer, writer.cursor() as cursor:
        for name in algorithms:
            cursor.execute(f"UPDATE packed.{name} SET text = REVERSE(text)")
        archive = {"dest": str(workdir / "full.xbstream"), "format": "xbstream"}
        taken = run_module("xtrabackup_backup", {**source.login(), **archive})
        stock = [program("mariadb-backup"), "--backup", f"--socket={source.socket}", "--user=root"]
        subprocess.run([*stock, f"--target-dir={workdir / 'stock'}"], check=True, capture_output=True, timeout=300)
        source.kill()
    assert sorted(needed(taken)) == sorted(f"provider_{name}" for name in algorithms)
    run_module("xtrabackup_prepare", {"src": str(workdir / "stock")})
    for src in (workdir / "stock", workdir / "full.xbstream"):
        host = make_server(f"{src.name}.host", {**LOADED, **layout}, start=False)
        run_module("xtrabackup_restore", {"src": str(src), "defaults_file": str(host.option_file)})
        with host:
            assert table_states(host) == expected


def test_a_host_without_the_plugin_is_told_its_name_before_anything_is_touched(
    make_server: ServerFactory, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make_server("source", LOADED)
    fill(source, ["lz4"])
    run_module("xtrabackup_backup", {**source.login(), "dest": str(workdir / "full")})
    source.kill()
    run_module("xtrabackup_prepare", {"src": str(workdir / "full"), "target_dir": str(workdir / "ready")})

    # a server whose directory of plugins has none of them
    bare = workdir / "bare"
    bare.mkdir()
    wrapper = bare / "mariadbd"
    wrapper.write_text(f'#!/bin/sh\nfirst=$1; shift\nexec {program("mariadbd")} "$first" --plugin-dir={bare} "$@"\n')
    wrapper.chmod(0o755)
    without = {"server_program": str(wrapper)}
    before = sorted(path.name for path in workdir.iterdir())
    for options in ({}, {"target_dir": str(workdir / "there")}):
        failed = run_module("xtrabackup_prepare", {"src": str(workdir / "full"), **options, **without}, fails=True)
        assert failed["error"]["code"] == "missing_program"
        assert "provider_lz4" in failed["error"]["message"]
        assert "mariadb-plugin-provider-lz4" in failed["error"]["remedy"]
    assert sorted(path.name for path in workdir.iterdir()) == before

    host = make_server("host", {"plugin_dir": str(bare)}, start=False)
    restore = {"src": str(workdir / "ready"), "defaults_file": str(host.option_file)}
    for check in (True, False):
        failed = run_module("xtrabackup_restore", restore, fails=True, check=check)
        assert failed["error"]["details"]["plugins"] == ["provider_lz4"]
        assert "provider_lz4" in failed["error"]["message"]

    # the plugin is there, and nobody would load it
    host.set_options({"plugin_dir": False})
    host.write_option_file()
    failed = run_module("xtrabackup_restore", restore, fails=True)
    assert "plugin_load_add = provider_lz4" in failed["error"]["remedy"]
    assert not host.datadir.exists()
    host.set_options({"plugin_load_add": "provider_bzip2\nplugin_load_add=provider_lz4"})
    host.write_option_file()
    run_module("xtrabackup_restore", restore)
    with host:
        assert host.value("SELECT COUNT(*) FROM packed.lz4") == 3000


def test_plugins_that_no_table_needs_are_asked_of_nobody(make_server: ServerFactory, workdir: Path) -> None:
    source = make_server("source", LOADED)
    source.execute("CREATE DATABASE shop", "CREATE TABLE shop.t (id INT PRIMARY KEY) ENGINE=InnoDB PAGE_COMPRESSED=1")
    taken = run_module("xtrabackup_backup", {**source.login(), "dest": str(workdir / "full")})
    recorded = taken["backup"]["layout"]["compression_providers"]
    assert (sorted(recorded["loaded"]), recorded["needed"]) == (sorted(PROVIDERS), [])
    source.stop()
    run_module("xtrabackup_prepare", {"src": str(workdir / "full")})
    host = make_server("host", start=False)
    run_module("xtrabackup_restore", {"src": str(workdir / "full"), "defaults_file": str(host.option_file)})
    with host:
        assert host.value("SELECT COUNT(*) FROM shop.t") == 0


def test_a_plugin_that_the_data_themselves_load_need_not_be_in_an_option_file(
    make_server: ServerFactory, workdir: Path
) -> None:
    source = make_server("source")
    source.execute("INSTALL SONAME 'provider_lz4'")
    fill(source, ["lz4"])
    run_module("xtrabackup_backup", {**source.login(), "dest": str(workdir / "full")})
    source.kill()
    run_module("xtrabackup_prepare", {"src": str(workdir / "full")})
    host = make_server("host", start=False)
    run_module("xtrabackup_restore", {"src": str(workdir / "full"), "defaults_file": str(host.option_file)})
    with host:
        assert host.value("SELECT COUNT(*) FROM packed.lz4") == 3000
