#!/usr/bin/env python3
"""What a start costs beside libvirt alone, and what a command costs before it does anything: life.py BINARIES

Each round starts the same guest in every way, one after the other, so that what the machine does meanwhile meets all of them. A start is
timed from the start of the program until it returns, which is when the guest's processor runs.
"""
import os
import pathlib
import re
import statistics
import sys
import time
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "loop"))
import rig as loop  # noqa: E402

ROUNDS, CALLS = int(os.environ.get("ROUNDS", "10")), int(os.environ.get("CALLS", "200"))


def seconds(*words, good=(0,)):
    """Without a shell and without reading what it prints: what is measured is the program."""
    words = [str(word) for word in words]
    null = [(os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0), (os.POSIX_SPAWN_OPEN, 2, "/dev/null", os.O_WRONLY, 0)]
    begin = time.perf_counter()
    status = os.waitstatus_to_exitcode(os.waitpid(os.posix_spawnp(words[0], words, os.environ, file_actions=null), 0)[1])
    taken = time.perf_counter() - begin
    if status not in good:
        raise SystemExit(f"life: {' '.join(words)}: exit status {status}")
    return taken


def table(title, rows, base, unit, scale):
    print(title)
    of = statistics.median(rows[base])
    print(f"  {'':44} {'median':>9} {'least':>9} {'most':>9}  {'of ' + base:>10}")
    for name, taken in rows.items():
        middle = statistics.median(taken)
        print(f"  {name:44} {middle * scale:7.1f} {unit} {min(taken) * scale:6.1f} {unit} {max(taken) * scale:6.1f} {unit}  {middle / of:9.2f}x")


class Start:
    """One machine with everything that it takes, and the same guest under other names."""

    def __init__(self, binaries):
        self.bin = pathlib.Path(binaries)
        self.rig = loop.Rig(binaries)

    def domain(self, name):
        """The XML that venv makes, as another domain: without our mark, so that nobody of ours looks at it."""
        dump = self.rig.venvctl("--connect", self.rig.uri, "start", "class2", "--file", self.rig.dir / "manager.yaml", "--name", name, "--dry-run").stdout
        xml = re.sub(r"<metadata>.*</metadata>", "", dump, flags=re.S)
        xml = re.sub(r"<uuid>.*</uuid>", f"<uuid>{uuid.uuid4()}</uuid>", xml).replace(f"venv-{name}", name)
        path = self.rig.dir / f"{name}.xml"
        path.write_text(xml)
        return path

    def virsh(self, *words):
        self.rig.run("virsh", "-q", "-c", self.rig.uri, *words)

    def rounds(self):
        rig, rows = self.rig, {"C with libvirt": [], "virsh define + start": [], "venvctl --connect start": [], "venvctl start --wait, by manager and agent": []}
        local = (self.bin / "venvctl", "--connect", rig.uri, "--quiet")
        asked = (self.bin / "venvctl", "--config", rig.dir / "client.yaml", "--quiet")
        one, two = self.domain("one"), self.domain("two")
        for turn in range(ROUNDS + 1):  # the first is for the caches and not counted
            taken = [seconds(self.bin / "bench_life", rig.uri, one)]
            self.virsh("destroy", "one"), self.virsh("undefine", "one")
            taken.append(seconds("virsh", "-q", "-c", rig.uri, f"define {two}; start two"))
            self.virsh("destroy", "two"), self.virsh("undefine", "two")
            taken.append(seconds(*local, "start", "class2", "--file", rig.dir / "manager.yaml", "--name", "three"))
            rig.run(*local, "destroy", "three")
            taken.append(seconds(*asked, "start", "class2", "--wait", "--timeout", "60s"))
            rig.run(*asked, "destroy", "--environment", "class2", "--wait", "--timeout", "60s", timeout=90)
            if turn > 0:
                for name, value in zip(rows, taken):
                    rows[name].append(value)
        return rows

    def run(self):
        try:
            self.rig.start("manager"), self.rig.start("node1")
            self.rig.wait(60, "the agent is connected", self.rig.connected, 1)
            rows = self.rounds()
        finally:
            self.rig.close()
        table(f"life: from the command to the guest's processor running, {ROUNDS} rounds", rows, "C with libvirt", "ms", 1e3)


def cold(binaries):
    rows = {"virsh --version": [], "venvctl --version": [], "mosquitto_pub --help": []}
    for _ in range(CALLS):
        for words, taken in rows.items():
            program, *rest = words.split()
            taken.append(seconds(pathlib.Path(binaries) / program if program == "venvctl" else program, *rest, good=(0, 1)))
    table(f"life: a program that says what it is, {CALLS} calls each", rows, "virsh --version", "ms", 1e3)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    cold(sys.argv[1])
    Start(sys.argv[1]).run()


main()
