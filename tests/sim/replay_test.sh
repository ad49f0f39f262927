#!/bin/sh
# Flight records of a few seeds: the replay agrees in every step; one that is cut off is read so far; what is none is refused.
set -eu
sim=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for seed in 1 5 9 14; do
    "$sim" --seeds 1 --seed "$seed" --minutes 3 --record "$work/record" >"$work/run"
    "$sim" --replay "$work/record" >"$work/steps"
    tail -n 1 "$work/steps"
    grep -q ' 0 differ' "$work/steps"
    ! grep -q '^1 segments, 0 events' "$work/steps"
done
# Also over another configuration, which is in the record.
"$sim" --seeds 1 --seed 7 --minutes 3 --reloads --record "$work/record" >"$work/run"
"$sim" --replay "$work/record" >"$work/steps"
tail -n 1 "$work/steps"
grep -q ' configuration ' "$work/steps"
grep -q ' 0 differ, 0 cannot be compared' "$work/steps"
size=$(wc -c <"$work/record")
head -c $((size - 3)) "$work/record" >"$work/cut"
"$sim" --replay "$work/cut" | grep -q ' 0 differ'
echo 'something else' >"$work/none"
if "$sim" --replay "$work/none" 2>"$work/error"; then
    echo "replay_test: a file that is no record was taken" >&2
    exit 1
fi
grep -q 'it is no record' "$work/error"
