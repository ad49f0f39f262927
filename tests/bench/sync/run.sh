#!/bin/sh
# venv-sync beside rsync, casync, zsync and cp, in the same run on the same files.
#
#   sh tests/bench/sync/run.sh [MIB] [VENV-SYNC]
#
# An ext4 image of MIB (512) with this machine's /usr/share/doc, /usr/lib/python3 and the like in it; a second version with
# 1 % of its blocks of 4 KiB changed at random and some files replaced ("a package upgraded"); a third with 12,345 bytes
# inserted at one third. For each: bytes sent to bring the one before to it, wall time, processor time, largest memory.
# Nobody waits for the disk (venv-sync --no-fsync): the others do not either. The image is made with
# mke2fs -d, so it needs no root. It prints ratios; it is no test and gates nothing.
set -eu
mib=${1:-512}
top=$(cd "$(dirname "$0")/../../.." && pwd)
tool=${2:-$top/build/bench/bin/venv-sync}
case $tool in /*) ;; *) tool=$PWD/$tool ;; esac
[ -x "$tool" ] || { echo "run.sh: no '$tool': build the preset bench, or name the program" >&2; exit 2; }
work=$(mktemp -d)
trap 'for p in ${daemon:-} ${server:-}; do kill "$p" 2>/dev/null; done; rm -rf "$work"' EXIT
cd "$work"
export VENV_SYNC_KEYS="$work/keys"

echo "== images of $mib MiB"
mkdir tree
find /usr/share/doc /usr/lib/python3 /usr/lib/x86_64-linux-gnu /usr/bin /usr/share -type f -size -4096k -printf '%s %p\n' 2>/dev/null |
    awk -v most=$((mib * 550000)) '{ used += $1 + 2048; if (used > most) exit; print $2 }' |
    cpio -p -d --quiet tree 2>/dev/null || true
truncate -s "${mib}M" 1.raw
mke2fs -q -t ext4 -d tree -E root_owner=0:0 1.raw >/dev/null 2>&1 || {
    echo "run.sh: mke2fs could not fill the image: take more MIB" >&2; exit 1; }
rm -rf tree
python3 - "$mib" <<'P'
import random, shutil, sys
rng = random.Random(42)
size = int(sys.argv[1]) << 20
shutil.copyfile("1.raw", "2.raw")
with open("2.raw", "r+b") as f:
    for _ in range(size // 4096 // 100):
        f.seek(rng.randrange(size // 4096) * 4096)
        f.write(rng.randbytes(4096))
    for _ in range(20):  # files of a package: new bytes that compress
        f.seek(rng.randrange(size // 4096 - 64) * 4096)
        f.write(bytes(rng.choices(b"elf text data and symbols\n", k=200000)))
with open("2.raw", "rb") as a, open("3.raw", "wb") as b:
    b.write(a.read(size // 3 + 777))
    b.write(rng.randbytes(12345))
    shutil.copyfileobj(a, b, 1 << 20)
P
cat 1.raw 2.raw 3.raw >/dev/null

# measure NAME COMMAND...: wall, processor seconds and KiB, in the file measured.NAME
measure() {
    name=$1
    shift
    python3 - "$name" "$@" <<'P'
import os, resource, subprocess, sys, time
name, line = sys.argv[1], sys.argv[2:]
begin = time.monotonic()
with open("out." + name, "wb") as out:
    status = subprocess.run(line, stdout=out, stderr=out).returncode
wall = time.monotonic() - begin
used = resource.getrusage(resource.RUSAGE_CHILDREN)
open("measured." + name, "w").write(f"{wall:.2f} {used.ru_utime + used.ru_stime:.2f} {used.ru_maxrss // 1024}\n")
if status:
    print(open("out." + name).read()[-800:], file=sys.stderr)
    sys.exit(f"run.sh: {' '.join(line)}: {status}")
P
}
row() { # row PEER CASE BYTES
    printf '%-22s %-10s %12s bytes %8s s %8s s cpu %6s MiB\n' "$1" "$2" "$3" $(cat "measured.$4")
    echo "$1|$2|$3|$(cut -d' ' -f1 "measured.$4")" >>table
}

echo "== publish (once for all readers)"
for v in 1 2 3; do
    measure make$v "$tool" make $v.raw repo --name disk -q
    printf '%-22s %-10s %43s s %8s s cpu %6s MiB\n' "venv-sync make" "v$v" $(cat measured.make$v)
done
if command -v casync >/dev/null; then
    for v in 1 2 3; do
        measure cmake$v casync make --store=store.castr $v.caibx $v.raw
        printf '%-22s %-10s %43s s %8s s cpu %6s MiB\n' "casync make" "v$v" $(cat measured.cmake$v)
    done
fi

port=$((20000 + $$ % 20000))
cat >rsyncd.conf <<C
port = $port
address = 127.0.0.1
use chroot = no
pid file = $work/rsyncd.pid
[w]
path = $work
uid = $(id -u)
gid = $(id -g)
C
rsync --daemon --no-detach --config=rsyncd.conf >/dev/null 2>&1 &
daemon=$!
sleep 1

server=
if command -v zsync >/dev/null && [ -x /usr/sbin/nginx ]; then
    web=$((port + 1))
    chmod 755 "$work"
    cat >nginx.conf <<C
daemon off; pid $work/nginx.pid; error_log $work/nginx.log; events { }
http { access_log off; server { listen 127.0.0.1:$web; root $work; }
  client_body_temp_path $work/t1; proxy_temp_path $work/t2; fastcgi_temp_path $work/t3; uwsgi_temp_path $work/t4; scgi_temp_path $work/t5; }
C
    /usr/sbin/nginx -c "$work/nginx.conf" -e "$work/nginx.log" &
    server=$!
    sleep 1
fi

echo "== from the version before"
for v in 2 3; do
    before=$((v - 1))
    cp --sparse=always $before.raw x.raw
    "$tool" get repo disk@$before x.raw -q
    measure get "$tool" get repo disk@$v x.raw --no-fsync --json
    cmp x.raw $v.raw
    row venv-sync v$v "$(sed -n 's/.*"received": \([0-9]*\).*/\1/p' out.get)" get
    for block in 0 4096; do
        rm -f x.raw
        cp $before.raw x.raw
        measure rsync rsync --inplace --no-whole-file --block-size=$block --stats "rsync://127.0.0.1:$port/w/$v.raw" x.raw
        cmp x.raw $v.raw
        row "rsync -B $block" v$v "$(sed -n 's/^Total bytes \(sent\|received\): \([0-9,]*\).*/\2/p' out.rsync | tr -d , | paste -sd+ | bc)" rsync
    done
    if command -v casync >/dev/null; then
        rm -f x.raw
        # What is not in the store of the reader is fetched from the other: its size is what was sent.
        rm -rf cache.castr
        casync make --store=cache.castr before.caibx $before.raw >/dev/null 2>&1
        measure casync casync extract --store=store.castr --extra-store=cache.castr --seed=$before.raw $v.caibx x.raw
        cmp x.raw $v.raw
        # An index is a header of 64 bytes, 40 bytes for each chunk (its end, its id), and a tail of 40.
        new=$(python3 - $v <<'P'
import os, sys
def chunks(path):
    data = open(path, "rb").read()[64:-40]
    return {data[i + 8:i + 40].hex() for i in range(0, len(data), 40)}
v = sys.argv[1]
new = chunks(v + ".caibx") - chunks("before.caibx")
print(sum(os.path.getsize(f"store.castr/{c[:4]}/{c}.cacnk") for c in new) + os.path.getsize(v + ".caibx"))
P
)
        row casync v$v "$new" casync
    fi
    if [ -n "$server" ]; then
        zsyncmake -b 4096 -u "http://127.0.0.1:$web/$v.raw" -o $v.zsync $v.raw 2>/dev/null
        measure zsync zsync -i $before.raw -o z.raw "http://127.0.0.1:$web/$v.zsync"
        cmp z.raw $v.raw
        fetched=$(sed -n 's/.*fetched \([0-9]*\).*/\1/p' out.zsync | tail -n 1)
        row zsync v$v "$((fetched + $(stat -c %s $v.zsync)))" zsync
    fi
    rm -f x.raw
    measure cp cp $v.raw x.raw
    row cp v$v "$(stat -c %s $v.raw)" cp
done

echo "== first sync, nothing there"
rm -f x.raw .x.raw.*
measure first "$tool" get repo disk@1 x.raw --no-fsync --json
cmp x.raw 1.raw
row venv-sync v1 "$(sed -n 's/.*"received": \([0-9]*\).*/\1/p' out.first)" first

echo "== ratios: peer / venv-sync (above 1: venv-sync needs less)"
python3 - <<'P'
rows = [line.strip().split("|") for line in open("table")]
ours = {case: (float(sent), float(wall)) for peer, case, sent, wall in rows if peer == "venv-sync"}
for peer, case, sent, wall in rows:
    if peer != "venv-sync":
        print(f"{peer:22} {case:4} bytes {float(sent or 'nan') / ours[case][0]:8.2f}   time {float(wall) / ours[case][1]:6.2f}")
P
