# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The troubleshooting guide: it is what the tree of errors says, and the tree says what a user needs."""

from __future__ import annotations

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine import errors
from ansible_collections.innodb.xtrabackup.tests.tools import error_pages

KINDS = [kind for group in error_pages.groups() for kind in group.classes]
MODULES = {path.stem for path in (error_pages.PROJECT / "plugins" / "modules").glob("[!_]*.py")}


def test_the_guide_is_what_the_tree_of_errors_says() -> None:
    guide = error_pages.GUIDE.read_text(encoding="utf-8")
    assert error_pages.replaced(guide) == guide, "run make error-pages"


def test_a_guide_without_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="no marks"):
        error_pages.replaced("nothing here")


def test_every_error_is_in_the_guide_under_a_code_of_its_own() -> None:
    def below(kind: type[errors.XtrabackupError]) -> set[type[errors.XtrabackupError]]:
        return {kind}.union(*(below(child) for child in kind.__subclasses__()))

    declared = {kind for kind in below(errors.XtrabackupError) if kind.__module__.startswith(errors.__name__)}
    assert declared - {errors.XtrabackupError} == set(KINDS)
    assert len({kind.code for kind in KINDS}) == len(KINDS)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.code)
def test_an_error_says_what_has_happened_and_what_to_do(kind: type[errors.XtrabackupError]) -> None:
    assert kind.code == kind.__dict__["code"], "the code of another error"
    assert kind.__doc__ != kind.__mro__[1].__doc__
    assert error_pages.first_sentence(kind).endswith(".")
    assert kind.default_remedy != errors.XtrabackupError.default_remedy, "no remedy"
    assert kind.default_remedy.endswith(".")
    assert set(kind.modules) <= MODULES
