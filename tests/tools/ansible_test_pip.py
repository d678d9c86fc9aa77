# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lets ansible-test bootstrap pip from the package index, on machines that reach that and nothing else.

ansible-test fills the virtual environments of its sanity tests with a get-pip script of one fixed version.
It downloads the script from a host of its own, unless one lies in its cache. Here the script in the cache is
made from pip's own wheel: a wheel can be imported as it is, so pip can install itself.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

SCRIPT = '''\
"""pip {version}, run from the wheel beside this file; made by tests/tools/ansible_test_pip.py."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "{wheel}"))

from pip._internal.cli.main import main  # noqa: E402 # the path must be set first

if __name__ == "__main__":
    unknown_to_pip = ("--no-setuptools", "--no-wheel")  # options of get-pip itself
    sys.exit(main(["install"] + [word for word in sys.argv[1:] if word not in unknown_to_pip]))
'''


def pip_versions() -> set[str]:
    """The versions of pip that this ansible-test may ask for, as its source has them."""
    from ansible_test._internal import python_requirements  # private, so kept to one place

    source = Path(python_requirements.__file__).read_text(encoding="utf-8")
    found = set(re.findall(r"""\bpip=['"]([0-9.]+)['"]""", source))
    if not found:
        sys.exit("ansible_test_pip: this ansible-test does not say which pip it wants: look at get_venv_packages in it")
    return found


def provide(version: str, cache: Path) -> None:
    """Put the script for pip ``version``, and its wheel, into the directory ``cache``, unless they are there."""
    script = cache / f"get_pip_{version.replace('.', '_')}.py"
    wheel = cache / f"pip-{version}-py3-none-any.whl"
    if script.exists() and (wheel.exists() or "made by tests/tools" not in script.read_text(encoding="utf-8")):
        return
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        subprocess.run(
            [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "download", f"pip=={version}"]
            + ["--no-deps", "--only-binary", ":all:", "--dest", scratch],
            check=True,
        )
        (Path(scratch) / wheel.name).replace(wheel)
    script.write_text(SCRIPT.format(version=version, wheel=wheel.name), encoding="utf-8")


if __name__ == "__main__":
    for wanted in pip_versions():
        provide(wanted, Path.home() / ".ansible" / "test" / "cache")
