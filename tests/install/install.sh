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

# The example for who needs one machine and no daemon: it builds; what it does is shown by tests/venvctl.
# shellcheck disable=SC2086
"$cc" -std=c17 -Wall -Wextra -Wpedantic -Werror "$(dirname "$example")/night.c" $flags -o "$dir/night"
if "$dir/night" 2>"$dir/log" || ! grep -q usage "$dir/log"; then
    echo "the example of one machine does not say how it is used"
    exit 1
fi
[ -x "$root$prefix/libexec/venv/venvctl-connect" ] || { echo "venvctl-connect is not installed"; exit 1; }
[ "$(wc -l <"$(dirname "$example")/night.c")" -le 60 ] || { echo "the example of one machine has more than 60 lines"; exit 1; }

# The example for those who embed the evaluator: the same answers as from the tree, whichever way it is built.
embed=$(dirname "$0")/../../examples/embed-cel/embed.c
check_embed() {
    out=$("$1") || { echo "the evaluator built with $2 failed: $out"; exit 1; }
    for words in ' is true, for ' ' is 2, for ' 'it needs free_gib' "did you mean 'waiting'"; do
        case $out in *"$words"*) ;; *) echo "the evaluator built with $2 does not say '$words': $out"; exit 1 ;; esac
    done
}
# shellcheck disable=SC2086
"$cc" -std=c17 -Wall -Wextra -Wpedantic -Werror "$embed" $flags -o "$dir/embed"
check_embed "$dir/embed" pkg-config

# Static: our archive, the system's libraries.
private=$(PKG_CONFIG_SYSROOT_DIR='' pkg-config --print-requires-private venv)
# shellcheck disable=SC2086
libs=$(PKG_CONFIG_SYSROOT_DIR='' pkg-config --libs $private)
# shellcheck disable=SC2086
"$cc" -std=c17 "$program/program.c" -I"$root$prefix/include" "$lib/libvenv.a" $libs -pthread -lm -o "$dir/static"
[ "$("$dir/static")" = "$("$dir/shared")" ] || { echo "the program with the archive failed"; exit 1; }
# shellcheck disable=SC2086
"$cc" -std=c17 "$embed" -I"$root$prefix/include" "$lib/libvenv.a" $libs -pthread -lm -o "$dir/embed-static"
check_embed "$dir/embed-static" "the archive"

"$cmake" -S "$program" -B "$dir/cmake" -DCMAKE_C_COMPILER="$cc" -DEMBED="$(realpath "$embed")" -Dvenv_DIR="$lib/cmake/venv" >"$dir/log" 2>&1 &&
    "$cmake" --build "$dir/cmake" >>"$dir/log" 2>&1 || { cat "$dir/log"; exit 1; }
[ "$("$dir/cmake/program")" = "$("$dir/shared")" ] || { echo "the program with find_package failed"; exit 1; }
check_embed "$dir/cmake/embed" find_package

# The tool as it is installed, and what it does not load: it must start quickly.
"$root$prefix/bin/venvctl" --version
if readelf -d "$root$prefix/bin/venvctl" | grep -q 'NEEDED.*libvirt'; then
    echo "venvctl loads libvirt"
    exit 1
fi
echo "installed, built three ways, run"
