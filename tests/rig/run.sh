#!/bin/sh
# Real hypervisor nodes on this machine: every verb, with tables of what was done and how it ended.
#
#   sh tests/rig/run.sh [BUILD]     BUILD is a build folder; without it the release build is made first
#   faults=120 sh tests/rig/run.sh  then also so many faults in the phases of migrations and starts, about 10 s each
#
# Needs root. Nothing is left behind, also when it is interrupted: see nodes.py.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
build=${1:-$top/build/release}
if [ $# -eq 0 ]; then
    mkdir -p "$build"
    (cd "$top" && cmake --preset release && cmake --build "$build" --target lib/all tools/all) >"$build/rig.log" 2>&1 ||
        { tail -n 40 "$build/rig.log" >&2; exit 1; }
fi
python3 "$here/test_verbs.py" "$build/bin"
[ "${faults:-0}" -eq 0 ] || python3 "$here/campaign.py" "$build/bin" --count "$faults"
