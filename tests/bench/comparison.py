# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One job done in two ways, in turn, and the ratio of the fastest runs."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from ansible_collections.innodb.xtrabackup.tests.bench.measure import Measurement
from ansible_collections.innodb.xtrabackup.tests.support.servers import MariaDBServer


@dataclass
class Comparison:
    """The runs of both sides of one comparison. ``goal``: the highest ratio that is aimed at."""

    name: str
    goal: float
    ours: list[Measurement]
    theirs: list[Measurement]

    def ratio(self, attribute: str) -> float:
        """The fastest of ours over the fastest of theirs."""
        ours, theirs = (min(float(getattr(run, attribute)) for run in side) for side in (self.ours, self.theirs))
        return ours / theirs

    def line(self, size: int) -> str:
        """One line of the table; ``size`` in bytes."""
        ours, theirs = (min(run.seconds for run in side) for side in (self.ours, self.theirs))
        durable = [min(run.durable_seconds for run in side) for side in (self.ours, self.theirs)]
        peak = max(run.peak_bytes for run in self.ours) >> 20
        return (
            f"{self.name:<24}{ours:>8.2f}{theirs:>8.2f}{self.ratio('seconds'):>8.2f}"
            f"{durable[0]:>10.2f}{durable[1]:>8.2f}{self.ratio('durable_seconds'):>8.2f}"
            f"{size / ours / (1 << 20):>9.0f}{peak:>9}"
        )


HEADER = (
    f"{'':<24}{'ours':>8}{'stock':>8}{'ratio':>8}{'ours+sync':>10}{'stock':>8}{'ratio':>8}{'MiB/s':>9}{'peak MiB':>9}"
)


class Bench:
    """The server with its data, a place to write to, and how to compare two ways of doing a job."""

    def __init__(self, scratch: Path, server: MariaDBServer, rounds: int) -> None:
        self.scratch = scratch
        self.rounds = rounds
        self.server = server
        self.login = server.login()
        self.stock = ["mariadb-backup", f"--defaults-file={server.option_file}", "--user=root"]
        self.size = 0

    def fresh(self, name: str) -> Path:
        """A path in the scratch directory where nothing is."""
        path = self.scratch / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        return path

    def compare(
        self, name: str, ours: Callable[[], Measurement], theirs: Callable[[], Measurement], goal: float = 1.0
    ) -> Comparison:
        """Run both sides in turn, and print the line of the table."""
        comparison = Comparison(name, goal, [], [])
        for dummy in range(self.rounds):
            comparison.ours.append(ours())
            comparison.theirs.append(theirs())
        print(comparison.line(self.size), flush=True)
        return comparison
