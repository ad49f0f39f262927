#!/usr/bin/env python3
"""Faults in each phase of a migration and of a start, on real hypervisors (F12, F13).

Each case takes one guest that counts aloud, starts or migrates it, waits for a phase, injects one fault, heals it after a while
(a supervisor restarts what was killed; what was stopped goes on; the network is whole again; the disk has room), and looks until
a minute after the injection is over. Then there is exactly one running copy and everybody says so, or none and an alarm, else
the case is red. That there never were two is told by the guest: no number comes twice.

    campaign.py BINARIES [--count N] [--seed N] [--only REGEX] [--list]

With --count less than there are cases: as many, drawn so that all phases and faults come up. More: some again.
The exit status is 0 only if all that were asked for were done, and none is red.
"""
import argparse
import collections
import os
import random
import re
import signal
import sys
import time

import nodes
from nodes import ENDED, Failure

LIMIT = 60
ALARMS = {"instance-conflict", "instance-gone", "instance-failed", "instance-unexpected", "instance-lost", "instance-ended",
          "instance-start-failed", "action-failed", "action-ended", "instance"}

Case = collections.namedtuple("Case", "verb phase fault")

MIGRATE_PHASES = ("asked", "prepare", "perform", "switch", "confirm")
START_PHASES = ("asked", "prepare", "started", "running")
ACTORS = ("source libvirtd", "target libvirtd", "source agent", "target agent", "manager", "source QEMU", "target QEMU")


def cases():
    found = []
    for phase in MIGRATE_PHASES:
        for actor in ACTORS:
            if actor == "target QEMU" and phase in ("asked", "prepare"):
                continue  # there is none yet
            found += [Case("migrate", phase, f"{how} {actor}") for how in ("kill", "stop")]
        found += [Case("migrate", phase, fault) for fault in ("cut off source", "cut off target", "fill disk of target")]
    for phase in START_PHASES:
        for actor in ("target libvirtd", "target agent", "manager", "target QEMU"):
            if actor == "target QEMU" and phase in ("asked", "prepare"):
                continue
            found += [Case("start", phase, f"{how} {actor}") for how in ("kill", "stop")]
        found += [Case("start", phase, fault) for fault in ("cut off target", "fill disk of target")]
    return found


def draw(rng, count):
    """As many as asked; fewer than all: each phase and each fault as evenly as it goes."""
    everything, chosen = cases(), []
    while len(chosen) < count:
        left = everything[:]
        rng.shuffle(left)
        used = collections.Counter()
        while left and len(chosen) < count:
            left.sort(key=lambda case: used[case.verb, case.phase] + used[case.fault])
            case = left.pop(0)
            used[case.verb, case.phase] += 1
            used[case.fault] += 1
            chosen.append(case)
    return chosen


class Campaign:
    def __init__(self, rig, rng):
        self.rig, self.rng = rig, rng
        self.name = self.uuid = None
        self.source = self.target = None

    # --- faults ------------------------------------------------------------------------------

    def pid_of(self, actor):
        which, _, what = actor.rpartition(" ")
        node = {"source": self.source, "target": self.target}.get(which)
        if what == "manager":
            return self.rig.processes["manager"].pid
        if what == "agent":
            return self.rig.processes[node].pid
        if what == "libvirtd":
            return self.rig.libvirtd_pid(node)
        pids = self.rig.qemu_pids(node, self.uuid or "")
        return pids[0] if pids else None

    def inject(self, fault):
        """Returns what heals it, or None where there is nothing to do that to (any more)."""
        how, _, actor = fault.partition(" ")
        if how == "cut":
            node = self.source if actor.endswith("source") else self.target
            self.rig.partition(node)
            return lambda: self.rig.partition(node, False)
        if how == "fill":
            node = self.target
            self.rig.fill(node)
            return lambda: self.rig.fill(node, False)
        which, _, what = actor.rpartition(" ")
        node = {"source": self.source, "target": self.target}.get(which)
        pid = self.pid_of(actor)
        if pid is None:
            return None
        if how == "stop":
            os.kill(pid, signal.SIGSTOP)
            return lambda: self.carry_on(pid)
        if what in ("agent", "manager"):
            name = node or "manager"
            self.rig.kill(name)
            return lambda: self.rig.start(name)
        os.kill(pid, signal.SIGKILL)
        return (lambda: self.rig.libvirtd_start(node)) if what == "libvirtd" else (lambda: None)

    @staticmethod
    def carry_on(pid):
        try:
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            pass

    # --- phases ------------------------------------------------------------------------------

    def until(self, condition, seconds=15, every=0.01):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if condition():
                return True
            time.sleep(every)
        return False

    def migrating(self):
        """Data flow from QEMU to QEMU: both are there, and libvirt has a job."""
        result = self.rig.virsh(self.source, "domjobinfo", self.uuid, check=False)
        found = re.search(r"Data processed:\s+([\d.]+)", result.stdout)
        return found and float(found.group(1)) > 0

    def begin_migrate(self, phase):
        rig = self.rig
        holds = {"prepare": (self.target, "prepare"), "confirm": (self.source, "stopped")}
        if phase in ("perform", "switch"):
            rig.slow(self.source, "80mbit" if phase == "perform" else "200mbit")
        if phase in holds:
            rig.hold(*holds[phase])
        rig.venvctl("migrate", self.name, "--node", self.target)
        if phase == "asked":
            time.sleep(self.rng.random() * 0.1)
            return True
        if phase in holds:
            return self.until(lambda: rig.is_held(*holds[phase]))
        if not self.until(lambda: rig.qemu_pids(self.target, self.uuid)):
            return False
        if phase == "perform":
            found = self.until(self.migrating, 10)
            time.sleep(self.rng.random())
            return found
        # The switch: the guest does not run here any more, or the row of the source is about to go.
        return self.until(lambda: "running" not in rig.virsh(self.source, "domstate", self.uuid, check=False).stdout, 20)

    def begin_start(self, phase):
        rig = self.rig
        if phase in ("prepare", "started"):
            rig.hold(self.target, phase)
        before = {row["id"] for row in rig.instances()}
        rig.venvctl("start", "counter", "--node", self.target)
        row = next(row for row in rig.instances() if row["id"] not in before)
        self.name, self.uuid = row["name"], row["id"]
        if phase == "asked":
            time.sleep(self.rng.random() * 0.1)
            return True
        if phase in ("prepare", "started"):
            return self.until(lambda: rig.is_held(self.target, phase))
        return self.until(lambda: rig.is_state(self.name, "running"))

    # --- the end -----------------------------------------------------------------------------

    def events_since(self, revision):
        return [row for row in (self.rig.listing("events", "--since", str(revision)) or [])]

    def verdict(self, revision):
        """(True, how it ended), or (False, what is not right yet)."""
        rig, row = self.rig, self.rig.instance(self.name)
        if row is None:
            return False, "the manager does not answer, or does not know it"
        processes = {node: rig.qemu_pids(node, self.uuid) for node in rig.names}
        states = {}
        for node in rig.names:
            shown = rig.virsh(node, "domstate", self.uuid, check=False)
            if shown.returncode != 0 and "failed to get domain" not in shown.stderr:
                return False, f"libvirtd of {node} does not answer: {shown.stderr.strip()}"
            states[node] = shown.stdout.strip() if shown.returncode == 0 else None
        alive = [node for node in rig.names if processes[node]]
        said = f"manager: {row['state']} on {row.get('node')}; libvirt: {states}; processes on {alive}"
        if sum(len(pids) for pids in processes.values()) > 1:
            return False, f"two processes; {said}"
        left = [node for node in rig.names if states[node] is not None and node not in alive]
        if alive:
            here = alive[0]
            if row["state"] != "running" or row.get("node") != here or states[here] != "running":
                return False, said
            if left:
                return False, f"left over on {left}; {said}"
            where = "" if self.source is None else ", moved" if here == self.target else ", stayed"
            return True, f"1 on {here}{where}"
        if row["state"] not in ENDED | {"lost"}:
            return False, said
        if left:
            return False, f"left over on {left}; {said}"
        alarms = [e for e in self.events_since(revision) if e["subject"] == self.name and
                  (e["kind"] in ALARMS or any(word in e["kind"] for word in ("failed", "gone", "lost", "conflict")))]
        return (True, f"0, {row['state']}, told: {alarms[-1]['kind']}") if alarms else (False, f"none and no alarm; {said}")

    def prepare(self, case):
        """One guest that counts, on its own; and who is source and target."""
        rig = self.rig
        rig.wait(60, "the rig is whole", rig.ready)
        if case.verb == "start":
            self.clear()
            self.source, self.target = None, self.rng.choice(rig.names)
            self.name = self.uuid = None
            return
        row = rig.instance(self.name) if self.name else None
        if not row or row["state"] != "running":
            self.clear()
            self.name = rig.launch("counter")
            row = rig.instance(self.name)
        self.uuid, self.source = row["id"], row["node"]
        self.target = next(node for node in rig.names if node != self.source)
        rig.counts_on(self.name, more=2)

    def clear(self):
        for row in self.rig.active() or []:
            self.rig.venvctl("destroy", row["name"], "--wait", "--timeout", "60s", check=False, timeout=90)
        for node in self.rig.names:
            for path in (self.rig.dir / node / "console").glob("*.log"):
                path.unlink()
        self.name = None

    def check_guest(self, case, how, name):
        """It counts on, and what it printed says that it lived once. A full disk, or a guest that was started anew, has gaps."""
        if not how.startswith("1"):
            return
        self.rig.counts_on(name, more=2, seconds=30)
        numbers = self.rig.counted(name)
        twice = sorted({n for n in numbers if numbers.count(n) > 1})
        if twice:
            raise Failure(f"it counted {twice[:10]} twice")
        if "fill" not in case.fault:
            self.rig.check_count(name)

    def run(self, case):
        """(red, phase was met, seconds, how)."""
        rig = self.rig
        self.prepare(case)
        revision = rig.listing("status")["revision"]
        met = (self.begin_start if case.verb == "start" else self.begin_migrate)(case.phase)
        begin = time.monotonic()
        heal = self.inject(case.fault)
        if heal is None:
            met, heal = False, lambda: None
        patience = self.rng.uniform(1, 3) if case.fault.startswith("kill") else self.rng.uniform(3, 18)
        for node in rig.names:
            for step in ("prepare", "started", "stopped"):
                rig.hold(node, step, False)
        rig.slow(self.source or self.target)
        time.sleep(patience)
        heal()
        good, how = False, "?"
        while time.monotonic() - begin < LIMIT:
            try:
                good, how = self.verdict(revision)
                if good:
                    break
            except Exception as error:  # a daemon that is not there yet
                how = str(error).splitlines()[0]
            time.sleep(0.5)
        took = time.monotonic() - begin
        name, self.name = self.name, None if "fill" in case.fault else self.name  # what was not written is no fault of the next case
        if good:
            try:
                self.check_guest(case, how, name)
            except Failure as error:
                good, how = False, f"{how}, but {str(error).splitlines()[0]}"
        return not good, met, took, how


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binaries")
    parser.add_argument("--count", type=int, default=120)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="")
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    chosen = [c for c in draw(random.Random(options.seed), options.count) if re.search(options.only, " ".join(c))]
    if options.list:
        for case in chosen:
            print(*case, sep="\t")
        return
    nodes.enter()
    rng = random.Random(options.seed)
    rig, rows, red = nodes.Nodes(options.binaries), [], 0
    try:
        rig.start_all()
        campaign = Campaign(rig, rng)
        for number, case in enumerate(chosen):
            try:
                bad, met, took, how = campaign.run(case)
            except Exception as error:
                bad, met, took, how = True, False, 0, f"the case itself failed: {str(error).splitlines()[0]}"
            red += bad
            rows.append((case, bad, met, how))
            print(f"{number + 1:4} {'RED' if bad else 'ok ':3} {case.verb:8}{case.phase:9}{case.fault:22}"
                  f"{'' if met else '(late) '}{how}  {took:.0f} s", flush=True)
            if bad:
                print(rig.report(), file=sys.stderr, flush=True)
                rig = anew(rig, options.binaries)
                campaign = Campaign(rig, rng)
    finally:
        rig.close()
    print_table(rows)
    print(f"campaign: {len(rows)} injections, {sum(row[2] for row in rows)} in the phase they were meant for, {red} red")
    sys.exit(red > 0 or len(rows) < len(chosen))


def anew(rig, binaries):
    """After a case that is red: nothing of it is to make the next one red, too."""
    rig.close()
    rig = nodes.Nodes(binaries)
    rig.start_all()
    return rig


def print_table(rows):
    """By phase: how many, and how they ended."""
    ends = collections.defaultdict(collections.Counter)
    for case, bad, _, how in rows:
        end = "red" if bad else re.sub(r" on \w+", "", how.split(", told")[0])
        ends[case.verb, case.phase][end] += 1
    kinds = sorted({end for counter in ends.values() for end in counter})
    print(f"{'verb':9}{'phase':10}" + "".join(f"{kind:>16}" for kind in kinds))
    for (verb, phase), counter in ends.items():
        print(f"{verb:9}{phase:10}" + "".join(f"{counter[kind] or '':>16}" for kind in kinds))


main()
