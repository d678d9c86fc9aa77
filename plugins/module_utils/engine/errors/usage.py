# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options, libraries and programs."""

from __future__ import annotations

from .base import BACKUP, JOB, PREPARE, PROVISION, RESTORE, XBSTREAM, XtrabackupError, returned_by
from .wording import INSTALL, Clause


class InvalidOption(XtrabackupError):
    """An option has a value that cannot be used, or two options contradict each other.

    Also for what an option leads to: an option file that cannot be understood, a port that is taken, a password
    that is too long for replication. Nothing was done.
    """

    code = "invalid_option"
    default_remedy = "Correct the option that the message names."


class MissingLibrary(XtrabackupError):
    """A Python library that this operation needs is not importable on the managed host.

    The message names the interpreter that runs the modules. Where the role made a virtual environment,
    ``ansible_python_interpreter`` must name that one.
    """

    code = "missing_library"
    default_remedy = f"{Clause(f'Run the role {INSTALL} on this host, or install', 'Install')} the named package."


class MissingProgram(XtrabackupError):
    """A program that this operation runs, or a plugin of the server that it needs, is not on the managed host.

    ``my_print_defaults`` finds the server's option files, ``mariadbd`` or ``mysqld`` recovers a backup; a pipeline
    runs what it was given. The plugins are those for MariaDB's page compression beside zlib (``provider_lz4`` and
    others), which must be installed, and loaded by an option file of the server that gets the data.
    """

    code = "missing_program"
    default_remedy = "Install the package that provides what the message names."
    modules = returned_by(BACKUP, PREPARE, RESTORE)


class Cancelled(XtrabackupError):
    """The job was told to stop (signal, or another worker failed first).

    Locks were released and half-written files removed. A play that was interrupted, a lost SSH session and the limit
    of ``async`` end a job like that.
    """

    code = "cancelled"
    default_remedy = "Look for the error that came first, or run the job again."


class JobRunning(XtrabackupError):
    """A job has not ended in the time that a task waits for it.

    It goes on. A longer wait is a task with ``xtrabackup_job``, which can stop it, too.
    """

    code = "job_running"
    default_remedy = "Wait longer for it, or stop it."
    modules = returned_by(JOB)


class JobOtherVersion(XtrabackupError):
    """A job that a task has found was started by another version of this collection, and goes on.

    What it does, and what it answers, may be another thing than this version's. It is left alone.
    """

    code = "job_other_version"
    default_remedy = "Wait until it has ended and run the task again, or stop it."
    modules = returned_by(BACKUP, PREPARE, PROVISION, RESTORE, XBSTREAM)


class JobGone(XtrabackupError):
    """A job of a task is not there any more, or it ended without a result: killed, or with a restart of its host.

    What it had completed is kept, and its log stays where the message says.
    """

    code = "job_gone"
    default_remedy = "Run the task again: what was done is kept, and what was not is done."
    modules = returned_by(BACKUP, JOB, PREPARE, RESTORE, XBSTREAM)
