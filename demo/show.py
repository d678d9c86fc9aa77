# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo: a primary under write load, a replica of it made by the real playbook, and the proof.

Ends with status 1 when the playbook fails, a table differs, or the second run of the playbook changes something.
$DEMO_SIZE says how much data there is (300MiB).
"""

from __future__ import annotations

import json
import os
import secrets
import sys
import time
from dataclasses import dataclass
from typing import Any

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.units import parse_size
from ansible_collections.innodb.xtrabackup.tests.support import checksums, plays
from ansible_collections.innodb.xtrabackup.tests.support.datasets import create_big
from ansible_collections.innodb.xtrabackup.tests.support.load import WriteLoad

from . import scene
from .scene import DIRECTORY, PORTS, DemoServer

SIZE = parse_size(os.environ.get("DEMO_SIZE", "300MiB"), "DEMO_SIZE")
LOAD_PER_SECOND = 300  # transactions
LOAD_SECONDS = 900  # the load ends by itself after that
CATCH_UP_SECONDS = 120
PLAYBOOK = "provision_replica.yml"
INVENTORY = DIRECTORY / "inventory.yml"
REPORT = DIRECTORY / "report.json"


class DemoFailed(Exception):
    """The demo did not show what it is there to show."""


def say(text: str) -> None:
    """One line for who watches."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


# --- the scene -----------------------------------------------------------------------------------


def fill(primary: DemoServer, passwords: dict[str, str]) -> None:
    """Start the primary; give it data and the two accounts that the README asks for."""
    primary.start()
    plays.create_accounts(primary, passwords)
    if primary.flavor == "mysql":
        primary.execute("GRANT LOCK TABLES, SELECT ON *.* TO backup@localhost")  # for tables that are not InnoDB's
    create_big(primary, SIZE >> 20)


def write_inventory(primary: DemoServer, replica: DemoServer) -> None:
    """Two hosts, both of them this machine: what the README asks for, and where the private servers are."""
    groups = {"primaries": {"primary": primary}, "replicas": {"replica": replica}}
    variables = {
        **plays.common_variables(),
        "xtrabackup_primary_port": PORTS["primary"],
        "xtrabackup_backup_user": "backup",
        "xtrabackup_replication_user": "repl",
        "xtrabackup_transfer_port": PORTS["transfer"],
        "xtrabackup_replica_report": str(REPORT),
    }
    children = {
        group: {"hosts": {host: plays.host_variables(server) for host, server in hosts.items()}}
        for group, hosts in groups.items()
    }
    plays.write_private(INVENTORY, {"all": {"vars": variables, "children": children}})


def run_playbook(passwords: dict[str, str]) -> dict[str, int]:
    """Run the playbook, shown as it runs; how many tasks have changed something, by host. Raises DemoFailed."""
    say(f"demo: ansible-playbook -i {INVENTORY} playbooks/{PLAYBOOK}")
    result = plays.run_playbook(
        PLAYBOOK,
        inventory=INVENTORY,
        scratch=DIRECTORY / "ansible",
        variables=passwords,
        echo=lambda line: say(f"  {line}"),
    )
    if result.status != 0:
        raise DemoFailed(f"the playbook has failed (status {result.status})")
    if set(result.changed) != {"primary", "replica"}:
        raise DemoFailed(f"the playbook ran on {sorted(result.changed)}, not on primary and replica")
    return result.changed


# --- the proof -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Comparison:
    """How replica and primary compare at one instant of the primary."""

    tables: int
    equal: bool
    seconds_to_reach: float
    difference: str = ""


def compare(primary: DemoServer, replica: DemoServer) -> Comparison:
    """Hold the primary's writes, let the replica reach that instant, and compare every table of both."""
    with primary.session() as connection, connection.cursor() as cursor:
        cursor.execute("FLUSH TABLES WITH READ LOCK")
        reached = checksums.wait_until_caught_up(primary, replica, timeout=CATCH_UP_SECONDS)
        tables = len(checksums.base_tables(primary))
        try:
            checksums.assert_tables_equal(primary, replica, at_least=8)
        except checksums.NotEqual as difference:
            return Comparison(tables, False, reached, str(difference))
        return Comparison(tables, True, reached)


def size_text(count: float) -> str:
    """Bytes for people."""
    return f"{count / (1 << 20):,.1f} MiB"


def table(report: dict[str, Any], seconds: float, load: WriteLoad, result: Comparison) -> list[tuple[str, str]]:
    """What was measured, line by line."""
    backup = report["backup"]
    # the waits for the locks are in the record as well; this is the time under them
    held = {name: value for name, value in backup["locks"].items() if not name.endswith("_wait")}
    locks = ", ".join(f"{name.upper()} {value:,.0f} ms" for name, value in held.items())
    writes = load.stop()
    redo, behind = backup["redo"], report["replication"]["seconds_behind"]
    lag = f"{behind} s; then reached an instant of the primary in {result.seconds_to_reach:.1f} s"
    return [
        ("data", f"{size_text(backup['bytes']['read'])} in {backup['files']} files"),
        ("copied in", f"{backup['seconds']:.1f} s, {backup['mib_per_second']:.1f} MiB/s"),
        ("redo copied", f"{size_text(redo['bytes'])}, at most {redo['peak_mib_per_second']:.1f} MiB/s"),
        ("time under each lock", locks),
        ("whole playbook", f"{seconds:.1f} s"),
        ("write load meanwhile", f"{writes.transactions:,} transactions, {writes.per_second:,.0f} a second"),
        ("replication lag", lag),
        ("tables compared", str(result.tables)),
        ("checksums equal", "yes" if result.equal else "NO"),
    ]


def show() -> None:
    """All of it. Raises DemoFailed."""
    scene.remove()
    scene.make_directory()
    say(f"demo: a {scene.NAMES[scene.FLAVOR]} primary with {size_text(SIZE)} of data, in {DIRECTORY}")
    # MySQL's replicas use no more than 32 characters, which these are
    passwords = {f"xtrabackup_{kind}_password": secrets.token_urlsafe(24) for kind in ("backup", "replication")}
    primary, replica = scene.make_primary(), scene.make_replica()
    fill(primary, passwords)
    write_inventory(primary, replica)
    engines = scene.STEP_ENGINES[scene.FLAVOR]
    with WriteLoad(primary, per_second=LOAD_PER_SECOND, max_seconds=LOAD_SECONDS, step_engines=engines) as load:
        say(f"demo: writing to it all the time, up to {LOAD_PER_SECOND} transactions a second")
        begun = time.monotonic()
        run_playbook(passwords)
        seconds = time.monotonic() - begun
        first = compare(primary, replica)
        say("demo: the same playbook again, which has nothing to do")
        again = run_playbook(passwords)
        second = compare(primary, replica)
        load.wait_for(10)  # it has been writing to the very end
    lines = table(json.loads(REPORT.read_text(encoding="utf-8")), seconds, load, first)
    lines.append(("second run", ", ".join(f"{host}: changed={count}" for host, count in again.items())))
    width = max(len(name) for name, _value in lines)
    say("")
    for name, value in lines:
        say(f"  {name:<{width}}  {value}")
    say("")
    for result in (first, second):
        if not result.equal:
            raise DemoFailed(result.difference)
    if any(again.values()):
        raise DemoFailed("the second run of the playbook has changed something")


if __name__ == "__main__":
    try:
        show()
    except DemoFailed as error:
        raise SystemExit(f"demo: FAILED: {error}") from error
    say("demo: both servers still run: look at them with")
    for server in ("primary", "replica"):
        say(f"demo:   {scene.CLIENTS[scene.FLAVOR]} --defaults-file={DIRECTORY / server / 'server.cnf'}")
    say("demo: make demo-down removes it all")
