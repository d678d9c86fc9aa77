# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets of the command line are blanked where everybody can see them: in /proc/PID/cmdline.

The kernel shows there what is in the process's own memory, and that can be written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from .option import Option

_BLANK = b"x"


def secrets_in(words: Sequence[str], options: Mapping[str, Option]) -> Iterable[tuple[int, int]]:
    """(number of the word, where in it the secret begins) of each secret in ``words``.

    Rather too many than too few: an abbreviation that could mean a secret option counts.
    """
    secret = [option for option in options.values() if option.secret]
    for number, word in enumerate(words):
        if word == "--":
            return
        if word.startswith("--"):
            name, equals, _value = word[2:].partition("=")
            normal = name.replace("_", "-")
            meant = [option for option in secret if normal and option.name.startswith(normal)]
            if not meant:
                continue
            if equals:
                yield number, len(name) + 3
            elif meant[0].takes_word and number + 1 < len(words):
                yield number + 1, 0
        elif word.startswith("-"):
            yield from _short_secrets(number, words, options)


def _short_secrets(number: int, words: Sequence[str], options: Mapping[str, Option]) -> Iterable[tuple[int, int]]:
    shorts = {option.short: option for option in options.values() if option.short}
    for index, letter in enumerate(words[number][1:], 2):
        option = shorts.get(letter)
        if option is None or (option.takes_word and not option.secret):
            return
        if option.secret:
            if len(words[number]) > index:
                yield number, index
            elif option.takes_word and number + 1 < len(words):
                yield number + 1, 0
            return


def blank(words: Sequence[str], options: Mapping[str, Option]) -> bool:
    """Blank the secrets of ``words``, the last ones of this process's command line; False when that was not
    possible."""
    found = list(secrets_in(words, options))
    if not found:
        return True
    try:
        start = _argument_start()
        with open("/proc/self/cmdline", "rb") as shown:
            parts = shown.read().split(b"\0")[:-1]
        first = len(parts) - len(words)
        with open("/proc/self/mem", "r+b", buffering=0) as memory:
            for number, offset in found:
                part = parts[first + number]
                at = start + sum(len(other) + 1 for other in parts[: first + number])
                head = len(words[number][:offset].encode("utf-8", "surrogateescape"))
                memory.seek(at + head)
                memory.write(_BLANK * (len(part) - head))
        with open("/proc/self/cmdline", "rb") as shown:
            parts = shown.read().split(b"\0")[:-1]
    except (OSError, ValueError, IndexError):
        return False
    return all(not parts[first + number][offset:].strip(_BLANK) for number, offset in found)


def _argument_start() -> int:
    """The address of the arguments of this process (arg_start of proc(5))."""
    with open("/proc/self/stat", encoding="utf-8", errors="replace") as status:
        # the second field is the name in parentheses and may hold blanks
        fields = status.read().rpartition(")")[2].split()
    return int(fields[48 - 3])
