# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module xbstream: what it does, predicts, returns and refuses."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine import manifest as manifests
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.file_kinds import MANIFEST_NAME
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.sources.registry import source_at
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream import extract
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.extract_options import ExtractOptions
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport.tcp_sender import TcpSink, TcpTarget
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport.tls_sender import TlsSink
from ansible_collections.innodb.xtrabackup.tests.support.children import same_imports
from ansible_collections.innodb.xtrabackup.tests.support.ports import free_port
from ansible_collections.innodb.xtrabackup.tests.support.streams import (
    make_archive,
    raw_archive,
    some_files,
    tree,
    write_backup,
)
from ansible_collections.innodb.xtrabackup.tests.support.transfer import make_ends, send

MODULE = "ansible_collections.innodb.xtrabackup.plugins.modules.xbstream"
#: what Ansible itself adds about the file at ``path``, and about the call
PATH_FACTS = ("uid", "gid", "owner", "group", "mode", "state", "size", "secontext", "invocation")
SECRET = b"0123456789-THE-KEY-0123456789-xy"
PLAIN = {"port": 1, "plain": True}


def call(*, check: bool = False, fails: bool = False, **arguments: Any) -> dict[str, Any]:
    """The module, run as Ansible runs it: in a process, with its arguments as JSON."""
    arguments = {name: os.fspath(value) if isinstance(value, Path) else value for name, value in arguments.items()}
    done = subprocess.run(
        [sys.executable, "-m", MODULE],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": {"_ansible_check_mode": check, "_ansible_diff": True, **arguments}}),
        capture_output=True,
        text=True,
        timeout=120,
        env=same_imports(),
        check=False,
    )
    assert (done.returncode != 0) is fails, done.stdout + done.stderr
    assert "THE-KEY" not in done.stdout + done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    for fact in PATH_FACTS:
        answer.pop(fact, None)
    return answer


@pytest.fixture
def key(tmp_path: Path) -> dict[str, str]:
    path = tmp_path / "key"
    path.write_bytes(SECRET)
    path.chmod(0o600)
    return {"key_file": str(path)}


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    make_archive(tmp_path / "archive", some_files(), algorithm="zstd", key=SECRET, backup={"to_lsn": 7})
    return tmp_path / "archive"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    make_archive(tmp_path / "packed", some_files())
    extract.extract_archive(source_at(tmp_path / "packed"), tmp_path / "directory")
    (tmp_path / "packed").unlink()
    return tmp_path / "directory"


def predicted_then_done(**arguments: Any) -> dict[str, Any]:
    """Run in check mode, for real, and again: the prediction holds, and the second run changes nothing."""
    predicted = call(check=True, **arguments)
    assert not os.path.lexists(arguments["dest"])
    done = call(**arguments)
    assert done["changed"]
    assert predicted == done
    again = call(**arguments)
    assert not again["changed"]
    assert again["diff"]["before"] == again["diff"]["after"] == done["diff"]["after"]
    assert {name: again[name] for name in ("path", "backup", "manifest")} == {
        name: done[name] for name in ("path", "backup", "manifest")
    }
    assert call(check=True, **arguments) == again
    return done


def test_an_archive_is_extracted_once(tmp_path: Path, archive: Path, key: dict[str, str]) -> None:
    done = predicted_then_done(src=archive, dest=tmp_path / "dest", decrypt=key)
    unpacked = tree(tmp_path / "dest")
    assert done["manifest"]["sha256"] == manifests.digest_of(unpacked.pop(MANIFEST_NAME))
    assert unpacked == some_files()
    assert done["backup"] == {"id": "backup-1", "to_lsn": 7}
    assert done["diff"]["before"] == {"path": str(tmp_path / "dest"), "state": "absent", "backup": None}


def test_an_archive_of_another_tool_is_extracted_once_when_asked_for(tmp_path: Path) -> None:
    files = {"db/t.ibd": b"page", "xtrabackup_checkpoints": b"", "xtrabackup_info": b""}
    (tmp_path / "stock").write_bytes(raw_archive(files, None))
    refused = call(fails=True, src=tmp_path / "stock", dest=tmp_path / "dest")
    assert refused["error"]["code"] == "stream_truncated"
    done = predicted_then_done(src=tmp_path / "stock", dest=tmp_path / "dest", require_manifest=False)
    assert done["backup"] is None
    assert tree(tmp_path / "dest") == files


@pytest.mark.parametrize(
    "options", [{}, {"compress": {"algorithm": "zstd", "level": 3}}, {"compress": {"algorithm": "lz4"}}]
)
@pytest.mark.parametrize("encrypted", [False, True])
def test_a_directory_is_packed_once(
    tmp_path: Path, directory: Path, key: dict[str, str], options: dict[str, Any], encrypted: bool
) -> None:
    if encrypted:
        options = {**options, "encrypt": {"algorithm": "AES256", **key}}
    done = predicted_then_done(state="created", src=directory, dest=tmp_path / "made", **options)
    manifest = extract.verify_archive(
        source_at(tmp_path / "made"), ExtractOptions(decrypt_key=SECRET if encrypted else None)
    )
    assert manifest == manifests.read(directory)
    assert done["manifest"]["sha256"] == manifests.digest_of((directory / MANIFEST_NAME).read_bytes())
    assert b"uuid = 1" in (tmp_path / "made").read_bytes()  # metadata can be read without tools


def test_an_archive_in_another_encoding_is_not_what_was_asked_for(
    tmp_path: Path, directory: Path, key: dict[str, str]
) -> None:
    arguments: dict[str, Any] = {"state": "created", "src": directory, "dest": tmp_path / "made"}
    assert call(**arguments)["changed"]
    encrypted = {**arguments, "encrypt": key}
    assert call(fails=True, **encrypted)["error"]["code"] == "target_not_empty"
    assert call(**encrypted, force=True)["changed"]
    assert not call(**encrypted, force=True)["changed"]
    assert call(fails=True, **arguments)["error"]["code"] == "target_not_empty"


def test_a_listing_shows_names_and_sizes_without_the_key(archive: Path) -> None:
    answer = call(state="listed", src=archive)
    assert not answer["changed"]
    entries = {entry["path"]: entry for entry in answer["entries"]}
    assert entries.keys() == {*some_files(), MANIFEST_NAME}
    assert entries["shop/orders.ibd"]["name"] == "shop/orders.ibd.zst.xbcrypt"
    assert entries["shop/orders.ibd"]["bytes"] == len(some_files()["shop/orders.ibd"])
    assert 0 < entries["shop/orders.ibd"]["stored_bytes"] < entries["shop/orders.ibd"]["bytes"]


def test_verifying_reads_everything_and_changes_nothing(tmp_path: Path, archive: Path, key: dict[str, str]) -> None:
    before = sorted(os.listdir(tmp_path))
    for check in (False, True):
        answer = call(check=check, state="verified", src=archive, decrypt=key)
        assert not answer["changed"]
        assert answer["backup"]["to_lsn"] == 7
    assert sorted(os.listdir(tmp_path)) == before
    data = bytearray(archive.read_bytes())
    data[len(data) // 2] ^= 1
    archive.write_bytes(data)
    assert call(fails=True, state="verified", src=archive, decrypt=key)["error"]["code"] == "stream_corrupt"


@pytest.mark.parametrize("state", ["extracted", "verified", "listed"])
def test_a_cut_archive_fails_in_every_state_and_in_check_mode(tmp_path: Path, archive: Path, state: str) -> None:
    archive.write_bytes(archive.read_bytes()[:-7])
    for check in (True, False):
        answer = call(check=check, fails=True, state=state, src=archive, dest=tmp_path / "dest")
        assert answer["error"]["code"] in ("stream_truncated", "decryption_failed")
        assert answer["error"]["remedy"]
    assert not (tmp_path / "dest").exists()


def test_other_data_is_left_alone_whatever_force_says(tmp_path: Path, archive: Path, key: dict[str, str]) -> None:
    (tmp_path / "dest").mkdir()
    (tmp_path / "dest" / "mine").write_bytes(b"precious")
    arguments: dict[str, Any] = {"src": archive, "dest": tmp_path / "dest", "decrypt": key}
    for check in (True, False):
        assert call(check=check, fails=True, **arguments)["error"]["code"] == "target_not_empty"
        refused = call(check=check, fails=True, force=True, **arguments)
        assert refused["error"]["code"] == "target_not_empty"
        assert "no backup" in refused["msg"]
    assert tree(tmp_path / "dest") == {"mine": b"precious"}


def test_another_backup_is_left_alone_unless_force_says_otherwise(
    tmp_path: Path, archive: Path, key: dict[str, str]
) -> None:
    make_archive(tmp_path / "older", {**some_files(), "mine": b"precious"}, backup={"id": "older"})
    call(src=tmp_path / "older", dest=tmp_path / "dest")
    before = tree(tmp_path / "dest")
    arguments: dict[str, Any] = {"src": archive, "dest": tmp_path / "dest", "decrypt": key}
    for check in (True, False):
        assert call(check=check, fails=True, **arguments)["error"]["code"] == "target_not_empty"
    predicted = call(check=True, force=True, **arguments)
    assert tree(tmp_path / "dest") == before
    assert call(force=True, **arguments) == predicted
    assert "mine" not in tree(tmp_path / "dest")
    assert not call(force=True, **arguments)["changed"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"state": "extracted", "src": "/x"}, "dest"),
        ({"state": "created", "src": "/x"}, "dest"),
        ({"state": "verified"}, "src"),
        ({"src": "/no/such/archive", "dest": "/x/y"}, "/no/such/archive"),
        ({"src": "/dev/null", "dest": "/x/y"}, "not a file"),
        ({"state": "created", "src": "/usr", "dest": "/x/y"}, "holds no xtrabackup_manifest.json"),
        ({"state": "listed", "listen": {"port": 1, "tls": {"credentials": "/x"}}}, "extracted or created only"),
        ({"dest": "/x/y", "listen": {"port": 1}}, "either tls or plain"),
        ({"dest": "/x/y", "listen": {"port": 1, "plain": False}}, "either tls or plain"),
        ({"dest": "/x/y", "listen": {"port": 1, "plain": True, "tls": {"credentials": "/x"}}}, "either tls or plain"),
        ({"state": "created", "dest": "/x/y", "listen": PLAIN, "compress": {}}, "compress: what is received"),
        ({"state": "created", "dest": "/x/y", "listen": PLAIN, "encrypt": {"key_file": "/x"}}, "encrypt: what is"),
        ({"state": "created", "dest": "/usr", "listen": PLAIN, "force": True}, "/usr is a directory"),
        ({"dest": "/x/y", "listen": PLAIN, "force": True}, "force: what is received"),
        ({"dest": "/x/y", "listen": PLAIN, "checksum": "sha256:12"}, "64 hexadecimal digits"),
        ({"dest": "/x/y", "src": "/x", "checksum": "sum"}, "'sum' is no checksum"),
        ({"dest": "/x/y", "src": "/x", "digests": ["sha3"]}, "sha3"),
        ({"state": "created", "dest": "/x/y", "src": "/x", "checksum": "md5:" + "0" * 32}, "still to be made"),
        ({"state": "listed", "src": "/x", "checksum": "md5:" + "0" * 32}, "need all bytes"),
        ({"state": "listed", "src": "/x", "digests": ["md5"]}, "need all bytes"),
        ({"state": "verified", "src": "/x", "decrypt": {"key_file": "/no/key"}}, "/no/key"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(arguments: dict[str, Any], text: str) -> None:
    assert text in call(fails=True, **arguments)["msg"]


@pytest.mark.parametrize("dest", [".", "somewhere"])
def test_an_archive_never_takes_the_place_of_a_directory(
    tmp_path: Path, directory: Path, dest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "somewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    for check in (True, False):
        result = call(state="created", src=str(directory), dest=dest, force=True, check=check, fails=True)
        assert result["error"]["code"] == "target_not_empty"
    assert list((tmp_path / "somewhere").iterdir()) == []


def test_listening_never_replaces_data(tmp_path: Path) -> None:
    (tmp_path / "dest").mkdir()
    listen = {"port": 1, "tls": {"credentials": "/no/such/file"}}
    assert call(check=True, listen=listen, dest=tmp_path / "dest")["changed"]
    assert call(fails=True, listen=listen, dest=tmp_path / "dest", force=True)["error"]["code"] == "invalid_option"
    (tmp_path / "dest" / "mine").write_bytes(b"precious")
    for check in (True, False):
        refused = call(check=check, fails=True, listen=listen, dest=tmp_path / "dest")
        assert refused["error"]["code"] == "target_not_empty"


def test_a_key_that_everybody_can_read_is_refused(tmp_path: Path, archive: Path, key: dict[str, str]) -> None:
    Path(key["key_file"]).chmod(0o644)
    answer = call(fails=True, src=archive, dest=tmp_path / "dest", decrypt=key)
    assert answer["error"]["code"] == "invalid_option"
    assert "decrypt.key_file" in answer["msg"]


def test_a_directory_that_is_not_what_its_manifest_says_is_not_packed(tmp_path: Path, directory: Path) -> None:
    path = directory / "shop/orders.frm"
    content = bytearray(path.read_bytes())
    content[0] ^= 1
    path.write_bytes(content)
    answer = call(fails=True, state="created", src=directory, dest=tmp_path / "made")
    assert answer["error"]["code"] == "backup_incomplete"
    assert "orders.frm" in answer["msg"]
    assert sorted(os.listdir(tmp_path)) == ["directory"]


def test_digests_are_those_of_the_archive_in_every_state_that_reads_or_makes_one(
    tmp_path: Path, directory: Path
) -> None:
    wanted: dict[str, Any] = {"digests": ["sha256", "xxh3"]}
    made = call(state="created", src=directory, dest=tmp_path / "made", **wanted)
    digest = hashlib.sha256((tmp_path / "made").read_bytes()).hexdigest()
    assert made["digests"].keys() == {"sha256", "xxh3"}
    assert made["digests"]["sha256"] == digest
    assert call(state="created", src=directory, dest=tmp_path / "made", **wanted)["digests"] == {}
    wanted["checksum"] = f"sha256:{digest}"
    assert call(state="verified", src=tmp_path / "made", **wanted)["digests"] == made["digests"]
    unpack: dict[str, Any] = {"src": tmp_path / "made", "dest": tmp_path / "unpacked", **wanted}
    assert call(check=True, **unpack)["digests"] == {}
    assert call(**unpack)["digests"] == made["digests"]
    assert call(**unpack)["digests"] == {}
    part = call(**{**unpack, "dest": tmp_path / "part"}, tables=["shop.orders"])
    assert part["digests"] == made["digests"]


@pytest.mark.parametrize("state", ["extracted", "verified"])
def test_another_checksum_is_named_and_nothing_is_unpacked(
    tmp_path: Path, archive: Path, key: dict[str, str], state: str
) -> None:
    digest = hashlib.sha1(archive.read_bytes()).hexdigest()
    wanted: dict[str, Any] = {"state": state, "src": archive, "dest": tmp_path / "dest", "decrypt": key}
    answer = call(fails=True, checksum="sha1:" + "0" * 40, **wanted)
    assert answer["error"]["code"] == "stream_corrupt"
    assert digest in answer["msg"]
    assert "0" * 40 in answer["msg"]
    assert not (tmp_path / "dest").exists()


def listening(answers: list[dict[str, Any]], **arguments: Any) -> threading.Thread:
    """The module, waiting for a sender in a thread."""
    receiver = threading.Thread(target=lambda: answers.append(call(**arguments)), daemon=True)
    receiver.start()
    return receiver


@pytest.mark.parametrize("with_key", [True, False])
def test_a_listening_module_stores_what_comes_over_plain_tcp_and_warns(
    tmp_path: Path, key: dict[str, str], with_key: bool
) -> None:
    answers: list[dict[str, Any]] = []
    listen = {"address": "127.0.0.1", "port": free_port(), "plain": True, "timeout": "20s"}
    arguments: dict[str, Any] = {"state": "created", "listen": listen, "dest": tmp_path / "vault" / "archive"}
    if with_key:
        arguments["decrypt"] = key
    predicted = call(check=True, **arguments)
    assert (predicted["changed"], predicted["verified"]) == (True, False)
    receiver = listening(answers, digests=["sha256"], **arguments)
    target = TcpTarget("127.0.0.1", listen["port"], connect_timeout=60.0)  # type: ignore[arg-type]
    published = write_backup(TcpSink(target, encrypt_key=SECRET, digests=["sha256"]), some_files())
    receiver.join(60)
    answer = answers[0]
    assert answer["changed"]
    assert answer["verified"] is with_key
    assert answer["digests"] == published["digests"]
    assert answer["manifest"]["sha256"] == published["sha256"]
    assert answer["diff"]["after"] == {"path": answer["path"], "state": "archive", "backup": "backup-1"}
    assert "whoever reaches port" in str(answer["warnings"])
    extract.verify_archive(source_at(answer["path"]), ExtractOptions(decrypt_key=SECRET))
    assert call(fails=True, **arguments)["error"]["code"] == "target_not_empty"
    assert call(check=True, force=True, **arguments)["diff"]["before"]["state"] == "other"


def test_a_listening_module_unpacks_what_a_sender_sends(tmp_path: Path) -> None:
    ends = make_ends(tmp_path)
    answers: list[dict[str, Any]] = []
    listen = {"address": "127.0.0.1", "port": ends.port, "tls": {"credentials": str(ends.receiver)}, "timeout": "20s"}
    receiver = listening(answers, listen=listen, dest=ends.dest)
    sink = TlsSink(ends.target(connect_timeout=60.0))
    try:
        published = sink.publish(send(sink, some_files()))
    except BaseException as error:
        sink.abort(error)
        raise
    receiver.join(60)
    assert [answer["changed"] for answer in answers] == [True]
    assert answers[0]["backup"]["id"] == "a-backup"
    received = tree(ends.dest)
    assert answers[0]["manifest"]["sha256"] == published["sha256"]
    assert published["sha256"] == manifests.digest_of(received.pop(MANIFEST_NAME))
    assert received == some_files()
