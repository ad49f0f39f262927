"""A whole venv on one machine: libvirtd, manager, agents, queue, guest; for tests and for looking around.

It is not a simulator: every process is the real one. Everything lives in one directory, every wait has a
deadline and says what it waited for, and close() leaves nothing behind, also after a failed test.
"""
import ctypes
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
QUICKSTART = TOP / "examples/quickstart"
ENDED = {"stopped", "failed"}


class Failure(AssertionError):
    pass


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def reap_orphans(known):
    """Guests' processes whose libvirtd was killed become ours: a zombie would look like a running guest."""
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER, prctl(2)

    def reap():
        while True:
            time.sleep(0.2)
            try:
                children = pathlib.Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
            except OSError:
                continue
            for child in map(int, children):
                if child in known:
                    continue
                try:
                    if re.search(r"^State:\s+Z", pathlib.Path(f"/proc/{child}/status").read_text(), re.M):
                        time.sleep(0.05)  # a child of subprocess that we do not know yet is waited for by it
                        os.waitpid(child, os.WNOHANG)
                except (OSError, ChildProcessError):
                    pass

    threading.Thread(target=reap, daemon=True).start()


class Rig:
    PREFIX = "venv-loop."
    FOLDERS = ("log", "guest", "console", "state", "commands", "queue/class2/new", "queue/class2/running", "queue/class2/done")
    PEERS = (("manager", "mgr"), ("agent", "head"), ("agent", "node1"), ("user", "admin"))

    def __init__(self, binaries, hypervisor=True):
        self.binaries = pathlib.Path(binaries)
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix=self.PREFIX, dir="/var/tmp"))
        self.cluster = "loop" + re.sub(r"[^a-z0-9]", "", self.dir.name.split(".")[-1].lower())
        self.processes, self.known = {}, set()
        self.port, self.queue_port = free_port(), free_port()
        self.uri, self.guests_seen = None, set()
        for name in self.FOLDERS:
            (self.dir / name).mkdir(parents=True)
        shutil.copy(TOP / "tools/commands/spool-queue", self.dir / "commands")
        reap_orphans(self.known)
        try:
            self.set_up(hypervisor)
        except BaseException:
            self.close()
            raise

    def set_up(self, hypervisor):
        self.certificates()
        if hypervisor:
            self.run("sh", TOP / "examples/guest/build.sh", self.dir / "guest")
            self.libvirtd_start()
        for name in ("manager", "head", "node", "client"):
            self.write_config(name, (QUICKSTART / f"{name}.yaml").read_text())

    # --- files and programs ------------------------------------------------------------------

    def run(self, *command, check=True, timeout=120, **options):
        result = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=timeout,
                                stdin=subprocess.DEVNULL, **options)
        if check and result.returncode != 0:
            raise Failure(f"{' '.join(map(str, command))}: exit status {result.returncode}\n{result.stdout}{result.stderr}")
        return result

    def certificates(self):
        venvctl = self.binaries / "venvctl"
        self.run(venvctl, "cert", "init", "--cluster", self.cluster, "--dir", self.dir / "pki")
        for role, name in self.PEERS:
            self.run(venvctl, "cert", "issue", role, name, "--dir", self.dir / "pki")

    def write_config(self, name, text, **more):
        words = {"DIR": self.dir, "QUEUE_PORT": self.queue_port, "PORT": self.port,
                 "URI": self.uri or "none", **more}
        for word in sorted(words, key=len, reverse=True):
            text = re.sub(rf"\b{word}\b", lambda _: str(words[word]), text)
        (self.dir / f"{name}.yaml").write_text(text)

    def venvctl(self, *arguments, check=True, timeout=60):
        return self.run(self.binaries / "venvctl", "--config", self.dir / "client.yaml", *arguments,
                        check=check, timeout=timeout)

    def listing(self, *arguments):
        """The JSON of a venvctl command; None while the manager cannot be reached."""
        result = self.venvctl(*arguments, "--json", check=False)
        if result.returncode != 0:
            return None
        return json.loads(result.stdout)

    # --- daemons -------------------------------------------------------------------------------

    def command(self, name):
        return {
            "manager": [self.binaries / "venv-mgr", "--config", self.dir / "manager.yaml"],
            "head": [self.binaries / "venv-agent", "--config", self.dir / "head.yaml"],
            "node1": [self.binaries / "venv-agent", "--config", self.dir / "node.yaml"],
            "queue": ["python3", TOP / "examples/queue/spool-queue-server", self.dir / "queue",
                      "--port", self.queue_port],
        }[name]

    def start(self, name):
        log = open(self.dir / f"log/{name}.log", "ab")
        process = subprocess.Popen([str(word) for word in self.command(name)], stdin=subprocess.DEVNULL, stdout=log,
                                   stderr=log, start_new_session=True)
        log.close()
        self.known.add(process.pid)
        self.processes[name] = process

    def start_all(self):
        for name in ("manager", "head", "node1", "queue"):
            self.start(name)
        self.wait(60, "both agents are connected", self.connected, 2)

    def connected(self, count):
        agents = self.listing("list", "agents")
        return agents is not None and sum(a["state"] == "connected" for a in agents) == count

    def kill(self, name, sig=signal.SIGKILL):
        process = self.processes.pop(name)
        process.send_signal(sig)
        process.wait(30)
        self.known.discard(process.pid)

    def check_alive(self):
        for name, process in self.processes.items():
            if process.poll() is not None:
                raise Failure(f"{name} ended by itself with status {process.returncode}")

    def libvirtd(self, verb, check=True):
        environment = dict(os.environ, VENV_LIBVIRT_CACHE=str(TOP / "build/cache/libvirt"))
        (TOP / "build/cache/libvirt").mkdir(parents=True, exist_ok=True)
        return self.run("sh", TOP / "tests/support/libvirtd.sh", verb, self.dir / "libvirtd", check=check,
                        env=environment).stdout.strip()

    def libvirtd_start(self):
        self.uri = self.libvirtd("start").splitlines()[-1]

    def domains(self):
        """UUIDs that libvirt says are running; None while it cannot be asked."""
        result = self.run("virsh", "-q", "-c", self.uri, "list", "--uuid", check=False)
        if result.returncode != 0:
            return None
        found = set(result.stdout.split())
        self.guests_seen |= found
        return found

    # --- the queue -----------------------------------------------------------------------------

    def submit(self, name, script="echo done\n"):
        new = self.dir / "queue/class2/new"
        (new / f".{name}").write_text(script)
        (new / f".{name}").rename(new / name)

    def output(self, name):
        path = self.dir / "queue/class2/done" / name
        return path.read_text() if path.exists() else None

    # --- looking -------------------------------------------------------------------------------

    def instances(self):
        return self.listing("list", "instances")

    def active(self):
        rows = self.instances()
        return None if rows is None else [row for row in rows if row["state"] not in ENDED]

    def in_state(self, *states):
        rows = self.instances()
        return rows is not None and any(row["state"] in states for row in rows)

    def events(self, kind=None, since=0):
        rows = self.listing("events", "--since", str(since)) or []
        return [row for row in rows if kind is None or row["kind"] == kind]

    def consoles(self):
        return {path.name: path.read_text(errors="replace") for path in (self.dir / "console").glob("*")}

    def wait(self, seconds, what, condition, *arguments):
        end = time.monotonic() + seconds
        while True:
            self.check_alive()
            value = condition(*arguments)
            if value:
                return value
            if time.monotonic() > end:
                raise Failure(f"this did not happen within {seconds} s: {what}\n{self.report()}")
            time.sleep(0.1)

    def report(self):
        lines = []
        for path in sorted((self.dir / "log").glob("*.log")) + sorted((self.dir / "console").glob("*")):
            lines.append(f"--- {path.name}")
            lines += path.read_text(errors="replace").splitlines()[-25:]
        lines.append(f"--- instances: {self.instances()}")
        return "\n".join(lines)

    # --- the end -------------------------------------------------------------------------------

    def close(self):
        for name in list(self.processes):
            try:
                self.kill(name, signal.SIGTERM)
            except subprocess.TimeoutExpired:
                self.processes[name] = self.processes.get(name)
        if self.uri:
            self.libvirtd("stop", check=False)
        shutil.rmtree(self.dir, ignore_errors=True)
