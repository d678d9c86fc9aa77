#!/usr/bin/env bash
# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Installs what demo and tests need: Debian packages (as root or through sudo), .venv, and the
# collection's own place in a collections path (.build/collections). A second run changes nothing and
# takes no time: what is there is looked at each time, what was installed into .venv is known by a hash. Arguments are
# further lists of packages.
set -euo pipefail

cd "$(dirname "$0")/../.."
root=$PWD
packages_files=(tests/tools/packages-debian.txt "$@")
stamp=.venv/.requirements.sha256

say() { printf 'setup: %s\n' "$*"; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        fail "packages must be installed: run this as root, or install sudo"
    fi
}

missing_packages() {
    local package
    while read -r package _; do
        case $package in '' | '#'*) continue ;; esac
        dpkg-query -W -f='${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || echo "$package"
    done < <(cat "${packages_files[@]}")
}

# Installs packages without starting, or enabling for the next boot, the server that may be among them.
install_packages() {
    local policy=/usr/sbin/policy-rc.d ours='' server_is_new=''
    [ -n "$(command -v apt-get)" ] || fail "this is not a Debian or Ubuntu system; needed here: $*"
    case " $* " in *' mariadb-server '*) server_is_new=yes ;; esac
    if [ -n "$server_is_new" ] && [ ! -e "$policy" ]; then
        printf '#!/bin/sh\n# No service is started while make setup installs packages.\nexit 101\n' |
            as_root tee "$policy" >/dev/null
        as_root chmod 755 "$policy"
        ours=yes
        # shellcheck disable=SC2064 # the path is known now
        trap "as_root rm -f '$policy'" EXIT
    fi
    say "installing packages: $*"
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >.build/apt.log 2>&1 || {
        tail -n 20 .build/apt.log >&2
        fail "apt-get could not install: $*"
    }
    if [ -n "$ours" ]; then
        as_root rm -f "$policy"
        trap - EXIT
    fi
    if [ -n "$server_is_new" ] && [ -d /run/systemd/system ]; then
        as_root systemctl disable --quiet mariadb.service mariadb.socket 2>/dev/null || true
    fi
}

# A Python of 3.11 or newer: $PYTHON, or the first of these; its real path, never a shim. The distribution's comes first:
# it is what managed hosts have, and a quarter faster than one that was compiled without optimisation.
find_python() {
    local candidate
    for candidate in ${PYTHON:-} /usr/bin/python3 python3 python3.13 python3.12 python3.11; do
        "$candidate" -c 'import os, sys; assert sys.version_info >= (3, 11); print(os.path.realpath(sys.executable))' \
            2>/dev/null && return
    done
    fail "no Python 3.11 or newer was found"
}

requirements_hash() {
    { cat requirements.txt requirements-hosts.txt requirements-test.txt; .venv/bin/python -V; } | sha256sum
}

mkdir -p .build/collections/ansible_collections/innodb
ln -sfn ../../../.. .build/collections/ansible_collections/innodb/xtrabackup

mapfile -t packages < <(missing_packages)
[ "${#packages[@]}" -eq 0 ] || install_packages "${packages[@]}"

if ! .venv/bin/python -c 'import pip' 2>/dev/null; then
    python=$(find_python)
    say "making .venv with $python"
    rm -rf .venv
    "$python" -m venv .venv
fi
if [ "$(cat "$stamp" 2>/dev/null)" != "$(requirements_hash)" ]; then
    say "installing Python packages into .venv"
    .venv/bin/python -m pip install -q --disable-pip-version-check -r requirements-test.txt 2>.build/pip.log || {
        tail -n 20 .build/pip.log >&2
        fail "pip could not install requirements-test.txt"
    }
    requirements_hash >"$stamp"
fi

as_root tests/tools/mysql.sh || fail "the MySQL server could not be unpacked (see above)"

for program in mariadbd mariadb-install-db mariadb-backup mbstream mariadb sysbench zstd lz4; do
    PATH=$PATH:/usr/sbin:/sbin command -v "$program" >/dev/null || fail "$program is not there although its package is"
done
[ -x .venv/bin/ansible-playbook ] || fail ".venv is not complete: remove $root/.venv and run make setup again"
say "ready"
