# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module xtrabackup_credentials: what it changes, predicts, returns and keeps to itself."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport import credentials
from ansible_collections.innodb.xtrabackup.tests.support.children import same_imports

TOKEN = "secret-token-0123456789"
MODULE = "ansible_collections.innodb.xtrabackup.plugins.modules.xtrabackup_credentials"


class Module:
    """The module, run as Ansible runs it: in a process, with its arguments as JSON."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "run" / "x.json"

    def __call__(self, *, check: bool = False, fails: bool = False, **arguments: Any) -> dict[str, Any]:
        arguments = {"path": str(self.path), "_ansible_check_mode": check, "_ansible_diff": True, **arguments}
        environment = same_imports()
        done = subprocess.run(
            [sys.executable, "-m", MODULE],
            input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}),
            capture_output=True,
            text=True,
            env=environment,
            check=False,
        )
        assert (done.returncode != 0) is fails, done.stdout + done.stderr
        assert TOKEN not in done.stdout + done.stderr
        assert "PRIVATE" not in done.stdout + done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer


@pytest.fixture
def module(tmp_path: Path) -> Module:
    return Module(tmp_path)


def test_credentials_are_made_once_and_kept(module: Module) -> None:
    made = module(role="sender")
    assert made["changed"]
    assert made["renewed"]
    assert made["certificate"] == credentials.load(module.path).certificate
    assert made["fingerprint"] == credentials.fingerprint(made["certificate"])
    assert stat.S_IMODE(module.path.stat().st_mode) == 0o600
    again = module(role="sender")
    assert not again["changed"]
    assert not again["renewed"]
    assert again["certificate"] == made["certificate"]
    assert again["diff"]["before"] == again["diff"]["after"]


def test_peer_and_token_are_added_to_the_same_key(module: Module) -> None:
    own = module(role="sender")["certificate"]
    peer = credentials.create("receiver").certificate
    completed = module(role="sender", peer_certificate=peer, token=TOKEN)
    assert completed["changed"]
    assert completed["certificate"] == own
    assert not module(role="sender", peer_certificate=peer, token=TOKEN)["changed"]
    assert not module(role="sender")["changed"]
    held = credentials.load(module.path)
    assert (held.peer_certificate, held.token) == (peer, TOKEN)


def test_check_mode_predicts_what_the_run_then_does_and_writes_nothing(module: Module) -> None:
    steps: list[dict[str, Any]] = [
        {"role": "sender"},
        {"role": "sender", "peer_certificate": credentials.create("receiver").certificate, "token": TOKEN},
        {"role": "sender", "token": TOKEN + "2"},
        {"role": "sender", "force": True},
        {"role": "receiver"},
        {"role": "receiver"},
        {"state": "absent"},
        {"state": "absent"},
    ]
    for step in steps:
        before = module.path.read_bytes() if module.path.exists() else None
        predicted = module(check=True, **step)
        assert (module.path.read_bytes() if module.path.exists() else None) == before
        done = module(**step)
        assert predicted["changed"] == done["changed"], step
        assert predicted["diff"] == done["diff"], step
        assert "certificate" not in predicted or predicted["certificate"] == done["certificate"]


def test_force_makes_a_new_key_and_keeps_the_peer(module: Module) -> None:
    peer = credentials.create("receiver").certificate
    own = module(role="sender", peer_certificate=peer, token=TOKEN)["certificate"]
    forced = module(role="sender", force=True)
    assert forced["changed"]
    assert forced["certificate"] != own
    assert credentials.load(module.path).peer_certificate == peer


def test_a_key_that_others_could_read_is_replaced(module: Module) -> None:
    own = module(role="sender")["certificate"]
    module.path.chmod(0o644)
    renewed = module(role="sender")
    assert renewed["changed"]
    assert renewed["certificate"] != own
    assert stat.S_IMODE(module.path.stat().st_mode) == 0o600


def test_absent_removes_the_file(module: Module) -> None:
    module(role="sender")
    assert module(state="absent")["changed"]
    assert not module.path.exists()
    assert not module(state="absent")["changed"]


@pytest.mark.parametrize("arguments", [{"role": "sender"}, {"role": "sender", "force": True}, {"state": "absent"}])
def test_a_file_with_something_else_is_never_touched(module: Module, arguments: dict[str, Any]) -> None:
    module.path.parent.mkdir()
    module.path.write_text("precious")
    module.path.chmod(0o600)
    failed = module(fails=True, **arguments)
    assert failed["error"]["code"] == "format_error"
    assert module.path.read_text() == "precious"


def test_a_peer_certificate_that_is_none_and_a_short_token_are_refused_by_name(module: Module) -> None:
    assert "peer_certificate" in module(fails=True, role="sender", peer_certificate="x")["msg"]
    assert "token" in module(fails=True, role="sender", token="short")["msg"]
    assert not module.path.exists()


def test_the_role_is_required(module: Module) -> None:
    assert "role" in module(fails=True)["msg"]
