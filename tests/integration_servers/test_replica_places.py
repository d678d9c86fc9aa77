# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Places that a copy is put at: data directories behind links and on mounts, and what is told before a copy is made."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.tests.support.estate import Estate
from ansible_collections.innodb.xtrabackup.tests.support.plays import PlayResult, failed, succeeded

EACH_FLAVOR = pytest.mark.parametrize("estate", ["mariadb", "mysql"], indirect=True)
_OF_OTHERS = 12345  # an account


class Mounts:
    """File systems in memory that end with the test."""

    def __init__(self) -> None:
        self._places: list[Path] = []

    def add(self, place: Path, options: str) -> Path:
        """Mount one at ``place``."""
        place.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], check=True)
        self._places.append(place)
        return place

    def close(self) -> None:
        """Unmount all, in whatever use they are."""
        for place in reversed(self._places):
            subprocess.run(["umount", "--lazy", str(place)], check=False)


@pytest.fixture(name="mounts")
def _mounts(estate: Estate) -> Iterator[Mounts]:
    made = Mounts()
    try:
        yield made
    finally:
        estate.close()
        made.close()


@EACH_FLAVOR
def test_a_data_directory_behind_a_link_is_replaced_where_it_is(estate: Estate, mounts: Mounts) -> None:
    replica = estate.host("replica")
    volume = mounts.add(estate.directory / "volume", "size=600m")
    replica.start()
    replica.stop()
    subprocess.run(["mv", str(replica.datadir), str(volume / "mysql")], check=True)
    replica.datadir.symlink_to(volume / "mysql")
    replica.start()
    failed(estate.play(xtrabackup_server_stop_command=["/bin/false"]), "freshly installed", "/bin/false")
    # on its file system, where it is moved and needs no second copy
    assert (volume / "mysql.incoming").is_dir()
    assert not (replica.directory / "data.incoming").exists()

    succeeded(estate.play())
    estate.assert_replica(replica)
    assert replica.datadir.is_symlink()
    assert os.listdir(volume) == ["mysql"]
    assert set(succeeded(estate.play()).changed.values()) == {0}
    assert estate.leftovers() == []


@pytest.mark.parametrize("estate", ["mariadb", pytest.param("mysql", marks=pytest.mark.slow)], indirect=True)
def test_a_place_that_no_copy_can_be_put_at_is_told_before_one_is_made(estate: Estate, mounts: Mounts) -> None:
    at = estate.directory
    incoming = {
        "frozen": str(mounts.add(at / "frozen-disk", "size=1m,ro") / "in"),
        "nowhere": str(at / "missing" / "in"),
        "arriving": str(mounts.add(at / "little-disk", "size=8m") / "in"),
    }
    reasons = {
        "frozen": "frozen-disk cannot be written to by this user",
        "nowhere": "missing: No such file or directory",
        "arriving": "little-disk, where the copy arrives, has ",
        "small": "small/data, where it is put then, has ",
        "linked": "Give it to root (chown -h root",
        "around": "a mount point in the data directory",
        "home": "at-home: Not a directory",
        "logging": "which the option files of logging name for logs, is no directory there",
        "other": "does not look like a data directory (thing)",
        "paged": "the option files of paged say innodb_page_size=8192",
        "outside": "old-logs/binlog.000007",
    }
    options = {
        "home": {"innodb_data_home_dir": str(at / "at-home")},
        "logging": {"log_bin": str(at / "no-logs" / "binlog")},
        "paged": {"innodb_page_size": "8k"},
        "outside": {"log_bin": str(at / "old-logs" / "binlog")},
    }
    hosts = {name: estate.host(name, options.get(name)) for name in reasons}
    mounts.add(hosts["small"].datadir, "size=8m")
    mounts.add(hosts["around"].datadir / "inner", "size=1m")
    (at / "away").mkdir()
    hosts["linked"].datadir.symlink_to(at / "away")
    for place in (hosts["linked"].directory, hosts["linked"].datadir):
        os.chown(place, _OF_OTHERS, _OF_OTHERS, follow_symlinks=False)
    (at / "at-home").touch()
    hosts["other"].datadir.mkdir()
    (hosts["other"].datadir / "thing").touch()
    (at / "old-logs").mkdir()
    (at / "old-logs" / "binlog.000007").touch()
    for arguments in (["--check"], []):
        result = failed(
            estate.play(
                *arguments,
                xtrabackup_serial=len(reasons),
                xtrabackup_replica_rebuild="{{ inventory_hostname in ['around', 'other'] }}",
                xtrabackup_replica_incoming_dir=f"{{{{ {incoming}[inventory_hostname] | default('') }}}}",
            )
        )
        assert {name: _refusal(result, name) for name in reasons if reasons[name] not in _refusal(result, name)} == {}
        assert result.recap["primary"]["changed"] == 0
    assert estate.leftovers() == []


def _refusal(result: PlayResult, host: str) -> str:
    """Why ``host`` was refused, and nothing but that; all that was printed if it was refused for another reason too."""
    found = re.search(rf"fatal: \[{host}\]: FAILED! => .*\"msg\": \"(Nothing was touched: [^\n]*)", result.output)
    return found[1] if found and " Also: " not in found[1] else f"{host}: {found[1] if found else result.output}"
