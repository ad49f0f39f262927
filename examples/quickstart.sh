#!/bin/sh
# The main job, on this machine, in a few minutes: jobs wait in a queue, a guest is started for them,
# runs them, and is stopped when the queue is empty.
#
#   sh examples/quickstart.sh [--keep] [--build DIR]
#
#   --keep        leave everything running, and say how to look around and how to stop it
#   --build DIR   use this build of venv instead of making one
#
# As root on Debian 12. It installs packages, builds, works in a directory of its own below /var/tmp, uses the
# libvirtd that runs or starts one of its own, and cleans up, also when it fails.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
top=$(dirname "$here")
keep=
build=
while [ $# -gt 0 ]; do
    case $1 in
    --keep) keep=1 ;;
    --build) build=${2:?--build needs a directory}; shift ;;
    *) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" | sed '$d'; exit 2 ;;
    esac
    shift
done
[ "$(id -u)" = 0 ] || { echo "quickstart: run it as root: it installs packages and starts virtual machines" >&2; exit 2; }

number=0
step() { number=$((number + 1)); printf '\n== %d. %s\n' "$number" "$*"; }
show() { printf '$ %s\n' "$*"; "$@"; }

# --- what has to be undone -----------------------------------------------------------------------
dir=
pids=
libvirtd=
stop_pid() { # politely, then for good
    kill "$1" 2>/dev/null || return 0
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        kill -0 "$1" 2>/dev/null || return 0
        sleep 0.25
    done
    kill -9 "$1" 2>/dev/null || true
}
clean_up() {
    status=$?
    trap - EXIT INT TERM
    if [ "$status" != 0 ] && [ -n "$dir" ]; then
        echo
        echo "quickstart: FAILED; the ends of the logs:" >&2
        for log in "$dir"/log/*.log "$dir"/console/*; do
            [ -s "$log" ] || continue
            echo "--- $log" >&2
            tail -n 25 "$log" >&2
        done
    fi
    if [ -n "$dir" ]; then
        # No guest of this run may stay, whatever went wrong. The mark in its name is ours alone.
        if [ -e "$dir/uri" ]; then
            uri=$(cat "$dir/uri")
            for id in $(cat "$dir/guests" 2>/dev/null) $(virsh -c "$uri" list --all --uuid 2>/dev/null); do
                virsh -c "$uri" metadata "$id" urn:venv:machine:1 2>/dev/null | grep -q "$cluster" || continue
                virsh -c "$uri" destroy "$id" >/dev/null 2>&1 || true
                virsh -c "$uri" undefine "$id" >/dev/null 2>&1 || true
            done
        fi
        for pid in $pids; do stop_pid "$pid"; done
        [ -z "$libvirtd" ] || sh "$top/tests/support/libvirtd.sh" stop "$dir/libvirtd" || true
        rm -rf "$dir"
    fi
    exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
fail() { echo "quickstart: $*" >&2; exit 1; }

wait_for() { # wait_for SECONDS WHAT COMMAND...
    limit=$1 what=$2
    shift 2
    end=$(($(date +%s) + limit))
    until "$@" >/dev/null 2>&1; do
        for pid in $pids; do
            kill -0 "$pid" 2>/dev/null || fail "a daemon has ended while waiting for: $what"
        done
        [ "$(date +%s)" -lt "$end" ] || fail "this did not happen within $limit s: $what"
        sleep 0.3
    done
}

# --- packages, build, guest ----------------------------------------------------------------------
step "packages and build"
sh "$top/tests/install-deps.sh" --run
if [ -z "$build" ]; then
    build=$top/build/release
    (cd "$top" && cmake --preset release >/dev/null && cmake --build "$build" >"$build/build.log" 2>&1) ||
        { tail -n 40 "$build/build.log" >&2; fail "the build failed"; }
fi
PATH=$build/bin:$PATH
echo "built $(venvctl --version | head -n 1) in $build"

dir=$(mktemp -d /var/tmp/venv-quickstart.XXXXXX)
cluster=quickstart-$(basename "$dir" | sed 's/.*\.//' | tr 'A-Z' 'a-z')
chmod 755 "$dir"
mkdir -p "$dir/log" "$dir/guest" "$dir/console" "$dir/state" "$dir/commands"
for state in new running done; do mkdir -p "$dir/queue/class2/$state"; done
sh "$here/guest/build.sh" "$dir/guest"
cp "$top/tools/commands/spool-queue" "$dir/commands/"

# --- identity ------------------------------------------------------------------------------------
step "a certificate authority for the cluster, and a certificate for each peer"
show venvctl cert init --cluster "$cluster" --dir "$dir/pki"
show venvctl cert issue manager mgr --dir "$dir/pki"
show venvctl cert issue agent head --dir "$dir/pki"
show venvctl cert issue agent node1 --dir "$dir/pki"
show venvctl cert issue user admin --dir "$dir/pki"

# --- libvirt -------------------------------------------------------------------------------------
step "libvirt"
if virsh -c qemu:///system version >/dev/null 2>&1; then
    uri=qemu:///system
    echo "the libvirtd that runs is used: $uri"
else
    libvirtd=1
    mkdir -p "$top/build/cache/libvirt"
    uri=$(VENV_LIBVIRT_CACHE=$top/build/cache/libvirt sh "$top/tests/support/libvirtd.sh" start "$dir/libvirtd") ||
        fail "libvirtd did not start"
    echo "none runs: one of our own, at $uri"
fi
echo "$uri" >"$dir/uri"

# --- the daemons ---------------------------------------------------------------------------------
step "the manager and two agents"
free_ports() {
    python3 -c 'import socket
s = [socket.socket() for _ in range(2)]
[x.bind(("127.0.0.1", 0)) for x in s]
print(*[x.getsockname()[1] for x in s])'
}
set -- $(free_ports)
port=$1 queue_port=$2
for name in manager head node client; do
    sed -e "s,DIR,$dir,g" -e "s,QUEUE_PORT,$queue_port,g" -e "s,PORT,$port,g" -e "s,URI,$uri,g" \
        "$here/quickstart/$name.yaml" >"$dir/$name.yaml"
done
start() { # start NAME COMMAND...
    name=$1
    shift
    "$@" >>"$dir/log/$name.log" 2>&1 &
    pids="$pids $!"
    echo "$!" >"$dir/$name.pid"
    echo "$name: process $!, log in $dir/log/$name.log"
}
venvctl() { command venvctl --config "$dir/client.yaml" "$@"; }
start manager venv-mgr --config "$dir/manager.yaml"
start head venv-agent --config "$dir/head.yaml"
start node1 venv-agent --config "$dir/node.yaml"
start queue python3 "$here/queue/spool-queue-server" "$dir/queue" --port "$queue_port"
both_connected() { [ "$(venvctl list agents --json | grep -c '"connected"')" = 2 ]; }
wait_for 30 "both agents are connected" both_connected
show venvctl list agents

# --- the loop ------------------------------------------------------------------------------------
step "five jobs"
for job in 1 2 3 4 5; do
    cat >"$dir/queue/class2/new/.job-$job" <<JOB
echo "job $job ran on worker \$WORKER, kernel \$(uname -r)"
grep -c processor /proc/cpuinfo | sed 's/^/processors: /'
JOB
    mv "$dir/queue/class2/new/.job-$job" "$dir/queue/class2/new/job-$job"
done
queue_reported() { venvctl get head queue --json | grep -Eq '"pending": *5'; }
wait_for 20 "the agent on the head reports the queue" queue_reported
show venvctl get head queue

step "a trigger fires, and a guest is started"
event() { venvctl events --json | grep -q "$1"; }
wait_for 30 "trigger grow-class2 fires" event '"trigger-fired"'
running() { venvctl list instances --json | grep -q '"running"'; }
wait_for 180 "an instance of class2 runs" running
show venvctl list instances
console() { ls "$dir"/console/* 2>/dev/null | head -n 1; }
printed() { [ -n "$(console)" ] && grep -q "$1" "$(console)"; }
wait_for 120 "the guest prints its first line" printed 'venv guest .*: up'
echo "the guest's own first line, from its serial console:"
grep -m 1 'venv guest .*: up' "$(console)"

step "the jobs run inside the guest"
all_done() { [ "$(ls "$dir/queue/class2/done" | grep -c '^job-[1-5]$')" = 5 ]; }
wait_for 180 "five outputs are in the queue's done directory" all_done
for job in 1 2 3 4 5; do
    grep -q "^0 " "$dir/queue/class2/done/job-$job.status" || fail "job-$job did not succeed"
    grep -q "job $job ran on worker" "$dir/queue/class2/done/job-$job" || fail "the output of job-$job is not what it prints"
done
show head -n 2 "$dir/queue/class2/done/job-1" "$dir/queue/class2/done/job-5"

step "the queue is empty: until is reached, and the guest is stopped"
wait_for 60 "trigger grow-class2 recovers" event '"trigger-recovered"'
stopped() { ! venvctl list instances --json | grep -Eq '"(pending|placing|preparing|starting|running|draining|stopping|lost)"'; }
wait_for 120 "no instance runs" stopped
gone() { ! virsh -c "$uri" list --uuid | grep -q "$(sed -n '1s/.*venv guest \([^:]*\): up.*/\1/p' "$(console)")"; }
wait_for 60 "libvirt says the same" gone

step "what happened"
show venvctl list instances
show venvctl list triggers
show venvctl events

if [ -n "$keep" ]; then
    trap - EXIT INT TERM
    cat <<KEEP

Everything is left running. To look around:
  export PATH=$build/bin:\$PATH
  venvctl --config $dir/client.yaml status
  venvctl --config $dir/client.yaml events --follow
  echo 'echo again' >$dir/queue/class2/new/job-6
To stop it:
  kill$pids
KEEP
    [ -z "$libvirtd" ] || echo "  sh $top/tests/support/libvirtd.sh stop $dir/libvirtd"
    echo "  rm -rf $dir"
    exit 0
fi
echo
echo "quickstart: done: five jobs ran in a guest that came and went by itself"
