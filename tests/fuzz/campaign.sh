#!/bin/sh
# Run every fuzzer for a floor of executions, print what was executed, and fail if that is too little or
# if anything was found.
#
#   sh tests/fuzz/campaign.sh [RUNS [NAME...]]
#
# RUNS    executions of each target; without it (or with 0) the floor of each in tests/fuzz/CMakeLists.txt
# NAME... only these targets
#
# VENV_FUZZ_SECONDS=N stops each target after N seconds; then it may have executed too little.
# New inputs that reach new code are kept in build/fuzz/corpus/NAME, findings in build/fuzz/findings/NAME.
set -eu
runs=${1:-0}
[ $# -eq 0 ] || shift
top=$(cd "$(dirname "$0")/../.." && pwd)
cd "$top"
list=$(sed -n 's/^venv_fuzz(\([a-z_0-9]*\) \([0-9]*\))$/\1 \2/p' tests/fuzz/CMakeLists.txt)
[ -n "$list" ] || { echo "campaign: no targets in tests/fuzz/CMakeLists.txt" >&2; exit 2; }
case $runs in *[!0-9]*) echo "campaign: RUNS must be a number, not $runs" >&2; exit 2 ;; esac
for name in "$@"; do
    echo "$list" | grep -q "^$name " || { echo "campaign: no target $name; known are:" $(echo "$list" | cut -d' ' -f1) >&2; exit 2; }
done

mkdir -p build/fuzz
{ cmake --preset fuzz && cmake --build build/fuzz -j "${JOBS:-1}" --target $(echo "$list" | sed 's/^\([^ ]*\) .*/fuzz_\1/'); } \
    >build/fuzz/build.log 2>&1 || { tail -n 40 build/fuzz/build.log; echo "campaign: the build failed, see build/fuzz/build.log" >&2; exit 1; }

# Short stacks and a small quarantine: several times as many executions. Run a finding again without them.
export ASAN_OPTIONS="${ASAN_OPTIONS-detect_leaks=1:allocator_may_return_null=1:malloc_context_size=2:quarantine_size_mb=16}"
status=0
report=build/fuzz/report.txt
: >$report
# One line for each target: NAME FLOOR
while read -r name floor; do
    [ $# -eq 0 ] || case " $* " in *" $name "*) ;; *) continue ;; esac
    [ "$runs" -eq 0 ] || floor=$runs
    mkdir -p "build/fuzz/corpus/$name" "build/fuzz/findings/$name"
    log=build/fuzz/$name.log
    result=ok
    "build/fuzz/bin/fuzz_$name" -runs="$floor" -max_total_time="${VENV_FUZZ_SECONDS:-0}" -max_len="${VENV_FUZZ_BYTES:-2048}" \
        -timeout=10 -rss_limit_mb=2048 -malloc_limit_mb=512 -print_final_stats=1 -artifact_prefix="build/fuzz/findings/$name/" \
        "build/fuzz/corpus/$name" "tests/fuzz/corpus/$name" >"$log" 2>&1 </dev/null || result=FOUND
    executed=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -n 1)
    executed=${executed:-0}
    if [ "$result" = ok ] && [ "$executed" -lt "$floor" ]; then
        result=TOO-FEW
    fi
    [ "$result" = ok ] || status=1
    printf '%-12s %12s of %-12s %s\n' "$name" "$executed" "$floor" "$result" | tee -a $report
    [ "$result" != FOUND ] || { tail -n 30 "$log"; ls "build/fuzz/findings/$name"; }
done <<LIST
$list
LIST
[ -s $report ] || { echo "campaign: nothing was run" >&2; exit 1; }
exit $status
