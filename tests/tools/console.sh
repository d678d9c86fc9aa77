#!/usr/bin/env bash
# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Makes the command line in .build/console: one program, a link for each name that it answers to, manual pages.
# PYTHON: what runs it (by default whichever python3 comes first where it is used).
set -euo pipefail

cd "$(dirname "$0")/../.."
place=${1:-.build/console}
program=$place/bin/xtrabackup.pyz

python3 roles/install/files/build_console.py "$program" ${PYTHON:+"$PYTHON"}
mkdir -p "$place/share/man/man1"
for name in xtrabackup mariadb-backup mariabackup xbstream mbstream; do
    ln -sfn xtrabackup.pyz "$place/bin/$name"
    python3 "$program" manual "$name" >"$place/share/man/man1/$name.1"
done
echo "$place/bin: xtrabackup mariadb-backup mariabackup xbstream mbstream"
