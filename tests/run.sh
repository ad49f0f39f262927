#!/bin/sh
# All set-up, then all tests: the packages, a build with sanitizers, unit tests, the simulator, and the loop with a
# real QEMU guest; then the rules of the house on the release build, and the quickstart on it.
#
#   sh tests/run.sh [CTEST-OPTION ...]      for example: sh tests/run.sh -R trigger
set -eu
here=$(cd "$(dirname "$0")" && pwd)
top=$(dirname "$here")
cd "$top"
sh tests/install-deps.sh

# Leak reports need ptrace, which some containers refuse; the rest of the sanitizer works without.
export ASAN_OPTIONS="${ASAN_OPTIONS-abort_on_error=1:detect_stack_use_after_return=1}"
export UBSAN_OPTIONS="${UBSAN_OPTIONS-print_stacktrace=1}"

build() { # build PRESET [TARGET ...]
    preset=$1
    shift
    echo "== build $preset"
    mkdir -p "build/$preset"
    if ! { cmake --preset "$preset" -DVENV_TESTS=ON && cmake --build "build/$preset" ${1:+--target "$@"}; } \
        >"build/$preset/build.log" 2>&1; then
        tail -n 60 "build/$preset/build.log"
        echo "tests: the build $preset failed; the whole log is in build/$preset/build.log" >&2
        exit 1
    fi
}
# The release build first, and what only it can show: the rules of the house.
build release lib/all tools/all man/all venv_sim
build asan

status=0
echo "== rules of the house, on the release build"
ctest --test-dir build/release --output-on-failure --no-tests=error -L house || status=1
echo "== simulator: 2000 seeds, on the release build"
build/release/bin/venv_sim --seeds 2000 || status=1
echo "== all tests, with sanitizers"
ctest --test-dir build/asan --output-on-failure --no-tests=error -j "$(nproc)" "$@" || status=1
exit $status
