#!/bin/sh
# Run random well-formed CEL programs, 10,000,000 of them or as many as are asked for, from a seed.
#
#   sh tests/fuzz/programs.sh [COUNT [SEED]]
#
# Each must end within its limits of cost, time and memory, cost what was estimated, come to the same with types
# as without, and twice to the same. Prints the
# count; a program that does not is printed, and ends the run with an error.
set -eu
cd "$(dirname "$0")/../.."
{ cmake --preset bench && cmake --build build/bench -j "${JOBS:-2}" --target random_celrun; } >/dev/null
exec build/bench/bin/random_celrun "${1:-10000000}" "${2:-1}"
