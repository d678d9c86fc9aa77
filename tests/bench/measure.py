# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running one side of a comparison: how long it took, with and without its data on disk, and how much memory."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.innodb.xtrabackup.tests.support.playbook import module_result, start_module


class RunFailed(Exception):
    """One side of a comparison failed: there is nothing to compare."""


@dataclass(frozen=True)
class Measurement:
    """One run. ``seconds`` until the command ended; ``durable_seconds`` until its data was on disk as well.

    ``peak_bytes``: the largest resident set of the process itself (for a module: not of a server that it runs).
    """

    seconds: float
    durable_seconds: float
    peak_bytes: int
    result: dict[str, Any]


def peak_memory(pid: int) -> int:
    """The largest resident set of the process ``pid``, in bytes; raises OSError when it is gone."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def _sample_peak(pid: int, peak: list[int], ended: threading.Event) -> None:
    """Keep the process's high-water mark, which is gone when the process is."""
    while not ended.is_set():
        try:
            peak[0] = max(peak[0], peak_memory(pid))
        except OSError:
            return
        ended.wait(0.02)


def _watch(process: subprocess.Popen[str], begun: float, place: Path, timeout: float) -> tuple[Measurement, str, str]:
    peak, ended = [0], threading.Event()
    sampler = threading.Thread(target=_sample_peak, args=(process.pid, peak, ended))
    sampler.start()
    try:
        output, errors = process.communicate(timeout=timeout)
    finally:
        ended.set()
        sampler.join()
    seconds = time.monotonic() - begun
    # -f: the file system of `place`, all of it
    subprocess.run(["sync", "-f", str(place)], check=True)
    return Measurement(seconds, time.monotonic() - begun, peak[0], {}), output or "", errors or ""


def sync_disks() -> None:
    """Start each run from the same state: nothing of the one before waits to be written."""
    subprocess.run(["sync"], check=True)


def warm(directory: Path) -> None:
    """Have the content of ``directory`` in the page cache. The stock tool drops what it has read, ours leaves it: each
    would start from what the other left.

    To be done before the last run's output is removed: otherwise whoever must read much here has used up the memory
    that this sets free, and its run starts with memory that a virtual machine must first get from its host.
    """
    for path in directory.rglob("*"):
        if path.is_file():
            with open(path, "rb", buffering=0) as source:
                while source.read(1 << 20):
                    pass


def run_module(module: str, options: Mapping[str, Any], place: Path, timeout: float = 1800) -> Measurement:
    """Run one of our modules as a plain Python process; ``place`` is where it writes."""
    sync_disks()
    begun = time.monotonic()
    measured, output, errors = _watch(start_module(module, options), begun, place, timeout)
    result = module_result(module, output, errors)
    return Measurement(measured.seconds, measured.durable_seconds, measured.peak_bytes, result)


def run_stock(pipeline: Sequence[Sequence[str]], place: Path, *, output: Path | None = None) -> Measurement:
    """Run a pipeline of the stock tools; the last command's output goes to the file ``output``."""
    sync_disks()
    processes: list[subprocess.Popen[str]] = []
    log = place / "stock.log"
    with open(log, "w", encoding="utf-8") as errors:
        begun = time.monotonic()
        previous: Any = subprocess.DEVNULL
        for index, command in enumerate(pipeline):
            last = index == len(pipeline) - 1
            target: Any = subprocess.PIPE
            if last:
                target = open(output, "wb") if output else subprocess.DEVNULL  # noqa: SIM115 # closed below
            process = subprocess.Popen(
                list(command), stdin=previous, stdout=target, stderr=errors, text=True, cwd=place
            )
            if previous is not subprocess.DEVNULL:
                previous.close()
            previous = process.stdout
            processes.append(process)
            if last and output:
                target.close()
        measured = _watch(processes[-1], begun, place, 1800)[0]
        statuses = [process.wait(60) for process in processes]
    if any(statuses):
        tail = log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:]
        raise RunFailed(f"{' | '.join(command[0] for command in pipeline)} ended with {statuses}\n" + "\n".join(tail))
    return measured


def write_report(path: Path, report: Mapping[str, Any]) -> None:
    """Keep the numbers for whoever wants to compare runs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def directory_bytes(directory: Path) -> int:
    """The size of all files below ``directory``."""
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
