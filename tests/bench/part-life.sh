#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The life of machines: starts beside libvirt alone, and the cold start of the command line. Needs root.
set -eu
exec python3 tests/bench/life.py "$BENCH_BIN"
