#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Placement: 10,000 instances on 1,000 nodes, beside a scan in C, a first fit in C, and Ganeti's hspace (the package ganeti-htools-3.0),
# which places all it can on a pool that it makes up: on 20 nodes, because its time grows with the third power of the pool.
set -eu
nodes=${NODES:-1000} instances=${INSTANCES:-10000} few=${FEW:-20}
bench=$BENCH_BIN/bench_placement
row() { awk -v what="$1" -v n="$2" -v s="$3" 'BEGIN { printf "  %-44s %8d placed %10.4f s %10.1f us each\n", what, n, s, n ? s * 1e6 / n : 0 }'; }
echo "placement: $instances instances of 20 environments on $nodes nodes (processor time)"
set -- $("$bench" pool "$nodes" "$instances"); row "venv, the pool" "$1" "$2"
set -- $("$bench" manager "$nodes" "$instances"); row "venv, the manager's core: rows, events, orders" "$1" "$2"
set -- $("$bench" first-fit "$nodes" "$instances"); row "first fit in C: any node that may" "$1" "$2"
set -- $("$bench" scan "$nodes" "$instances"); row "scan in C: the best node, the same answer" "$1" "$2"
htools=/usr/lib/ganeti/3.0/usr/bin/htools
if [ ! -x $htools ]; then
    echo "  Ganeti's hspace is not installed (ganeti-htools-3.0): left out"
    exit 0
fi
work=$(mktemp -d "${TMPDIR:-/tmp}/venv-placement.XXXXXX")
trap 'rm -rf "$work"' EXIT
many=$((few * 14))
begin=$(date +%s%N)
HTOOLS=hspace $htools "--simulate=p,$few,2000000,16384,16" --disk-template=plain --standard-alloc=1024,1024,1 >"$work/hspace"
end=$(date +%s%N)
placed=$(sed -n 's/^  - \([0-9]*\) instances allocated/\1/p' "$work/hspace")
echo "placement: as many as fit on $few nodes"
set -- $("$bench" pool "$few" "$many"); row "venv, the pool" "$1" "$2"
row "Ganeti's hspace (whole time)" "${placed:-$many}" "$(awk -v a="$begin" -v b="$end" 'BEGIN { print (b - a) / 1e9 }')"
