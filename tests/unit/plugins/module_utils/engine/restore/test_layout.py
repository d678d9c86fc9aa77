# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a host's server wants its files, as its option files say."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    InvalidOption,
    MissingProgram,
    UnsupportedServer,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.family import Family
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.restore import layout as layout_module
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.restore.layout import (
    HostLayout,
    layout_from_options,
    read_layout,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.data_files import (
    parse_data_files,
    render_names,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.printed_options import parse_options

BACKUP_FILES = parse_data_files("ibdata1:12M:autoextend", "test")


def of(text: str, datadir: Path | None = None) -> HostLayout:
    return layout_from_options(parse_options(text.splitlines()), datadir, Family.MARIADB, known=True)


def test_without_options_everything_is_in_the_packages_datadir() -> None:
    layout = of("")
    assert layout.datadir == Path("/var/lib/mysql")
    for name in ("ib_logfile0", "undo001", "aria_log_control", "aria_log.00000001", "ibdata1", "anything"):
        assert layout.place_of(name, BACKUP_FILES) == layout.datadir / name


def test_each_kind_of_file_has_its_place() -> None:
    layout = of(
        "--datadir=/data/\n--innodb-data-home-dir=/system\n--innodb-data-file-path=main:12M;sub/second:1G:autoextend\n"
        "--innodb-log-group-home-dir=/redo\n--innodb-undo-directory=undo\n--aria-log-dir-path=./aria\n"
    )
    files = parse_data_files("ibdata1:12M;ibdata2:1G:autoextend", "backup")
    places = {
        "ibdata1": "/system/main",
        "ibdata2": "/system/sub/second",
        "ib_logfile0": "/redo/ib_logfile0",
        "undo001": "/data/undo/undo001",
        "undo1": "/data/undo1",
        "aria_log_control": "/data/aria/aria_log_control",
        "aria_log.00000007": "/data/aria/aria_log.00000007",
        "aria_log.old": "/data/aria_log.old",
        "xtrabackup_info": "/data/xtrabackup_info",
    }
    for name, place in places.items():
        assert layout.place_of(name, files) == Path(place)


def test_an_empty_home_takes_absolute_paths() -> None:
    layout = of("--datadir=/data\n--innodb-data-home-dir=\n--innodb-data-file-path=/disk/one:12M:autoextend")
    assert layout.place_of("ibdata1", BACKUP_FILES) == Path("/disk/one")


def test_an_explicit_datadir_overrides_and_forgets_the_other_servers_socket() -> None:
    layout = of("--datadir=/data\n--socket=/run/s.sock\n--pid-file=/run/s.pid\n--user=db", Path("/mine"))
    assert (layout.datadir, layout.socket, layout.pid_file, layout.user) == (Path("/mine"), None, None, "db")
    layout = of("--datadir=/data\n--socket=/run/s.sock\n--pid-file=s.pid")
    assert (layout.socket, layout.pid_file) == (Path("/run/s.sock"), Path("/data/s.pid"))


@pytest.mark.parametrize("path", ["/nonexistent", None])
def test_a_datadir_alone_stands_alone(monkeypatch: pytest.MonkeyPatch, path: str | None) -> None:
    if path:
        monkeypatch.setenv("PATH", path)  # a host without the server's packages
    layout = read_layout(None, Path("/mine"), Family.MARIADB)
    assert layout.datadir == layout.log_group_home_dir == Path("/mine")
    assert (layout.page_size, layout.lower_case_table_names) == (None, None)


@pytest.mark.parametrize("text", ["--datadir=/data/\n", ""])
def test_a_datadir_that_is_the_hosts_own_has_the_hosts_layout(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    host = parse_options(f"{text}--innodb-log-group-home-dir=/redo\n--pid-file=/run/s.pid".splitlines())
    monkeypatch.setattr(layout_module, "read_server_options", lambda _file, _family, _version: host)
    layout = read_layout(None, Path("/data" if text else "/var/lib/mysql"), Family.MARIADB)
    assert (layout.log_group_home_dir, layout.pid_file) == (Path("/redo"), Path("/run/s.pid"))
    assert read_layout(None, Path("/other"), Family.MARIADB).log_group_home_dir == Path("/other")


def test_without_the_servers_packages_the_program_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(MissingProgram, match="my_print_defaults"):
        read_layout(None, None, Family.MARIADB)


def test_the_real_program_reads_an_option_file_with_includes(tmp_path: Path) -> None:
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "my.cnf").write_text(
        f"[client]\ndatadir=/wrong\n[mysqld]\ndatadir = '/data dir'\n!includedir {tmp_path}/conf.d\n"
    )
    (tmp_path / "conf.d" / "b.cnf").write_text(
        "[mariadb]\nloose-innodb-undo-directory=/undo\nlog-bin\ninnodb_page_size=8k\n"
    )
    layout = read_layout(tmp_path / "my.cnf", None, Family.MARIADB)
    assert (layout.datadir, layout.undo_directory, layout.page_size) == (Path("/data dir"), Path("/undo"), 8192)
    assert layout.logs.log_bin is not None
    assert layout.logs.log_bin.parent == Path("/data dir")


def test_an_option_file_that_is_not_there_is_a_wrong_option(tmp_path: Path) -> None:
    with pytest.raises(InvalidOption, match="does not exist"):
        read_layout(tmp_path / "my.cnf", None, Family.MARIADB)


def test_a_program_that_fails_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "my_print_defaults"
    program.write_text("#!/bin/sh\necho broken >&2\nexit 2\n")
    program.chmod(0o755)
    monkeypatch.setattr(layout_module.shutil, "which", lambda _name: str(program))
    with pytest.raises(InvalidOption, match="broken"):
        read_layout(None, None, Family.MARIADB)


def test_what_another_server_left_outside_is_found(tmp_path: Path) -> None:
    names = (
        "redo/ib_logfile0", "redo/ib_logfile101", "redo/other", "redo/undo001", "log/bin.000001", "log/bin.index",
        "log/bin.state", "log/bin.old", "log/other.000001", "data/ib_logfile0", "relay/r.000002", "relay/r.index",
    )  # fmt: skip
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    layout = of(
        f"--datadir={tmp_path}/data\n--innodb-log-group-home-dir={tmp_path}/redo\n--log-bin={tmp_path}/log/bin\n"
        f"--relay-log={tmp_path}/relay/r\n--innodb-undo-directory={tmp_path}/nowhere"
    )
    found = [str(path.relative_to(tmp_path)) for path in layout.existing_outside()]
    assert found == [
        "log/bin.000001", "log/bin.index", "log/bin.state", "redo/ib_logfile0", "redo/ib_logfile101", "relay/r.000002",
        "relay/r.index",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("option", "base"),
    [
        ("--log-bin=/log/bin.log", "/log/bin"),
        ("--log-bin=b", "/data/b"),
        ("--log-bin\n--log-basename=n", "/data/n-bin"),
    ],
)
def test_the_base_name_of_the_binary_log(option: str, base: str) -> None:
    assert of(f"--datadir=/data\n{option}").logs.log_bin == Path(base)


@pytest.mark.parametrize("text", ["ibdata1", "ibdata1:much", ":12M", ""])
def test_a_data_file_path_that_cannot_be_understood(text: str) -> None:
    with pytest.raises(InvalidOption):
        parse_data_files(text, "test")


@pytest.mark.parametrize("text", ["/dev/sdb:10Gnewraw", "/dev/sdb:10G:newraw", "a/ibdata1:12M;b/ibdata1:12M"])
def test_data_files_that_are_not_supported(text: str) -> None:
    with pytest.raises(UnsupportedServer):
        parse_data_files(text, "test")


def test_names_only_are_kept_for_recovery() -> None:
    files = parse_data_files("/a/ibdata1:12M; b/ibdata2:1G:autoextend:max:2G", "test")
    assert render_names(files) == "ibdata1:12582912;ibdata2:1073741824:autoextend:max:2g"


# --- MySQL -----------------------------------------------------------------------------------------


def of_mysql(text: str) -> HostLayout:
    return layout_from_options(parse_options(text.splitlines()), None, known=True, family=Family.MYSQL)


def test_mysqls_files_have_their_places() -> None:
    layout = of_mysql(
        "--datadir=/data\n--innodb-log-group-home-dir=/redo\n--innodb-undo-directory=/undo\n"
        "--innodb-directories=/far;more ; \n"
    )
    for name, place in {
        "undo_001": "/undo/undo_001",
        "more.ibu": "/undo/more.ibu",
        "undo001": "/data/undo001",
        "mysql.ibd": "/data/mysql.ibd",
        "ibdata1": "/data/ibdata1",
    }.items():
        assert layout.place_of(name, BACKUP_FILES) == Path(place)
    assert layout.redo_directory == Path("/redo/#innodb_redo")
    assert layout.innodb_directories == (Path("/far"), Path("/data/more"))
    assert of("--datadir=/data").redo_directory is None


@pytest.mark.parametrize(
    ("directory", "found"), [("/far", True), ("/far/shop", True), ("/undo/x", True), ("/fa", False), ("/else", False)]
)
def test_where_mysql_looks_for_tablespaces(directory: str, found: bool) -> None:
    layout = of_mysql("--datadir=/data\n--innodb-undo-directory=/undo\n--innodb-directories=/far")
    assert layout.finds_tablespaces_in(Path(directory)) == found


def test_what_another_mysql_server_left_outside_is_found(tmp_path: Path) -> None:
    names = (
        "redo/#innodb_redo/#ib_redo7", "undo/undo_001", "undo/old.ibu", "undo/other", "far/g.ibd",
        "far/shop/deep/t.ibd", "far/shop/notes.txt", "far/backup/xtrabackup_checkpoints", "far/backup/shop/t.ibd",
        "dbl/#ib_16384_0.dblwr",
        "log/bin.000001", "index/bin.index", "data/mysql.ibd", "data/shop/t.ibd",
    )  # fmt: skip
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    layout = of_mysql(
        f"--datadir={tmp_path}/data\n--innodb-log-group-home-dir={tmp_path}/redo\n"
        f"--innodb-undo-directory={tmp_path}/undo\n--innodb-directories={tmp_path}/far;{tmp_path}\n"
        f"--innodb-doublewrite-dir={tmp_path}/dbl\n--log-bin={tmp_path}/log/bin\n--log-bin-index={tmp_path}/index/bin.index"
    )
    assert [str(path.relative_to(tmp_path)) for path in layout.existing_outside()] == [
        "dbl/#ib_16384_0.dblwr", "far/g.ibd", "far/shop/deep/t.ibd", "index/bin.index", "log/bin.000001",
        "redo/#innodb_redo", "undo/old.ibu", "undo/undo_001",
    ]  # fmt: skip


def test_the_groups_of_mysqls_series_are_read(tmp_path: Path) -> None:
    (tmp_path / "my.cnf").write_text(
        "[mysqld]\ndatadir=/data\n[server]\ninnodb_page_size=8k\n[mysqld-8.4]\ndatadir=/right\n"
        "[mysqld-8.0]\ndatadir=/wrong\n[mariadb]\ndatadir=/wrong\n"
    )
    layout = read_layout(tmp_path / "my.cnf", None, Family.MYSQL, "8.4.3-1")
    assert (layout.datadir, layout.page_size, layout.family) == (Path("/right"), 8192, Family.MYSQL)
    assert read_layout(tmp_path / "my.cnf", None, Family.MYSQL, "").datadir == Path("/data")


def test_a_datadir_of_mysql_stands_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    layout = read_layout(None, Path("/mine"), Family.MYSQL, "9.7.4")
    assert (layout.redo_directory, layout.page_size) == (Path("/mine/#innodb_redo"), None)
