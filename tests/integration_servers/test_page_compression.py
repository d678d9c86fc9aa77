# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Page-compressed tables take no more room in backups, and on restored hosts, than in the server's data directory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.family import Family
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.sources.registry import source_at
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.listing import list_archive
from ansible_collections.innodb.xtrabackup.tests.integration_servers.conftest import AnyServerFactory
from ansible_collections.innodb.xtrabackup.tests.support.holes import PAGE_COMPRESSION, Holes
from ansible_collections.innodb.xtrabackup.tests.support.playbook import module_result, run_module, start_module
from ansible_collections.innodb.xtrabackup.tests.support.ports import free_port


@pytest.fixture(params=list(Family), ids=[family.value for family in Family])
def family(request: pytest.FixtureRequest) -> Family:
    wanted: Family = request.param
    return wanted


@pytest.mark.parametrize(
    ("family", "options"),
    [
        pytest.param(Family.MARIADB, {}, id="mariadb-full_crc32"),
        pytest.param(Family.MARIADB, {"innodb_checksum_algorithm": "crc32"}, id="mariadb-crc32"),
        pytest.param(Family.MARIADB, {"innodb_page_size": "64k"}, id="mariadb-64k"),
        pytest.param(Family.MYSQL, {}, id="mysql-16k"),
        pytest.param(Family.MYSQL, {"innodb_page_size": "64k"}, id="mysql-64k"),
    ],
)
def test_holes_stay_holes_in_a_directory(
    make_any: AnyServerFactory, workdir: Path, family: Family, options: dict[str, Any]
) -> None:
    holes = Holes(make_any, workdir, family, options)
    directory = holes.backup("directory")
    holes.check_room(directory)
    holes.check_restored(directory, "directory")
    if family is Family.MYSQL and options:
        archives_keep_holes(holes)


def archives_keep_holes(holes: Holes) -> dict[Path, Path]:
    """Each kind of archive of a backup, and what it is unpacked to."""
    kinds: dict[str, dict[str, Any]] = {"plain": {}, "sparse": {"sparse": True}}
    kinds["zstd"] = {"compress": {"algorithm": "zstd"}}
    archives = {name: holes.backup(f"{name}.xbstream", format="xbstream", **options) for name, options in kinds.items()}
    plain, sparse = archives["plain"], archives["sparse"]
    assert (list_archive(source_at(plain)).sparse, list_archive(source_at(sparse)).sparse) == (False, True)
    left_out = plain.stat().st_size - sparse.stat().st_size
    assert left_out > holes.saved * 0.9
    if holes.kind is PAGE_COMPRESSION[Family.MARIADB]:  # MySQL's other files have pages of zeros
        assert left_out == pytest.approx(holes.saved, rel=0.05)
    return {archive: holes.extract(archive, f"{name}.unpacked") for name, archive in archives.items()}


def test_holes_stay_holes_through_every_kind_of_archive(
    make_any: AnyServerFactory, workdir: Path, family: Family
) -> None:
    holes = Holes(make_any, workdir, family, {})
    unpacked = archives_keep_holes(holes)
    for archive, directory in unpacked.items():
        run_module("xbstream", {"state": "verified", "src": str(archive)})
        holes.check_restored(directory, archive.stem)
    holes.check_restored(workdir / "zstd.xbstream", "direct")
    holes.check_restore_of(workdir / "sparse.xbstream", "straight.host")


def test_a_directory_is_packed_with_sparse_chunks_and_back(
    make_any: AnyServerFactory, workdir: Path, family: Family
) -> None:
    holes = Holes(make_any, workdir, family, {})
    directory, archive = holes.backup("directory"), workdir / "packed.xbstream"
    packing = {"state": "created", "src": str(directory), "dest": str(archive)}
    assert run_module("xbstream", {**packing, "sparse": True})["changed"]
    assert not run_module("xbstream", {**packing, "sparse": True})["changed"]
    assert list_archive(source_at(archive)).sparse
    holes.extract(archive, "unpacked")
    # who does not ask for sparse chunks may want to read the archive with mbstream
    assert run_module("xbstream", {**packing, "force": True})["changed"]
    assert not list_archive(source_at(archive)).sparse
    assert not run_module("xbstream", packing)["changed"]
    holes.check_restored(holes.extract(archive, "plain"), "plain")


@pytest.mark.parametrize("sparse", [True, False])
def test_a_receiver_of_a_stream_has_the_holes(
    make_any: AnyServerFactory, workdir: Path, family: Family, sparse: bool
) -> None:
    holes = Holes(make_any, workdir, family, {})
    dest, port = workdir / "received", free_port()
    receiver = start_module("xbstream", {"dest": str(dest), "listen": {"port": port, "plain": True}})
    stream_to = {"tcp": {"host": "127.0.0.1", "port": port}}
    run_module("xtrabackup_backup", {**holes.source.login(), "stream_to": stream_to, "sparse": sparse})
    module_result("xbstream", *receiver.communicate(timeout=120))
    holes.check_room(dest)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"format": "xbstream", "compress": {"algorithm": "zstd"}}, "compressed"),
        ({"format": "xbstream", "encrypt": {"key_file": "/none", "algorithm": "AES256"}}, "encrypted"),
        ({"format": "directory"}, "directory"),
    ],
    ids=["compress", "encrypt", "directory"],
)
@pytest.mark.parametrize("check", [True, False])
def test_sparse_is_refused_where_it_means_nothing(
    workdir: Path, options: dict[str, Any], word: str, check: bool
) -> None:
    wanted = {"dest": str(workdir / "backup"), "sparse": True, "login_unix_socket": str(workdir / "none"), **options}
    failed = run_module("xtrabackup_backup", wanted, fails=True, check=check)
    assert (failed["error"]["code"], failed["error"]["details"]) == ("invalid_option", {"option": "sparse"})
    assert word in failed["error"]["message"]
    assert not list(workdir.iterdir())
