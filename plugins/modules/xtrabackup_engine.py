#!/usr/bin/python
# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a module of this collection from the code that is kept on the host. Only the standard library is used here.

Ansible packs this file as it is, with its arguments in place of the marker in ``_REQUEST``: nothing of Ansible's own
travels with it, nothing is unpacked, and nothing is compiled but these lines.
"""

from __future__ import annotations

DOCUMENTATION = r"""
module: xtrabackup_engine
short_description: Run a module of this collection from the code that is kept on the host
version_added: 0.1.0
description:
  - For the action plugins of this collection's modules. It is no use in a playbook.
  - Keeps the code of the modules on the host, compiled, in a directory whose name is the digest of the code. A module
    then needs one round trip and no unpacking.
  - The directory is C(/var/lib/xtrabackup/engine) for root, and below C(/run/user/UID) for other users. Only this user
    and root may be able to write there. The code of the last three versions is kept. Code that was kept before the host
    was started is sent again.
author:
  - The innodb.xtrabackup authors (@innodb-xtrabackup)
attributes:
  check_mode:
    description: Can run in check mode and tell what would change, without changing anything.
    support: full
  diff_mode:
    description: Returns what would be different, as C(before) and C(after).
    support: full
options:
  digest:
    description: The digest of the code.
    type: str
    required: true
  module:
    description: The module's short name.
    type: str
    required: true
  arguments:
    description: The module's arguments.
    type: dict
    required: true
  job:
    description: How to run the module as a job that goes on by itself, see C(plugins/module_utils/remote_jobs.py).
    type: dict
  code:
    description: A zip archive of the code, in Base64. It is kept when the host does not have it.
    type: str
"""

EXAMPLES = r"""
# none: the modules' action plugins call it
"""

RETURN = r"""
xtrabackup_engine:
  description: Why the module was not run. Else the result is that of the module.
  returned: when the module was not run
  type: dict
  contains:
    state:
      description: C(missing) when the host does not have the code, C(refused) when it cannot be kept there.
      type: str
    why:
      description: Why it cannot be kept there.
      type: str
"""

import sys

_REQUEST = r"""<<INCLUDE_ANSIBLE_MODULE_JSON_ARGS>>"""
_IS_CALLED = __name__ == "__main__" and _REQUEST.startswith("{")  # else only looked at, by tests and documentation

if _IS_CALLED and not (sys.flags.isolated or getattr(sys.flags, "safe_path", False)):
    # nothing is imported from the directory that this was started in, or from beside this file
    del sys.path[0]

import base64
import contextlib
import fcntl
import importlib
import io
import json
import os
import shutil
import stat
import zipfile
from typing import Any

_SPEC = {
    "digest": {"type": "str", "required": True},
    "module": {"type": "str", "required": True},
    "arguments": {"type": "dict", "required": True},
    "job": {"type": "dict"},
    "code": {"type": "str"},
}
_ROOT = "/var/lib/xtrabackup/engine"
_USERS_ROOT = "/run/user/{0}/xtrabackup/engine"
_COLLECTION = "ansible_collections.innodb.xtrabackup.plugins."
_KEPT = 3
_OLDEST_PYTHON = (3, 9)
_COMPLETE = "complete"  # a file in the code's directory: the boot in which it was kept


class Refused(Exception):
    """The code cannot be kept on this host."""


def require_own(path: str) -> None:
    """Raise Refused unless only this user and root can change what ``path`` (absolute, no links in it) leads to."""
    while True:
        state = os.lstat(path)
        if not stat.S_ISDIR(state.st_mode) or state.st_uid not in (0, os.geteuid()) or state.st_mode & 0o022:
            raise Refused(f"{path} is no directory that only root and this user can change")
        if path == "/":
            return
        path = os.path.dirname(path)


def kept_root(root: str) -> str:
    """Make the directory ``root`` where it is missing; returns its path without links. Raises Refused, OSError."""
    above = root
    missing = []
    while not os.path.lexists(above):
        missing.append(os.path.basename(above))
        above = os.path.dirname(above)
    path = os.path.realpath(above)
    require_own(path)
    for name in reversed(missing):
        path = os.path.join(path, name)
        with contextlib.suppress(FileExistsError):  # made by another task at the same time
            os.mkdir(path, 0o755)
    require_own(path)
    return path


def this_boot() -> str:
    """Return the identifier of this start of the host; empty where the host has none."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def is_kept(directory: str) -> bool:
    """Return True if the code was written since the host was started: a power cut may have torn older files."""
    try:
        with open(f"{directory}/{_COMPLETE}", encoding="ascii") as file:
            return file.read() == this_boot()
    except OSError:
        return False


def keep(root: str, directory: str, code: str) -> None:
    """Unpack the archive ``code`` (Base64) as ``directory``. Raises OSError."""
    beside = os.path.join(root, f".new-{os.getpid()}")
    os.mkdir(beside, 0o755)
    try:
        with zipfile.ZipFile(io.BytesIO(base64.b64decode(code))) as archive:
            archive.extractall(beside)
        with open(f"{beside}/{_COMPLETE}", "w", encoding="ascii") as file:
            file.write(this_boot())
        if os.path.lexists(directory) and not is_kept(directory):
            os.rename(directory, f"{beside}.old")
        try:
            os.rename(beside, directory)
        except OSError:
            if not is_kept(directory):  # else another task was faster
                raise
    finally:
        shutil.rmtree(beside, ignore_errors=True)
        shutil.rmtree(f"{beside}.old", ignore_errors=True)


def remove_older(root: str, directory: str) -> None:
    """Remove all but the code that was used last, unless a process still uses it."""
    found = [entry.path for entry in os.scandir(root) if entry.is_dir(follow_symlinks=False)]
    others = [path for path in found if path != directory]
    for path in sorted(others, key=lambda path: os.lstat(path).st_mtime)[: -(_KEPT - 1)]:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        with contextlib.suppress(OSError):  # in use
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
        os.close(descriptor)


def hold(directory: str) -> None:
    """Have no other task remove ``directory`` as long as this process lives. Raises OSError."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    os.utime(descriptor)


def find(request: dict[str, Any]) -> str | None:
    """The directory of the code, held; None when it is missing and was not sent. Raises Refused, OSError."""
    if sys.version_info < _OLDEST_PYTHON:
        raise Refused("Python is too old")
    user = os.geteuid()
    if user != 0 and not os.path.isdir(f"/run/user/{user}"):
        raise Refused("this user has no directory of its own in /run/user")
    if not this_boot():
        raise Refused("it cannot be told when the host was started")
    wanted = _USERS_ROOT.format(user) if user else _ROOT
    python = f"{sys.implementation.cache_tag}-{request['digest']}"
    if not request.get("code") and not is_kept(os.path.join(wanted, python)):
        return None
    root = kept_root(wanted)
    directory = os.path.join(root, python)
    if not is_kept(directory):
        keep(root, directory, request["code"])
        remove_older(root, directory)
    require_own(directory)
    hold(directory)
    return directory


def run(request: dict[str, Any], directory: str) -> None:
    """Run the module as Ansible's own code on a host does (it ends with SystemExit then), or as a job."""
    sys.path.insert(0, directory)
    basic: Any = importlib.import_module("ansible.module_utils.basic")
    arguments = request["arguments"]
    # what Ansible adds for every module: check mode, diff, verbosity, no_log
    arguments.update({name: value for name, value in request.items() if name.startswith("_ansible_")})
    arguments["_ansible_module_name"] = f"innodb.xtrabackup.{request['module']}"
    # as Ansible's own wrapper of modules does (_internal/_ansiballz/_loader.py)
    basic._ANSIBLE_ARGS = json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode()
    basic._ANSIBLE_PROFILE = "legacy"
    main_of_module = importlib.import_module(f"{_COLLECTION}modules.{request['module']}").main
    job = request.get("job")
    if job:
        importlib.import_module(f"{_COLLECTION}module_utils.remote_jobs").serve(
            {**job, "code": request["digest"]}, main_of_module
        )
    else:
        main_of_module()


def main() -> None:
    """Run the module that the arguments name, or say why not."""
    if not _IS_CALLED:
        importlib.import_module("ansible.module_utils.basic").AnsibleModule(
            argument_spec=_SPEC, supports_check_mode=True
        )
        return
    request = json.loads(_REQUEST)
    try:
        directory = find(request)
        answer = {"state": "missing"}
    except (Refused, OSError) as error:
        directory = None
        answer = {"state": "refused", "why": str(error)}
    if directory is None:
        sys.stdout.write(json.dumps({"changed": False, "xtrabackup_engine": answer}) + "\n")
    else:
        run(request, directory)


if __name__ == "__main__":
    main()
