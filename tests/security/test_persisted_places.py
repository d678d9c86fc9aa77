# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A ``mysqld-auto.cnf`` that somebody plants in the data directory names no place for root's restore."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import InvalidOption
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.family import Family
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.restore.layout import (
    HostLayout,
    layout_from_options,
)

NOTED = {"Host": "localhost", "User": "root", "Timestamp": 1796059143663948}


def plant(place: Path, variables: dict[str, str], group: str = "mysql_static_variables") -> None:
    entries = {name: {"Value": value, "Metadata": NOTED} for name, value in variables.items()}
    write(place, {"Version": 2, group: entries})


def write(place: Path, content: object) -> None:
    (place / "data").mkdir(exist_ok=True)
    (place / "data" / "mysqld-auto.cnf").write_text(json.dumps(content), encoding="utf-8")


def layout(place: Path, **options: str) -> HostLayout:
    return layout_from_options({"datadir": str(place / "data"), **options}, None, Family.MYSQL, known=True)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("innodb_undo_directory", "{victim}/mysql.service.d"),
        ("innodb_undo_directory", ".."),
        ("innodb_log_group_home_dir", "{victim}"),
        ("innodb_doublewrite_dir", "{victim}"),
        ("innodb_data_home_dir", "{victim}"),
        ("innodb_data_file_path", "ibdata1:12M;{victim}/ibdata2:12M:autoextend"),
        ("innodb_data_file_path", "../ibdata1:12M:autoextend"),
        ("innodb_directories", "inside;{victim}"),
        ("log_bin", "{victim}/binlog"),
        ("log_bin", "../victim/binlog"),
        ("log_bin_index", "{victim}/shadow"),
        ("log_tc", "{victim}/passwd"),
        ("relay_log", "{victim}/relay"),
        ("relay_log_index", "{victim}/shadow"),
        ("relay_log_info_file", "{victim}/shadow"),
        ("master_info_file", "{victim}/shadow"),
        ("loose-master-info-file", "{victim}/shadow"),
        ("plugin_dir", "{victim}"),
        ("pid_file", "{victim}/pid"),
        ("socket", "{victim}/socket"),
        ("datadir", "{victim}"),
        ("datadir", "inside"),
        ("wsrep_data_home_dir", "{victim}"),
        ("wsrep_provider_options", "gcache.dir = {victim}"),
    ],
)
@pytest.mark.parametrize("group", ["mysql_static_variables", "mysql_static_parse_early_variables"])
def test_a_place_outside_of_the_data_directory_is_refused(tmp_path: Path, name: str, value: str, group: str) -> None:
    text = value.format(victim=tmp_path / "victim")
    plant(tmp_path, {name: text}, group)
    with pytest.raises(InvalidOption) as refused:
        layout(tmp_path)
    plain = name.replace("-", "_").replace("loose_", "")
    assert f"{tmp_path}/data/mysqld-auto.cnf sets {plain} to '{text}'" in refused.value.message
    assert f"write {plain}={text} into the server's option file" in refused.value.remedy
    assert f"RESET PERSIST {plain}" in refused.value.remedy
    # one of another server whose option files are read is none of this host's
    assert layout_from_options({"datadir": str(tmp_path / "other")}, None, Family.MYSQL, known=True)


def test_a_place_that_the_option_file_names_as_well_counts(tmp_path: Path) -> None:
    elsewhere = str(tmp_path / "undo")
    plant(tmp_path, {"innodb_undo_directory": f"{elsewhere}/"})
    assert layout(tmp_path, innodb_undo_directory=elsewhere).undo_directory == Path(elsewhere)
    plant(tmp_path, {"innodb_data_file_path": "a:12M;b:12M"})
    assert layout(tmp_path, innodb_data_home_dir=elsewhere, innodb_data_file_path="b:12M;a:12M").data_files
    with pytest.raises(InvalidOption, match="innodb_data_file_path"):
        layout(tmp_path, innodb_data_home_dir=elsewhere, innodb_data_file_path="c:12M")


def test_places_below_the_data_directory_and_of_other_things_count(tmp_path: Path) -> None:
    data = tmp_path / "data"
    places = {"innodb_undo_directory": "undo", "innodb_doublewrite_dir": f"{data}/dblwr", "log_bin": "ON"}
    plant(tmp_path, {**places, "ssl_ca": "/etc/ssl/ca.pem", "datadir": f"{data}/", "ssl_key": "tls/key.pem"})
    found = layout(tmp_path)
    assert (found.undo_directory, found.doublewrite_dir) == (data / "undo", data / "dblwr")
    assert found.named.hosts_own == (data / "tls" / "key.pem",)
    assert found.existing_outside() == []


def test_what_the_server_ignores_is_ignored(tmp_path: Path) -> None:
    for group in ("mysql_dynamic_variables", "mysql_dynamic_parse_early_variables", "nonsense"):
        plant(tmp_path, {"innodb_undo_directory": str(tmp_path / "victim"), "log_bin": "x/binlog"}, group)
        found = layout(tmp_path, innodb_undo_directory=str(tmp_path / "undo"))
        assert (found.undo_directory, found.logs.log_bin) == (tmp_path / "undo", None)
    # the account that gets the data
    plant(tmp_path, {"user": "root"})
    assert layout(tmp_path, user="mysql").user == "mysql"
    assert layout(tmp_path).user is None


@pytest.mark.parametrize(
    "entry",
    [
        {"Value": "undo"},
        {"Value": "undo", "Metadata": {}},
        {"Value": "undo", "Metadata": {**NOTED, "Timestamp": 1}},
        {"Value": "undo", "Metadata": {**NOTED, "Timestamp": True}},
        {"Value": "undo", "Metadata": {**NOTED, "User": 1}},
        {"Value": 1, "Metadata": NOTED},
    ],
)
def test_a_file_that_no_server_has_written_is_refused(tmp_path: Path, entry: object) -> None:
    write(tmp_path, {"Version": 2, "mysql_static_variables": {"innodb_undo_directory": entry}})
    with pytest.raises(InvalidOption, match="'innodb_undo_directory' in a form that no server writes"):
        layout(tmp_path)


@pytest.mark.parametrize("content", [[], {}, {"Version": 3}, {"mysql_static_variables": {}}])
def test_a_file_of_an_unknown_version_is_refused(tmp_path: Path, content: object) -> None:
    write(tmp_path, content)
    with pytest.raises(InvalidOption, match="no version that is known"):
        layout(tmp_path)


def test_the_first_version_of_the_file_is_known(tmp_path: Path) -> None:
    static = {"innodb_undo_directory": {"Value": str(tmp_path / "victim"), "Metadata": NOTED}}
    write(tmp_path, {"Version": 1, "mysql_server": {"mysql_server_static_options": static}})
    with pytest.raises(InvalidOption, match="innodb_undo_directory"):
        layout(tmp_path)
