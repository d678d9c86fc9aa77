# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file xtrabackup_engine.py as Ansible runs it on a host, with another directory for the code."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from ansible_collections.innodb.xtrabackup.plugins.modules import xtrabackup_engine as engine
from ansible_collections.innodb.xtrabackup.plugins.plugin_utils import remote_engine

FILE = Path(engine.__file__)
DIGEST, CODE = remote_engine.pack()
ENCODED = base64.b64encode(CODE).decode()


def call(root: Path, request: dict[str, Any], cwd: Path | None = None, **environment: str) -> dict[str, Any]:
    """What the host answers: the file is read from standard input with its arguments in it, as with pipelining."""
    request = {"digest": DIGEST, "module": "xbstream", "_ansible_check_mode": False, **request}
    source = FILE.read_text().replace("<<INCLUDE_ANSIBLE_MODULE_JSON_ARGS>>", json.dumps(request))
    source = source.replace('_ROOT = "/var/lib/xtrabackup/engine"', f"_ROOT = {str(root)!r}")
    # the directory of a test may be anybody's, as /tmp is
    sticky = "state.st_mode & 0o022 and not state.st_mode & 0o1000"
    source = source.replace("state.st_mode & 0o022", sticky)
    done = subprocess.run(
        [sys.executable, "-"],
        input=source,
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=120,
        check=False,
        env={**{name: value for name, value in os.environ.items() if name != "PYTHONPATH"}, **environment},
    )
    assert done.stderr == ""
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def kept(root: Path) -> Path:
    return root / f"{sys.implementation.cache_tag}-{DIGEST}"
