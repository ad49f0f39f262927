#!/bin/sh
# A simulated hour of a manager and 50 nodes: processor time, with nothing going wrong, and with misfortunes all the time.
# Each hour is played twice by venv_sim (the second time to compare the traces); the figures are for one of them.
set -eu

hour() {
    "$BENCH_BIN/venv_sim" --seeds 1 --seed "$1" --managers 1 --nodes 49 --minutes 60 ${2:-} | tail -n 1
}

row() {
    label=$1 shift=$2
    for seed in 3 4 5; do
        hour "$seed" "$shift"
    done | sed -n 's/.* \([0-9]*\) steps, \([0-9]*\) faults.* \([0-9]*\) times as fast as time.*/\1 \2 \3/p' |
        awk -v label="$label" '{ steps += $1; faults += $2; seconds += 3600 / $3; n++ }
            END { if (n != 3) exit 1
                  printf "  %-18s %10.0f %8.0f %12.2f %10.0f\n", label, steps / n, faults / n, seconds / n, 3600 * n / seconds }'
}

echo "sim: an hour of 49 hypervisor nodes, a batch head and a manager, mean of seeds 3, 4 and 5"
printf "  %-18s %10s %8s %12s %10s\n" "" steps faults "seconds" "x time"
row "nothing goes wrong" --calm
row "misfortunes" ""
