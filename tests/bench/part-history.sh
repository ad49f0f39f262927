#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The history: bytes of a sample, beside lines of JSON in gzip and beside rows in SQLite, of the same samples. AGENTS=1000 HOURS=24 is the
# day that the history is made for.
set -eu
work=$(mktemp -d "${TMPDIR:-/tmp}/venv-history.XXXXXX")
trap 'rm -rf "$work"' EXIT
agents=${AGENTS:-1000} hours=${HOURS:-24}
mkdir "$work/state" "$work/few"
set -- $("$BENCH_BIN/bench_history" "$work/few" 5 "$hours" "$work/lines.json")
samples=$1 few=$2
gzip -k6 "$work/lines.json"
zipped=$(stat -c %s "$work/lines.json.gz")
rows=$(python3 - "$work/lines.json" "$work/rows.db" <<'P'
import json, os, sqlite3, sys
db = sqlite3.connect(sys.argv[2])
db.execute("CREATE TABLE label(id INTEGER PRIMARY KEY, agent TEXT, label TEXT, UNIQUE(agent, label))")
db.execute("CREATE TABLE sample(series INTEGER, time INTEGER, value, PRIMARY KEY(series, time)) WITHOUT ROWID")
series, rows = {}, []
for line in open(sys.argv[1]):
    row = json.loads(line)
    key = row["agent"], row["label"]
    if key not in series:
        series[key] = len(series)
        db.execute("INSERT INTO label VALUES(?, ?, ?)", (series[key], *key))
    rows.append((series[key], row["time"], row["value"]))
db.executemany("INSERT INTO sample VALUES(?, ?, ?)", sorted(rows, key=lambda r: r[:2]))
db.commit()
db.execute("VACUUM")
db.close()
print(os.path.getsize(sys.argv[2]))
P
)
echo "history: 5 agents x 20 properties every 10 s for $hours hours, $samples samples"
awk -v n="$samples" -v us="$few" -v gz="$zipped" -v db="$rows" 'BEGIN {
    printf "  %-28s %14s %10s %8s\n", "", "bytes", "a sample", "ratio"
    printf "  %-28s %14d %10.2f %8.2f\n", "venv, segment files", us, us / n, 1
    printf "  %-28s %14d %10.2f %8.2f\n", "lines of JSON, gzip -6", gz, gz / n, gz / us
    printf "  %-28s %14d %10.2f %8.2f\n", "rows in SQLite, vacuumed", db, db / n, db / us }'
set -- $("$BENCH_BIN/bench_history" "$work/state" "$agents" "$hours")
du=$(du -sb "$work/state/history" | cut -f1)
echo "history: $agents agents x 20 properties every 10 s for $hours hours, all of it written and read back"
echo "  $1 samples, $du bytes of files ($((du / 1048576)) MiB), $3 a sample; $4 ns of processor time a sample to write, $5 ns to read"
