#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# install.sh CMAKE BUILD PROGRAM CC PREFIX LIBDIR
set -eu
cmake=$1 build=$2 program=$3 cc=$4 prefix=$5 libdir=$6
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
root=$dir/root
DESTDIR=$root "$cmake" --install "$build" >"$dir/log" 2>&1 || { cat "$dir/log"; exit 1; }
lib=$root$prefix/$libdir

expect() {
    for file in "$@"; do
        [ -e "$root$prefix/$file" ] || { echo "not installed: $file"; exit 1; }
    done
}
expect include/venv/client.h include/venv/message.def bin/venvctl sbin/venv-mgr sbin/venv-agent \
    share/man/man1/venvctl.1 share/man/man3/libvenv-client.3 share/man/man3/venv_client_connect.3 \
    share/man/man5/venv-client.yaml.5 share/bash-completion/completions/venvctl
[ -e "$lib/libvenv.so.0" ] && [ -e "$lib/libvenv.a" ] || { echo "no library in $lib"; exit 1; }

export LD_LIBRARY_PATH="$lib" PKG_CONFIG_PATH="$lib/pkgconfig" PKG_CONFIG_SYSROOT_DIR="$root"
# The sysroot is for our own paths only: the private requirements are the system's.
flags=$(pkg-config --cflags --libs venv)
# shellcheck disable=SC2086 # words are wanted
"$cc" -std=c17 -Wall -Wextra -Wpedantic -Werror "$program/program.c" $flags -o "$dir/shared"
[ "$("$dir/shared")" = "42 with venv $(pkg-config --modversion venv)" ] || { echo "the program with pkg-config failed"; exit 1; }

# The example, where nothing is configured: it says so.
example=$(dirname "$0")/../../examples/programs/running.c
# shellcheck disable=SC2086
"$cc" -std=c17 -Wall -Wextra -Wpedantic -Werror "$example" $flags -o "$dir/running"
if HOME=$dir "$dir/running" 2>"$dir/log"; then
    [ -e /etc/venv/client.yaml ] || { echo "the example found a manager where there is none"; exit 1; }
else
    grep -q . "$dir/log" || { echo "the example said nothing"; exit 1; }
fi

# Static: our archive, the system's libraries.
private=$(PKG_CONFIG_SYSROOT_DIR='' pkg-config --print-requires-private venv)
# shellcheck disable=SC2086
libs=$(PKG_CONFIG_SYSROOT_DIR='' pkg-config --libs $private)
# shellcheck disable=SC2086
"$cc" -std=c17 "$program/program.c" -I"$root$prefix/include" "$lib/libvenv.a" $libs -pthread -lm -o "$dir/static"
[ "$("$dir/static")" = "$("$dir/shared")" ] || { echo "the program with the archive failed"; exit 1; }

"$cmake" -S "$program" -B "$dir/cmake" -DCMAKE_C_COMPILER="$cc" -Dvenv_DIR="$lib/cmake/venv" >"$dir/log" 2>&1 &&
    "$cmake" --build "$dir/cmake" >>"$dir/log" 2>&1 || { cat "$dir/log"; exit 1; }
[ "$("$dir/cmake/program")" = "$("$dir/shared")" ] || { echo "the program with find_package failed"; exit 1; }

# The tool as it is installed, and what it does not load: it must start quickly.
"$root$prefix/bin/venvctl" --version
if readelf -d "$root$prefix/bin/venvctl" | grep -q 'NEEDED.*libvirt'; then
    echo "venvctl loads libvirt"
    exit 1
fi
echo "installed, built three ways, run"
