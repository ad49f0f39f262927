#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Format every manual page and fail on any warning, and on an alias that leads nowhere: format.sh SOURCE BUILT
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
find "$@" -type f -name '*.[1-8]' >"$dir/pages"
count=0
broken=0
# Aliases first, all at once: there are hundreds.
xargs grep -l '^\.so ' <"$dir/pages" >"$dir/aliases" || true
xargs -r sed -n 's/^\.so //p' <"$dir/aliases" | sort -u >"$dir/targets"
while read -r target; do
    found=no
    for root in "$@"; do
        [ ! -f "$root/$target" ] || found=yes
    done
    [ $found = yes ] || { echo "an alias leads to $target, which is not there"; broken=$((broken + 1)); }
done <"$dir/targets"

grep -vxFf "$dir/aliases" "$dir/pages" >"$dir/real"
while read -r page; do
    groff -man -Tutf8 -ww -z "$page" 2>"$dir/warnings"
    if [ -s "$dir/warnings" ]; then
        sed "s|^|${page##*/}: |" "$dir/warnings" | head -n 5
        broken=$((broken + 1))
    fi
    grep -q '^\.SH "*NAME' "$page" || { echo "$page: no NAME"; broken=$((broken + 1)); }
    count=$((count + 1))
done <"$dir/real"
echo "$count pages looked at; $broken broken"
[ "$count" -gt 0 ] && [ "$broken" -eq 0 ]
