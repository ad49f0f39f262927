#!/bin/sh
# A libvirtd of one's own for tests and examples: private directories, private socket, QEMU by emulation or KVM,
# beside whatever libvirtd the machine already runs. Needs root (a mount namespace).
#
#   uri=$(sh tests/support/libvirtd.sh start DIR)   start (or start again, over the same guests) and print the URI:
#                                                   qemu:///system?socket=DIR/socket/libvirt-sock
#   sh tests/support/libvirtd.sh uri DIR            print the URI
#   sh tests/support/libvirtd.sh pid DIR            print the process id of the daemon
#   sh tests/support/libvirtd.sh kill DIR           SIGKILL for the daemon; guests run on; then `start DIR` again
#   sh tests/support/libvirtd.sh guests DIR         print the process ids of the guests that run
#   sh tests/support/libvirtd.sh stop DIR           end the daemon and every guest that it started; DIR remains,
#                                                   with DIR/libvirtd.log, for who wants to look; then rm -r it
#
# DIR is absolute, not longer than about 60 bytes (paths of Unix sockets are short), and visible to root.
# What QEMU writes (console logs) can go to any folder: the namespace hides only libvirt's own.
# libvirt asks QEMU once for what it can do and caches the answer (some seconds the first time). To share
# it between daemons, set VENV_LIBVIRT_CACHE to a folder that lives longer than DIR.
#
# Exit status: 0 done, 1 failed (the reason and the end of the log are on standard error), 2 usage.
# It leaves behind only the empty mount points below /run, /var and /etc, if they were not there: removing
# one would take the folder away from under another such daemon.
set -u

verb=${1:-}
dir=${2:-}
case $verb in
start | uri | pid | kill | guests | stop) ;;
*)
    sed -n 's/^# \{0,1\}//; 2,18p' "$0" >&2
    exit 2
    ;;
esac
case $dir in
/*) ;;
*)
    echo "libvirtd.sh: DIR must be an absolute path, not '$dir'" >&2
    exit 2
    ;;
esac
if [ ${#dir} -gt 70 ]; then
    echo "libvirtd.sh: '$dir' is too long for the path of a Unix socket; take one of at most 70 bytes" >&2
    exit 2
fi

socket=$dir/socket/libvirt-sock
listen=${VENV_LIBVIRT_LISTEN:-}
uri="qemu:///system?socket=$socket"

# The daemon's process id if it runs and is the one we started (ids are used again).
daemon_pid() {
    pid=$(cat "$dir/libvirtd.pid" 2>/dev/null) || return 1
    [ -n "$pid" ] && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = libvirtd ] || return 1
    grep -qxF "$(readlink "/proc/$pid/ns/mnt" 2>/dev/null)" "$dir/namespaces" 2>/dev/null || return 1
    echo "$pid"
}

# Guests: QEMU processes named in libvirt's pid files that live in a mount namespace of ours.
guest_pids() {
    for file in "$dir"/run/qemu/*.pid; do
        [ -f "$file" ] || continue
        pid=$(cat "$file" 2>/dev/null) || continue
        case $(cat "/proc/$pid/comm" 2>/dev/null) in
        qemu*) ;;
        *) continue ;;
        esac
        grep -qxF "$(readlink "/proc/$pid/ns/mnt" 2>/dev/null)" "$dir/namespaces" 2>/dev/null || continue
        # A zombie waits only for its parent.
        case $(sed -n 's/^State:[[:space:]]*//p' "/proc/$pid/status" 2>/dev/null) in
        Z* | '') continue ;;
        esac
        echo "$pid"
    done
}

# End a process: TERM, then KILL after 5 s.
end_process() {
    kill "$1" 2>/dev/null || return 0
    tries=0
    while kill -0 "$1" 2>/dev/null; do
        case $(sed -n 's/^State:[[:space:]]*//p' "/proc/$1/status" 2>/dev/null) in Z* | '') return 0 ;; esac
        tries=$((tries + 1))
        if [ $tries -eq 50 ]; then kill -9 "$1" 2>/dev/null; fi
        if [ $tries -gt 100 ]; then
            echo "libvirtd.sh: process $1 does not end" >&2
            return 1
        fi
        sleep 0.1
    done
}

write_configuration() {
    mkdir -p "$dir/etc/qemu" "$dir/run" "$dir/lib" "$dir/log" "$dir/cache" "$dir/socket"
    # Telling two daemons of one machine apart: libvirt refuses to migrate between equal host ids.
    [ -s "$dir/host_uuid" ] || cat /proc/sys/kernel/random/uuid >"$dir/host_uuid"
    cat >"$dir/etc/libvirtd.conf" <<END
unix_sock_dir = "$dir/socket"
unix_sock_rw_perms = "0700"
unix_sock_group = "root"
auth_unix_ro = "none"
auth_unix_rw = "none"
host_uuid = "$(cat "$dir/host_uuid")"
log_outputs = "2:file:$dir/libvirtd.log"
END
    [ -z "$listen" ] || cat >>"$dir/etc/libvirtd.conf" <<END
listen_tls = 0
listen_tcp = 1
auth_tcp = "none"
listen_addr = "$listen"
END
    # root: QEMU is asked once what it can do, not at each definition. No confinement: these are test guests,
    # and a test machine often has neither AppArmor nor the controllers.
    cat >"$dir/etc/qemu.conf" <<'END'
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
cgroup_controllers = []
namespaces = []
stdio_handler = "file"
seccomp_sandbox = 0
END
    [ -z "$listen" ] || echo "migration_address = \"$listen\"" >>"$dir/etc/qemu.conf"
    # Debian's libvirt looks its default user up even where the configuration names another; the package
    # that makes that user is not needed for anything else here, so the namespace shows one.
    for table in passwd group; do
        cp "/etc/$table" "$dir/etc/$table"
        grep -q '^libvirt-qemu:' "/etc/$table" || case $table in
        passwd) echo 'libvirt-qemu:x:64055:64055::/nonexistent:/usr/sbin/nologin' >>"$dir/etc/passwd" ;;
        group) echo 'libvirt-qemu:x:64055:' >>"$dir/etc/group" ;;
        esac
    done
}

start_daemon() {
    if pid=$(daemon_pid); then
        return 0
    fi
    write_configuration || return 1
    cache=${VENV_LIBVIRT_CACHE:-$dir/cache}
    mkdir -p "$cache" /etc/libvirt /run/libvirt /var/lib/libvirt /var/log/libvirt /var/cache/libvirt || return 1
    rm -f "$socket" "$dir/socket/libvirt-sock-ro" "$dir/socket/libvirt-admin-sock" "$dir/daemon.pid"
    # `unshare` and `sh` become libvirtd, so $! is its process id. It must not hold our standard output open:
    # the caller reads the URI from it.
    DIR=$dir CACHE=$cache LISTEN=${listen:+--listen} setsid unshare --mount --propagation private sh -c '
        set -e
        mount --bind "$DIR/etc" /etc/libvirt
        mount --bind "$DIR/run" /run/libvirt
        mount --bind "$DIR/lib" /var/lib/libvirt
        mount --bind "$DIR/log" /var/log/libvirt
        mount --bind "$CACHE" /var/cache/libvirt
        mount --bind "$DIR/etc/passwd" /etc/passwd
        mount --bind "$DIR/etc/group" /etc/group
        readlink "/proc/$$/ns/mnt" >>"$DIR/namespaces"
        exec libvirtd $LISTEN --config "$DIR/etc/libvirtd.conf" --pid-file "$DIR/daemon.pid"
    ' </dev/null >>"$dir/libvirtd.out" 2>&1 &
    pid=$!
    echo "$pid" >"$dir/libvirtd.pid"
    tries=0
    until [ -S "$socket" ] && virsh --quiet --connect "$uri" uri >/dev/null 2>&1; do
        tries=$((tries + 1))
        if [ $tries -gt 300 ] || ! kill -0 "$pid" 2>/dev/null; then
            echo "libvirtd.sh: libvirtd did not come up in $dir:" >&2
            tail -n 20 "$dir/libvirtd.out" "$dir/libvirtd.log" >&2 2>/dev/null
            return 1
        fi
        sleep 0.1
    done
}

stop_all() {
    failed=0
    if pid=$(daemon_pid); then
        end_process "$pid" || failed=1
    fi
    for pid in $(guest_pids); do
        end_process "$pid" || failed=1
    done
    return $failed
}

case $verb in
start)
    if [ "$(id -u)" -ne 0 ]; then
        echo "libvirtd.sh: needs root, for a mount namespace of its own" >&2
        exit 1
    fi
    command -v libvirtd >/dev/null && command -v virsh >/dev/null || {
        echo "libvirtd.sh: libvirtd or virsh is missing; run sh tests/install-deps.sh" >&2
        exit 1
    }
    start_daemon || exit 1
    echo "$uri"
    ;;
uri) echo "$uri" ;;
pid) daemon_pid ;;
kill)
    pid=$(daemon_pid) || {
        echo "libvirtd.sh: no daemon runs in $dir" >&2
        exit 1
    }
    kill -9 "$pid"
    while kill -0 "$pid" 2>/dev/null; do
        case $(sed -n 's/^State:[[:space:]]*//p' "/proc/$pid/status" 2>/dev/null) in Z* | '') break ;; esac
        sleep 0.05
    done
    ;;
guests) guest_pids ;;
stop) stop_all ;;
esac
