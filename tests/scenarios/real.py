#!/usr/bin/env python3
"""Plays a scenario with real daemons: venv-mgr and venv-agent as processes, TLS over loopback, in a directory of their own.

    VENV_BIN=build/dev/bin python3 tests/scenarios/real.py [-v] FILE.scenario...

The files are those of the simulator (venv-sim(7)). Between each agent and its manager stands a proxy that can be told to
let nothing through; hypervisors are those in memory. A step that cannot be done here is said as "skipped"; a scenario that
says `only in the simulator` is not begun. Exit 0: every expectation of every scenario that was played was met, and
at least one was.
"""
import json
import os
import pathlib
import random
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid

TOP = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("VENV_BIN", TOP / "build/dev/bin")).resolve()
SLOWNESS = float(os.environ.get("VENV_SLOWNESS", "1"))  # factor on every `within`: sanitizers, busy machines
FAKE_CPUS, FAKE_MEMORY = 8, 16 << 30  # what the hypervisor in memory has
VERBOSE = False


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Failed(Exception):
    pass


class Proxy:
    """One agent's way to its manager. `open[0]` is agent → manager, `open[1]` back; what is held back arrives when it opens."""

    def __init__(self, target):
        self.target, self.open, self.pairs, self.ended = target, [True, True], set(), False
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while not self.ended:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.carry, args=(near,), daemon=True).start()

    def carry(self, near):
        while not self.ended and not all(self.open):
            time.sleep(0.05)  # nothing of it arrives: the connection hangs
        try:
            far = socket.create_connection(("127.0.0.1", self.target), timeout=5)
        except OSError:
            near.close()
            return
        pair = (near, far)
        self.pairs.add(pair)
        try:
            while not self.ended and pair in self.pairs:
                wanted = [sock for sock, way in zip(pair, self.open) if way]
                ready = select.select(wanted, [], [], 0.05)[0] if wanted else time.sleep(0.05) or []
                for sock in ready:
                    data = sock.recv(65536)
                    if not data:
                        return
                    (far if sock is near else near).sendall(data)
        except OSError:
            pass
        finally:
            self.pairs.discard(pair)
            for sock in pair:
                sock.close()

    def cut(self):
        for near, far in list(self.pairs):
            for sock in (near, far):
                try:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
                    sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
        self.pairs.clear()

    def close(self):
        self.ended = True
        self.listener.close()
        self.cut()


class Play:
    def __init__(self, path, scenario):
        self.path, self.scenario = path, scenario
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="venv-scenario."))
        self.hosts = {host["name"]: host for host in scenario["hosts"]}
        self.managers = [name for name, host in self.hosts.items() if "manager" not in host]
        self.agents = [name for name, host in self.hosts.items() if "manager" in host]
        self.ports = {name: free_port() for name in self.managers}
        self.proxies = {name: Proxy(self.ports[self.hosts[name]["manager"]]) for name in self.agents}
        self.processes, self.frozen, self.values, self.queues = {}, set(), {}, {}
        self.last_request, self.skipped, self.checked, self.started = {}, 0, 0, False

    # --- making ---------------------------------------------------------------------------------------------

    def run(self, *words, check=True, stdin=None):
        result = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=60, input=stdin or "")
        if check and result.returncode != 0:
            raise Failed(f"{' '.join(map(str, words))}: {result.returncode}\n{result.stdout}{result.stderr}")
        return result

    def tls(self, role, name):
        return (f"tls: {{ca: {self.dir}/pki/ca.crt, certificate: {self.dir}/pki/{role}-{name}.crt, "
                f"key: {self.dir}/pki/{role}-{name}.key}}\n")

    def settings(self, name):
        return "".join(f"  {key}: {value}\n" for key, value in self.hosts[name]["settings"].items())

    def make(self):
        self.run(BIN / "make_certificate", "ca", self.dir / "pki", "test", 30)
        (self.dir / "commands").mkdir()
        for name in self.managers:
            self.run(BIN / "make_certificate", "issue", self.dir / "pki", "manager", name, 0, 30)
            self.run(BIN / "make_certificate", "issue", self.dir / "pki", "user", f"admin-{name}", 0, 30)
            (self.dir / f"{name}.client.yaml").write_text(f"managers: ['127.0.0.1:{self.ports[name]}']\n" + self.tls("user", f"admin-{name}"))
            self.configure(name, self.hosts[name].get("yaml", ""))
        for name in self.agents:
            self.run(BIN / "make_certificate", "issue", self.dir / "pki", "agent", name, 0, 30)
            self.configure_agent(name)

    def configure(self, name, yaml):
        (self.dir / f"{name}.yaml").write_text(
            f"manager:\n  name: {name}\n  listen: ['127.0.0.1:{self.ports[name]}']\n  state: {self.dir}/{name}.state\n"
            f"  {self.tls('manager', name)}{self.settings(name)}{yaml}")

    def configure_agent(self, name, machine=None):
        host = self.hosts[name]
        if host["cpus"] and (host["cpus"], host["memory"]) != (FAKE_CPUS, FAKE_MEMORY):
            raise Failed(f"hypervisor {name}: the one in memory has cpus {FAKE_CPUS} memory 16GiB: say so in the scenario")
        groups = ", ".join(["default", *host["groups"]])
        text = (f"agent:\n  name: {name}\n  manager: '127.0.0.1:{self.proxies[name].port}'\n  groups: [{groups}]\n"
                f"  commands: [{self.dir}/commands]\n  state_dir: {self.dir}/{name}.state\n"
                f"  hypervisor: '{'fake:' if host['cpus'] else 'none'}'\n  {self.tls('agent', name)}{self.settings(name)}")
        for label, kind in host["properties"].items():
            text += "properties:\n" if "properties:" not in text else ""
            text += f"  {label}: {{command: ['{name}.{label}'], type: {kind}, every: 1}}\n"
            command = self.dir / "commands" / f"{name}.{label}"
            command.write_text(f"#!/bin/sh\nexec cat {self.dir}/{name}.{label}.value\n")
            command.chmod(0o755)
        (self.dir / f"{name}.yaml").write_text(text)

    # --- processes -----------------------------------------------------------------------------------------------

    def start(self, name, as_name=None, prefix=()):
        program = "venv-mgr" if name in self.managers else "venv-agent"
        with open(self.dir / f"{as_name or name}.log", "ab") as log:
            self.processes[as_name or name] = subprocess.Popen(
                [*prefix, str(BIN / program), "--config", str(self.dir / f"{name}.yaml"), "--log-level", "debug"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def end(self, name, how):
        process = self.processes.pop(name, None)
        if process and process.poll() is None:
            if name in self.frozen:
                process.send_signal(signal.SIGCONT)
            process.send_signal(how)
            process.wait(30)
        self.frozen.discard(name)

    def start_all(self):
        if not self.started:
            self.started = True
            for name in [*self.managers, *self.agents]:
                self.start(name)

    def close(self):
        for name in list(self.processes):
            self.end(name, signal.SIGKILL)
        for proxy in self.proxies.values():
            proxy.close()
        shutil.rmtree(self.dir, ignore_errors=True)

    # --- looking ------------------------------------------------------------------------------------------------------

    def venvctl(self, manager, *words, check=False):
        return self.run(BIN / "venvctl", "--config", self.dir / f"{manager}.client.yaml", *words, check=check)

    def rows(self, manager, *words):
        result = self.venvctl(manager, *words, "--json", "--timeout", "5s")
        if result.returncode != 0:
            return None
        try:
            answer = json.loads(result.stdout)
        except json.JSONDecodeError:
            answer = [json.loads(line) for line in result.stdout.splitlines() if line]
        return answer.get("items", answer) if isinstance(answer, dict) else answer

    def world(self):
        """What expectations are asked of; empty, and so unknown, while no manager answers."""
        world = {"now": int(time.time())}
        for manager in self.managers:
            agents = self.rows(manager, "list", "agents")
            if agents is None:
                return {"now": int(time.time())}
            for agent in agents:
                values = self.rows(manager, "get", agent["name"]) or []
                agent["p"] = {row["label"]: row["value"] for row in values if row.get("quality") == "ok"}
                self.add_queues(world, agent["p"].get("queue"))
            world.setdefault("agents", []).extend(agents)
            for key, words in (("all_instances", ["list", "instances"]), ("actions", ["list", "actions"]),
                               ("triggers", ["list", "triggers"]), ("events", ["events", "--since", "0"])):
                world.setdefault(key, []).extend(self.rows(manager, *words) or [])
        return world

    @staticmethod
    def add_queues(world, queue):
        for name, numbers in (queue or {}).items():
            sums = world.setdefault("queues", {}).setdefault(name, {})
            for key, number in numbers.items():
                sums[key] = sums.get(key, 0) + number

    def ask(self, index):
        result = self.run(BIN / "venv_scenario", "ask", self.path, index, stdin=json.dumps(self.world()))
        self.checked += 1
        return json.loads(result.stdout)

    # --- steps --------------------------------------------------------------------------------------------------------------

    def write_value(self, name, label, text):
        path = self.dir / f"{name}.{label}.value"
        path.with_suffix(".new").write_text(text + "\n")
        path.with_suffix(".new").rename(path)

    def queue(self, name, pending, running=0):
        self.queues[name] = {"pending": pending, "running": running}
        for agent in self.agents:
            if "queue" in self.hosts[agent]["properties"]:
                self.write_value(agent, "queue", json.dumps(self.queues))

    def freeze(self, name, seconds):
        self.processes[name].send_signal(signal.SIGSTOP)
        self.frozen.add(name)
        threading.Timer(seconds, self.thaw, [name]).start()

    def thaw(self, name):
        if name in self.frozen and name in self.processes:
            self.frozen.discard(name)
            self.processes[name].send_signal(signal.SIGCONT)

    def clone(self, name):
        """The same certificate on a machine of another id: a mount of its own hides /etc/machine-id."""
        machine = self.dir / f"{name}.machine-id"
        machine.write_text(uuid.UUID(int=random.getrandbits(128)).hex + "\n")
        mounts = ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/machine-id && exec "$@"', str(machine)]
        if not pathlib.Path("/etc/machine-id").exists() or self.run(*mounts, "true", check=False).returncode != 0:
            return "this process may not make mounts of its own"
        self.start(name, f"{name}.clone", mounts)
        return None

    def request(self, manager, *words):
        self.last_request[manager] = words if "--id" in words else (*words, "--id", str(uuid.uuid4()))
        self.venvctl(manager, *self.last_request[manager])

    def apply(self, manager, yaml):
        self.configure(manager, yaml)
        result = self.venvctl(manager, "reload")
        return None if result.returncode == 0 else f"venvctl reload: {result.stderr.strip()}"

    def refuses(self, manager, yaml):
        kept = (self.dir / f"{manager}.yaml").read_text()
        self.configure(manager, yaml)
        result = self.venvctl(manager, "reload")
        (self.dir / f"{manager}.yaml").write_text(kept)
        if result.returncode == 0:
            raise Failed("it was taken up")

    def partition(self, agent, ways):
        for way in ways:
            self.proxies[agent].open[way] = False

    def heal(self, names):
        for name in names:
            self.proxies[name].open = [True, True]

    def do(self, index, step):
        form, args, numbers = step["form"], step["args"], step["numbers"]
        seconds = numbers[-1] / 1e9 if numbers else 0
        deeds = {
            "start HOST": lambda: (setattr(self, "started", True), self.start(args[0]))[0],
            "stop HOST": lambda: self.end(args[0], signal.SIGTERM),
            "crash HOST": lambda: self.end(args[0], signal.SIGKILL),
            "restart HOST": lambda: (self.end(args[0], signal.SIGKILL), self.start(args[0]))[1],
            "freeze HOST for SPAN": lambda: self.freeze(args[0], seconds),
            "clone AGENT": lambda: self.clone(args[0]),
            "partition AGENT from MANAGER one way": lambda: self.partition(args[0], [0]),
            "partition MANAGER from AGENT one way": lambda: self.partition(args[1], [1]),
            "partition AGENT MANAGER": lambda: self.partition(args[0], [0, 1]),
            "cut AGENT MANAGER": lambda: self.proxies[args[0]].cut(),
            "heal AGENT": lambda: self.heal(args),
            "heal": lambda: self.heal(self.agents),
            "queue NAME pending COUNT running COUNT": lambda: self.queue(args[0], numbers[1], numbers[2]),
            "queue NAME pending COUNT": lambda: self.queue(args[0], numbers[1]),
            "set AGENT LABEL VALUE": lambda: self.write_value(args[0], args[1], args[2].strip('"')),
            "unset AGENT LABEL": lambda: (self.dir / f"{args[0]}.{args[1]}.value").unlink(missing_ok=True),
            "ask MANAGER start NAME count COUNT on AGENT": lambda: self.request(args[0], "start", args[1], "--count", args[2], "--node", args[3]),
            "ask MANAGER start NAME count COUNT": lambda: self.request(args[0], "start", args[1], "--count", args[2]),
            "ask MANAGER stop NAME": lambda: self.request(args[0], "stop", "--environment", args[1]),
            "ask MANAGER drain AGENT by NAME": lambda: self.request(args[0], "node", "drain", args[1], "--by", args[2]),
            "ask MANAGER resume AGENT": lambda: self.request(args[0], "node", "resume", args[1]),
            "ask MANAGER again": lambda: self.request(args[0], *self.last_request[args[0]]),
            "apply to MANAGER BLOCK": lambda: self.apply(args[0], args[1]),
            "MANAGER refuses BLOCK": lambda: self.refuses(args[0], args[1]),
            "wait SPAN": lambda: time.sleep(seconds),
            "expect agent NAME STATE within SPAN": lambda: self.within(index, seconds),
            "expect EXPRESSION within SPAN": lambda: self.within(index, seconds),
            "expect never EXPRESSION for SPAN": lambda: self.throughout(index, seconds, "false"),
            "expect always EXPRESSION for SPAN": lambda: self.throughout(index, seconds, "true"),
            "expect EXPRESSION": lambda: self.within(index, 0),
        }
        if not form.startswith(("start", "queue", "set ")):
            self.start_all()
        why = "it is for the simulator" if step["simulator"] else "nothing here can do it" if form not in deeds else deeds[form]()
        if isinstance(why, str):
            self.skipped += 1
            print(f"{self.path}:{step['line']}: skipped: {form}: {why}")

    def within(self, index, seconds):
        end = time.monotonic() + seconds * SLOWNESS
        while True:
            answer = self.ask(index)
            if answer["answer"] == "true":
                return
            if time.monotonic() > end:
                raise Failed(f"{answer['why']}\n{answer['explained']}")
            time.sleep(0.2)

    def throughout(self, index, seconds, wanted):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            answer = self.ask(index)
            if answer["answer"] not in (wanted, "unknown"):
                raise Failed(f"{answer['why']}\n{answer['explained']}")
            time.sleep(0.2)

    def logs(self):
        for path in sorted(self.dir.glob("*.log")):
            print(f"--- {path.name}", *path.read_text(errors="replace").splitlines()[-40:], sep="\n")


def play(path):
    scenario = json.loads(subprocess.run([BIN / "venv_scenario", "print", path], check=True, capture_output=True, text=True).stdout)
    if "only" in scenario:
        print(f"{path}: only in the simulator: {scenario['only']}")
        return None
    began, p = time.monotonic(), Play(path, scenario)
    try:
        p.make()
        for index, step in enumerate(scenario["steps"]):
            if VERBOSE:
                print(f"{time.monotonic() - began:8.1f} {path}:{step['line']}: {step['form']} {step['args']}", flush=True)
            try:
                p.do(index, step)
            except Failed as failure:
                print(f"{path}:{step['line']}: {step['form']}: {failure}")
                p.logs()
                return False
        print(f"{path}: good: {len(scenario['steps'])} steps ({p.skipped} skipped), expectations asked {p.checked} times, "
              f"{time.monotonic() - began:.1f} s")
        return p.checked > 0
    finally:
        p.close()


def main():
    global VERBOSE
    files = [name for name in sys.argv[1:] if name != "-v"]
    VERBOSE = len(files) < len(sys.argv) - 1
    if not files:
        sys.exit(__doc__)
    results = [play(name) for name in files]
    print(f"{results.count(True)} scenarios good, {results.count(False)} failed, {results.count(None)} only in the simulator")
    sys.exit(0 if results.count(True) and not results.count(False) else 1)


main()
