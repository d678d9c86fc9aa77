# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`make fuzz`: coverage-guided fuzzing (atheris) of every target, each in a process of its own.

Environment: FUZZ_SECONDS (60) for each target, FUZZ_ONLY (names, comma separated), FUZZ_DIR (.cache/fuzz), where what
was found out about the code is kept between runs. An input that breaks a target is left in .build/fuzz and named.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / ".build" / "collections"))

SECONDS = int(os.environ.get("FUZZ_SECONDS", "60"))
ONLY = [name for name in os.environ.get("FUZZ_ONLY", "").split(",") if name]
CORPUS = Path(os.environ.get("FUZZ_DIR", ROOT / ".cache" / "fuzz"))
FINDINGS = ROOT / ".build" / "fuzz"
_MAX_INPUT = 16 << 10  # bytes
_MEMORY = 2048  # MiB; a small input that needs more is a finding


def fuzz(name: str) -> None:
    """Fuzz one target in this process; does not return."""
    import atheris

    with atheris.instrument_imports(include=["ansible_collections.innodb.xtrabackup.plugins"]):
        from ansible_collections.innodb.xtrabackup.tests.fuzz.targets import TARGETS
    target = TARGETS[name]
    corpus = CORPUS / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds()):
        (corpus / f"seed-{number}").write_bytes(seed)

    def run(data: bytes) -> None:
        if data:
            target.run(data)

    arguments = [
        f"-max_total_time={SECONDS}",
        f"-max_len={_MAX_INPUT}",
        f"-rss_limit_mb={_MEMORY}",
        "-timeout=20",
        f"-artifact_prefix={FINDINGS}/{name}-",
        "-print_final_stats=1",
        str(corpus),
    ]
    atheris.Setup([sys.argv[0], *arguments], run)
    atheris.Fuzz()


def main() -> int:
    from ansible_collections.innodb.xtrabackup.tests.fuzz.targets import TARGETS

    unknown = set(ONLY) - set(TARGETS)
    if unknown:
        print(f"fuzz: no target {', '.join(sorted(unknown))}; there are {', '.join(TARGETS)}", file=sys.stderr)
        return 2
    FINDINGS.mkdir(parents=True, exist_ok=True)
    failed = []
    for name in ONLY or TARGETS:
        log = FINDINGS / f"{name}.log"
        with open(log, "wb") as output:
            status = subprocess.run(
                [sys.executable, __file__, name], stdout=output, stderr=subprocess.STDOUT, check=False
            ).returncode
        lines = log.read_text(errors="replace").splitlines()
        executed = next((line.split()[-1] for line in lines if "number_of_executed_units" in line), "no")
        print(f"{name:<12}{'passed' if status == 0 else 'FAILED':<8}{executed} inputs", flush=True)
        if status or executed in ("no", "0"):
            failed.append(name)
            print("\n".join(lines[-40:]))
    print(f"{len(failed)} of {len(ONLY or TARGETS)} targets failed" if failed else "no findings")
    return 1 if failed else 0


if __name__ == "__main__":
    if len(sys.argv) > 1:
        fuzz(sys.argv[1])
    sys.exit(main())
