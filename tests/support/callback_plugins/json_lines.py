# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The results of a play as lines of JSON in the file $XTRABACKUP_TEST_EVENTS, for tests/support/playbook.py."""

from __future__ import annotations

import json
import os
from typing import Any

from ansible.context import CLIARGS
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: json_lines
type: aggregate
short_description: Results of tasks as lines of JSON
description:
  - Writes which playbook begins, each result of a task, and the final statistics, as lines of JSON at the end of a
    file, for the collection's tests.
requirements:
  - The environment variable E(XTRABACKUP_TEST_EVENTS) names the file.
"""


class CallbackModule(CallbackBase):  # type: ignore[misc] # ansible has no types
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "json_lines"
    CALLBACK_NEEDS_ENABLED = True

    def _write(self, event: dict[str, Any]) -> None:
        with open(os.environ["XTRABACKUP_TEST_EVENTS"], "a", encoding="utf-8") as events:
            events.write(json.dumps(event, default=str) + "\n")

    def _write_result(self, outcome: str, result: Any) -> None:
        self._write(
            {
                "outcome": outcome,
                "host": result._host.get_name(),
                "task": result._task.get_name(),
                "action": result._task.action,
                "result": result._result,
            }
        )

    def v2_playbook_on_start(self, playbook: Any) -> None:
        self._write({"playbook": playbook._file_name, "check": bool(CLIARGS.get("check"))})

    def v2_runner_on_ok(self, result: Any) -> None:
        self._write_result("ok", result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        self._write_result("ignored" if ignore_errors else "failed", result)

    def v2_runner_on_skipped(self, result: Any) -> None:
        self._write_result("skipped", result)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        self._write_result("unreachable", result)

    def v2_playbook_on_stats(self, stats: Any) -> None:
        self._write({"stats": {host: stats.summarize(host) for host in stats.processed}})
