"""A manager and agents as real processes in a directory of their own, for the tests of the daemons.

Every wait has a deadline and says what it waited for. Processes are ended by their ids, also after a failure.
"""
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("VENV_BIN", TOP / "build/dev/bin"))
PATIENCE = float(os.environ.get("VENV_PATIENCE", "30"))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait(what, condition, seconds=PATIENCE):
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"this did not happen within {seconds} s: {what}")
        time.sleep(0.05)


class Cluster:
    """CA, certificates and configurations; processes are started by the tests."""

    def __init__(self, name="test"):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="venv-runtime."))
        self.name, self.port = name, free_port()
        self.pki, self.processes = self.dir / "pki", {}
        self.inside = {}  # name of a process → words before its command, such as ip netns exec
        self.run(BIN / "make_certificate", "ca", self.pki, name, 30)
        self.issue("manager", "mgr")
        self.issue("user", "admin")
        (self.dir / "commands").mkdir()
        self.manager_config()
        (self.dir / "client.yaml").write_text(f"managers: ['127.0.0.1:{self.port}']\n" + self.tls("user", "admin"))

    def close(self):
        for process in self.processes.values():
            if process.poll() is None:
                process.kill()
                process.wait(PATIENCE)
        shutil.rmtree(self.dir)

    def run(self, *command, check=True, timeout=60):
        result = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=timeout,
                                stdin=subprocess.DEVNULL)
        if check and result.returncode != 0:
            raise AssertionError(f"{' '.join(map(str, command))}: {result.returncode}\n{result.stdout}{result.stderr}")
        return result

    def issue(self, role, name, days_ago=0, days=300, pki=None):
        self.run(BIN / "make_certificate", "issue", pki or self.pki, role, name, days_ago, days)

    def tls(self, role, name, indent=""):
        return (f"{indent}tls: {{ca: {self.pki}/ca.crt, certificate: {self.pki}/{role}-{name}.crt, "
                f"key: {self.pki}/{role}-{name}.key}}\n")

    # --- configuration ------------------------------------------------------------------------

    def manager_config(self, more="", name="manager", address="127.0.0.1"):
        path = self.dir / f"{name}.yaml"
        path.write_text(f"manager:\n  name: mgr\n  listen: ['{address}:{self.port}']\n  state: {self.dir}/state\n"
                        f"  tick: 200ms\n" + self.tls("manager", "mgr", "  ") + more)
        return path

    def agent_config(self, name, more="", hypervisor="none", port=None, managers=None, groups=None):
        path = self.dir / f"{name}.yaml"
        path.write_text(f"agent:\n  name: {name}\n  manager: {managers or [f'127.0.0.1:{port or self.port}']}\n"
                        f"  groups: {groups or ['default', f'{name}-group']}\n  sample_every: 200ms\n  commands: [{self.dir}/commands]\n"
                        f"  state_dir: {self.dir}/{name}.state\n  hypervisor: '{hypervisor}'\n"
                        f"  reconnect: {{first: 100ms, max: 1s}}\n" + self.tls("agent", name, "  ") + more)
        return path

    def command(self, name, text):
        path = self.dir / "commands" / name
        path.write_text(text)
        path.chmod(0o755)

    # --- processes ----------------------------------------------------------------------------

    def start(self, name, *arguments, limits=()):
        program = "venv-mgr" if name.startswith("manager") else "venv-agent"

        def prepare():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            for which, value in limits:
                resource.setrlimit(which, (value, value))

        with open(self.dir / f"{name}.log", "ab") as log:
            process = subprocess.Popen([*self.inside.get(name, []), BIN / program, "--config", self.dir / f"{name}.yaml", "--log-level", "debug",
                                        *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                       preexec_fn=prepare)
        self.processes[name] = process
        return process

    def start_manager(self, **options):
        process = self.start("manager", **options)
        self.wait("the manager listens", lambda: "listening on" in self.log("manager"))
        return process

    def start_agent(self, name, **options):
        if not (self.pki / f"agent-{name}.crt").exists():
            self.issue("agent", name)
        self.agent_config(name, **options)
        return self.start(name)

    def stop(self, name, how=signal.SIGTERM):
        process = self.processes.pop(name)
        process.send_signal(how)
        return process.wait(PATIENCE)

    def log(self, name):
        path = self.dir / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def wait(self, what, condition, seconds=PATIENCE):
        try:
            return wait(what, condition, seconds)
        except AssertionError as failure:
            logs = "".join(f"--- {path.name}\n" + "\n".join(path.read_text(errors="replace").splitlines()[-30:]) + "\n"
                           for path in sorted(self.dir.glob("*.log")))
            raise AssertionError(f"{failure}\n{logs}") from None

    # --- looking ------------------------------------------------------------------------------

    def venvctl(self, *arguments, check=False):
        return self.run(*self.inside.get("venvctl", []), BIN / "venvctl", "--config", self.dir / "client.yaml", *arguments, check=check)

    def rows(self, *arguments):
        """The rows of a venvctl command; None while it cannot be answered."""
        result = self.venvctl(*arguments, "--json")
        if result.returncode != 0:
            return None
        answer = json.loads(result.stdout)
        return answer.get("items", answer) if isinstance(answer, dict) else answer

    def agent(self, name):
        return next((row for row in self.rows("list", "agents") or [] if row["name"] == name), None)

    def is_connected(self, *names):
        rows = self.rows("list", "agents")
        return rows is not None and {row["name"] for row in rows if row["state"] == "connected"} >= set(names)

    def refusals(self):
        return re.findall(r"peer (\S+) refused: (.*)", self.log("manager"))
