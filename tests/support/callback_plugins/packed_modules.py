# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Playbooks of one test session share the modules that Ansible has packed, in the directory $XTRABACKUP_TEST_PACKED.

Ansible packs each module once in a run, and keeps it as long as the run lasts. The module is an archive of source code
that every task sends to the host, unpacks and compiles: half of the processor time of a play that provisions a replica.
So when a run ends, the archives that it has made are unpacked beside the kept modules, where Python keeps its bytecode
too, and the kept modules only lead there. The first run of a module in a session is as users have it.
"""

from __future__ import annotations

import base64
import compileall
import dataclasses
import io
import os
import zipfile
from pathlib import Path
from typing import Any

from ansible import constants  # type: ignore[attr-defined] # ansible has no types
from ansible.executor import module_common
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: packed_modules
type: aggregate
short_description: Modules are packed once for several runs
description:
  - Lets runs of playbooks use each other's packed modules, for the collection's tests.
requirements:
  - The environment variable E(XTRABACKUP_TEST_PACKED) names a directory.
"""

_UNPACKED = ".unpacked"  # ends the name of the directory of a module that is unpacked
_ELSEWHERE = "import sys\nsys.path.insert(0, {0!r})\n__path__ = [{0!r} + '/ansible']\n"


def unpack(kept: Path) -> None:
    """Unpack the module that Ansible keeps in the file ``kept``, and let that file lead to it."""
    directory = kept.with_name(kept.name + _UNPACKED)
    try:
        directory.mkdir()
    except FileExistsError:  # done already, or just being done by a run at the same time
        return
    module = module_common._CachedModule.load(str(kept))
    with zipfile.ZipFile(io.BytesIO(base64.b64decode(module.zip_data))) as archive:
        archive.extractall(directory)
    compileall.compile_dir(directory, quiet=1)  # modules do not write what they compile
    leads = io.BytesIO()
    with zipfile.ZipFile(leads, "w") as archive:
        archive.writestr("ansible/__init__.py", _ELSEWHERE.format(str(directory)))
    dataclasses.replace(module, zip_data=base64.b64encode(leads.getvalue())).dump(str(kept))


class CallbackModule(CallbackBase):  # type: ignore[misc] # ansible has no types
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "packed_modules"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._packed = Path(os.environ["XTRABACKUP_TEST_PACKED"])

    def v2_playbook_on_start(self, playbook: Any) -> None:
        # where ansible.executor.module_common keeps them; the run removes the link when it ends, not what it leads to
        os.symlink(self._packed, os.path.join(constants.DEFAULT_LOCAL_TMP, "ansiballz_cache"))

    def v2_playbook_on_stats(self, stats: Any) -> None:
        if hasattr(module_common, "_CachedModule"):  # older cores keep them in another form
            for kept in self._packed.glob("*-ZIP_DEFLATED-*"):
                if kept.is_file() and kept.suffix != ".lock" and not kept.name.endswith("-part"):
                    unpack(kept)
