# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Somebody who may propose a change to the repository of restore requests reaches neither controller nor hosts.

The example repository with the script lines of its own CI, Ansible and Git; no server. A command that an attack has
brought would leave the file ``proof``.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.innodb.xtrabackup.plugins.filter.restore_request import restore_request
from ansible_collections.innodb.xtrabackup.tests.support.gitops import COMMIT, LINK, Example
from ansible_collections.innodb.xtrabackup.tests.support.plays import failed, succeeded

DIGEST = "5b1c0dbd0d54a3c4c4ab0d1f2a8c2bb1b1a5a0e1f7a4a3c2b1a0918273645546"


def request(name: str = "r", host: str = "nobody", **more: Any) -> dict[str, Any]:
    """A request for a host that no inventory has."""
    backup = {"path": "/var/backups/full", "manifest_sha256": DIGEST}
    return {"format": 1, "id": name, "created": "2026-11-28T10:00:00Z", "hosts": [host], "backup": backup, **more}


def text(**fields: Any) -> str:
    return yaml.safe_dump(request(**fields), sort_keys=False)


@pytest.fixture
def example(tmp_path: Path) -> Example:
    return Example(tmp_path)


@pytest.fixture
def proof(example: Example, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a command that was executed leaves; $PROOF is its name, for names of files that cannot have a slash."""
    path = example.directory / "proof"
    monkeypatch.setenv("PROOF", str(path))
    return path


TEMPLATE = "{{ lookup('pipe', 'touch $PROOF') }}"


@pytest.mark.parametrize(
    "name",
    [
        f"{TEMPLATE}.yml",
        f'r.yml xtrabackup_serial="{TEMPLATE}" x=.yml',
        "r.yml ansible_connection=local ansible_python_interpreter=python3 x=.yml",
        "-e x.yml",
        "@r.yml",
        "r\u202elmy.yml",
        "r.yml\n.yml",
        "r.yaml",
    ],
)
def test_a_name_of_a_file_brings_no_variable_no_option_and_no_template(
    example: Example, proof: Path, name: str
) -> None:
    (example.path / "requests" / name).write_text(text())
    example.propose(7, {f"requests/{name}": text()} if "\n" not in name else {})
    for job in ("review", "restore") if "\n" in name else ("review", "look", "restore"):
        refused = failed(example.run(job, MERGE_REQUEST="7"), "is no name of a request")
        assert (refused.recap, "\u202e" in refused.output) == ({}, False)
        assert not proof.exists()


@pytest.mark.parametrize("job", ["review", "restore"])
def test_only_regular_files_are_requests(example: Example, job: str) -> None:
    requests = example.path / "requests"
    outside = example.directory / "outside.yml"
    outside.write_text(text())
    (requests / "r.yml").symlink_to(outside)
    failed(example.run(job), "r.yml is no file that can be read")
    (requests / "r.yml").unlink()
    os.mkfifo(requests / "r.yml")
    failed(example.run(job), "r.yml is no regular file")
    (requests / "r.yml").unlink()
    (requests / "r.yml").write_text(text() + "#" * 70000)
    failed(example.run(job), "65536 are the most")
    (requests / "r.yml").unlink()
    requests.rmdir()
    requests.symlink_to(example.directory)
    failed(example.run(job), "requests is no directory of requests")


@pytest.mark.parametrize("job", ["review", "restore"])
def test_a_file_holds_the_request_that_its_name_says(example: Example, job: str) -> None:
    example.commit(request("a"))
    (example.path / "requests" / "b.yml").write_text(text(name="c"))
    refused = failed(example.run(job), "b.yml holds the request c")
    assert refused.recap == {}  # nothing of the first one either


def test_a_proposal_is_reviewed_without_ansible_its_inventory_and_its_settings(example: Example, proof: Path) -> None:
    example.commit(request())
    programs = example.directory / "bin"
    programs.mkdir()
    for name in ("ansible-playbook", "ansible", "ansible-inventory", "ssh"):
        (programs / name).write_text('#!/bin/sh\ntouch "$PROOF"\n')
        (programs / name).chmod(0o755)
    poison(example.path)
    review = succeeded(example.run("review", PATH=f"{programs}:{os.environ['PATH']}"))
    assert "hosts: nobody" in review.output
    assert DIGEST in review.output
    assert not proof.exists()
    # what may have secrets is no job of a merge request's pipeline
    (rule,) = example.jobs["review"]["rules"]
    assert rule["if"] == '$CI_PIPELINE_SOURCE == "merge_request_event"'
    assert "environment" not in example.jobs["review"]
    for job in ("look", "restore"):
        assert "$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH" in example.jobs[job]["rules"][-1]["if"]
        assert example.jobs[job]["environment"]["name"] == job


def poison(repository: Path) -> None:
    """Files that execute something as soon as Ansible looks at them."""
    for name, content in POISON.items():
        path = repository / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        path.chmod(0o755)


POISON = {
    "inventory.yml": '#!/bin/sh\ntouch "$PROOF"\necho \'{"all": {"hosts": ["nobody"]}}\'\n',
    "ansible.cfg": "[defaults]\ninventory = inventory.yml\ncallback_plugins = plugins\ncallbacks_enabled = evil\n",
    "plugins/evil.py": "import os\nopen(os.environ['PROOF'], 'w').close()\n",
    "group_vars/all.yml": f'xtrabackup_serial: "{TEMPLATE}"\n',
    "sitecustomize.py": "import os\nopen(os.environ['PROOF'], 'w').close()\n",
}


def test_of_a_proposal_the_look_takes_its_requests_and_nothing_else(example: Example, proof: Path) -> None:
    program = '#!/bin/sh\ntouch "$PROOF"\n'
    ci = 'look: {script: ["touch $PROOF"]}\n'
    hook = {".gitattributes": "* filter=evil diff=evil\n", ".gitmodules": '[submodule "x"]\npath = x\nurl = ext::sh\n'}
    proposed = {"requests/r.yml": text(), "restore-requests": program, ".gitlab-ci.yml": ci, **POISON, **hook}
    example.propose(7, proposed)
    before = example.git("status", "--porcelain")
    looked = failed(example.run("look", MERGE_REQUEST="7"), "refs/merge-requests/7/head is")
    # the inventory is the default branch's
    assert "not in the inventory: nobody" in " ".join(looked.output.split())
    assert example.git("status", "--porcelain") == before
    assert not proof.exists()


@pytest.mark.parametrize(
    "path, entry, reported",
    [
        ("requests/r.yml", (LINK, "/etc/passwd"), "is no regular file"),
        ("requests/r.yml", (COMMIT, "1" * 40), "is no regular file"),
        ("requests/r.yml/r.yml", text(), "is no regular file"),
        ("requests", (LINK, "/etc"), "requests of the proposal is no directory"),
        ("requests/filter_plugins/evil.py", "", "is no name of a request"),
        ("requests/r.yml", text() + "#" * 70000, "65536 are the most"),
        ("requests/r.yml", text(description=TEMPLATE), "is no valid restore request"),
        ("requests/s.yml", text(), "s.yml holds the request r"),
    ],
)
def test_a_proposal_of_anything_but_small_files_is_not_looked_at(
    example: Example, proof: Path, path: str, entry: Any, reported: str
) -> None:
    example.propose(7, {path: entry})
    looked = failed(example.run("look", MERGE_REQUEST="7"), reported)
    assert looked.recap == {}
    assert not proof.exists()


@pytest.mark.parametrize(
    "number",
    ["", "0", "7/head:refs/heads/main", "../../heads/main", "7/head --upload-pack=x", "$(touch $PROOF)", "7\n"],
)
def test_the_number_of_a_proposal_is_a_number(example: Example, proof: Path, number: str) -> None:
    failed(example.run("look", MERGE_REQUEST=number), "is no proposal")
    assert not proof.exists()


def test_what_is_only_proposed_is_never_carried_out(example: Example) -> None:
    example.propose(7, {"requests/r.yml": text()})
    program = str(example.path / "restore-requests")
    for source in (["--proposal", "refs/merge-requests/7/head"], ["--requests", "requests"]):
        done = subprocess.run([sys.executable, program, *source, "--diff"], check=False, capture_output=True, text=True)
        assert done.returncode == 1
        assert "never carried out" in done.stderr


def test_the_content_of_a_request_is_no_template(example: Example, proof: Path) -> None:
    """Also where the playbook reads it without the checks of the example."""
    for field in (f'description: "{TEMPLATE}"', f'"{TEMPLATE}": 1', f'"{TEMPLATE}": 1\n"{TEMPLATE}": 1'):
        path = example.path / "requests" / "r.yml"
        path.write_text(f"{text()}{field}\n")
        direct = "ansible-playbook innodb.xtrabackup.restore -e xtrabackup_restore_request=requests/r.yml --check"
        example.jobs["direct"] = {"script": [direct]}
        failed(example.run("direct"), "is no valid restore request")
        assert not proof.exists()


@pytest.mark.parametrize("field", ["path", "prepared_dir", "keyring_file", "key_file"])
@pytest.mark.parametrize(
    "value",
    [
        "/var/backups/../../etc/shadow",
        "/..",
        "/var/backups/..",
        "/var/\u202exartpu",
        "/var/\u2066x",
        "/var/\u200fx",
        "/var/\u200bx",
        "/var/\ufeffx",
        "/var/\u00adx",
        "/var/\u2028x",
        "/var/\u0085x",
        "/var/\u009b2Jx",
        "/var/\U000e0041x",
    ],
)
def test_a_path_is_what_it_looks_like(field: str, value: str) -> None:
    wanted = request()
    backup = wanted["backup"]
    (backup.setdefault("decrypt", {}) if field == "key_file" else backup)[field] = value
    escaped = yaml.safe_dump(wanted)  # \\u202e, as nobody overlooks it
    (problem,) = restore_request(escaped)["problems"]
    assert f"{field}: " in problem
    assert problem.isprintable()  # and whoever reads the log sees it too


@pytest.mark.parametrize("value", ["/srv/..x/x../...", "/srv/Größe/バックアップ", "/srv/a b", "/srv//x/"])
def test_a_path_may_have_any_other_name(value: str) -> None:
    wanted = request()
    wanted["backup"]["path"] = value
    assert restore_request(yaml.safe_dump(wanted, allow_unicode=True))["problems"] == []


@pytest.mark.parametrize("hidden", ["\u202e", "\u2067", "\u200e", "\u061c", "\u2028", "\u2029", "\u0085", "\r"])
def test_a_line_of_a_request_ends_where_a_reviewer_sees_it_end(hidden: str) -> None:
    (problem,) = restore_request(f"{text()}# a comment{hidden}expires: 2026-12-05T00:00:00Z\n")["problems"]
    assert "line 9, column 12: " in problem
    assert restore_request(text().replace("\n", "\r\n"))["problems"] == []


@pytest.mark.parametrize("value", ["\u202e", "\u2066", "\x1b[2J", "\x9b2J"])
def test_a_description_does_not_steer_a_terminal(value: str) -> None:
    (problem,) = restore_request(yaml.safe_dump(request(description=f"a{value}b")))["problems"]
    assert problem.startswith("description: ")
    assert problem.isprintable()


@pytest.mark.parametrize("value", ["!!bool x", "!!timestamp x", "!!int x", "!!float x", "!!binary é", "!!int ''"])
def test_a_tag_that_does_not_fit_is_told(value: str) -> None:
    (problem,) = restore_request(f"{text()}description: {value}\n")["problems"]
    assert "it cannot be read as YAML" in problem
