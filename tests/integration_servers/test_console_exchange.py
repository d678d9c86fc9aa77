# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stock tools and ours exchanged at every place of a pipeline: backup, unpack, pack, prepare, copy."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.tests.integration_servers.conftest import ServerFactory
from ansible_collections.innodb.xtrabackup.tests.support import console, load
from ansible_collections.innodb.xtrabackup.tests.support.servers import MariaDBServer, program


@pytest.mark.slow
def test_every_step_can_be_done_by_the_stock_tool_or_by_ours(workdir: Path, make_server: ServerFactory) -> None:
    source = make_server("source")
    ours = console.build(workdir / "bin")
    stock = Path(program("mariadb-backup")).parent
    makers = {"ours": ours, "stock": stock}
    with load.WriteLoad(source) as writing:
        writing.wait_for(20)
        for maker, tools in makers.items():
            stream = (
                f"mariadb-backup --defaults-file={source.option_file} --backup --stream=mbstream --target-dir=unused"
            )
            console.require(console.shell(f"{tools}/{stream} > {maker}.mbstream", workdir))
        writing.stop()
    for maker, (unpacker, tools) in itertools.product(makers, makers.items()):
        unpacked = workdir / f"{maker}-{unpacker}"
        unpacked.mkdir()
        console.require(console.shell(f"{tools}/mbstream -x -p 2 -C {unpacked} < {maker}.mbstream", workdir))
        # and packed and unpacked once more, by the other one
        other = ours if tools == stock else stock
        again = workdir / f"again-{unpacked.name}"
        again.mkdir()
        pack = f"find . -type f -printf '%P\\n' | xargs {other}/mbstream -c | {tools}/mbstream -x -C {again}"
        console.require(console.shell(pack, unpacked))
        target = make_server(f"restored-{maker}-{unpacker}", start=False)
        for backup, prepare, copy in ((unpacked, stock, ours), (again, ours, stock)):
            _prepare_and_use(backup, prepare, copy, target)
            shutil.rmtree(target.datadir)


def _prepare_and_use(backup: Path, preparer: Path, copier: Path, target: MariaDBServer) -> None:
    """Prepare a backup with the tool in ``preparer``, put it in place with that in ``copier``, and use it."""
    console.require(console.run(preparer / "mariadb-backup", "--prepare", f"--target-dir={backup}"))
    copied = console.run(
        copier / "mariadb-backup", f"--defaults-file={target.option_file}", "--copy-back", f"--target-dir={backup}"
    )
    console.require(copied)
    target.start()
    load.check_invariants(target)
    target.stop()
