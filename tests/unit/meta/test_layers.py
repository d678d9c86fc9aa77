# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine is built in layers: a module imports from its own room and from those below it, and never upward.

And its unit tests are where its modules are.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils import engine

ENGINE = Path(engine.__file__).parent
TESTS = Path(__file__).parents[1] / "plugins" / "module_utils" / "engine"

#: the rooms of the engine (folders, and modules beside them), the lowest first. Rooms in one row do not import each
#: other
LAYERS = (
    ("printable",),
    ("errors",),
    ("addresses", "libraries", "units"),
    ("format",),
    ("host",),
    ("job_log", "manifest", "progress"),
    ("innodb",),
    ("server",),
    ("stream",),
    ("transport",),
    ("sources",),
    ("destinations",),
    ("backup", "recovery"),
    ("restore",),
    ("catalog",),
    ("replica",),
)

LAYER_OF = {room: number for number, rooms in enumerate(LAYERS) for room in rooms}


def imported_rooms(source: str, module: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    """Line and room of each import in ``source`` from the engine; ``module`` is its path there, without a suffix."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.ImportFrom):
            continue
        if node.level:
            base = list(module[: len(module) - node.level]) if node.level <= len(module) else None
            if base is None:
                continue
            path = base + (node.module.split(".") if node.module else [])
        else:
            _before, engine_name, inside = (node.module or "").partition("module_utils.engine")
            if not engine_name:
                continue
            path = inside.strip(".").split(".") if inside else []
        for room in [path[0]] if path else [alias.name for alias in node.names]:
            yield node.lineno, room


def wrong_imports(source: str, module: tuple[str, ...]) -> list[str]:
    """The imports in ``source`` that the layers forbid."""
    own = module[0]
    return [
        f"{'/'.join(module)}.py:{line} imports {room}"
        for line, room in imported_rooms(source, module)
        if room != own and LAYER_OF[room] >= LAYER_OF[own]
    ]


def test_every_room_has_its_layer() -> None:
    rooms = {path.stem for path in ENGINE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert rooms - {"__init__"} == set(LAYER_OF)


def test_no_import_runs_upward() -> None:
    wrong = []
    for path in sorted(ENGINE.rglob("*.py")):
        module = path.relative_to(ENGINE).with_suffix("").parts
        if module != ("__init__",):
            wrong += wrong_imports(path.read_text(), module)
    assert wrong == []


@pytest.mark.parametrize(
    ("source", "module", "wrong"),
    [
        ("from ..restore.layout import Layout", ("host", "ownership"), True),
        ("from .. import manifest", ("format", "metadata"), True),
        ("from ...stream.holes import HolePages", ("innodb", "mysql", "page"), True),
        ("def f():\n    from ..stream import sink", ("server", "layout"), True),
        ("from .host import below", ("manifest",), False),
        ("from ..errors import FormatError", ("format", "metadata"), False),
        ("from .layout import Layout", ("server", "facts"), False),
        ("from ..backup import run", ("recovery", "native"), True),
        (
            "from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.restore import plan",
            ("host", "x"),
            True,
        ),
        ("from pathlib import Path", ("errors", "base"), False),
    ],
)
def test_an_import_that_runs_upward_is_seen(source: str, module: tuple[str, ...], wrong: bool) -> None:
    assert bool(wrong_imports(source, module)) is wrong


def test_unit_tests_are_where_their_modules_are() -> None:
    """``x/test_y.py`` and ``x/test_y_aspect.py`` test the module ``x/y.py``."""
    lost = []
    for path in sorted(TESTS.rglob("test_*.py")):
        folder = ENGINE / path.relative_to(TESTS).parent
        words = path.stem.split("_")[1:]
        if not any((folder / f"{'_'.join(words[:count])}.py").is_file() for count in range(1, len(words) + 1)):
            lost.append(str(path.relative_to(TESTS)))
    assert lost == []
