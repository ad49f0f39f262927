#!/bin/sh
# The evaluator beside the scripting languages that people would embed instead. Called by run.sh.
#
# Each program prints "NAME NANOSECONDS" for the same five things; this prints them side by side, and
# how many times our time each peer takes.
set -eu
bin=${BENCH_BIN:-build/bench/bin}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$bin/bench_expr" >"$work/venv"
peers=""
for peer in lua5.4 luajit quickjs; do
    if [ -x "$bin/bench_$peer" ]; then
        "$bin/bench_$peer" >"$work/$peer"
        peers="$peers $peer"
    else
        echo "not measured: $peer is not installed"
        [ "$peer" != quickjs ] || echo "    (Debian 12 has no package of it; QUICKJS_SOURCE=FOLDER with its C sources builds it in)"
    fi
done
if command -v python3 >/dev/null; then
    python3 tests/bench/bench_python.py >"$work/python3"
    peers="$peers python3"
fi

echo
for peer in $peers; do
    sed -n "s/^version /$peer: /p" "$work/$peer"
done
sed -n 's/^model name[^:]*: */machine: /p' /proc/cpuinfo | head -n 1
echo
echo 'rule     memfree < 512 && load1 > 4.0 || state == "idle", variables from slots or from a map'
echo 'count-1  agents.filter(a, a.memfree > 512).size(), 1,000 agents'
echo 'count-2  agents.filter(a, a.load1 < 5.0 && a.state == "idle").size(), 1,000 agents'
echo 'compile  the rule, from text to what runs; nanoseconds, best of several runs, time of the processor'
echo '(Nx)     how many times our time the peer takes: above 1 it is slower than venv'
echo
printf '%-12s %12s' '' venv
for peer in $peers; do printf ' %20s' "$peer"; done
echo
while read -r name ours; do
    printf '%-12s %12s' "$name" "$ours"
    for peer in $peers; do
        theirs=$(sed -n "s/^$name //p" "$work/$peer")
        printf ' %20s' "$(awk -v a="$ours" -v b="$theirs" 'BEGIN { printf "%.1f (%.1fx)", b, b / a }')"
    done
    echo
done <"$work/venv"
