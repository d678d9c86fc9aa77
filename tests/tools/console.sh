#!/usr/bin/env bash
# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Makes the command line in .build/console: one program, a link for each name that it answers to, manual pages.
# PYTHON: what runs it (by default whichever python3 comes first where it is used).
set -euo pipefail

cd "$(dirname "$0")/../.."
place=.build/console
program=$place/bin/xtrabackup.pyz

rm -rf "$place"
python3 roles/install/files/build_console.py "$program" "${PYTHON:-/usr/bin/env python3}" "$place/share/man/man1"
for name in xtrabackup mariadb-backup mariabackup xbstream mbstream; do
    ln -s xtrabackup.pyz "$place/bin/$name"
done
echo "$place/bin: xtrabackup mariadb-backup mariabackup xbstream mbstream"
