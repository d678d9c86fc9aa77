#!/usr/bin/env bash
# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Unpacks the MySQL server of Debian sid into .cache/mysql, beside whatever this machine has installed: neither its
# packages nor its libraries are touched. The programs are made to find the loader and the libraries that came with
# them, so that they run from there as if they were installed. Run again, it does nothing; remove .cache/mysql for a
# newer server. Run as root (mmdebstrap); MYSQL_SUITE and MYSQL_MIRROR name another source.
set -euo pipefail

cd "$(dirname "$0")/../.."
root=$PWD/.cache/mysql
suite=${MYSQL_SUITE:-sid}
mirror=${MYSQL_MIRROR:-http://deb.debian.org/debian}
stamp=$root/unpacked

# the paths in the programs are absolute: a project that was moved needs them anew
[ "$(cat "$stamp" 2>/dev/null)" != "$root $suite" ] || exit 0
echo "mysql: unpacking the server of Debian $suite into $root"
rm -rf "$root" "$root.unfinished"
mkdir -p "$(dirname "$root")"
# the Release file of an archive's mirror may be older than it says it is good for
mmdebstrap --quiet --variant=extract --include=mysql-server-core,mysql-client-core \
    --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='Acquire::Languages "none"' \
    "$suite" "$root.unfinished" "$mirror"
mv "$root.unfinished" "$root"
libraries=$root/usr/lib/$(uname -m)-linux-gnu
loader=$(find "$libraries" "$root/usr/lib64" "$root/usr/lib" -maxdepth 1 -name 'ld-linux*.so.*' 2>/dev/null | head -n 1)
for program in usr/sbin/mysqld usr/bin/mysql usr/bin/mysqldump usr/bin/mysqladmin usr/bin/my_print_defaults; do
    [ ! -e "$root/$program" ] || patchelf --force-rpath --set-interpreter "$loader" \
        --set-rpath "$libraries:$root/usr/lib/mysql/private" "$root/$program"
done
"$root/usr/sbin/mysqld" --no-defaults --version
echo "$root $suite" >"$stamp"
