# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`make bench FLAVOR=replicas` (MariaDB) and `FLAVOR=mysql`: replicas by provision_replica.yml, and by other ways.

Each way is measured from its first command until the replica has applied what the primary had committed when the way
was at its end, under the same write load; in turn, BENCH_ROUNDS times, and the fastest are compared (ours over theirs:
below 1.0 is faster). The ways are in ``ways.py``. The time that the recipient of CLONE and of a dump needs to be made
and started, which the playbook's empty host does not need, is not counted.

Rows: ``stock`` (the play of shell tasks in plays/), ``hand`` (CLONE typed by hand), ``dump``, ``empty`` (an almost
empty primary, and an unchanged second run), ``three`` (three replicas in one run), ``huge`` (one table and 16 tables).

Environment: BENCH_MIB (1024) of data, BENCH_ROUNDS (3), BENCH_DIR (/var/tmp), BENCH_ONLY (rows, comma separated;
without it all but dump and huge).
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / ".build" / "collections"))

from ansible_collections.innodb.xtrabackup.tests.bench import ways
from ansible_collections.innodb.xtrabackup.tests.bench.measure import directory_bytes, write_report
from ansible_collections.innodb.xtrabackup.tests.support.datasets import create_big
from ansible_collections.innodb.xtrabackup.tests.support.estate import Estate
from ansible_collections.innodb.xtrabackup.tests.support.load import WriteLoad

MIB = int(os.environ.get("BENCH_MIB", "1024"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
PLACE = Path(os.environ.get("BENCH_DIR", "/var/tmp"))
ONLY = [name for name in os.environ.get("BENCH_ONLY", "stock,hand,empty,three").split(",") if name]

STOCK_GOALS = {"mariadb": 0.7, "mysql": 1.0}
HAND_GOAL = 1.5
DUMP_GOAL = 0.2
EMPTY_SECONDS, UNCHANGED_SECONDS = 7.0, 3.5
THREE_GOAL = 1.3
HUGE_GOAL = 1.1
PEAK_GOAL = 200 << 20


class Runs:
    """The runs of this benchmark: seconds by name of the way, and what is to be said of them."""

    def __init__(self, flavor: str) -> None:
        self.flavor = flavor
        self.seconds: dict[str, list[float]] = {}
        self.verdicts: list[tuple[str, bool]] = []
        self.peak = 0
        self.phases: dict[str, float] = {}
        self.tasks: list[tuple[float, str]] = []

    def measure(self, estate: Estate, names: Iterable[str]) -> None:
        """Run the ways ``names`` in turn; each replica of the first round is compared with the primary."""
        for number in range(ROUNDS):
            for way in names:
                run = ways.run(way, estate, f"{way}{number}", compare=not number)
                self.seconds.setdefault(way, []).append(run.seconds)
                self.peak = max(self.peak, run.peak_bytes)
                if way == "playbook":
                    self.phases, self.tasks = run.phases, run.tasks
                print(f"{way:<12}{run.seconds:>8.1f} s", flush=True)

    def best(self, way: str) -> float:
        """The fastest run of ``way``."""
        return min(self.seconds[way])

    def ratio(self, ours: str, theirs: str, goal: float, what: str) -> None:
        """Note the ratio of the fastest runs of two ways."""
        found = self.best(ours) / self.best(theirs)
        self.verdicts.append((f"{what}: {found:.2f}, at or below {goal}", found <= goal))

    def limit(self, way: str, seconds: float, what: str) -> None:
        """Note the fastest run of ``way``, whose goal is a time."""
        self.verdicts.append((f"{what}: {self.best(way):.1f} s, at or below {seconds} s", self.best(way) <= seconds))

    def show(self, size: int) -> None:
        """Print what was found, and where the time of the playbook goes."""
        if "playbook" in self.seconds:
            print(f"\nplaybook: {size / self.best('playbook') / (1 << 20):.0f} MiB/s of {size >> 20} MiB")
            print("phases of the job on the replica:", ", ".join(f"{k} {v:.2f}" for k, v in self.phases.items()))
            print("longest tasks:", ", ".join(f"{name} {seconds:.1f}" for seconds, name in sorted(self.tasks)[:-9:-1]))
        self.verdicts.append((f"peak memory of a job: {self.peak >> 20} MiB", self.peak <= PEAK_GOAL))
        print("\n" + "\n".join(f"{'yes' if met else 'NO ':<5}{text}" for text, met in self.verdicts))


def _on_data(runs: Runs, estate: Estate) -> int:
    """The rows about a primary with data."""
    create_big(estate.primary, MIB)
    chosen = [way for row, way in (("stock", "play"), ("hand", "clone"), ("dump", "dump"), ("three", "three"))
              if row in ONLY and way in ways.WAYS[runs.flavor]]  # fmt: skip
    if chosen:
        runs.measure(estate, ["playbook", *chosen])
    if "play" in chosen:
        runs.ratio("playbook", "play", STOCK_GOALS[runs.flavor], "replica by playbook / by a play of shell tasks")
    if "clone" in chosen:
        runs.ratio("playbook", "clone", HAND_GOAL, "replica by playbook / by CLONE typed by hand")
    if "dump" in chosen:
        runs.ratio("playbook", "dump", DUMP_GOAL, "replica by playbook / by dump")
    if "three" in chosen:
        runs.ratio("three", "playbook", THREE_GOAL, "three replicas / one replica")
    return directory_bytes(estate.primary.datadir / "big")


def _huge(runs: Runs, estate: Estate) -> None:
    """One table, and the same bytes in 16."""
    for tables, name in ((1, "one table"), (16, "16 tables")):
        create_big(estate.primary, MIB, tables=tables)
        for number in range(ROUNDS):
            run = ways.run("playbook", estate, f"tables{tables}x{number}", compare=False)
            runs.seconds.setdefault(name, []).append(run.seconds)
            print(f"{name:<12}{run.seconds:>8.1f} s", flush=True)
    runs.ratio("one table", "16 tables", HUGE_GOAL, "one huge table / 16 tables")


def _empty(runs: Runs, estate: Estate) -> None:
    """An almost empty primary: a new replica, and the second run that changes nothing."""
    for number in range(ROUNDS):
        for name, run in ways.new_and_unchanged(estate, f"empty{number}"):
            runs.seconds.setdefault(name, []).append(run)
            print(f"{name:<12}{run:>8.1f} s", flush=True)
    runs.limit("new", EMPTY_SECONDS, "a new replica of an almost empty primary")
    runs.limit("unchanged", UNCHANGED_SECONDS, "a second run that changes nothing")


def main(flavor: str) -> int:
    """Measure the rows that are asked for; 1 when a goal was missed."""
    os.environ["PYTHONUNBUFFERED"] = "1"  # else Ansible's output comes late, and its times are wrong
    load = os.getloadavg()[0]
    print(f"{flavor}, {os.cpu_count()} cores, {platform.release()}, load {load:.1f} at the start, {ROUNDS} rounds\n")
    runs, size = Runs(flavor), 0
    scratch = Path(tempfile.mkdtemp(prefix="xtrabackup-bench-", dir=PLACE))
    try:
        estate = Estate(scratch, ways.OPTIONS[flavor], flavor=flavor)
        try:
            ways.prepare(estate)
            if "empty" in ONLY:
                _empty(runs, estate)
            with WriteLoad(estate.primary, database="shop_load", per_second=50):
                size = _on_data(runs, estate)
                if "huge" in ONLY:
                    _huge(runs, estate)
        finally:
            estate.close()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    runs.show(size)
    report = {"mib": size >> 20, "seconds": runs.seconds, "peak_mib": runs.peak >> 20, "verdicts": runs.verdicts}
    write_report(Path(__file__).resolve().parents[2] / ".build" / f"bench-{flavor}-replicas.json", report)
    print(json.dumps(runs.seconds))
    return 0 if all(met for _text, met in runs.verdicts) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
