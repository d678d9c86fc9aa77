# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The login of a new channel is tried with all that the channel will have of TLS; what would not connect is refused."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.family import Family
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.replica.source_login import (
    SourceLogin,
    try_source,
)
from ansible_collections.innodb.xtrabackup.tests.support.estate import Estate
from ansible_collections.innodb.xtrabackup.tests.support.plays import failed, succeeded


def make_certificate(place: Path, name: str) -> Path:
    """A certificate that signs itself, and its key, for the host ``name``: cert.pem and key.pem in ``place``."""
    place.mkdir()
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}",
            "-addext", f"subjectAltName={'IP' if name[0].isdigit() else 'DNS'}:{name}",
            "-keyout", str(place / "key.pem"), "-out", str(place / "cert.pem"),
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return place / "cert.pem"


def states(estate: Estate, family: Family, cases: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """The state of the login with each of the settings of a new channel."""
    password = estate.passwords["xtrabackup_replication_password"]
    login: dict[str, Any] = {"host": "127.0.0.1", "port": estate.primary.port, "user": "repl", "password": password}
    version = estate.primary.value("SELECT VERSION()").partition("-")[0]
    numbers = tuple(map(int, version.split(".")))
    return {
        name: str(try_source(SourceLogin(**login, **given).of_new_channel(family, numbers))["state"])
        for name, given in cases.items()
    }


def test_a_certificate_that_a_new_channel_would_refuse_is_refused_before_a_copy_is_made(estate: Estate) -> None:
    own = make_certificate(estate.directory / "own", "127.0.0.1")
    other = make_certificate(estate.directory / "other", "db.example.org")
    estate.host("replica")

    def restart(certificate: Path) -> None:
        key = str(certificate.with_name("key.pem"))
        estate.primary.restart({"ssl_cert": str(certificate), "ssl_key": key})

    cases: dict[str, dict[str, Any]] = {
        "no authority": {"ssl": True},
        "not verified": {"ssl": True, "ssl_verify": False},
        "own authority": {"ssl": True, "ssl_ca": str(own)},
        "other authority": {"ssl": True, "ssl_ca": str(other)},
        "other authority, any name": {"ssl": True, "ssl_ca": str(other), "ssl_verify": False},
        "no TLS": {"ssl_ca": str(other)},
    }
    restart(own)
    assert states(estate, Family.MARIADB, cases) == {
        "no authority": "refused",
        "not verified": "accepted",
        "own authority": "accepted",
        "other authority": "refused",
        "other authority, any name": "refused",
        "no TLS": "accepted",
    }
    restart(other)
    assert states(estate, Family.MARIADB, cases) == {
        "no authority": "refused",
        "not verified": "accepted",
        "own authority": "refused",
        "other authority": "refused",
        "other authority, any name": "accepted",
        "no TLS": "accepted",
    }
    given: dict[str, Any] = {"xtrabackup_replication_ssl": True, "xtrabackup_replication_ssl_ca": str(other)}
    failed(estate.play(**given), "Nothing was touched", "cannot log in to", "certificate", "_verify")
    succeeded(estate.play("--check", xtrabackup_replication_ssl_verify=False, **given))


@pytest.mark.parametrize("estate", ["mysql"], indirect=True)
def test_what_a_new_channel_of_mysql_could_not_log_in_with_is_refused_before_a_copy_is_made(estate: Estate) -> None:
    estate.host("replica")
    authority = str(estate.primary.datadir / "ca.pem")
    other = str(make_certificate(estate.directory / "other", "127.0.0.1"))
    assert states(
        estate,
        Family.MYSQL,
        {
            "nothing": {},
            "authority": {"ssl_ca": authority},  # the certificate that a server makes for itself names no host
            "authority, any name": {"ssl_ca": authority, "ssl_verify": False},
            "other authority": {"ssl_ca": other, "ssl_verify": False},
            "no TLS": {"ssl": False},
            "no TLS, with the key": {"ssl": False, "public_key": True},
        },
    ) == {
        "nothing": "accepted",
        "authority": "refused",
        "authority, any name": "accepted",
        "other authority": "refused",
        "no TLS": "refused",
        "no TLS, with the key": "accepted",
    }
    failed(estate.play(xtrabackup_replication_ssl_ca=authority), "Nothing was touched", "cannot log in to", "_verify")
    failed(
        estate.play(xtrabackup_replication_ssl=False), "Nothing was touched", "xtrabackup_replication_public_key: true"
    )
    failed(estate.play("--check", xtrabackup_replication_ssl_verify=True), "no xtrabackup_replication_ssl_ca says")
    given: dict[str, Any] = {"xtrabackup_replication_ssl": False, "xtrabackup_replication_public_key": True}
    succeeded(estate.play("--check", **given))
