# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
#
# What sanity.sh and units.sh share. Sourced from the project's directory.
#
# ansible-test wants to stand in a real directory ansible_collections/innodb/xtrabackup, so it gets a copy of
# what git knows or would add.

# Directories of working interpreters. A pyenv shim is a pythonX.Y that answers 127 unless told which to be,
# and would be taken for one.
interpreter_directories() {
    local version candidate
    for version in 3.9 3.10 3.11 3.12 3.13 3.14; do
        for candidate in "python$version" "/usr/bin/python$version" "$HOME/.pyenv/versions/$version".*/bin/python; do
            if "$candidate" -c 'import os, sys; print(os.path.dirname(os.path.realpath(sys.executable)))' 2>/dev/null; then
                break
            fi
        done
    done | sort -u | paste -sd:
}

# copy_collection DIRECTORY: into DIRECTORY/ansible_collections/innodb/xtrabackup.
copy_collection() {
    local target=$1/ansible_collections/innodb/xtrabackup
    rm -rf "$target"
    mkdir -p "$target"
    if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
        git ls-files -z --cached --others --exclude-standard
    else
        find . \( -path ./.build -o -path ./.venv -o -path ./.cache -o -path ./tests/output \) -prune -o -type f -print0
    fi | while IFS= read -r -d '' file; do
        [ ! -f "$file" ] || printf '%s\0' "$file"
    done | tar -c --null --files-from=- -f - | tar -x -C "$target" -f -
    # ansible-test asks git for the files, and must not find the repository around this directory, which ignores it
    git init --quiet "$target"
}
