# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sphinx' settings for the documentation site (tests/tools/docs.sh)."""

from __future__ import annotations

import zlib
from pathlib import Path

project = "innodb.xtrabackup"
author = "the innodb.xtrabackup authors"
copyright = f"2026, {author}"  # noqa: A001 # Sphinx' name for it
html_title = project

extensions = ["sphinx.ext.intersphinx", "sphinx_antsibull_ext"]
default_role = "any"
nitpicky = True  # a reference that leads nowhere is a warning, and a warning an error
pygments_style = "ansible"
highlight_language = "YAML+Jinja"

html_theme = "sphinx_ansible_theme"
html_theme_options = {"vcs_pageview_mode": "", "show_extranav": False}
html_static_path = [str(Path(__file__).parent / "static")]
html_css_files = ["site.css"]
html_show_sphinx = False
html_use_index = False
html_copy_source = False

# What the reference says about Ansible itself. An inventory of our own instead of theirs: the build needs no network,
# and any other reference that leads nowhere is still found.
ANSIBLE_DOCS = "https://docs.ansible.com/projects/ansible/latest/"
ANSIBLE_LABELS = {
    "ansible_configuration_settings": ("reference_appendices/config.html", "Ansible Configuration Settings"),
    "common_return_values": ("reference_appendices/common_return_values.html", "Return Values"),
}


def write_inventory(path: Path, labels: dict[str, tuple[str, str]]) -> None:
    """``labels`` (page and title by label) as a Sphinx inventory of version 2."""
    head = "# Sphinx inventory version 2\n# Project: Ansible\n# Version:\n# The remainder is compressed using zlib.\n"
    lines = "".join(f"{name} std:label -1 {page}#{name} {title}\n" for name, (page, title) in labels.items())
    path.write_bytes(head.encode() + zlib.compress(lines.encode()))


_inventory = Path(__file__).resolve().parents[2] / ".build" / "docs" / "ansible.inv"
write_inventory(_inventory, ANSIBLE_LABELS)
intersphinx_mapping = {"ansible": (ANSIBLE_DOCS, str(_inventory))}
