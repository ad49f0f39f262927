#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The whole torture of the state: 20,000 kills of a process at a store, 100,000 states that a power cut can leave, 500 kills of a
# manager at work, and a sweep of the room on its disk. Some half an hour to an hour; prints what was done, and fails if it was too little.
#
#   tests/store/torture.sh [BIN] [KILLS] [STATES] [CYCLES]        (build/dev/bin 20000 100000 500)
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
bin=$(cd "${1:-$top/build/dev/bin}" && pwd)
work=$(mktemp -d "${TMPDIR:-/dev/shm}/venv-torture.XXXXXX")
trap 'rm -rf "$work"' EXIT
failed=0
"$bin/torture_kill" "${2:-20000}" "$work" || failed=1
"$bin/torture_power" "${3:-100000}" "$work" || failed=1
VENV_BIN=$bin python3 "$top/tests/store/torture_manager.py" "${4:-500}" || failed=1
if [ "$(id -u)" = 0 ]; then
    VENV_BIN=$bin python3 "$top/tests/runtime/test_full_disk.py" sweep 32 || failed=1
fi
exit $failed
