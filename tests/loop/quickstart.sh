#!/bin/sh
# The quickstart as a newcomer runs it, twice: to its end, and with --keep and the commands that it then prints.
# Neither leaves a process, a mount or a file behind.
#
#   quickstart.sh BUILD
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
build=${1:?usage: quickstart.sh BUILD}
log=$(mktemp)
trap 'rm -f "$log"' EXIT

nothing_left() { # nothing_left DIR
    [ ! -e "$1" ] || { echo "quickstart: $1 is still there" >&2; exit 1; }
    if grep -q "$1" /proc/mounts; then
        echo "quickstart: something is still mounted in $1" >&2
        exit 1
    fi
    for command in /proc/[0-9]*/cmdline; do
        if { tr '\0' ' ' <"$command"; } 2>/dev/null | grep -qF "$1"; then
            echo "quickstart: still running: $(tr '\0' ' ' <"$command")" >&2
            exit 1
        fi
    done
}
directory() { sed -n 's,^manager: process .* log in \(.*\)/log/manager.log$,\1,p' "$log"; }

sh "$top/examples/quickstart.sh" --build "$build" >"$log" 2>&1 || { cat "$log"; exit 1; }
cat "$log"
nothing_left "$(directory)"

sh "$top/examples/quickstart.sh" --build "$build" --keep >"$log" 2>&1 || { cat "$log"; exit 1; }
sed -n '/^Everything is left running/,$p' "$log"
dir=$(directory)
"$build/bin/venvctl" --config "$dir/client.yaml" status
# Exactly the lines that it tells a person to type.
sed -n '/^To stop it:/,$s/^  //p' "$log" >"$log.stop"
[ -s "$log.stop" ] || { echo "quickstart: it does not say how to stop it" >&2; exit 1; }
sh -e "$log.stop"
rm -f "$log.stop"
tries=0
until ( nothing_left "$dir" ) 2>/dev/null; do
    tries=$((tries + 1))
    [ $tries -lt 100 ] || nothing_left "$dir"
    sleep 0.1
done
echo "quickstart: nothing is left"
