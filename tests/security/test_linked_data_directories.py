# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A data directory that is a symbolic link: root's means the directory that it leads to, any other leads nowhere."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import TargetUnsafe
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.family import Family
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host.anchor import followed
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.restore import layout as layout_module
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.restore.layout import (
    HostLayout,
    layout_from_options,
    read_layout,
)

NOBODY = 65534


@pytest.fixture(name="host")
def _host(tmp_path: Path) -> Path:
    """A directory with ``link`` to ``disk/data``, both of root."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to("disk/data")
    return tmp_path


def own(link: Path, directory: Path) -> None:
    """Give ``link`` to another account, in a directory of that account."""
    os.chown(directory, NOBODY, NOBODY)
    os.lchown(link, NOBODY, NOBODY)


def test_a_link_of_root_means_where_it_leads_to(host: Path) -> None:
    data = host / "disk" / "data"
    for _exists in (False, True):
        assert followed(host / "link") == data
        data.mkdir(exist_ok=True)
    (host / "second").symlink_to(host / "x" / ".." / "link")
    (host / "x").symlink_to(host / "disk")
    (host / "disk" / "link").symlink_to("../disk/./data")
    assert followed(host / "second") == data
    (host / "third").symlink_to("disk/data/..")
    assert followed(host / "third") == host / "disk"
    assert followed(data) == data
    assert followed(host / "nothing") == host / "nothing"


def test_a_link_of_another_account_in_a_directory_of_root_is_roots(host: Path) -> None:
    os.lchown(host / "link", NOBODY, NOBODY)
    host.chmod(0o755)
    assert followed(host / "link") == host / "disk" / "data"


@pytest.mark.parametrize("family", list(Family))
def test_a_link_of_another_account_is_refused(host: Path, family: Family) -> None:
    own(host / "link", host)
    with pytest.raises(TargetUnsafe, match=f"link is a symbolic link of uid {NOBODY}, who could change it"):
        layout_from_options({"datadir": str(host / "link")}, None, family, known=True)
    os.lchown(host / "link", 0, 0)
    real = host / "disk" / "data"
    assert layout_from_options({"datadir": str(host / "link")}, None, family, known=True).datadir == real


def test_a_link_of_root_to_one_of_another_account_is_refused(host: Path) -> None:
    (host / "disk" / "inner").symlink_to(host)
    (host / "first").symlink_to("disk/inner")
    (host / "way").symlink_to("disk/inner/disk/data")
    own(host / "disk" / "inner", host / "disk")
    for name in ("first", "way"):
        with pytest.raises(TargetUnsafe, match="inner is a symbolic link of uid"):
            followed(host / name)


def test_links_that_lead_to_each_other_are_refused(host: Path) -> None:
    (host / "a").symlink_to("b")
    (host / "b").symlink_to("a")
    with pytest.raises(TargetUnsafe, match="too many symbolic links"):
        followed(host / "a")


@pytest.mark.parametrize("family", list(Family))
@pytest.mark.parametrize("spelled", ["link", "disk/data", "way/data", None])
@pytest.mark.parametrize("named", [True, False])
def test_the_option_file_counts_however_the_directory_is_spelled(
    host: Path, monkeypatch: pytest.MonkeyPatch, family: Family, spelled: str | None, named: bool
) -> None:
    (host / "way").symlink_to("disk")
    link = host / "link"
    options = {
        "datadir": f"{link}/",
        "innodb_log_group_home_dir": str(host / "redo"),
        "innodb_undo_directory": f"{link}/undo",
        "innodb_data_file_path": f"ibdata1:12M;{link}/more/ibdata2:12M",
        "innodb_data_home_dir": "",
        "innodb_directories": f"{link};{host}/link2;{link}/far",
        "log_bin": f"{link}/logs/bin",
        "tmpdir": f"/tmp:{link}/tmp",
        "pid_file": f"{link}.pid",
    }
    monkeypatch.setattr(layout_module, "read_server_options", lambda *_arguments: options)
    found: HostLayout = read_layout(
        Path("my.cnf") if named else None, host / spelled if spelled else None, family, "9.7.4"
    )
    base = host / ("way/data" if spelled == "way/data" else "disk/data")
    assert found.datadir == base
    assert (found.log_group_home_dir, found.undo_directory) == (host / "redo", base / "undo")
    assert [path for path, _file in found.data_files] == [base / "ibdata1", base / "more" / "ibdata2"]
    assert found.logs.log_bin == base / "logs" / "bin"
    assert {base / "logs", base / "tmp"} <= set(found.named.directories)
    assert found.pid_file == Path(f"{link}.pid")
    if family is Family.MYSQL:
        assert found.innodb_directories == (base, host / "link2", base / "far")
