#!/bin/sh
# Build with optimisation, run every benchmark, print ratios against the peers measured in the same run.
#
#   sh tests/bench/run.sh [PART...]     PART: the name between "part-" and ".sh" of a file in this folder
#
# The peers are the Debian packages under "# bench" in tests/deps.txt. Nothing here passes or fails by a time.
set -eu
cd "$(dirname "$0")/../.."
sh tests/install-deps.sh
{ cmake --preset bench && cmake --build build/bench -j "${JOBS:-2}"; } >/tmp/venv-bench.$$ 2>&1 ||
    { tail -n 40 /tmp/venv-bench.$$; rm -f /tmp/venv-bench.$$; echo "bench: the build failed" >&2; exit 1; }
rm -f /tmp/venv-bench.$$
[ $# -gt 0 ] || set -- $(ls tests/bench/part-*.sh | sed 's/.*part-\(.*\)\.sh/\1/')
for part in "$@"; do
    BENCH_BIN=build/bench/bin sh "tests/bench/part-$part.sh"
done
