# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The jobs that work on directories: backup, prepare, copy back."""

from __future__ import annotations

import subprocess
from pathlib import Path

from ansible_collections.innodb.xtrabackup.tests.bench.comparison import Bench, Comparison
from ansible_collections.innodb.xtrabackup.tests.bench.follower import make_backlog
from ansible_collections.innodb.xtrabackup.tests.bench.measure import Measurement, run_module, run_stock, warm
from ansible_collections.innodb.xtrabackup.tests.support.load import AS_FAST_AS_IT_CAN, WriteLoad


def backup(bench: Bench) -> Comparison:
    """A local backup into a directory."""

    def ours() -> Measurement:
        dest = bench.fresh("ours")
        return run_module("xtrabackup_backup", dict(bench.login, dest=str(dest), parallel=2), bench.scratch)

    def theirs() -> Measurement:
        dest = bench.fresh("theirs")
        return run_stock([[*bench.stock, "--backup", "--parallel=2", f"--target-dir={dest}"]], bench.scratch)

    return bench.compare("backup", ours, theirs)


def prepare(bench: Bench) -> Comparison:
    """One backup with much redo, taken under write load, recovered."""
    source = bench.fresh("loaded")
    make_backlog(bench.server)
    with WriteLoad(bench.server, payload=2000, per_second=AS_FAST_AS_IT_CAN) as load:
        load.wait_for(100)
        run_module("xtrabackup_backup", dict(bench.login, dest=str(source), parallel=1), bench.scratch)
    redo = (source / "ib_logfile0").stat().st_size

    def copy(name: str) -> Path:
        dest = bench.fresh(name)
        subprocess.run(["cp", "-a", str(source), str(dest)], check=True)
        return dest

    def ours() -> Measurement:
        return run_module("xtrabackup_prepare", {"src": str(copy("ours"))}, bench.scratch)

    def theirs() -> Measurement:
        dest = copy("theirs")
        return run_stock([["mariadb-backup", "--prepare", f"--target-dir={dest}"]], bench.scratch)

    return bench.compare(f"prepare ({redo >> 20} MiB redo)", ours, theirs)


def copy_back(bench: Bench) -> Comparison:
    """One prepared backup put in place."""
    source = bench.fresh("prepared")
    run_module("xtrabackup_backup", dict(bench.login, dest=str(source), parallel=2), bench.scratch)
    run_module("xtrabackup_prepare", {"src": str(source)}, bench.scratch)

    def ours() -> Measurement:
        warm(source)
        wanted = {"src": str(source), "datadir": str(bench.fresh("ours")), "method": "copy", "parallel": 2}
        return run_module("xtrabackup_restore", wanted, bench.scratch)

    def theirs() -> Measurement:
        warm(source)
        datadir = bench.fresh("theirs")
        stock = ["mariadb-backup", "--no-defaults", "--copy-back", f"--target-dir={source}"]
        return run_stock([[*stock, f"--datadir={datadir}", "--parallel=2"]], bench.scratch)

    return bench.compare("copy back", ours, theirs)
