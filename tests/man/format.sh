#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Format every manual page and fail on any warning, and on an alias that leads nowhere: format.sh SOURCE BUILT
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
find "$@" -type f -name '*.[1-8]' >"$dir/pages"
count=0
broken=0
while read -r page; do
    if head -n 1 "$page" | grep -q '^\.so '; then
        target=$(head -n 1 "$page" | cut -d ' ' -f 2)
        [ -f "$(dirname "$(dirname "$page")")/$target" ] || { echo "$page: $target is not there"; broken=$((broken + 1)); }
        continue
    fi
    groff -man -Tutf8 -ww -z "$page" 2>"$dir/warnings"
    if [ -s "$dir/warnings" ]; then
        sed "s|^|${page##*/}: |" "$dir/warnings" | head -n 5
        broken=$((broken + 1))
    fi
    grep -q '^\.SH "*NAME' "$page" || { echo "$page: no NAME"; broken=$((broken + 1)); }
    count=$((count + 1))
done <"$dir/pages"
echo "$count pages looked at; $broken broken"
[ "$count" -gt 0 ] && [ "$broken" -eq 0 ]
