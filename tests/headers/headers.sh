#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Compile each public header alone: headers.sh INCLUDE CC CXX
set -eu
include=$1 cc=$2 cxx=$3
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
count=0
broken=0
for header in "$include"/venv/*.h; do
    name=${header##*/}
    # Twice, so that a missing guard shows; and nothing before it, so that it stands alone.
    printf '#include <venv/%s>\n#include <venv/%s>\n' "$name" "$name" >"$dir/one.c"
    cp "$dir/one.c" "$dir/one.cc"
    "$cc" -std=c17 -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wundef -Werror -I"$include" -fsyntax-only "$dir/one.c" ||
        { echo "$name: not C17 by itself"; broken=$((broken + 1)); }
    "$cxx" -std=c++17 -Wall -Wextra -Wpedantic -Werror -I"$include" -fsyntax-only "$dir/one.cc" ||
        { echo "$name: not C++17 by itself"; broken=$((broken + 1)); }
    count=$((count + 1))
done
echo "$count headers looked at; $broken broken"
[ "$count" -gt 0 ] && [ "$broken" -eq 0 ]
