#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The completion of bash: completion.sh SCRIPT DIRECTORY_OF_VENVCTL
set -u
PATH=$2:$PATH
# shellcheck disable=SC1090
. "$1"
broken=0

# What bash would do at the end of LINE; words are split as bash splits them there, at @, : and =, too.
expect() {
    local line=$1 wanted=$2
    COMP_LINE=$line COMP_POINT=${#line}
    read -ra COMP_WORDS <<<"$(sed -E 's/([@:=])/ \1 /g' <<<"$line")"
    [[ $line == *' ' ]] && COMP_WORDS+=('')
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    COMPREPLY=()
    _venvctl 2>/dev/null
    if [[ "${COMPREPLY[*]}" != "$wanted" ]]; then
        echo "\"$line\": \"${COMPREPLY[*]}\", not \"$wanted\""
        broken=$((broken + 1))
    fi
}

expect 'venvctl stat' 'status'
expect 'venvctl cert ' 'init issue show'
expect 'venvctl list a' 'agents actions'
expect 'venvctl list agents --js' '--json'
expect 'venvctl start class2 --wait' '--wait'
expect 'venvctl control node07 r' 'rcon rjoin'
expect 'venvctl help e' 'exec events environment eval'
expect 'venvctl list agents ' ''
expect 'venvctl xyzzy ' ''
dir=$(mktemp -d)
touch "$dir/client.yaml"
expect "venvctl --config $dir/cl" "$dir/client.yaml"
mkdir "$dir/pki"
expect "venvctl cert init --dir $dir/p" "$dir/pki"
rm -r "$dir"
echo "$broken broken"
[[ $broken -eq 0 ]]
