#!/usr/bin/env bash
# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The documentation site, into .build/docs/html: the guides of docs/docsite/rst, and the reference of modules and roles.
# Needs no network once its tools are installed. A warning is an error. `make` has put .venv into PATH.
set -euo pipefail

cd "$(dirname "$0")/../.."
place=.build/docs
export ANSIBLE_COLLECTIONS_PATH=$PWD/.build/collections

python -m pip install -q --disable-pip-version-check -r requirements-docs.txt 2>.build/pip.log || {
    tail -n 20 .build/pip.log >&2
    exit 1
}

rm -rf "$place"
install -d -m 755 "$place/rst"
antsibull-docs collection --use-current --squash-hierarchy --fail-on-error --no-add-antsibull-docs-version \
    --cleanup everything --dest-dir "$place/rst" innodb.xtrabackup
cp -r docs/pictures "$place/rst/pictures"

# The collection's page becomes the front page: our words, then the generated lists of guides, modules and roles.
generated=$(sed -n '/^\.\. toctree::/,$p' "$place/rst/index.rst")
[ -n "$generated" ] || { echo "docs: the generated index has no lists" >&2; exit 1; }
{ cat docs/site/front.rst; printf '\n%s\n' "$generated"; } >"$place/rst/index.rst"

sphinx-build --builder html --conf-dir docs/site --doctree-dir "$place/doctrees" --fail-on-warning --keep-going --quiet \
    "$place/rst" "$place/html"
echo "docs: $place/html/index.html"
