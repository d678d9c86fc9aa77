# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups of a real server over every transport, between our own modules and with nc and the stock tools."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.tests.integration_servers.conftest import ServerFactory
from ansible_collections.innodb.xtrabackup.tests.integration_servers.test_backup import (
    our_prepare,
    start_copy,
    stock_prepare,
)
from ansible_collections.innodb.xtrabackup.tests.integration_servers.test_backup_streams import mbstream_extract
from ansible_collections.innodb.xtrabackup.tests.support import checksums, datasets
from ansible_collections.innodb.xtrabackup.tests.support.playbook import module_result, run_module, start_module
from ansible_collections.innodb.xtrabackup.tests.support.ports import free_port
from ansible_collections.innodb.xtrabackup.tests.support.servers import MariaDBServer, program
from ansible_collections.innodb.xtrabackup.tests.support.streams import fingerprints
from ansible_collections.innodb.xtrabackup.tests.support.transfer import make_ends, wait_for_phase

HERE = "127.0.0.1"
TIMEOUT = "30s"


@pytest.fixture
def source(make_server: ServerFactory) -> MariaDBServer:
    server = make_server("source")
    datasets.create_zoo(server)
    return server


@contextmanager
def listening(workdir: Path, port: int, **options: Any) -> Iterator[dict[str, Any]]:
    """The module xbstream, waiting for the block to send something; what it returned is there after the block."""
    progress = workdir / "progress.json"
    listen = {"address": HERE, "port": port, "timeout": TIMEOUT, "progress_file": str(progress)}
    listen.update(options.pop("listen"))
    answer: dict[str, Any] = {}
    process = start_module("xbstream", {**options, "listen": listen})
    try:
        wait_for_phase(progress, "listening", lambda: process.poll() is None)
        yield answer
        output, errors = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    answer.update(module_result("xbstream", output, errors, fails=False))


def send(source: MariaDBServer, stream_to: dict[str, Any], **options: Any) -> dict[str, Any]:
    return run_module("xtrabackup_backup", {**source.login(), "stream_to": stream_to, **options})


def tcp(port: int) -> dict[str, Any]:
    return {"tcp": {"host": HERE, "port": port, "timeout": TIMEOUT, "connect_timeout": TIMEOUT}}


def assert_same_data(make_server: ServerFactory, source: MariaDBServer, directory: Path) -> None:
    """A server on the prepared ``directory`` has what the source has."""
    copy = start_copy(make_server, "copy", directory, source)
    checksums.assert_tables_equal(source, copy, at_least=3)


def test_a_backup_over_plain_tcp_is_unpacked_on_the_other_host(
    make_server: ServerFactory, workdir: Path, source: MariaDBServer
) -> None:
    port, dest = free_port(), workdir / "dest"
    with listening(workdir, port, listen={"plain": True}, dest=str(dest), digests=["sha1"]) as answer:
        sent = send(source, tcp(port), compress={"algorithm": "zstd"}, digests=["sha1", "xxh3"])
    assert "travels unencrypted" in str(sent["warnings"])
    assert "whoever reaches port" in str(answer["warnings"])
    assert answer["backup"]["id"] == sent["backup"]["id"]
    assert answer["manifest"]["sha256"] == sent["backup"]["manifest"]["sha256"]
    assert answer["digests"]["sha1"] == sent["backup"]["digests"]["sha1"]
    our_prepare(dest)
    assert_same_data(make_server, source, dest)


def test_check_mode_connects_to_nobody(source: MariaDBServer) -> None:
    predicted = run_module(
        "xtrabackup_backup", {**source.login(), "stream_to": tcp(free_port())}, check=True, diff=True
    )
    assert predicted["changed"]
    assert "travels unencrypted" in str(predicted["warnings"])


def test_an_encrypted_backup_over_plain_tcp_has_another_warning(workdir: Path, source: MariaDBServer) -> None:
    key, port = workdir / "key", free_port()
    key.touch(0o600)
    key.write_bytes(bytes(range(32)))
    arguments: dict[str, Any] = {"state": "created", "dest": str(workdir / "archive")}
    with listening(workdir, port, listen={"plain": True}, **arguments) as answer:
        sent = send(source, tcp(port), encrypt={"key_file": str(key)})
    assert "not authenticated" in str(sent["warnings"])
    assert "unencrypted" not in str(sent["warnings"])
    assert not answer["verified"]
    wanted = {"state": "verified", "src": str(workdir / "archive"), "decrypt": {"key_file": str(key)}}
    assert run_module("xbstream", wanted)["backup"]["id"] == sent["backup"]["id"]


def test_a_backup_into_a_file_of_nc_is_unpacked_by_the_stock_tool(
    make_server: ServerFactory, workdir: Path, source: MariaDBServer
) -> None:
    port, archive = free_port(), workdir / "full.xbstream"
    with open(archive, "wb") as output:
        nc = subprocess.Popen(["nc", "-l", HERE, str(port)], stdin=subprocess.DEVNULL, stdout=output)
    try:
        sent = send(source, tcp(port), digests=["sha256"])
        assert nc.wait(20) == 0
    finally:
        nc.kill()
    assert sent["backup"]["digests"]["sha256"] == hashlib.sha256(archive.read_bytes()).hexdigest()
    mbstream_extract(archive, workdir / "backup")
    stock_prepare(workdir / "backup")
    assert_same_data(make_server, source, workdir / "backup")


def test_what_the_stock_tool_sends_through_nc_is_unpacked(
    make_server: ServerFactory, workdir: Path, source: MariaDBServer
) -> None:
    port, dest = free_port(), workdir / "dest"
    with listening(workdir, port, listen={"plain": True}, dest=str(dest), require_manifest=False) as answer:
        backup = [program("mariadb-backup"), "--no-defaults", "--backup", "--stream=mbstream", "--user=root"]
        backup += [f"--socket={source.socket}", f"--datadir={source.datadir}", f"--target-dir={workdir}/scratch"]
        with open(workdir / "log", "wb") as log, subprocess.Popen(backup, stdout=subprocess.PIPE, stderr=log) as stock:
            subprocess.run(["nc", "-N", HERE, str(port)], stdin=stock.stdout, check=True, timeout=60)
        assert stock.returncode == 0, (workdir / "log").read_text()[-4000:]
    assert answer["changed"]
    assert answer["backup"] is None
    stock_prepare(dest)
    assert_same_data(make_server, source, dest)


def test_a_backup_over_tls_becomes_an_archive_that_unpacks_to_the_same(
    make_server: ServerFactory, workdir: Path, source: MariaDBServer
) -> None:
    ends_directory = workdir / "credentials"
    ends_directory.mkdir()
    ends = make_ends(ends_directory)
    archive, tls = workdir / "full.xbstream", {"credentials": str(ends.receiver)}
    arguments: dict[str, Any] = {"state": "created", "dest": str(archive), "digests": ["sha256", "xxh128"]}
    with listening(workdir, ends.port, listen={"tls": tls}, **arguments) as answer:
        receiver = {"host": HERE, "port": ends.port, "credentials": str(ends.sender), "connections": 3}
        sent = send(source, {"tls": receiver}, compress={"algorithm": "zstd"}, parallel=3, digests=["sha256", "xxh128"])
    assert "warnings" not in sent or "stream_to" not in str(sent["warnings"])
    assert answer["verified"]
    assert answer["digests"] == sent["backup"]["digests"]
    assert sent["backup"]["manifest"]["path"] == str(archive)
    one = run_module("xbstream", {"src": str(archive), "dest": str(workdir / "one")})
    assert one["manifest"]["sha256"] == sent["backup"]["manifest"]["sha256"]
    run_module("xbstream", {"state": "created", "src": str(workdir / "one"), "dest": str(workdir / "packed")})
    run_module("xbstream", {"src": str(workdir / "packed"), "dest": str(workdir / "two")})
    assert fingerprints(workdir / "one") == fingerprints(workdir / "two")
    our_prepare(workdir / "one")
    assert_same_data(make_server, source, workdir / "one")


def test_digests_of_a_pipeline_are_those_of_the_file_that_arrived(workdir: Path, source: MariaDBServer) -> None:
    archive = workdir / "arrived"
    command = [["cat"], ["dd", f"of={archive}", "bs=64k", "status=none"]]
    sent = send(source, {"command": command}, digests=["sha256", "md5"])
    digests = sent["backup"]["digests"]
    for tool in ("sha256sum", "md5sum"):
        printed = subprocess.run([tool, str(archive)], capture_output=True, text=True, check=True).stdout
        assert printed.split()[0] == digests[tool[:-3]]
    wanted = {"state": "verified", "src": str(archive), "checksum": f"sha256:{digests['sha256']}"}
    assert run_module("xbstream", wanted)["backup"]["id"] == sent["backup"]["id"]


def test_a_receiver_that_dies_fails_the_backup(source: MariaDBServer) -> None:
    datasets.create_big(source, 50)
    port = free_port()
    nc = subprocess.Popen(["nc", "-l", HERE, str(port)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    try:
        backup = start_module("xtrabackup_backup", {**source.login(), "stream_to": tcp(port)})
        assert nc.stdout
        assert nc.stdout.read(1 << 20)
        nc.kill()
        printed, errors = backup.communicate(timeout=60)
    finally:
        nc.kill()
        nc.wait()
    failed = module_result("xtrabackup_backup", printed, errors, fails=True)
    assert failed["error"]["code"] == "peer_failed"
    assert f"{HERE}:{port}" in failed["error"]["message"]
