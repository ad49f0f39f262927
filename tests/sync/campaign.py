#!/usr/bin/env python3
"""Kills and flipped bits.

    campaign.py VENV-SYNC [--kills N] [--flips N] [--seed N]

Kills: SIGKILL of `make` and `get` at random moments. After each the destination must be the old or the new image, bit for
bit, the repository right, and the next run must go on and succeed. Flips: one random bit of a random file of the repository;
`verify` must find it, and no `get` may give other bytes than the image's. Prints what was done; the defaults are 1,000 kills
and 10,000 flips.
"""
import argparse
import filecmp
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import tempfile
import time

parser = argparse.ArgumentParser()
parser.add_argument("tool")
parser.add_argument("--kills", type=int, default=1000)
parser.add_argument("--flips", type=int, default=10000)
parser.add_argument("--seed", type=int, default=1)
options = parser.parse_args()
rng = random.Random(options.seed)
root = pathlib.Path(tempfile.mkdtemp(prefix="venv-sync-campaign-"))
os.environ["VENV_SYNC_KEYS"] = str(root / "keys")


def fail(what):
    raise SystemExit(f"campaign: {what}; seed {options.seed}, files are in {root}")


def run(*arguments):
    return subprocess.run([options.tool, *map(str, arguments)], capture_output=True, text=True, timeout=120)


def need(*arguments):
    done = run(*arguments)
    if done.returncode != 0:
        fail(f"{arguments}: {done.returncode}, {done.stderr}")
    return json.loads(done.stdout) if "--json" in arguments else None


def same(a, b):
    return filecmp.cmp(a, b, shallow=False)


def killed(*arguments, within):
    """Start, and kill somewhere in the time that it would take. True if it was alive."""
    process = subprocess.Popen([options.tool, *map(str, arguments)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(rng.random() * within)
    process.send_signal(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


def images(size):
    base = bytearray(rng.randbytes(size) + bytes(1 << 20) + rng.randbytes(size // 4))
    (root / "1.raw").write_bytes(base)
    for _ in range(40):
        at = rng.randrange(size) // 4096 * 4096
        base[at:at + 4096] = rng.randbytes(4096)
    base[5000:5000] = rng.randbytes(70000)
    (root / "2.raw").write_bytes(base)


def kills(count):
    images(6 << 20)
    repo, target = root / "repo", root / "target.raw"
    need("make", root / "1.raw", repo, "-n", "disk", "-q")
    need("make", root / "2.raw", repo, "-n", "disk", "-q")
    begin = time.monotonic()
    need("get", repo, "disk@1", target, "-q")
    within = (time.monotonic() - begin) * 1.2
    now, hit, resumed = 1, 0, 0
    for i in range(count):
        if i % 4 == 3:  # a publisher
            scratch = root / "scratch"
            shutil.rmtree(scratch, ignore_errors=True)
            shutil.copytree(repo, scratch) if rng.random() < 0.5 else None
            before = len(need("list", scratch, "disk", "--json")) if scratch.exists() else 0
            (root / "3.raw").write_bytes(rng.randbytes(1 << 20) + (root / "2.raw").read_bytes())
            hit += killed("make", root / "3.raw", scratch, "-n", "disk", "-q", within=within * 2)
            if (scratch / "images").exists():
                if need("verify", scratch, "--json")["broken"]:
                    fail("a killed make left a broken repository")
            after = need("make", root / "3.raw", scratch, "-n", "disk", "--json")
            if after["version"] != before + 1:
                fail(f"version {after['version']} after {before}")
            need("gc", scratch, "--grace", "0s", "-q")
            if need("verify", scratch, "--json")["broken"] or list(scratch.glob("packs/.tmp-*")):
                fail("gc after a killed make")
            continue
        want = 3 - now
        hit += killed("get", repo, f"disk@{want}", target, "-q", within=within)
        old, new = same(target, root / f"{now}.raw"), same(target, root / f"{want}.raw")
        if not old and not new:
            fail(f"after kill {i} the destination is neither image")
        if rng.random() < 0.7:
            kept = need("get", repo, f"disk@{want}", target, "--json")
            resumed += kept["chunks_kept"] > 0 and not kept["unchanged"]
            new = True
            if not same(target, root / f"{want}.raw"):
                fail(f"the run after kill {i} gave other bytes")
        now = want if new else now
    left = [p.name for p in root.iterdir() if p.name.endswith(".venv-part")]
    need("get", repo, f"disk@{3 - now}", target, "-q")
    if [p.name for p in root.iterdir() if p.name.endswith(".venv-part")]:
        fail(f"parts are left: {left}")
    print(f"{count} kills, {hit} hit a process that lived, {resumed} runs went on from what one left: old or new each time")


def flips(count):
    images(600000)
    repo, target = root / "flips", root / "flipped.raw"
    need("make", root / "1.raw", repo, "-n", "disk", "-q")
    need("make", root / "2.raw", repo, "-n", "disk", "-q")
    files = [p for p in repo.rglob("*") if p.is_file() and p.suffix in (".pack", ".map", ".manifest") and p.stat().st_size]
    sizes = [p.stat().st_size for p in files]
    found = refused = harmless = repaired = 0
    for i in range(count):
        path = rng.choices(files, sizes if i % 2 else None)[0]
        at, bit = rng.randrange(path.stat().st_size), 1 << rng.randrange(8)
        data = bytearray(path.read_bytes())
        data[at] ^= bit
        path.write_bytes(data)
        seen = run("verify", repo, "-q").returncode != 0
        found += seen
        if i % 10 == 0:
            target.unlink(missing_ok=True)
            if i % 20 == 0:
                shutil.copy(root / "1.raw", target)
            done = run("get", repo, "disk@2", target, "-q")
            if done.returncode == 0 and not same(target, root / "2.raw"):
                fail(f"flip {i} of byte {at} of {path} gave other bytes")
            if done.returncode != 0 and i % 20 == 0 and not same(target, root / "1.raw"):
                fail(f"flip {i}: a get that failed changed the destination")
            refused += done.returncode != 0
        if not seen:
            fail(f"flip {i} of byte {at} of {path} was not found")
        if path.suffix == ".pack" and i % 10 == 1:
            mended = run("verify", repo, "--repair", root / "1.raw", "--repair", root / "2.raw", "--json")
            report = json.loads(mended.stdout)
            repaired += report["repaired"]
            maps = [p for p in files if p.suffix == ".map"]
            if report["repaired"] and run("get", repo, "disk@2", root / "mended.raw", "-q").returncode != 0:
                fail(f"flip {i}: not mended")
            data[at] ^= bit
            path.write_bytes(data)
            shutil.rmtree(repo)
            need("make", root / "1.raw", repo, "-n", "disk", "-q")
            need("make", root / "2.raw", repo, "-n", "disk", "-q")
            files = [p for p in repo.rglob("*") if p.is_file() and p.suffix in (".pack", ".map", ".manifest") and p.stat().st_size]
            sizes = [p.stat().st_size for p in files]
        else:
            data[at] ^= bit
            path.write_bytes(data)
    print(f"{count} flipped bits, {found} found by verify, {refused} gets refused, {repaired} chunks repaired; no get gave wrong bytes")


if options.kills:
    kills(options.kills)
if options.flips:
    flips(options.flips)
shutil.rmtree(root)
