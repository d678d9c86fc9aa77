# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files outside the data directory are logs and replication state of a server, and which are another one's."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.family import Family
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.restore.layout import layout_from_options

# what MariaDB 10.11 makes of these options, for the channels '' and 'Cé-b c'; then files that are not its own
DOTTED = {
    "log_bin": "a.b.c",
    "relay_log": "r.s.t",
    "relay_log_index": "ri",
    "master_info_file": "mi.in.fo",
    "relay_log_info_file": "ri.in.fo",
    "log_tc": "tc",
}
DOTTED_FILES = (
    "a.000001", "a.index", "mi.in-c@0p@002db@0020c.fo", "mi.in.fo", "multi-mi.in.fo", "r-c@0p@002db@0020c.000001",
    "r.000001", "ri-c@0p@002db@0020c.index", "ri.in-c@0p@002db@0020c.fo", "ri.in.fo", "ri.index", "tc",
)  # fmt: skip
USUAL = {
    "relay_log": "relay.log",
    "master_info_file": "master.info",
    "relay_log_info_file": "relay-log.info",
    "relay_log_index": "relay.idx",
}
USUAL_FILES = (
    "master-con.info", "master.info", "multi-master.info", "relay-con.000001", "relay-con.idx", "relay-con.index",
    "relay-log-con.info", "relay-log.info", "relay.000001", "relay.idx", "relay.index",
)  # fmt: skip
INTRUDERS = (
    "a-other.000001", "master-3307.info", "relay-3307.000001", "relay-3307.index", "relay-log-3307.info",
    "r-3307.000001", "mi.in-3307.fo", "multi-master-3307.info", "worker-relay-log.info.x", "worker-other.info.1",
    "relay-group_replication.000001",
)  # fmt: skip
MYSQL_FILES = (
    "master.info", "relay-group_replication_applier.000001", "relay-group_replication_applier.index",
    "relay-group_replication_recovery.000002", "relay-log.info", "relay.000001", "relay.idx", "relay.index",
    "worker-relay-log.info.3",
)  # fmt: skip


def found(place: Path, options: dict[str, str], files: tuple[str, ...], *, mysql: bool) -> list[str]:
    """The names below ``place``/repl that belong to the server; all that ``options`` name is there."""
    (place / "repl").mkdir()
    (place / "data").mkdir()
    for name in (*files, *INTRUDERS):
        (place / "repl" / name).write_text("Cé-b c\ncon\n" if name.startswith("multi") else "")
    given = {name: str(place / "repl" / value) for name, value in options.items()}
    layout = layout_from_options(
        {"datadir": str(place / "data"), **given}, None, known=True, family=Family.MYSQL if mysql else Family.MARIADB
    )
    assert {path.parent for path in layout.existing_outside()} == {place / "repl"}
    return [path.name for path in layout.existing_outside()]


@pytest.mark.parametrize(
    ("options", "files", "mysql"),
    [(DOTTED, DOTTED_FILES, False), (USUAL, USUAL_FILES, False), (USUAL, MYSQL_FILES, True)],
)
def test_state_of_replication_outside_is_found_and_that_of_another_server_is_not(
    tmp_path: Path, options: dict[str, str], files: tuple[str, ...], mysql: bool
) -> None:
    assert found(tmp_path, options, files, mysql=mysql) == sorted(files)


def test_relay_logs_outside_of_channels_that_are_listed_in_the_data_directory(tmp_path: Path) -> None:
    (tmp_path / "multi-master.info").write_text("Shop\n\U0001f40c\n")
    (tmp_path / "master.info").touch()
    repl = tmp_path / "repl"
    repl.mkdir()
    options = {"datadir": str(tmp_path / "data"), "relay_log": str(repl / "relay")}
    names = ["relay-other.000001", "relay-shop.000001", "relay-shop.index"]
    for name in names:
        (repl / name).touch()
    assert layout_from_options(options, None, Family.MARIADB, known=True).existing_outside() == []
    (tmp_path / "data").mkdir()
    (tmp_path / "multi-master.info").rename(tmp_path / "data" / "multi-master.info")
    assert layout_from_options(options, None, Family.MARIADB, known=True).existing_outside() == [
        repl / name for name in names[1:]
    ]


@pytest.mark.parametrize(
    "options",
    [{"wsrep_data_home_dir": "{}"}, {"wsrep_provider_options": "gmcast.segment=1; base_dir = {} ;"}],
)
def test_the_place_of_a_node_in_its_cluster(tmp_path: Path, options: dict[str, str]) -> None:
    for name in ("grastate.dat", "gvwstate.dat", "notes"):
        (tmp_path / name).touch()
    given = {name: value.format(tmp_path) for name, value in options.items()}
    layout = layout_from_options({"datadir": str(tmp_path / "data"), **given}, None, Family.MARIADB, known=True)
    assert [path.name for path in layout.existing_outside()] == ["grastate.dat", "gvwstate.dat"]
