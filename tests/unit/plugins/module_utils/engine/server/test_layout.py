# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The places that a server names become absolute paths."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.layout import ServerLayout


def test_relative_places_start_at_the_datadir() -> None:
    layout = ServerLayout.from_variables(
        {
            "datadir": "/srv/db/",
            "innodb_data_home_dir": "",
            "innodb_log_group_home_dir": "./",
            "innodb_undo_directory": "undo",
            "aria_log_dir_path": "/srv/aria/",
            "innodb_data_file_path": "ibdata1:12M;/fast/ibdata2:1G:autoextend",
            "innodb_page_size": "16384",
        }
    )
    assert layout.innodb_data_home_dir == Path("/srv/db")
    assert layout.redo_log == Path("/srv/db/ib_logfile0")
    assert layout.innodb_undo_directory == Path("/srv/db/undo")
    assert layout.aria_log_dir_path == Path("/srv/aria")
    assert layout.system_tablespace_files == (Path("/srv/db/ibdata1"), Path("/fast/ibdata2"))
    assert layout.innodb_page_size == 16384


def test_a_home_directory_of_the_system_tablespace_is_respected() -> None:
    layout = ServerLayout.from_variables(
        {"datadir": "/d", "innodb_data_home_dir": "/home/ib", "innodb_data_file_path": "ibdata1:12M:autoextend"}
    )
    assert layout.system_tablespace_files == (Path("/home/ib/ibdata1"),)


def test_a_mysql_server_lists_more_directories_in_one_variable() -> None:
    layout = ServerLayout.from_variables(
        {
            "datadir": "/srv/db/",
            "innodb_log_group_home_dir": "./",
            "innodb_directories": "/more/;'/with a blank';./here;;",
            "gtid_mode": "ON",
            "log_bin_index": "/logs/binlog.index",
        }
    )
    assert layout.innodb_directories == (Path("/more"), Path("/with a blank"), Path("/srv/db/here"))
    assert layout.redo_directory == Path("/srv/db/#innodb_redo")
    assert layout.log_bin_index == "/logs/binlog.index"
    assert layout.by_gtid
    assert ServerLayout.from_variables({"datadir": "/srv/db"}).innodb_directories == ()
    assert not ServerLayout.from_variables({"datadir": "/srv/db", "gtid_mode": "ON_PERMISSIVE"}).by_gtid
