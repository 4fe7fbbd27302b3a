#!/bin/sh
# Prints the path of a Python that can run kjobs: the one named, or if that is plain "python3" and too old, a newer
# one from PATH or pyenv. In shell, because it must run where every Python there is may be too old to read it.
named=${1:-python3}

usable() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

candidates=$named
if [ "$named" = python3 ]; then
    candidates="$named python3.13 python3.12 python3.11 python3.14"
    for version in 3.13 3.12 3.11 3.14; do
        for pyenv in "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$version"*/bin/python; do
            candidates="$candidates $pyenv"
        done
    done
fi

for candidate in $candidates; do
    if usable "$candidate"; then
        # Not the candidate itself: pyenv's shims are named alike and may mean another one in another directory.
        exec "$candidate" -c 'import sys; print(sys.executable)'
    fi
done

if [ "$named" = python3 ]; then
    echo "kjobs needs Python 3.11 or newer, and neither PATH nor pyenv has one: install it (Debian and Ubuntu:" \
        "apt-get install python3 python3-venv), or name one: make PYTHON=/path/to/python3.12" >&2
else
    echo "kjobs needs Python 3.11 or newer, and $named is not one that runs: name another, or leave PYTHON out" \
        "to have one looked for on PATH and in pyenv" >&2
fi
exit 1
