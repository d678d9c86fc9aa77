#!/usr/bin/env bash
# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Builds the collection and has it judged by Ansible Galaxy's own importer: an error or a warning of it fails. Nothing may be
# in the archive that git does not know, and an execution environment must find what the collection says that it needs.
set -euo pipefail

cd "$(dirname "$0")/../.."
root=$PWD
place=$root/.build/galaxy
venv=$root/.cache/galaxy-importer

if [ "$(cat "$venv/requirements" 2>/dev/null)" != "$(cat requirements.txt requirements-galaxy.txt)" ]; then
    rm -rf "$venv"
    "$(readlink -f .venv/bin/python)" -m venv "$venv"
    "$venv/bin/python" -m pip install -q --disable-pip-version-check -r requirements-galaxy.txt 2>.build/pip.log || {
        tail -n 20 .build/pip.log >&2
        exit 1
    }
    cat requirements.txt requirements-galaxy.txt >"$venv/requirements"
fi
export PATH=$venv/bin:$PATH
# The archive must be judged by itself: nothing of the surroundings may answer for it.
unset ANSIBLE_COLLECTIONS_PATH PYTHONPATH

rm -rf "$place"
mkdir -p "$place"
ansible-galaxy collection build --output-path "$place" . >/dev/null
archive=$(echo "$place"/*.tar.gz)

git ls-files --cached --others --exclude-standard | { cat; printf '%s\n' FILES.json MANIFEST.json; } | sort >"$place/known"
tar -tf "$archive" | grep -v '/$' | sort >"$place/packed"
junk=$(comm -13 "$place/known" "$place/packed")
[ -z "$junk" ] || { printf 'galaxy: in the archive, and not known to git:\n%s\n' "$junk" >&2; exit 1; }

cd "$place"
python -m galaxy_importer.main "$archive" >importer.log 2>&1 || { tail -n 40 importer.log >&2; exit 1; }
if grep -E '^(ERROR|WARNING)' importer.log >&2 || ! grep -q 'processing completed successfully' importer.log; then
    tail -n 40 importer.log >&2
    exit 1
fi

mkdir -p ansible_collections/innodb/xtrabackup
tar -xf "$archive" -C ansible_collections/innodb/xtrabackup
ansible-builder introspect "$place" >environment 2>introspect.log
grep -q 'from collection innodb.xtrabackup' environment || { cat environment introspect.log >&2; exit 1; }
echo "galaxy: $(wc -l <packed) files, no error, no warning"
