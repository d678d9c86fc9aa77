# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The jobs that work on streams: into an archive, out of it, with and without compression and encryption."""

from __future__ import annotations

import os
import time

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream import cipher
from ansible_collections.innodb.xtrabackup.tests.bench.comparison import Bench, Comparison
from ansible_collections.innodb.xtrabackup.tests.bench.measure import Measurement, run_module, run_stock, warm

STREAM_GOAL = 0.9
EXTRACT_ZSTD_GOAL = 0.7
_BLOCK = 1 << 20
_BLOCKS = 1024


def stream_zstd(bench: Bench) -> Comparison:
    """A backup as one zstd-compressed archive."""
    return _stream(bench, "zstd", ["zstd", "-q", "-1", "-T2", "-c"])


def stream_lz4(bench: Bench) -> Comparison:
    """A backup as one lz4-compressed archive."""
    return _stream(bench, "lz4", ["lz4", "-q", "-1", "-c"])


def _stream(bench: Bench, algorithm: str, compressor: list[str]) -> Comparison:
    def ours() -> Measurement:
        options = {"dest": str(bench.fresh(f"ours.{algorithm}")), "format": "xbstream", "parallel": 2}
        options["compress"] = {"algorithm": algorithm, "level": 1, "threads": 2}
        return run_module("xtrabackup_backup", dict(bench.login, **options), bench.scratch)

    def theirs() -> Measurement:
        temporary = bench.fresh("temporary")
        temporary.mkdir()
        backup = [*bench.stock, "--backup", "--parallel=2", "--stream=mbstream", f"--target-dir={temporary}"]
        return run_stock([backup, compressor], bench.scratch, output=bench.fresh(f"theirs.{algorithm}"))

    return bench.compare(f"stream + {algorithm}", ours, theirs, STREAM_GOAL)


def pack(bench: Bench) -> Comparison:
    """A backup directory as an archive."""
    source = bench.fresh("packed")
    run_module("xtrabackup_backup", dict(bench.login, dest=str(source), parallel=2), bench.scratch)
    files = sorted(str(path.relative_to(source)) for path in source.rglob("*") if path.is_file())

    def ours() -> Measurement:
        warm(source)
        wanted = {"state": "created", "src": str(source), "dest": str(bench.fresh("ours.xbstream")), "parallel": 2}
        return run_module("xbstream", wanted, bench.scratch)

    def theirs() -> Measurement:
        warm(source)
        archive = bench.fresh("theirs.xbstream")
        return run_stock([["mbstream", "-c", "-C", str(source), *files]], bench.scratch, output=archive)

    comparison = bench.compare("pack", ours, theirs)
    bench.fresh("packed")
    return comparison


def extract(bench: Bench) -> Comparison:
    """The same plain archive unpacked."""
    archive = bench.fresh("plain.xbstream")
    options = {"dest": str(archive), "format": "xbstream", "parallel": 2}
    run_module("xtrabackup_backup", dict(bench.login, **options), bench.scratch)

    def ours() -> Measurement:
        wanted = {"state": "extracted", "src": str(archive), "dest": str(bench.fresh("ours")), "parallel": 2}
        return run_module("xbstream", wanted, bench.scratch)

    def theirs() -> Measurement:
        dest = bench.fresh("theirs")
        dest.mkdir()
        return run_stock([["cat", str(archive)], ["mbstream", "-x", "-C", str(dest)]], bench.scratch)

    return bench.compare("extract", ours, theirs)


def extract_zstd(bench: Bench) -> Comparison:
    """Each side's own compressed archive unpacked (needs those that ``stream_zstd`` has made)."""

    def ours() -> Measurement:
        src = bench.scratch / "ours.zstd"
        wanted = {"state": "extracted", "src": str(src), "dest": str(bench.fresh("ours")), "parallel": 2}
        return run_module("xbstream", wanted, bench.scratch)

    def theirs() -> Measurement:
        dest = bench.fresh("theirs")
        dest.mkdir()
        archive = bench.scratch / "theirs.zstd"
        unpack = [["zstd", "-q", "-d", "-c", str(archive)], ["mbstream", "-x", "-C", str(dest)]]
        return run_stock(unpack, bench.scratch)

    return bench.compare("extract + zstd", ours, theirs, EXTRACT_ZSTD_GOAL)


def encryption_speed() -> float:
    """Bytes that one core encrypts in a second."""
    block, encryptor = os.urandom(_BLOCK), cipher.Encryptor(bytes(32))
    begun = time.process_time()
    for dummy in range(_BLOCKS):
        encryptor.encrypt(block)
    return _BLOCKS * _BLOCK / (time.process_time() - begun)
