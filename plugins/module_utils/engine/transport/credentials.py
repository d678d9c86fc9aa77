# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Credentials of one transfer: a key and self-signed certificate per end, the other end's certificate, a token.

Each end makes its own key, which never leaves that host; only the certificates (public) and the token travel
through the play. They live in a JSON file that only its owner can read:
``{"role", "certificate", "private_key", "peer_certificate", "token", "token_used"}``.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import hashlib
import hmac
import importlib
import json
import os
import ssl
import stat
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from .. import libraries
from ..errors import FormatError, InvalidOption, Option, PeerRefused, Program, TargetBusy
from ..format import strict_json
from ..host import durable
from ..host.anchor import Anchor

ROLES = ("sender", "receiver")
MINIMUM_TOKEN_LENGTH = 16
_CLOCK_SKEW = datetime.timedelta(days=1)  # how far the other host's clock may be behind
_VALIDITY = datetime.timedelta(days=2)
_RENEW_BEFORE = datetime.timedelta(hours=12)  # credentials with less left are made anew
_FIELDS = ("role", "certificate", "private_key", "peer_certificate", "token")
_SIZE_LIMIT = 64 << 10
_LOCK_TIME = 10.0  # seconds to wait for another process that writes the file
_LOCK_PAUSE = 0.02  # seconds between two looks
_NEW_CREDENTIALS = f"Make new credentials on both ends with {Program('xtrabackup_credentials')}."


@dataclass(frozen=True)
class Credentials:
    """Credentials of one end of a transfer. ``peer_certificate`` and ``token`` are empty until they are known;
    ``token_used`` is set by the receiver once a session was accepted: a token opens one session only."""

    role: str
    certificate: str
    private_key: str = field(repr=False)
    peer_certificate: str = ""
    token: str = field(default="", repr=False)
    token_used: bool = False

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the own certificate, hexadecimal."""
        return fingerprint(self.certificate)

    @property
    def expires(self) -> datetime.datetime:
        """Time (UTC) at which the own certificate expires."""
        return _validity(self.certificate)[1]

    def near_expiry(self, now: datetime.datetime | None = None) -> bool:
        """True when the own certificate is not valid for a run that starts at ``now``."""
        begins, ends = _validity(self.certificate)
        now = now or _utc_now()
        return not begins <= now <= ends - _RENEW_BEFORE

    def require_complete(self, role: str, where: str) -> None:
        """Raises InvalidOption unless these are credentials for ``role`` with a peer and an unused token."""
        if self.role != role:
            raise InvalidOption(
                f"{where} holds credentials for the {self.role}, not for the {role}", path=where, role=self.role
            )
        missing = [name for name in ("peer_certificate", "token") if not getattr(self, name)]
        if missing:
            raise InvalidOption(
                f"the credentials in {where} have no {' and no '.join(missing)}",
                remedy=f"Give {Program('xtrabackup_credentials')} the other end's certificate and the token of "
                "this transfer.",
                path=where,
                missing=missing,
            )
        if self.token_used:
            raise PeerRefused(
                f"the token in {where} was used by an earlier transfer",
                remedy=f"Give both ends a new token with {Program('xtrabackup_credentials')}.",
                path=where,
            )


def create(role: str, now: datetime.datetime | None = None) -> Credentials:
    """A new ECDSA P-256 key and its self-signed certificate for ``role``, without a peer yet."""
    x509 = _cryptography("x509")
    purposes = x509.oid.ExtendedKeyUsageOID
    serialization = _cryptography("hazmat.primitives.serialization")
    ec = _cryptography("hazmat.primitives.asymmetric.ec")
    now = now or _utc_now()
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, f"innodb.xtrabackup {role}")])
    # the purpose ties a certificate to its role: a sender's cannot be used to listen
    purpose = purposes.CLIENT_AUTH if role == "sender" else purposes.SERVER_AUTH
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + _VALIDITY)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .sign(key, _cryptography("hazmat.primitives.hashes").SHA256())
    )
    private_key = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Credentials(role, certificate.public_bytes(serialization.Encoding.PEM).decode(), private_key.decode())


def plan_credentials(
    current: Credentials | None, role: str, *, peer_certificate: str = "", token: str = "", renew: bool = False
) -> Credentials:
    """The credentials that a host should hold for ``role``: its ``current`` ones as far as they serve.

    They are made anew when there are none, they are another role's, near their end, or ``renew`` says so. What is
    not given (empty) stays as it is. Raises InvalidOption for a peer certificate or token that cannot be used.
    """
    if current is None or current.role != role:
        wanted = create(role)
    elif renew or current.near_expiry():
        wanted = replace(
            create(role),
            peer_certificate=current.peer_certificate,
            token=current.token,
            token_used=current.token_used,
        )
    else:
        wanted = current
    if peer_certificate:
        given = certificate_der(peer_certificate, "peer_certificate")
        if not wanted.peer_certificate or certificate_der(wanted.peer_certificate) != given:
            wanted = replace(wanted, peer_certificate=peer_certificate.strip() + "\n")
    if token:
        require_token(token)
        if token != wanted.token:
            wanted = replace(wanted, token=token, token_used=False)
    return wanted


def certificate_der(pem: str, what: str = "certificate") -> bytes:
    """The bytes of the certificate ``pem``; raises InvalidOption naming ``what`` when it is not one."""
    encoding = _cryptography("hazmat.primitives.serialization").Encoding.DER
    try:
        return bytes(_cryptography("x509").load_pem_x509_certificate(pem.encode()).public_bytes(encoding))
    except ValueError as error:
        raise InvalidOption(f"{what} is not a certificate in PEM format: {error}", option=what) from error


def fingerprint(pem: str) -> str:
    """SHA-256 of the certificate ``pem``, hexadecimal."""
    return hashlib.sha256(certificate_der(pem)).hexdigest()


def require_token(token: str) -> None:
    """Raises InvalidOption when ``token`` is too short to be a secret."""
    if len(token) < MINIMUM_TOKEN_LENGTH:
        raise InvalidOption(
            f"{Option('token')}: has fewer than {MINIMUM_TOKEN_LENGTH} characters",
            remedy="Use a random token, new for each transfer.",
            option="token",
        )


def load(path: str | os.PathLike[str]) -> Credentials:
    """The credentials in the file ``path``.

    Raises StorageError when it cannot be read, InvalidOption when somebody else owns it or others can read it,
    FormatError when it holds something else.
    """
    data, status = _read(path)
    if status.st_uid not in (os.geteuid(), 0):
        raise InvalidOption(
            f"the credentials file {os.fspath(path)} belongs to the user id {status.st_uid}",
            remedy=_NEW_CREDENTIALS,
            path=os.fspath(path),
        )
    if stat.S_IMODE(status.st_mode) & 0o077:
        raise InvalidOption(
            f"the credentials file {os.fspath(path)} has mode {stat.S_IMODE(status.st_mode):04o}: others have access",
            remedy=_NEW_CREDENTIALS,
            path=os.fspath(path),
        )
    return _parse(data, os.fspath(path))


def is_ours(path: str | os.PathLike[str]) -> bool:
    """True when the file ``path`` holds credentials, whatever its owner and mode are."""
    try:
        _parse(_read(path)[0], os.fspath(path))
    except FormatError:
        return False
    return True


def save(path: str | os.PathLike[str], credentials: Credentials) -> None:
    """Replace the file ``path`` by ``credentials``, atomically; readable by its owner only at every instant."""
    path = Path(path)
    document = {name: getattr(credentials, name) for name in _FIELDS}
    document["token_used"] = credentials.token_used
    with Anchor(path.parent, make=0o700) as directory:
        durable.write_file(directory.path / path.name, json.dumps(document, indent=1).encode(), 0o600)


def consume_token(path: str | os.PathLike[str], credentials: Credentials) -> None:
    """Note in the file ``path`` that the token of ``credentials`` has opened a session.

    Of several receivers with one file, one only can do so: the others raise PeerRefused, as when the file holds another
    token by now. Raises as load.
    """
    with _locked(path):
        current = load(path)
        if current.token_used or not hmac.compare_digest(current.token.encode(), credentials.token.encode()):
            raise PeerRefused(
                f"the token in {os.fspath(path)} was used by an earlier transfer, or replaced, while this one waited",
                remedy=f"Give both ends a new token with {Program('xtrabackup_credentials')}, and each transfer "
                "a file of its own.",
                path=os.fspath(path),
            )
        save(path, replace(current, token_used=True))


@contextlib.contextmanager
def _locked(path: str | os.PathLike[str]) -> Iterator[None]:
    """The block has the file ``path`` for itself, among all that call this. Raises StorageError, TargetBusy.

    The lock is on the file itself, which nobody but its owner can open, so nobody else can hold it.
    """
    deadline = time.monotonic() + _LOCK_TIME
    with durable.storage_errors("locking", path), contextlib.ExitStack() as stack:
        while True:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
            stack.callback(os.close, descriptor)
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # the holder before us has put a new file in its place
                if os.path.samestat(os.fstat(descriptor), os.stat(path, follow_symlinks=False)):
                    break
            if time.monotonic() > deadline:
                raise TargetBusy(f"{os.fspath(path)} is in use by another job", path=os.fspath(path))
            time.sleep(_LOCK_PAUSE)
        yield


def tls_context(credentials: Credentials) -> ssl.SSLContext:
    """A context for TLS 1.3 that trusts exactly the peer's certificate.

    A receiver without one does not ask for it, and a sender without a key shows none (see ``session_credentials``).
    """
    server = credentials.role == "receiver"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # the certificate itself is pinned, whatever name the host goes by
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED if credentials.peer_certificate or not server else ssl.CERT_NONE
    if server:
        context.num_tickets = 0  # connections are never resumed
    try:
        if context.verify_mode is ssl.CERT_REQUIRED:
            context.load_verify_locations(cadata=credentials.peer_certificate)
        if credentials.private_key:
            with _private_file(credentials.certificate + credentials.private_key) as name:
                context.load_cert_chain(name)
    except ssl.SSLError as error:
        raise InvalidOption(
            f"the {credentials.role}'s credentials cannot be used for TLS: {error.reason or error}",
            remedy=_NEW_CREDENTIALS,
        ) from error
    return context


@contextlib.contextmanager
def _private_file(text: str) -> Iterator[str]:
    """The name of a file with ``text`` for the block (the ssl module takes names only): in memory when the kernel
    has such files, otherwise a temporary file of mode 0600."""
    if hasattr(os, "memfd_create") and os.path.isdir("/proc/self/fd"):
        with open(os.memfd_create("credentials", os.MFD_CLOEXEC), "w", encoding="ascii") as target:
            target.write(text)
            target.flush()
            yield f"/proc/self/fd/{target.fileno()}"
    else:
        with tempfile.NamedTemporaryFile("w", encoding="ascii") as target:
            target.write(text)
            target.flush()
            yield target.name


def _read(path: str | os.PathLike[str]) -> tuple[bytes, os.stat_result]:
    with durable.storage_errors("reading", path):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise FormatError(f"{os.fspath(path)} is not a regular file", path=os.fspath(path))
            return os.read(descriptor, _SIZE_LIMIT), status
        finally:
            os.close(descriptor)


def _parse(data: bytes, where: str) -> Credentials:
    try:
        document = strict_json.parse_object(data, where, max_bytes=_SIZE_LIMIT)
        values = {name: document[name] for name in _FIELDS}
        if values["role"] not in ROLES or not all(isinstance(value, str) for value in values.values()):
            raise ValueError("a field has a value of another kind")
        credentials = Credentials(token_used=bool(document.get("token_used", False)), **values)
        certificate_der(credentials.certificate)
        return credentials
    except (FormatError, ValueError, KeyError, TypeError, InvalidOption) as error:
        # not the parser's own text: it may quote what the file holds
        raise FormatError(
            f"{where} holds no transfer credentials ({type(error).__name__})", remedy=_NEW_CREDENTIALS, path=where
        ) from None


def _validity(pem: str) -> tuple[datetime.datetime, datetime.datetime]:
    """First and last instant (UTC) of the certificate ``pem``."""
    certificate = _cryptography("x509").load_pem_x509_certificate(pem.encode())
    if hasattr(certificate, "not_valid_after_utc"):  # cryptography 42 and later
        return certificate.not_valid_before_utc, certificate.not_valid_after_utc
    utc = datetime.timezone.utc
    return certificate.not_valid_before.replace(tzinfo=utc), certificate.not_valid_after.replace(tzinfo=utc)


def _cryptography(name: str) -> Any:
    """The module ``name`` of the library cryptography; raises MissingLibrary."""
    libraries.require("cryptography")
    return importlib.import_module(f"cryptography.{name}")


def _utc_now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc)
