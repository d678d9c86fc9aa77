# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role install places the command line, as users run it, and replaces nobody's programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible_collections.innodb.xtrabackup.tests.support import console
from ansible_collections.innodb.xtrabackup.tests.support.plays import PlayResult, run_playbook, write_private


def place(workdir: Path, *arguments: str, **variables: Any) -> PlayResult:
    """Run the role on this machine, by the system's Python, for a directory of the test's."""
    host = {"ansible_connection": "local", "ansible_python_interpreter": console.PYTHON}
    write_private(workdir / "inventory.yml", {"all": {"hosts": {"db1": host}}})
    role = {"role": "innodb.xtrabackup.install"}
    write_private(workdir / "play.yml", [{"hosts": "all", "gather_facts": False, "roles": [role]}])
    wanted = {"xtrabackup_console": True, "xtrabackup_console_directory": str(workdir / "opt" / "bin"), **variables}
    return run_playbook(
        str(workdir / "play.yml"),
        *arguments,
        inventory=workdir / "inventory.yml",
        scratch=workdir / "scratch",
        variables=wanted,
    )


def test_the_role_places_the_programs_and_their_manuals_and_finds_nothing_to_do_then(workdir: Path) -> None:
    looked = place(workdir, "--check")
    assert looked.status == 0, looked.output
    assert looked.changed["db1"]
    assert not (workdir / "opt").exists()
    placed = place(workdir)
    assert placed.status == 0, placed.output
    programs = workdir / "opt" / "bin"
    assert sorted(path.name for path in programs.iterdir()) == sorted([*console.NAMES, "xtrabackup.pyz"])
    for name in console.NAMES:
        done = console.require(console.run(programs / name, "--version"))
        assert done.out.decode().startswith(f"{name} ")
        assert (workdir / "opt/share/man/man1" / f"{name}.1").read_text().startswith(".TH")
    # the Python that has the libraries, not whichever comes first
    first_line = (programs / "xtrabackup.pyz").read_bytes().partition(b"\n")[0].decode()
    assert first_line.startswith("#!/usr/bin/python3")
    again = place(workdir)
    assert again.status == 0, again.output
    assert again.changed["db1"] == 0


def test_a_program_of_another_is_never_replaced(workdir: Path) -> None:
    programs = workdir / "opt" / "bin"
    programs.mkdir(parents=True)
    stock = programs / "mariadb-backup"
    stock.write_text("#!/bin/sh\n")
    (programs / "xbstream").symlink_to("/usr/bin/mbstream")
    refused = place(workdir)
    assert refused.status != 0
    assert f"{stock}, {programs}/xbstream: not from this role, so not replaced" in " ".join(refused.output.split())
    assert stock.read_text() == "#!/bin/sh\n"
    assert sorted(path.name for path in programs.iterdir()) == ["mariadb-backup", "xbstream"]
    some = place(workdir, xtrabackup_console_names=["xtrabackup", "mbstream"])
    assert some.status == 0, some.output
    assert stock.read_text() == "#!/bin/sh\n"
    assert (programs / "xbstream").readlink() == Path("/usr/bin/mbstream")
