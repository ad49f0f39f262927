#!/usr/bin/env python3
"""A real venv-mgr, killed with SIGKILL again and again while clients and agents are at work.

    VENV_BIN=build/dev/bin python3 tests/store/torture_manager.py [CYCLES] [SEED]        (500)

Clients run commands on agents and start and stop instances (a hypervisor in the agent); every request has an id of its own, and what was not
answered is asked again under the same id. After each restart the whole history is looked at:

    L1  what was confirmed is there: its request is in the log of events, once, and the answer is the first one
    L2  one effect for each id: a command that was confirmed ran once, one that was not at most once; asking again gives the first answer
    L3  nothing is invented: every action is that of an id that somebody asked with, or has a parent that is
    L7  the log of events has no gap and no revision twice, and what was once in it does not change

Prints counts; fails where a rule is broken, or where too little happened for it to mean anything.
"""
import collections
import json
import pathlib
import random
import signal
import sys
import threading
import time
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "runtime"))
from cluster import Cluster  # noqa: E402

ENVIRONMENTS = "environments:\n  tool: {hypervisor: test, vcpus: 1, memory: 16MiB}\n"
APPEND = "#!/bin/sh\necho \"$1\" >> {file}\n"
AGENTS = ("node1", "node2")
CLIENTS = 3


class Broken(Exception):
    pass


class Request:
    def __init__(self, words):
        self.id = str(uuid.uuid4())
        self.words = words
        self.answer = None   # the first definite one: (code, essence)
        self.tries = 0


class Torture:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.cluster = c = Cluster()
        c.manager_config(ENVIRONMENTS)
        self.effects = c.dir / "effects"
        self.effects.touch()
        c.command("append", APPEND.format(file=self.effects))
        self.requests, self.lock = {}, threading.Lock()
        self.events, self.revision = {}, 0
        self.counts = collections.Counter()

    # --- clients ------------------------------------------------------------------------------

    def make(self, random_):
        kind = random_.random()
        if kind < 0.55:
            return ["exec", random_.choice(AGENTS), "append"]
        if kind < 0.8:
            return ["start", "tool"]
        return ["stop", "--environment", "tool", "--count", "1"]

    def essence(self, request, result):
        """What must be the same in every answer under one id."""
        if request.words[0] == "exec":
            rows = json.loads(result.stdout or "[]")
            return sorted((row.get("agent"), row.get("exit"), row.get("started")) for row in rows)
        answer = json.loads(result.stdout or "{}")
        return [answer.get("action"), sorted(row["id"] for row in answer.get("instances", []))]

    def ask(self, request, timeout="8s"):
        """Ask once. True if the answer was definite."""
        words = [request.words[0], "--id", request.id, "--json", "--timeout", timeout] + request.words[1:]
        if request.words[0] == "exec":
            words.append(request.id)
        request.tries += 1
        result = self.cluster.venvctl(*words)
        if result.returncode in (5, 6):
            if "restarted while this ran" in result.stderr:
                outcome = ("unknown", None)
            else:
                return False
        else:
            outcome = (result.returncode, self.essence(request, result) if result.returncode == 0 else None)
        first = request.answer
        if first is None:
            request.answer = outcome
            self.counts["confirmed" if outcome[0] == 0 else "refused" if outcome[0] != "unknown" else "unknown"] += 1
        elif first[0] == 0 and outcome != first:
            raise Broken(f"L2: {request.words} {request.id}: first {first}, now {outcome} {result.stderr}")
        return True

    def client(self, seed, stop):
        random_ = random.Random(seed)
        try:
            while not stop.is_set():
                request = Request(self.make(random_))
                with self.lock:
                    self.requests[request.id] = request
                if not self.ask(request):
                    self.counts["unanswered"] += 1
        except Exception as trouble:  # pylint: disable=broad-except
            self.broken = trouble

    # --- checks -------------------------------------------------------------------------------

    def take_events(self):
        rows = self.cluster.rows("events", "--since", str(self.revision))
        for row in rows:
            revision = row["revision"]
            if row["kind"] == "resync" or revision != self.revision + 1:
                raise Broken(f"L7: revision {revision} after {self.revision}: {row}")
            self.revision = revision
            self.events[revision] = row

    def check(self, everything):
        c = self.cluster
        pending = [r for r in self.requests.values() if r.answer is None]
        for request in pending:  # retried under the same id until the answer is definite
            for _ in range(20):
                if self.ask(request):
                    break
                time.sleep(0.1)
            else:
                raise Broken(f"no answer to {request.words} {request.id}")
            self.counts["retried"] += 1
        confirmed = [r for r in self.requests.values() if r.answer and r.answer[0] == 0]
        for request in self.random.sample(confirmed, min(200 if everything else 4, len(confirmed))):
            if not self.ask(request):
                raise Broken(f"L1: {request.words} {request.id} was confirmed and is not answered now")
            self.counts["asked again"] += 1
        if everything:  # an event of before is what it was
            old = {row["revision"]: row for row in c.rows("events", "--since", "0")}
            if old != {**self.events, **{k: v for k, v in old.items() if k > self.revision}}:
                raise Broken("L7: the log of events has changed")
        self.take_events()
        asked = collections.Counter(row.get("cause") for row in self.events.values() if row["kind"] == "request")
        for request in self.requests.values():
            done = request.answer[0] == 0
            if asked[request.id] > 1 or (done and asked[request.id] != 1):
                raise Broken(f"L1: {request.words} {request.id} is {asked[request.id]} times in the log, its answer was {request.answer}")
        for cause in asked:
            if cause not in self.requests:
                raise Broken(f"L3: nobody asked for {cause}")
        ran = collections.Counter(self.effects.read_text().split())
        for request in self.requests.values():
            if request.words[0] == "exec" and (ran[request.id] > 1 or (request.answer[0] == 0 and ran[request.id] != 1)):
                raise Broken(f"L2: {request.id} ran {ran[request.id]} times, its answer was {request.answer}")
        if everything or self.counts["checks"] % 10 == 0:
            self.check_parents(200 if everything else 10)
        self.counts["checks"] += 1

    def check_parents(self, most):
        c = self.cluster
        fresh = [row["id"] for row in c.rows("list", "actions") if row["id"] not in self.requests]
        for name in self.random.sample(fresh, min(most, len(fresh))):
            whole = json.loads(c.venvctl("show", "action", name, "--json", check=True).stdout)
            if whole.get("parent") not in self.requests:
                raise Broken(f"L3: action {name} has no parent that somebody asked for: {whole}")
            self.counts["parents"] += 1

    # --- cycles -------------------------------------------------------------------------------

    def cycle(self, number):
        c, stop = self.cluster, threading.Event()
        self.broken = None
        threads = [threading.Thread(target=self.client, args=(self.random.random(), stop)) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        time.sleep(self.random.uniform(0.05, 0.4))
        c.stop("manager", signal.SIGKILL)
        stop.set()
        self.counts["kills"] += 1
        began = time.monotonic()
        (c.dir / "manager.log").unlink()
        c.start_manager()
        self.slowest = max(getattr(self, "slowest", 0), time.monotonic() - began)
        for thread in threads:
            thread.join()
        if self.broken:
            raise self.broken
        self.check(number % 100 == 99)
        if number % 40 == 39:  # so that it does not only grow
            c.venvctl("stop", "--environment", "tool")
            self.requests.update({r["cause"]: self.sweep_request(r["cause"]) for r in c.rows("events", "--since", str(self.revision))
                                  if r["kind"] == "request" and r["cause"] not in self.requests})

    def sweep_request(self, name):
        request = Request(["stop", "--environment", "tool"])
        request.id, request.answer = name, ("swept", None)
        return request

    def run(self, cycles):
        c = self.cluster
        c.start_manager()
        for name in AGENTS:
            c.start_agent(name, hypervisor="fake:")
        c.wait("the agents are connected", lambda: c.is_connected(*AGENTS))
        for number in range(cycles):
            self.cycle(number)
            if number % 50 == 49:
                print(f"  {number + 1} cycles: {dict(self.counts)}", flush=True)
        c.wait("the agents are back", lambda: c.is_connected(*AGENTS))
        self.check(True)
        n = self.counts
        print(f"torture_manager: {n['kills']} kills of a manager at work; {len(self.requests)} requests, {n['confirmed']} confirmed, "
              f"{n['unanswered']} cut off by a kill, {n['retried']} of them asked again, {n['unknown']} reported as unknown, {n['refused']} refused; "
              f"{n['asked again']} confirmed ones asked again, {n['parents']} parents and {len(self.events)} events looked at; "
              f"slowest start {self.slowest:.1f} s; L1, L2, L3, L7 held")
        if n["kills"] < cycles or n["confirmed"] < cycles or n["unanswered"] < cycles / 4:
            print("torture_manager: that is too little to mean anything")
            return 1
        return 0


def main():
    cycles = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    torture = Torture(seed)
    try:
        return torture.run(cycles)
    except Broken as broken:
        print(f"torture_manager: seed {seed}, after {torture.counts['kills']} kills: {broken}")
        return 1
    finally:
        torture.cluster.close()


if __name__ == "__main__":
    sys.exit(main())
