#!/bin/sh
# A campaign: many seeds, in two processes, each a part. Prints what was executed, and is red if that is too little
# or if anything is unexplained.
#
#   sh tests/sim/campaign.sh [SEEDS [FIRST [VENV_SIM]]]      20000 seeds from 1 on, build/bench/bin/venv_sim
set -eu
seeds=${1-20000}
first=${2-1}
sim=${3-build/bench/bin/venv_sim}
[ -x "$sim" ] || { echo "campaign: there is no $sim: cmake --preset bench && ninja -C build/bench venv_sim" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
half=$((seeds / 2))
nice -n 19 "$sim" --seeds "$half" --seed "$first" >"$work/a" 2>&1 &
one=$!
status=0
nice -n 19 "$sim" --seeds $((seeds - half)) --seed $((first + half)) >"$work/b" 2>&1 || status=1
wait "$one" || status=1
cat "$work/a" "$work/b"
runs=$(awk '/ runs \(/ { n += $1 } END { print n + 0 }' "$work/a" "$work/b")
bad=$(sed -n 's/.* \([0-9][0-9]*\) unexplained$/\1/p' "$work/a" "$work/b" | awk '{ n += $1 } END { print n + 0 }')
hours=$(sed -n 's/.*), \([0-9.]*\) simulated hours.*/\1/p' "$work/a" "$work/b" | awk '{ n += $1 } END { printf "%.1f", n }')
faults=$(sed -n 's/.* \([0-9]*\) faults,.*/\1/p' "$work/a" "$work/b" | awk '{ n += $1 } END { print n + 0 }')
echo "campaign: $runs of $seeds seeds from $first, $hours simulated hours, $faults faults, $bad unexplained"
[ "$status" -eq 0 ] && [ "$runs" -ge "$seeds" ] && [ "$bad" -eq 0 ]
