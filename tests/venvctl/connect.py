#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""venvctl --connect against a real libvirtd with QEMU: connect.py DIRECTORY_OF_PROGRAMS CACHE

As a cron job would use it: every verb once, and once more where that must change nothing; two at a time; bad input; a daemon that is gone.
The guests but the last have nothing to boot: what is looked at is their machines.
"""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

PROGRAMS = pathlib.Path(sys.argv[1])
LIBVIRTD = pathlib.Path(__file__).resolve().parents[1] / "support" / "libvirtd.sh"
DIR = pathlib.Path(tempfile.mkdtemp(prefix="venv-connect-"))
os.environ["VENV_LIBVIRT_CACHE"] = sys.argv[2]
broken = []

YAML = f"""environments:
  small: {{hypervisor: qemu, vcpus: 1, memory: 32MiB, disks: [{{file: {DIR}/blank, format: raw, readonly: true}}]}}
  other: {{hypervisor: qemu, vcpus: 2, memory: 64MiB, disks: [{{file: {DIR}/blank, format: raw, readonly: true}}]}}
"""
WRONG = """environments:
  small: {hypervisor: qemu, vcpus: 1,
          memroy: 32MiB}
"""


def daemon(verb):
    return subprocess.run(["sh", LIBVIRTD, verb, DIR / "d"], capture_output=True, text=True, check=True).stdout.strip()


def line(uri, words):
    return [PROGRAMS / "venvctl", "--connect", uri] + words.split()


def expect(uri, words, code=0, out="", err=""):
    """Run, and look at the exit code and for a text in what was printed."""
    result = subprocess.run(line(uri, words), capture_output=True, text=True, timeout=120, check=False)
    if result.returncode != code or out not in result.stdout or err not in result.stderr:
        broken.append(f"venvctl {words}: {result.returncode}, expected {code}\n{result.stdout}{result.stderr}")
    return result.stdout


def check(what, good):
    if not good:
        broken.append(what)


def instances(uri):
    rows = json.loads(expect(uri, "list instances --json"))
    return {row["name"]: row for row in rows}


def misuse(uri):
    file = f"--file {DIR}/lab.yaml"
    expect(uri, "get node1", 2, err="needs a manager")
    expect(uri, "list agents", 2, err="no agents")
    expect(uri, "start small", 2, err="--file")
    expect(uri, f"start tiny {file}", 3, err='no environment "tiny"')
    expect(uri, f"start small --file {DIR}/wrong.yaml", 2, err=f"{DIR}/wrong.yaml:3:11: ")
    expect(uri, f"start small --file {DIR}/none.yaml", 3, err="none.yaml")
    expect(uri, f"start small {file} --name a --count 2", 2, err="one of them")
    expect(uri, f"start small {file} --name UPPER", 2, err="UPPER")
    expect(uri, f"start small {file} --node n1", 2, err="--node")
    expect(uri, "show instance worker", 3, err='no instance "worker"')
    expect(uri, "pause worker", 3, err='no instance "worker"')
    expect(uri, "stop worker", 0, err='no instance "worker"')
    expect(uri, "stop worker --manager x:1", 2, err="one of them")
    expect(uri, "stop", 2, err="one of them")
    expect("nonsense:///x", "status", 5)
    expect(f"qemu:///system?socket={DIR}/nobody", "status", 5, err="nobody")
    check("misuse started something", not instances(uri))


def life(uri):
    file = f"--file {DIR}/lab.yaml"
    check("a dry run prints the domain", "<name>venv-worker</name>" in expect(uri, f"start small {file} --name worker --dry-run"))
    expect(uri, f"start small {file} --name worker", out="worker")
    first = instances(uri)["worker"]
    check(f"a row: {first}", first["state"] == "running" and first["environment"] == "small" and first["memory"] == 32 << 20)
    check("--quiet is quiet", expect(uri, f"start small {file} --name worker --quiet") == "")
    check("twice is once", instances(uri) == {"worker": first})
    expect(uri, f"start other {file} --name worker", 1, err='of the environment "small"')
    for verb, state in (("pause", "paused"), ("pause", "paused"), ("resume", "running"), ("resume", "running"), ("save", "saved"),
                        ("save", "saved")):
        expect(uri, f"{verb} worker")
        check(f"{verb}: {state}", instances(uri)["worker"]["state"] == state)
    expect(uri, f"start small {file} --name worker", 1, err="restore")
    expect(uri, "restore worker", out="running")
    check("it is the same one", instances(uri)["worker"]["id"] == first["id"])
    answer = json.loads(expect(uri, "stop worker --grace 1s --json"))
    check(f"stop: {answer}", [row["state"] for row in answer["instances"]] == ["stopped"])
    expect(uri, "stop worker --quiet")
    check("gone", not instances(uri))


def many(uri):
    file = f"--file {DIR}/lab.yaml"
    expect(uri, f"start small {file} --count 2", out="small-2")
    expect(uri, f"start other {file}", out="other-1")
    expect(uri, f"start small {file}", out="small-3")
    check("four", sorted(instances(uri)) == ["other-1", "small-1", "small-2", "small-3"])
    status = json.loads(expect(uri, "status --json"))
    check(f"status: {status}", status["hypervisor"] == "QEMU" and status["running"] == 4 and status["foreign"] == 0)
    expect(uri, "pause --environment small --count 1", out="paused")
    check("one is paused", [row["state"] for row in instances(uri).values()].count("paused") == 1)
    expect(uri, "list instances --cluster elsewhere --quiet")
    check("another cluster has none", json.loads(expect(uri, "list instances --cluster elsewhere --json")) == [])
    expect(uri, "stop other-1 --cluster elsewhere", 0, err="no instance")
    expect(uri, "destroy --environment small --dry-run", out="small-3")
    expect(uri, "destroy --environment small")
    check("the other is left", list(instances(uri)) == ["other-1"])
    expect(uri, "destroy --environment small", out="nothing to destroy")
    expect(uri, "destroy other-1")


def two_at_once(uri):
    """Eight cron jobs that start the same instance: one machine, and each is content."""
    words = f"start small --file {DIR}/lab.yaml --name once --timeout 60s"
    jobs = [subprocess.Popen(line(uri, words), stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(8)]
    codes = [(job.communicate(), job.returncode)[1] for job in jobs]
    check(f"two at once: {codes}", codes == [0] * 8)
    check("one machine", list(instances(uri)) == ["once"])
    # One that hangs keeps the others out for as long as it lives, and no longer.
    pid = int(daemon("pid"))
    os.kill(pid, signal.SIGSTOP)
    hangs = subprocess.Popen(line(uri, "pause once"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not any(f"{hangs.pid} " in row for row in held_locks()):
            check("it ended early", hangs.poll() is None)
        expect(uri, "resume once --timeout 300ms", 6, err="another venvctl works on")
    finally:
        hangs.kill()
        hangs.wait()
        os.kill(pid, signal.SIGCONT)
    expect(uri, "resume once --timeout 60s", out="running")
    expect(uri, "destroy once")


def example(uri):
    """examples/programs/night.c: it starts a guest, and ends well when the guest has ended."""
    guest = LIBVIRTD.parents[2] / "examples" / "guest" / "build.sh"
    subprocess.run(["sh", guest, DIR / "guest"], check=True, stdout=subprocess.DEVNULL)
    night = subprocess.Popen([PROGRAMS / "example_night", uri, DIR / "guest/vmlinuz", DIR / "guest/initrd"])
    try:
        for _ in range(300):
            if instances(uri).get("night-1", {}).get("state") == "running":
                break
            time.sleep(0.1)
        time.sleep(5) # the guest hears its power button after some seconds
        expect(uri, "stop night-1 --grace 60s", out="stopped")
        check("the example ends well", night.wait(60) == 0)
    finally:
        night.kill()
        night.wait()
    check("nothing is left", not instances(uri))


def held_locks():
    return [f"{row.split()[4]} " for row in open("/proc/locks", encoding="ascii") if row.split()[1] == "FLOCK"]


def main():
    (DIR / "lab.yaml").write_text(YAML)
    (DIR / "blank").write_bytes(bytes(1 << 20))
    (DIR / "wrong.yaml").write_text(WRONG)
    try:
        uri = daemon("start")
        for part in (misuse, life, many, two_at_once, example):
            part(uri)
    except Exception as error: # what was seen before it is told, too
        broken.append(f"{type(error).__name__}: {error}")
    finally:
        daemon("stop")
        shutil.rmtree(DIR, ignore_errors=True)
    for what in broken:
        print(f"not so: {what}", file=sys.stderr)
    print(f"venvctl --connect: {'as expected' if not broken else str(len(broken)) + ' things are not as expected'}")
    sys.exit(1 if broken else 0)


main()
