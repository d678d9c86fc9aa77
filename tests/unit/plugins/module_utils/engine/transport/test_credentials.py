# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Credentials: who may read them, how long they serve, and what is kept when they are planned again."""

from __future__ import annotations

import datetime
import json
import os
import socket
import stat
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    FormatError,
    InvalidOption,
    PeerRefused,
    StorageError,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport import credentials
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport.tls_connection import TlsConnection

TOKEN = "a-token-of-many-characters"
UTC = datetime.timezone.utc


@pytest.fixture(scope="module")
def sender() -> credentials.Credentials:
    return credentials.create("sender")


@pytest.fixture(scope="module")
def receiver() -> credentials.Credentials:
    return credentials.create("receiver")


def test_a_certificate_is_p256_and_valid_from_yesterday_for_two_days(sender: credentials.Credentials) -> None:
    now = datetime.datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
    certificate = x509.load_pem_x509_certificate(credentials.create("sender", now).certificate.encode())
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.curve.name == "secp256r1"
    assert certificate.not_valid_before_utc == now - datetime.timedelta(days=1)
    assert certificate.not_valid_after_utc == now + datetime.timedelta(days=2)
    assert not sender.near_expiry()


def test_what_is_saved_is_loaded_again_and_only_its_owner_can_read_it(
    tmp_path: Path, sender: credentials.Credentials
) -> None:
    path = tmp_path / "run" / "x.json"
    old = os.umask(0)
    try:
        credentials.save(path, replace(sender, token=TOKEN))
    finally:
        os.umask(old)
    assert credentials.load(path) == replace(sender, token=TOKEN)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert os.listdir(path.parent) == ["x.json"]


def test_saving_over_a_file_that_others_can_read_never_writes_secrets_into_it(
    tmp_path: Path, sender: credentials.Credentials
) -> None:
    path = tmp_path / "x.json"
    path.touch(mode=0o666)
    with open(path, encoding="utf-8") as spy:
        credentials.save(path, sender)
        assert spy.read() == ""
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601])
def test_a_file_that_others_have_access_to_is_refused(
    tmp_path: Path, sender: credentials.Credentials, mode: int
) -> None:
    path = tmp_path / "x.json"
    credentials.save(path, sender)
    path.chmod(mode)
    with pytest.raises(InvalidOption, match="others have access"):
        credentials.load(path)


def test_a_file_of_another_user_is_refused(
    tmp_path: Path, sender: credentials.Credentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.json"
    credentials.save(path, sender)
    if os.geteuid() == 0:
        os.chown(path, 4242, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 4242)
    with pytest.raises(InvalidOption, match="belongs to the user"):
        credentials.load(path)


def test_a_symbolic_link_is_not_followed(tmp_path: Path, sender: credentials.Credentials) -> None:
    credentials.save(tmp_path / "x.json", sender)
    (tmp_path / "link").symlink_to(tmp_path / "x.json")
    with pytest.raises(StorageError):
        credentials.load(tmp_path / "link")


def test_a_pipe_does_not_block_the_reader(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.json", 0o600)
    with pytest.raises(FormatError, match="not a regular file"):
        credentials.load(tmp_path / "x.json")


@pytest.mark.parametrize(
    "content",
    [
        "hunter2",
        "[]",
        "{}",
        '{"role": "sender", "certificate": "hunter2", "private_key": "", "peer_certificate": "", "token": ""}',
        '{"role": "queen", "certificate": "", "private_key": "hunter2", "peer_certificate": "", "token": ""}',
        '{"role": "sender", "certificate": 1, "private_key": "hunter2", "peer_certificate": "", "token": ""}',
    ],
)
def test_a_file_with_something_else_is_refused_and_not_quoted(tmp_path: Path, content: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(FormatError) as caught:
        credentials.load(path)
    assert "hunter2" not in json.dumps(caught.value.as_dict())
    assert not credentials.is_ours(path)


def test_secrets_do_not_show_in_the_representation(sender: credentials.Credentials) -> None:
    text = repr(replace(sender, token=TOKEN))
    assert TOKEN not in text
    assert "PRIVATE" not in text


def test_credentials_without_peer_or_token_or_of_the_other_role_or_used_are_refused(
    sender: credentials.Credentials, receiver: credentials.Credentials
) -> None:
    complete = replace(sender, peer_certificate=receiver.certificate, token=TOKEN)
    complete.require_complete("sender", "x")
    with pytest.raises(InvalidOption, match="for the sender, not for the receiver"):
        complete.require_complete("receiver", "x")
    with pytest.raises(InvalidOption, match="no peer_certificate and no token"):
        sender.require_complete("sender", "x")
    with pytest.raises(PeerRefused, match="used by an earlier transfer"):
        replace(complete, token_used=True).require_complete("sender", "x")


# --- settling ------------------------------------------------------------------------------------


def test_planning_again_with_the_same_options_changes_nothing(
    sender: credentials.Credentials, receiver: credentials.Credentials
) -> None:
    first = credentials.plan_credentials(sender, "sender", peer_certificate=receiver.certificate, token=TOKEN)
    # Ansible's templates add and strip line feeds
    again = credentials.plan_credentials(first, "sender", peer_certificate=receiver.certificate.strip(), token=TOKEN)
    assert again == first
    assert credentials.plan_credentials(first, "sender") == first


def test_another_peer_or_token_changes_only_that(
    sender: credentials.Credentials, receiver: credentials.Credentials
) -> None:
    complete = replace(sender, peer_certificate=receiver.certificate, token=TOKEN, token_used=True)
    other = credentials.create("receiver").certificate
    assert credentials.plan_credentials(complete, "sender", peer_certificate=other) == replace(
        complete, peer_certificate=other
    )
    renewed = credentials.plan_credentials(complete, "sender", token=TOKEN + "2")
    assert renewed == replace(complete, token=TOKEN + "2", token_used=False)


def test_a_used_token_stays_used_even_with_a_new_key(sender: credentials.Credentials) -> None:
    used = replace(sender, token=TOKEN, token_used=True)
    assert credentials.plan_credentials(used, "sender", token=TOKEN, renew=True).token_used


@pytest.mark.parametrize(("left", "kept"), [(13, True), (11, False), (-1, False)])
def test_a_certificate_near_its_end_is_made_anew_and_keeps_peer_and_token(
    receiver: credentials.Credentials, left: int, kept: bool
) -> None:
    born = datetime.datetime.now(UTC) - datetime.timedelta(hours=48 - left)
    old = replace(credentials.create("sender", born), peer_certificate=receiver.certificate, token=TOKEN)
    planned = credentials.plan_credentials(old, "sender")
    assert (planned == old) is kept
    assert (planned.peer_certificate, planned.token) == (old.peer_certificate, old.token)


def test_a_certificate_of_the_future_is_made_anew() -> None:
    old = credentials.create("sender", datetime.datetime.now(UTC) + datetime.timedelta(days=30))
    assert credentials.plan_credentials(old, "sender") != old


def test_another_role_gets_another_key_and_no_peer(
    sender: credentials.Credentials, receiver: credentials.Credentials
) -> None:
    planned = credentials.plan_credentials(
        replace(sender, peer_certificate=receiver.certificate, token=TOKEN), "receiver"
    )
    assert (planned.role, planned.peer_certificate, planned.token) == ("receiver", "", "")
    assert planned.private_key != sender.private_key


def test_a_short_token_and_a_peer_that_is_no_certificate_are_refused(sender: credentials.Credentials) -> None:
    with pytest.raises(InvalidOption, match="token"):
        credentials.plan_credentials(sender, "sender", token="short")
    with pytest.raises(InvalidOption, match="peer_certificate"):
        credentials.plan_credentials(sender, "sender", peer_certificate="-----BEGIN CERTIFICATE-----\nno\n")


# --- in use --------------------------------------------------------------------------------------


@pytest.mark.parametrize("memfd", [True, False])
def test_a_context_is_made_without_leaving_the_key_in_a_file(
    tmp_path: Path,
    sender: credentials.Credentials,
    receiver: credentials.Credentials,
    monkeypatch: pytest.MonkeyPatch,
    memfd: bool,
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    if not memfd:
        monkeypatch.delattr(os, "memfd_create")
    client = credentials.tls_context(replace(sender, peer_certificate=receiver.certificate))
    server = credentials.tls_context(replace(receiver, peer_certificate=sender.certificate))
    assert list(tmp_path.iterdir()) == []
    left, right = socket.socketpair()
    deadline = time.monotonic() + 10
    ends = [TlsConnection(left, client, "receiver", deadline), TlsConnection(right, server, "sender", deadline)]
    thread = threading.Thread(target=ends[1].handshake, args=(credentials.certificate_der(sender.certificate),))
    thread.start()
    ends[0].handshake(credentials.certificate_der(receiver.certificate))
    thread.join()
    assert ends[0]._socket.version() == "TLSv1.3"
    for end in ends:
        end.close()


def test_a_key_that_does_not_belong_to_its_certificate_is_refused_by_name(
    sender: credentials.Credentials, receiver: credentials.Credentials
) -> None:
    mixed = replace(sender, private_key=receiver.private_key, peer_certificate=receiver.certificate)
    with pytest.raises(InvalidOption, match="sender's credentials"):
        credentials.tls_context(mixed)
