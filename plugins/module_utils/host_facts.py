# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Facts that the module xtrabackup_info gathers: of a server, or of a host and all that is on it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .engine.catalog import describe_path, describe_user_data, read_job
from .engine.errors import ConnectionFailed, XtrabackupError
from .engine.replica.gather import (
    HostQuestion,
    read_all,
    read_host,
)
from .engine.replica.source_login import SourceLogin
from .engine.server.connection import (
    Connection,
    ConnectionParameters,
)
from .engine.server.facts import (
    data_bytes_of,
    objects_of,
    replication_facts,
    server_facts,
)
from .engine.server.installed import ServerRequest
from .engine.server.user_data import ServerObjects
from .remote_jobs import Job

HOST_OPTION: dict[str, Any] = {
    "type": "dict",
    "options": {
        "flavor": {"type": "str", "default": ""},
        "server_program": {"type": "str", "default": ""},
        "defaults_file": {"type": "str", "default": ""},
        "datadir": {"type": "str", "default": ""},
        "socket": {"type": "str", "default": ""},
        "service": {"type": "str", "default": ""},
        "service_managed": {"type": "bool", "default": True},
        "admin_user": {"type": "str", "default": ""},
        "admin_password": {"type": "str", "default": "", "no_log": True},
        "incoming": {"type": "str", "default": ""},
        "files": {"type": "list", "elements": "str", "default": []},
        "source": {
            "type": "dict",
            "options": {
                "host": {"type": "str", "required": True},
                "port": {"type": "int", "default": 3306},
                "user": {"type": "str", "required": True},
                "password": {"type": "str", "required": True, "no_log": True},
                "ssl": {"type": "bool"},
                "ssl_ca": {"type": "str", "default": ""},
                "ssl_cert": {"type": "str", "default": ""},
                "ssl_key": {"type": "str", "default": "", "no_log": False},
                "ssl_verify": {"type": "bool"},
                "public_key": {"type": "bool", "default": False},
            },
        },
        "job": {"type": "str", "default": ""},
        "run_dir": {"type": "str", "default": ""},
    },
}
LOGIN_SAID = ("login_user", "login_password", "login_host", "login_port", "login_unix_socket", "config_file")


def server_part(params: dict[str, Any]) -> tuple[dict[str, Any], ServerObjects | None]:
    """The server and its channels, if one is asked for or there; and what it holds, if it runs on the place O(src)."""
    said = any(params[name] is not None for name in LOGIN_SAID)
    # without a login, a server that cannot be asked is no reason to fail
    tolerated: type[XtrabackupError] = ConnectionFailed if said else XtrabackupError
    try:
        with Connection(ConnectionParameters.from_options(params)) as connection:
            facts: dict[str, Any] = {
                "server": server_facts(connection),
                "replication": replication_facts(connection),
            }
            if params["data_size"]:
                facts["server"]["data_bytes"] = data_bytes_of(connection)
            return facts, objects_of(connection, params["src"])
    except tolerated as error:
        if said and not params["server_optional"]:
            raise
        return {"server": None, "server_error": error.as_dict()}, None


def host_question(params: dict[str, Any]) -> HostQuestion:
    """The query that the module's options ``params`` make about a host."""
    host = params["host"]
    requested = ServerRequest(
        host["flavor"],
        host["server_program"],
        host["defaults_file"],
        params.get("src") or host["datadir"],
        params["login_unix_socket"] or host["socket"],
    )
    return HostQuestion(
        requested,
        host["service"],
        host["service_managed"],
        host["incoming"],
        host["files"],
        SourceLogin(**host["source"]) if host["source"] else None,
    )


def logins(params: dict[str, Any]) -> tuple[ConnectionParameters, ConnectionParameters]:
    """The account of the options ``params``, and the administrator of their option ``host``."""
    login, host = ConnectionParameters.from_options(params), params["host"]
    return login, replace(login, user=host["admin_user"], password=host["admin_password"])


def job_part(host: dict[str, Any]) -> dict[str, Any]:
    """The state of the job that makes a replica of this host: whether it goes on, its phase, process and code."""
    job = Job.named(host["job"], host["run_dir"])
    if not job.lives:
        return {"replica_job": {"alive": False, "phase": ""}}
    known = {"id": host["job"], "pid": job.run()[0], "code": job.code()}
    return {"replica_job": {"alive": True, "phase": job.phase(), **known}}


def host_part(params: dict[str, Any]) -> dict[str, Any]:
    """The host, and all that is on it where a login is given."""
    question = host_question(params)
    if params["login_user"] is None:
        return {"host": read_host(question)}
    # first: what a job that ends meanwhile has done is seen then
    job = job_part(params["host"]) if params["host"]["job"] else {}
    return {**read_all(question, *logins(params)), **job}


def gather(params: dict[str, Any]) -> dict[str, Any]:
    """Gather what the module's options ``params`` ask for."""
    if params["host"] is not None:
        return host_part(params)
    result, objects = server_part(params)
    if params["src"] is not None:
        result["source"], result["backup"] = describe_path(params["src"])
        if result["source"]["kind"] == "datadir":
            result["user_data"] = describe_user_data(params["src"], objects)
    if params["progress_file"] is not None:
        result["job"] = read_job(params["progress_file"])
    return result
