# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`make bench FLAVOR=mysql`: a caught-up replica of a MySQL primary, made by the playbook, by CLONE, and by a dump.

Each way is measured from its first command until the new replica has applied what the primary had committed when the
way was at its end, under the same write load; in turn, BENCH_ROUNDS times, and the fastest are compared (ours over
theirs: below 1.0 is faster). The time that the recipient of CLONE and of the dump needs to be made and started, which
the playbook's empty host does not need, is not counted.

Environment: BENCH_MIB (2048) of data, BENCH_ROUNDS (3), BENCH_DIR (/var/tmp).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / ".build" / "collections"))

from ansible_collections.innodb.xtrabackup.tests.support import service
from ansible_collections.innodb.xtrabackup.tests.support.checksums import assert_tables_equal, wait_until_caught_up
from ansible_collections.innodb.xtrabackup.tests.support.datasets import create_big
from ansible_collections.innodb.xtrabackup.tests.support.estate import Estate
from ansible_collections.innodb.xtrabackup.tests.support.load import WriteLoad
from ansible_collections.innodb.xtrabackup.tests.support.mysql import ROOT, MySQLServer
from ansible_collections.innodb.xtrabackup.tests.support.servers import DatabaseServer, OptionValue

MIB = int(os.environ.get("BENCH_MIB", "2048"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
PLACE = Path(os.environ.get("BENCH_DIR", "/var/tmp"))
REPORT = Path(__file__).resolve().parents[2] / ".build" / "bench-mysql.json"

OPTIONS: dict[str, OptionValue] = {
    "innodb_buffer_pool_size": "512M",
    "innodb_redo_log_capacity": "512M",
    "sync_binlog": 1,
    "innodb_flush_method": "fsync",
}
CLONE_GOAL = 1.0
DUMP_GOAL = 0.2


def follow(replica: DatabaseServer, primary: DatabaseServer) -> None:
    """Let ``replica`` replicate from where its data are."""
    replica.execute(
        f"CHANGE REPLICATION SOURCE TO SOURCE_HOST='127.0.0.1', SOURCE_PORT={primary.port}, SOURCE_USER='bench', "
        "SOURCE_PASSWORD='bench', SOURCE_AUTO_POSITION=1, GET_SOURCE_PUBLIC_KEY=1",
        "START REPLICA",
    )


def by_playbook(estate: Estate, name: str) -> tuple[float, DatabaseServer]:
    """Seconds that provision_replica.yml takes on an empty host."""
    replica = estate.host(name, OPTIONS)
    begun = time.monotonic()
    result = estate.play("--limit", f"primary,{name}")
    assert result.status == 0, result.output[-4000:]
    wait_until_caught_up(estate.primary, replica)
    return time.monotonic() - begun, replica


def by_clone(estate: Estate, name: str) -> tuple[float, DatabaseServer]:
    """Seconds that CLONE INSTANCE takes, with the restart that it needs and the catching up."""
    primary, replica = estate.primary, MySQLServer(estate.directory / name, OPTIONS, server_id=90)
    replica.start()
    replica.execute("INSTALL PLUGIN clone SONAME 'mysql_clone.so'")
    replica.execute(f"SET GLOBAL clone_valid_donor_list = '127.0.0.1:{primary.port}'")
    begun = time.monotonic()
    # it ends with an error where nothing restarts the server for it
    subprocess.run(
        [
            ROOT / "usr" / "bin" / "mysql",
            f"--socket={replica.socket}",
            "--user=root",
            f"--execute=CLONE INSTANCE FROM 'bench'@'127.0.0.1':{primary.port} IDENTIFIED BY 'bench'",
        ],
        capture_output=True,
        check=False,
    )
    assert replica.process is not None
    replica.process.wait(600)
    replica.start()
    follow(replica, primary)
    wait_until_caught_up(primary, replica)
    return time.monotonic() - begun, replica


def by_dump(estate: Estate, name: str) -> tuple[float, DatabaseServer]:
    """Seconds that ``mysqldump | mysql`` takes, and the catching up."""
    primary, replica = estate.primary, MySQLServer(estate.directory / name, OPTIONS, server_id=91)
    replica.start()
    replica.execute("RESET BINARY LOGS AND GTIDS")
    begun = time.monotonic()
    dump = subprocess.Popen(
        [
            ROOT / "usr" / "bin" / "mysqldump",
            f"--socket={primary.socket}",
            "--user=root",
            "--all-databases",
            "--single-transaction",
            "--routines",
            "--events",
            "--set-gtid-purged=ON",
        ],
        stdout=subprocess.PIPE,
    )
    subprocess.run(
        [ROOT / "usr" / "bin" / "mysql", f"--socket={replica.socket}", "--user=root"], stdin=dump.stdout, check=True
    )
    assert dump.wait() == 0
    follow(replica, primary)
    wait_until_caught_up(primary, replica)
    return time.monotonic() - begun, replica


WAYS = {"playbook": by_playbook, "clone": by_clone, "dump": by_dump}


def measure(estate: Estate) -> dict[str, list[float]]:
    """Seconds of each round of each way; each replica is compared with the primary in the first round."""
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    for number in range(ROUNDS):
        for way, make in WAYS.items():
            if way == "dump" and number:
                continue  # minutes, and an order of magnitude away
            with WriteLoad(estate.primary, database="shop_load", per_second=50):
                taken, replica = make(estate, f"{way}{number}")
            seconds[way].append(taken)
            print(f"{way:10} {taken:8.1f} s", flush=True)
            if not number:
                wait_until_caught_up(estate.primary, replica)
                assert_tables_equal(estate.primary, replica)
            replica.kill()
            service.stop(replica.directory, 30)  # the playbook's was not started by us
            estate.servers.pop(f"{way}{number}", None)
            shutil.rmtree(replica.directory)
    return seconds


def main() -> int:
    scratch = Path(tempfile.mkdtemp(prefix="xtrabackup-bench-", dir=PLACE))
    try:
        estate = Estate(scratch, OPTIONS, flavor="mysql")
        try:
            primary = estate.primary
            primary.execute("INSTALL PLUGIN clone SONAME 'mysql_clone.so'")
            primary.create_account("bench", "bench", "BACKUP_ADMIN, REPLICATION SLAVE")
            create_big(primary, MIB)
            seconds = {way: min(taken) for way, taken in measure(estate).items()}
        finally:
            estate.close()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    ratios = {way: round(seconds["playbook"] / seconds[way], 3) for way in ("clone", "dump")}
    REPORT.write_text(json.dumps({"mib": MIB, "seconds": seconds, "ratios": ratios}, indent=1) + "\n")
    met = True
    for way, goal in (("clone", CLONE_GOAL), ("dump", DUMP_GOAL)):
        good = ratios[way] <= goal
        met = met and good
        print(f"{'yes' if good else 'NO '}  replica by playbook / by {way}: {ratios[way]:.2f}, at or below {goal}")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
