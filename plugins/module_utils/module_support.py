# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Common parts of all modules: argument specs, engine errors as failures, and the state behind diff mode.

A module's ``main`` builds its AnsibleModule and hands a function to ``run``; the function calls the engine, which knows
nothing of Ansible, and returns an Outcome. Of the module utilities, this and archive_states import Ansible.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Callable, NoReturn

from ansible.module_utils.basic import AnsibleModule

from .engine import job_log
from .engine.errors import Cancelled, XtrabackupError
from .engine.printable import printable
from .engine.progress import Progress

STATUS_VARIABLE = "XTRABACKUP_JOB_STATUS"
"""Environment variable of a detached job: where it writes its progress."""

LOGIN_OPTIONS: dict[str, dict[str, Any]] = {
    "login_user": {"type": "str"},
    "login_password": {"type": "str", "no_log": True},
    "login_host": {"type": "str"},
    "login_port": {"type": "int"},
    "login_unix_socket": {"type": "path"},
    "config_file": {"type": "path"},
    "ca_cert": {"type": "path", "aliases": ["ssl_ca"]},
    "client_cert": {"type": "path", "aliases": ["ssl_cert"]},
    "client_key": {"type": "path", "aliases": ["ssl_key"]},
    "connect_timeout": {"type": "int", "default": 30},
}

COMPRESS_OPTION: dict[str, Any] = {
    "type": "dict",
    "options": {
        "algorithm": {"type": "str", "choices": ["zstd", "lz4"], "default": "zstd"},
        "level": {"type": "int", "default": 1},
        "threads": {"type": "int", "default": 2},
    },
}

ENCRYPT_OPTION: dict[str, Any] = {
    "type": "dict",
    "options": {
        "algorithm": {"type": "str", "choices": ["AES128", "AES192", "AES256"], "default": "AES256"},
        "key_file": {"type": "path", "required": True},
    },
}

DECRYPT_OPTION: dict[str, Any] = {"type": "dict", "options": {"key_file": {"type": "path", "required": True}}}

STREAM_TO_OPTION: dict[str, Any] = {
    "type": "dict",
    "mutually_exclusive": [("command", "tcp", "tls")],
    "required_one_of": [("command", "tcp", "tls")],
    "options": {
        "command": {"type": "list", "elements": "list"},
        "tcp": {
            "type": "dict",
            "options": {
                "host": {"type": "str", "required": True},
                "port": {"type": "int", "required": True},
                "timeout": {"type": "str", "default": "60s"},
                "connect_timeout": {"type": "str", "default": "60s"},
            },
        },
        "tls": {
            "type": "dict",
            "mutually_exclusive": [("credentials", "token")],
            "required_one_of": [("credentials", "token")],
            "required_together": [("receiver_certificate", "token")],
            "options": {
                "host": {"type": "str", "required": True},
                "port": {"type": "int", "required": True},
                "credentials": {"type": "path"},
                "receiver_certificate": {"type": "str"},
                "token": {"type": "str", "no_log": True},
                "connections": {"type": "int", "default": 2},
                "timeout": {"type": "str", "default": "60s"},
                "connect_timeout": {"type": "str", "default": "60s"},
            },
        },
    },
}

LOCKING_OPTIONS: dict[str, dict[str, Any]] = {
    "lock_ddl": {"type": "str", "choices": ["reduced", "on"], "default": "reduced"},
    "lock_timeout": {"type": "str", "default": "60s"},
    "safe_slave_backup": {"type": "bool", "default": False},
    "safe_slave_backup_timeout": {"type": "str", "default": "300s"},
}

DIGESTS_OPTION: dict[str, Any] = {
    "type": "list",
    "elements": "str",
    "choices": ["sha256", "sha512", "sha1", "md5", "xxh3", "xxh128"],
    "default": [],
}

FILE_DIGEST_OPTION: dict[str, Any] = {"type": "str", "choices": ["xxh128", "sha256"], "default": "xxh128"}

SELECTION_OPTIONS: dict[str, dict[str, Any]] = {
    "databases": {"type": "list", "elements": "str"},
    "tables": {"type": "list", "elements": "str"},
    "files": {"type": "list", "elements": "str"},
}

OWNER_OPTIONS: dict[str, dict[str, Any]] = {
    "owner": {"type": "str"},
    "group": {"type": "str"},
    "mode": {"type": "raw"},
}

SERVICE_COMMAND_OPTIONS: dict[str, dict[str, Any]] = {
    "start_command": {"type": "list", "elements": "str", "default": []},
    "stop_command": {"type": "list", "elements": "str", "default": []},
}


@dataclass
class Outcome:
    """Result of what a module did, or would do in check mode: goes to exit_json (and to its diff)."""

    changed: bool
    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)
    result: dict[str, Any] = field(default_factory=dict)


def warn(module: AnsibleModule, warnings: Iterable[str]) -> None:
    """Have Ansible show ``warnings`` of the engine, each on one line."""
    for warning in warnings:
        module.warn(printable(warning))


@contextlib.contextmanager
def progress_of(name: str, progress_file: str | None) -> Iterator[Progress]:
    """The progress of the job ``name`` for the block, with a log beside its file: ``progress_file`` if that is given,
    else that of the detached job that this process is (see ``remote_jobs``)."""
    progress_file = progress_file or os.environ.get(STATUS_VARIABLE)
    with job_log.kept_beside(progress_file), contextlib.closing(Progress(name, progress_file)) as progress:
        yield progress


def run(module: AnsibleModule, action: Callable[[AnsibleModule], Outcome]) -> NoReturn:
    """Do ``action`` and leave: exit_json with its outcome, or fail_json with the engine's error.

    SIGTERM, SIGINT and SIGHUP (a cancelled play, a dropped SSH session) end the action as Cancelled, so that its
    locks are released and its staging removed.
    """

    def stop(number: int, _frame: Any) -> None:
        raise Cancelled(f"stopped by signal {signal.Signals(number).name}")

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, stop)
    try:
        outcome = action(module)
    except XtrabackupError as error:
        module.fail_json(msg=f"{error.message}. {error.remedy}", error=error.as_dict())
    answer = dict(outcome.result, changed=outcome.changed)
    if module._diff:  # the documented way to ask; it has no public name
        answer["diff"] = {"before": outcome.before, "after": outcome.after}
    module.exit_json(**answer)
