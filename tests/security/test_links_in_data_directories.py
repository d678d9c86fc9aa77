# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Links and pipes in a data directory, planted by code that runs as the server's account: root is not led by them."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup import copier, inventory
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup.mariadb import aria_tables
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup.mariadb import (
    inventory as mariadb_inventory,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup.mariadb import (
    redo_files as mariadb_redo_files,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup.mysql import (
    inventory as mysql_inventory,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup.mysql import (
    redo_archive,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup.mysql import (
    redo_files as mysql_redo_files,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    FormatError,
    InvalidOption,
    UnsafeFile,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.family import Family
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host import durable, running
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host.copying import Ownership
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host.server_files import ServerFiles
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.mariadb.page_compression import (
    algorithms_in,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.mysql import redo_8_0_30
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.mysql.keyring import Keyring
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.progress import Progress
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.restore import host_files
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.restore.layout import layout_from_options
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.restore.mysql import persisted
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server import user_data
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.layout import ServerLayout
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.mysql import user_tables
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.sink import DirectorySink

SECRET = b"root's own"
SERVER = 65534
List = Callable[[ServerLayout], Any]


class Data:
    """A data directory of the server's account, and beside it another disk of that account and what is root's."""

    def __init__(self, place: Path) -> None:
        self.place, self.datadir, self.secrets, self.disk = place, place / "data", place / "secrets", place / "disk"
        self.put(self.datadir / "ibdata1", b"s")
        self.put(self.datadir / "shop/m.MYD", b"rows")
        self.put(self.datadir / "shop/t.ibd", b"pages")
        self.put(self.disk / "shop/far.MYD", b"far rows")
        for path in (self.datadir, *self.datadir.rglob("*"), self.disk, *self.disk.rglob("*")):
            os.chown(path, SERVER, -1)
        self.secret = self.put(self.secrets / "shadow", SECRET)

    @staticmethod
    def put(path: Path, content: bytes) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def layout(self, **variables: str) -> ServerLayout:
        return ServerLayout.from_variables(
            {
                "datadir": str(self.datadir),
                "innodb_data_file_path": "ibdata1:12M:autoextend",
                "innodb_undo_directory": "./",
                "innodb_log_group_home_dir": "./",
                "aria_log_dir_path": "./",
                **variables,
            }
        )

    def files(self, family: str) -> set[str]:
        """The names of all that a backup of such a server would take."""
        layout = self.layout()
        innodb = (
            mysql_inventory.innodb_files(layout, []) if family == "mysql" else mariadb_inventory.innodb_files(layout)
        )
        plain = mysql_inventory.plain_files(layout) if family == "mysql" else mariadb_inventory.plain_files(layout)
        return {file.path for file in innodb} | {file.path for file in plain.files}


@pytest.fixture(name="data")
def _data(tmp_path: Path) -> Data:
    return Data(tmp_path)


@pytest.fixture(name="family", params=["mariadb", "mysql"])
def _family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def link_to_a_link(data: Data, path: Path) -> None:
    (data.disk / path.name).symlink_to(data.put(data.secrets / path.name, SECRET))
    path.symlink_to(data.disk / path.name)


PLANTS: dict[str, Callable[[Data, Path], None]] = {
    "a link to a file of another name": lambda data, path: path.symlink_to(data.secret),
    "a link to a file of root's": lambda data, path: path.symlink_to(data.put(data.secrets / path.name, SECRET)),
    "a link to a link": link_to_a_link,
    "a relative link": lambda data, path: path.symlink_to(os.path.relpath(data.secret, path.parent)),
    "a hard link": lambda data, path: path.hardlink_to(data.secret),
    "a pipe": lambda _data, path: os.mkfifo(path),
}


@pytest.mark.parametrize("kind", PLANTS)
@pytest.mark.parametrize("name", ["shop/x.MYD", "shop/x.ibd", "shop/x.CSV", "ibdata1"])
def test_what_is_planted_is_refused_by_name_before_anything_is_copied(
    data: Data, family: str, name: str, kind: str
) -> None:
    path = data.datadir / name
    path.unlink(missing_ok=True)
    PLANTS[kind](data, path)
    with pytest.raises(UnsafeFile, match=f"{path.name} ") as caught:
        data.files(family)
    assert str(path) in caught.value.message
    assert caught.value.remedy


@pytest.mark.parametrize(("family", "name"), [("mariadb", "undo001"), ("mysql", "undo_001"), ("mysql", "general.ibd")])
def test_files_of_innodb_are_no_links(data: Data, family: str, name: str) -> None:
    own = data.put(data.disk / name, b"pages")
    os.chown(own, SERVER, -1)
    (data.datadir / name).symlink_to(own)
    with pytest.raises(UnsafeFile, match=f"{name} is a symbolic link to {own}"):
        data.files(family)


def test_links_of_tables_and_databases_lead_to_files_of_the_servers_account(data: Data, family: str) -> None:
    (data.datadir / "shop/far.MYD").symlink_to(data.disk / "shop/far.MYD")
    (data.datadir / "crm").symlink_to(data.disk / "shop")
    assert data.files(family) == {"ibdata1", "shop/t.ibd", "shop/m.MYD", "shop/far.MYD", "crm/far.MYD"}
    for name in ("shop/far.MYD", "crm/far.MYD"):
        with ServerFiles(data.datadir).reading(data.datadir / name) as source:
            assert source.read() == b"far rows"


def test_links_that_lead_to_nothing_of_a_server_do_no_harm(data: Data, family: str) -> None:
    (data.datadir / "crm").symlink_to(data.secrets)
    (data.datadir / "circle").symlink_to("circle")
    (data.datadir / "shop/gone.MYD").symlink_to("/nowhere")
    assert data.files(family) == {"ibdata1", "shop/t.ibd", "shop/m.MYD"}


@pytest.mark.parametrize("chain", [True, False])
def test_a_database_that_is_a_link_to_tables_of_somebody_else_is_refused(data: Data, family: str, chain: bool) -> None:
    if chain:
        (data.place / "link").symlink_to(data.disk / "shop")
        (data.datadir / "crm").symlink_to(data.place / "link")
    else:
        data.put(data.secrets / "theirs.MYD", SECRET)
        (data.datadir / "crm").symlink_to(data.secrets)
    with pytest.raises(UnsafeFile, match="crm is a symbolic link to "):
        data.files(family)


def test_files_of_other_owners_are_read_where_they_are_and_not_where_the_server_points(data: Data) -> None:
    files = ServerFiles(data.datadir)
    with files.reading(data.put(data.datadir / "shop/placed.MYD", b"by an administrator")) as source:
        assert source.read() == b"by an administrator"
    # the server says where its logs are
    with pytest.raises(UnsafeFile, match="shadow belongs to uid 0"):
        files.open(data.secret)
    with files.reading(data.disk / "shop/far.MYD") as source:
        assert source.read() == b"far rows"


def test_a_file_that_becomes_a_link_after_it_was_listed_is_not_copied(data: Data, tmp_path: Path) -> None:
    sink = DirectorySink(tmp_path / "backup")
    opener = ServerFiles(data.datadir).open
    context = copier.CopierContext(16384, sink.open, threading.Event(), Progress("backup"), open_source=opener)
    path = data.datadir / "shop/m.MYD"
    path.unlink()
    path.symlink_to(data.secret)
    with pytest.raises(UnsafeFile, match="m.MYD is a symbolic link"):
        copier.copy_plain("shop/m.MYD", path, context, memoryview(bytearray(100)))
    sink.abort(Exception())


def test_readers_of_single_files_follow_no_link_and_wait_for_no_pipe(data: Data) -> None:
    for plant in (lambda path: path.symlink_to(data.secret), os.mkfifo):
        for name in ("ib_logfile0", "#ib_redo1", "archive.log", "x.MAI", "x.ibd"):
            plant(data.datadir / name)
        with pytest.raises(UnsafeFile):
            mariadb_redo_files.LogFile(str(data.datadir / "ib_logfile0"))
        with pytest.raises(UnsafeFile):
            mysql_redo_files.RedoFile(str(data.datadir / "#ib_redo1"), 1)
        with pytest.raises(UnsafeFile):
            redo_archive.ArchivedRedo(str(data.datadir / "archive.log"), redo_8_0_30)
        with pytest.raises(UnsafeFile):
            aria_tables.online_table(inventory.PlainFile("x.MAD", data.datadir / "x.MAD", inventory.Kind.TABLE, 1))
        assert algorithms_in(data.datadir / "x.ibd") == set()
        for name in ("ib_logfile0", "#ib_redo1", "archive.log", "x.MAI", "x.ibd"):
            (data.datadir / name).unlink()


def test_pipes_among_the_small_files_of_a_host_block_nothing(data: Data) -> None:
    for name in ("keyring", "mysqld-auto.cnf", "mysqld.pid", "shop/t_1.sdi", "ca.pem"):
        os.mkfifo(data.datadir / name)
    with pytest.raises(FormatError, match="keyring is not a regular file but a FIFO"):
        Keyring.read(data.datadir / "keyring")
    with pytest.raises(InvalidOption, match=r"mysqld-auto\.cnf.* is not a regular file but a FIFO"):
        persisted.persisted_variables(data.datadir, {})
    with pytest.raises(UnsafeFile, match=r"t_1\.sdi is not a regular file but a FIFO"):
        user_tables.tables_in(data.datadir)
    running.require_unused(data.datadir, pid_file=data.datadir / "mysqld.pid", server_socket=None)
    assert {entry.kind for entry in user_data.entries_of(data.datadir)} == {"directory", "file", "other"}


def test_the_hosts_own_files_are_not_swapped_for_others(data: Data) -> None:
    staged = data.place / "staged"
    staged.mkdir()
    ownership = Ownership(uid=SERVER, gid=SERVER)
    (data.datadir / "ca.pem").hardlink_to(data.secret)
    (data.datadir / ".ssh").mkdir()
    (data.datadir / ".ssh/id").symlink_to(data.secret)
    os.mkfifo(data.datadir / ".ssh/agent")
    with pytest.raises(UnsafeFile, match=r"ca\.pem is a hard link"):
        host_files.carry_over(["ca.pem"], [data.datadir], staged, ownership)
    assert SECRET.decode() not in (staged / "ca.pem").read_text(encoding="utf-8")
    host_files.carry_over([".ssh"], [data.datadir], staged, ownership)
    assert os.readlink(staged / ".ssh/id") == str(data.secret)
    assert os.listdir(staged / ".ssh") == ["id"]
    assert data.secret.stat().st_uid == 0


def test_a_link_on_the_way_to_a_key_stays_a_link(data: Data) -> None:
    data.put(data.secrets / "key.pem", SECRET)
    (data.datadir / "tls").symlink_to(data.secrets)
    options = {"datadir": str(data.datadir), "ssl_key": "tls/key.pem"}
    found = host_files.host_files(layout_from_options(options, None, Family.MARIADB, known=True))
    assert found == ["tls"]
    staged = data.place / "staged"
    staged.mkdir()
    host_files.carry_over(found, [data.datadir], staged, Ownership())
    assert os.readlink(staged / "tls") == str(data.secrets)


@pytest.mark.parametrize("kind", ["symbolic", "hard", "pipe"])
def test_what_is_planted_at_a_temporary_name_is_not_written_to(data: Data, kind: str) -> None:
    target = data.datadir / "marker.json"
    for name in ("marker.json.partial", ".marker.json.partial", "marker.json.new"):
        if kind == "pipe":
            os.mkfifo(data.datadir / name)
        elif kind == "hard":
            (data.datadir / name).hardlink_to(data.secret)
        else:
            (data.datadir / name).symlink_to(data.secret)
    durable.write_file(target, b"new", 0o600)
    assert target.read_bytes() == b"new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert data.secret.read_bytes() == SECRET


def test_what_a_killed_job_has_left_goes_with_the_next_version(tmp_path: Path) -> None:
    descriptor, left = durable.new_beside(tmp_path / "marker.json", 0o600)
    os.close(descriptor)
    for name in ("marker", "marker.json.x"):
        other, _path = durable.new_beside(tmp_path / name, 0o600)
        os.close(other)
    durable.write_file(tmp_path / "marker.json", b"new")
    assert not left.exists()
    durable.write_file(tmp_path / "marker", b"new")
    assert len(list(tmp_path.iterdir())) == 3


def test_a_lock_file_that_is_another_file_as_well_is_not_written_to(data: Data) -> None:
    (data.datadir / "x.lock").hardlink_to(data.secret)
    (data.datadir / "y.lock").symlink_to(data.secret)
    for name in ("x.lock", "y.lock"):
        with pytest.raises(UnsafeFile), durable.exclusive_lock(data.datadir / name, "x"):
            raise AssertionError("locked")
    assert data.secret.read_bytes() == SECRET
