# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`make bench`: this collection against the stock tool, in the same run, on the same data.

Each comparison runs ours and theirs in turn, BENCH_ROUNDS times, and gives the ratio of the fastest runs (ours over
theirs: below 1.0 is faster): whatever disturbs a run makes it slower, and a virtual machine that has to get memory from
its host first writes files at a tenth of the usual speed. The stock tools do not wait for the disk and ours do, so each
comparison has two ratios: of the times until the commands ended, and of the times until the data was on disk as well
(``sync -f`` on both sides).

Environment: BENCH_MIB (2048) of data, BENCH_ROUNDS (5), BENCH_DIR (/var/tmp), BENCH_ONLY (names, comma separated).
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / ".build" / "collections"))

from ansible_collections.innodb.xtrabackup.tests.bench import jobs, streams
from ansible_collections.innodb.xtrabackup.tests.bench.aria import LOG_MIB, STREAM_MIB, aria_log
from ansible_collections.innodb.xtrabackup.tests.bench.comparison import HEADER, Bench
from ansible_collections.innodb.xtrabackup.tests.bench.follower import follower_speed
from ansible_collections.innodb.xtrabackup.tests.bench.measure import directory_bytes, run_module, write_report
from ansible_collections.innodb.xtrabackup.tests.support.datasets import create_big, create_many_tables
from ansible_collections.innodb.xtrabackup.tests.support.load import AS_FAST_AS_IT_CAN, WriteLoad
from ansible_collections.innodb.xtrabackup.tests.support.servers import MariaDBServer

MIB = int(os.environ.get("BENCH_MIB", "2048"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
PLACE = Path(os.environ.get("BENCH_DIR", "/var/tmp"))
ONLY = [name for name in os.environ.get("BENCH_ONLY", "").split(",") if name]
REPORT = Path(__file__).resolve().parents[2] / ".build" / "bench.json"

PEAK_GOAL = 300 << 20
BLOCK_COMMIT_GOAL_MS = 1000
ENCRYPTION_GOAL = 500_000_000  # bytes a second and core

JOBS = (
    jobs.backup,
    streams.stream_lz4,
    streams.stream_zstd,
    streams.extract_zstd,
    streams.extract,
    streams.pack,
    jobs.prepare,
    jobs.copy_back,
)


def block_commit(bench: Bench) -> dict[str, Any]:
    """Milliseconds under each lock of a backup with 1,000 more tables, under write load: the worst of the rounds."""
    create_many_tables(bench.server, 1000)
    worst: dict[str, Any] = {}
    with WriteLoad(bench.server, per_second=AS_FAST_AS_IT_CAN) as load:
        for dummy in range(ROUNDS):
            load.wait_for(10)
            dest = bench.fresh("ours")
            measured = run_module("xtrabackup_backup", dict(bench.login, dest=str(dest), parallel=2), bench.scratch)
            for name, milliseconds in measured.result["backup"]["locks"].items():
                worst[name] = max(worst.get(name, 0), milliseconds)
    return worst


def wait_until_idle(server: MariaDBServer) -> None:
    """Let the server write its pages: neither side is to follow the redo of making the data, which follower_speed
    measures, or to share the device with that."""
    hurry = ("innodb_max_dirty_pages_pct", "innodb_max_dirty_pages_pct_lwm", "innodb_io_capacity")
    usual = {name: server.variable(name) for name in hurry}
    server.execute("SET GLOBAL innodb_max_dirty_pages_pct = 0, innodb_max_dirty_pages_pct_lwm = 0")
    server.execute("SET GLOBAL innodb_io_capacity_max = 20000, innodb_io_capacity = 20000")
    deadline = time.monotonic() + 120
    while int(server.status("Innodb_buffer_pool_pages_dirty")) > 10 and time.monotonic() < deadline:
        time.sleep(0.5)
    for name, value in usual.items():
        server.execute(f"SET GLOBAL {name} = {value}")


def main() -> int:
    scratch = Path(tempfile.mkdtemp(prefix="xtrabackup-bench-", dir=PLACE))
    options = {"innodb_log_file_size": "512M", "innodb_buffer_pool_size": "1G"}
    try:
        with MariaDBServer(scratch / "server", options) as server:
            return compare_all(Bench(scratch, server, ROUNDS))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def compare_all(bench: Bench) -> int:
    """Make the data, run everything that was asked for, print and keep the numbers."""
    begun = time.monotonic()
    create_big(bench.server, MIB)
    wait_until_idle(bench.server)
    bench.size = directory_bytes(bench.server.datadir / "big")
    print(f"{bench.size >> 20} MiB in {time.monotonic() - begun:.0f} s; {ROUNDS} rounds; {os.cpu_count()} cores\n")
    print(HEADER)
    done = [compare(bench) for compare in JOBS if not ONLY or compare.__name__ in ONLY]
    report: dict[str, Any] = {
        "mib": bench.size >> 20,
        "ratios": {one.name: [round(one.ratio(name), 3) for name in ("seconds", "durable_seconds")] for one in done},
    }
    verdicts = []
    for one in done:
        for attribute, suffix in (("seconds", ""), ("durable_seconds", ", data on disk")):
            verdicts.append((f"{one.name}{suffix}: ratio at or below {one.goal}", one.ratio(attribute) <= one.goal))
    if done:
        peak = max(run.peak_bytes for one in done for run in one.ours)
        print(f"\npeak memory: {peak >> 20} MiB")
        report["peak_mib"] = peak >> 20
        verdicts.append(("peak memory under 300 MiB", peak < PEAK_GOAL))
    if not ONLY or "encryption" in ONLY:
        speed = streams.encryption_speed()
        report["encryption_mb_per_second"] = round(speed / 1e6)
        print(f"encryption: {speed / 1e6:.0f} MB/s a core")
        verdicts.append(("encryption above 500 MB/s a core", speed > ENCRYPTION_GOAL))
    if not ONLY or "follower" in ONLY:
        size, seconds = follower_speed(bench.server, bench.scratch)
        report["follower_mib_per_second"] = round(size / seconds / (1 << 20), 1)
        print(f"redo follower: {report['follower_mib_per_second']} MiB/s ({size >> 20} MiB)")
    if not ONLY or "block_commit" in ONLY:
        locks = block_commit(bench)
        report["locks_ms"] = locks
        print("longest under each lock, 1,000 more tables, ms:", ", ".join(f"{k} {v}" for k, v in locks.items()))
        verdicts.append(("BLOCK_COMMIT at most 1 s", locks["block_commit"] <= BLOCK_COMMIT_GOAL_MS))
    if not ONLY or "aria_log" in ONLY:
        report["aria_log_block_commit_ms"] = blocked = aria_log(bench)
        place = f"an Aria log of {LOG_MIB} MiB and a stream of {STREAM_MIB} MiB/s"
        print(f"longest under BLOCK_COMMIT with {place}: {blocked} ms")
        verdicts.append((f"BLOCK_COMMIT at most 1 s with {place}", blocked <= BLOCK_COMMIT_GOAL_MS))
    write_report(REPORT, report)
    print("\n" + "\n".join(f"{'yes' if met else 'NO ':<5}{text}" for text, met in verdicts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
