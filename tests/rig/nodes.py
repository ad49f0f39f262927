"""A cluster on one machine: a manager, and hypervisor nodes with a libvirtd and an agent each.

    hub (network of this process): manager, venvctl          10.77.0.254
     ├── node1: network, mounts and host name of its own     10.77.0.1    libvirtd, venv-agent, guests
     ├── node2                                               10.77.0.2
     └── node3                                               10.77.0.3

A test calls enter() first. It goes on as process 1 of a process namespace, with networks and mounts of its own: when it ends,
however it ends, the kernel ends everything that it started, and the namespaces and mounts are gone with the last of it. What
is left is a folder in /var/tmp after a kill -9, and enter() removes that of rigs which are no more.

Folders that are private to a node are under DIR/nodeN; DIR/shared is the same for all, as a network file system would be.
Each node sees its own DIR/nodeN/console as DIR/console.
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "loop"))
from rig import ENDED, TOP, Failure, Rig  # noqa: E402,F401

HUB = "10.77.0.254"
COUNT = re.compile(r"^count (\d+)\r?$", re.M)


def enter():
    """Become process 1 of namespaces of one's own; returns there. The caller's process only waits."""
    if os.environ.get("VENV_RIG") == "inside":
        return
    if os.geteuid() != 0:
        sys.exit("the rig needs root: it makes namespaces")
    for path in pathlib.Path("/var/tmp").glob("venv-rig.*"):
        try:
            os.kill(int((path / "pid").read_text()), 0)
        except (OSError, ValueError):
            shutil.rmtree(path, ignore_errors=True)
    os.environ["VENV_RIG"] = "inside"
    os.environ["VENV_RIG_PID"] = str(os.getpid())  # unshare takes our place, and lives as long as the rig
    command = ["unshare", "--mount", "--net", "--uts", "--ipc", "--pid", "--fork", "--kill-child", "--mount-proc"]
    sys.stdout.flush()
    os.execvp("unshare", command + [sys.executable] + sys.argv)


class Nodes(Rig):
    PREFIX = "venv-rig."
    FOLDERS = ("log", "guest", "console", "state", "commands", "shared")

    def __init__(self, binaries, count=2, environments=None):
        self.names = [f"node{n + 1}" for n in range(count)]
        self.holders, self.uris = {}, {}
        self.environments = environments or ENVIRONMENTS
        self.PEERS = (("manager", "mgr"), ("user", "admin"), *(("agent", name) for name in self.names))
        super().__init__(pathlib.Path(binaries).resolve())

    # --- set-up ----------------------------------------------------------------------------------

    def set_up(self, hypervisor):
        (self.dir / "pid").write_text(os.environ.get("VENV_RIG_PID", ""))
        self.certificates()
        self.run("sh", TOP / "examples/guest/build.sh", self.dir / "guest")
        self.make_hub()
        for name in self.names:
            self.make_node(name)
        self.write_config("manager", MANAGER + self.environments)
        self.write_config("client", (TOP / "examples/quickstart/client.yaml").read_text().replace("127.0.0.1", HUB))
        for name in self.names:
            self.libvirtd_start(name)
            self.write_config(name, NODE, NAME=name, URI=self.uris[name])

    def address(self, name):
        return f"10.77.0.{self.names.index(name) + 1}"

    def make_hub(self):
        self.run("ip", "link", "set", "lo", "up")
        self.run("ip", "link", "add", "name", "hub", "type", "bridge")
        self.run("ip", "address", "add", f"{HUB}/24", "dev", "hub")
        self.run("ip", "link", "set", "hub", "up")
        (self.dir / "hosts").write_text("127.0.0.1 localhost\n" + "".join(f"{self.address(n)} {n}\n" for n in self.names))

    def make_node(self, name):
        own = self.dir / name
        own.mkdir()
        self.run("mount", "-t", "tmpfs", "-o", "size=768m", f"venv-{name}", own)  # a disk of its own, that can be full
        for folder in ("console", "disks", "saves", "state", "libvirtd/etc/hooks"):
            (own / folder).mkdir(parents=True)
        hook = own / "libvirtd/etc/hooks/qemu"
        hook.write_text(HOOK.replace("NODE", str(own)))
        hook.chmod(0o755)
        script = ("hostname $NAME && ip link set lo up && mount --bind $DIR/hosts /etc/hosts && "
                  "for folder in console disks saves; do mount --bind $DIR/$NAME/$folder $DIR/$folder || exit; done && "
                  "echo ready && exec sleep infinity")
        for folder in ("disks", "saves"):
            (self.dir / folder).mkdir(exist_ok=True)
        holder = subprocess.Popen(["unshare", "--net", "--mount", "--uts", "--propagation", "private", "sh", "-c", script],
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                                  env=dict(os.environ, NAME=name, DIR=str(self.dir)))
        self.known.add(holder.pid)
        self.holders[name] = holder
        if holder.stdout.readline() != "ready\n":
            raise Failure(f"{name} was not made: see above")
        self.run("ip", "link", "add", f"to-{name}", "type", "veth", "peer", "name", "eth0", "netns", holder.pid)
        self.run("ip", "link", "set", f"to-{name}", "master", "hub", "up")
        self.on(name, "ip", "address", "add", f"{self.address(name)}/24", "dev", "eth0")
        self.on(name, "ip", "link", "set", "eth0", "up")

    # --- a node ----------------------------------------------------------------------------------

    def inside(self, name, *command):
        """A command as it is run on a node: its process is the node's."""
        return ["nsenter", "--target", str(self.holders[name].pid), "--mount", "--net", "--uts", "--", *map(str, command)]

    def on(self, name, *command, **options):
        return self.run(*self.inside(name, *command), **options)

    def libvirtd(self, verb, name, check=True):
        cache = TOP / "build/cache/libvirt"
        cache.mkdir(parents=True, exist_ok=True)
        environment = dict(os.environ, VENV_LIBVIRT_CACHE=str(cache), VENV_LIBVIRT_LISTEN=self.address(name))
        return self.on(name, "sh", TOP / "tests/support/libvirtd.sh", verb, self.dir / name / "libvirtd", check=check,
                       env=environment).stdout.strip()

    def libvirtd_start(self, name):
        self.uris[name] = self.libvirtd("start", name).splitlines()[-1]

    def virsh(self, name, *arguments, check=True, timeout=30):
        return self.on(name, "virsh", "-q", "-c", self.uris[name], *arguments, check=check, timeout=timeout)

    def libvirtd_pid(self, name):
        return int(self.libvirtd("pid", name))

    def qemu_pids(self, name, uuid=""):
        """Of the guests of a node, whether its libvirtd knows them or not: by their network namespace."""
        network, pids = os.readlink(f"/proc/{self.holders[name].pid}/ns/net"), []
        for path in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                words = (path / "cmdline").read_bytes().decode(errors="replace").split("\0")
                if (path / "comm").read_text().startswith("qemu-system") and os.readlink(path / "ns/net") == network and \
                        "-uuid" in words and words[words.index("-uuid") + 1].startswith(uuid) and \
                        not re.search(r"^State:\s+[ZX]", (path / "status").read_text(), re.M):
                    pids.append(int(path.name))
            except OSError:
                continue
        return pids

    def partition(self, name, cut=True):
        """From everybody, manager and other nodes."""
        self.run("ip", "link", "set", f"to-{name}", "down" if cut else "up")

    def fill(self, name, full=True):
        """The node's disk."""
        filler = self.dir / name / "filler"
        if not full:
            filler.unlink(missing_ok=True)
            return
        with open(filler, "wb") as file:
            while True:
                room = os.statvfs(self.dir / name)
                size = room.f_bavail * room.f_bsize
                if size == 0:
                    return
                try:
                    os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), size)
                except OSError:
                    return

    def hold(self, name, step, held=True):
        """Let libvirt stay in a step, as its hook of QEMU has it (prepare, started, stopped, ...), for at most 5 s."""
        marks = self.dir / name
        (marks / f"at.{step}").unlink(missing_ok=True)
        (marks / f"hold.{step}").touch() if held else (marks / f"hold.{step}").unlink(missing_ok=True)

    def is_held(self, name, step):
        return (self.dir / name / f"at.{step}").exists()

    def slow(self, name, rate=None):
        """What leaves the node: `rate` as tc(8) has it; None: unlimited again."""
        self.on(name, "tc", "qdisc", "del", "dev", "eth0", "root", check=False)
        if rate:
            self.on(name, "tc", "qdisc", "add", "dev", "eth0", "root", "tbf", "rate", rate, "burst", "64kb", "latency", "400ms")

    # --- daemons ---------------------------------------------------------------------------------

    def command(self, name):
        if name in self.names:
            return self.inside(name, self.binaries / "venv-agent", "--config", self.dir / f"{name}.yaml")
        return super().command(name)

    def start_all(self):
        for name in ("manager", *self.names):
            self.start(name)
        self.wait(60, "all agents are connected, and their hypervisors answer", self.ready)

    def ready(self):
        agents = self.listing("list", "agents")
        return agents is not None and sum(a["state"] == "connected" and a.get("reachable", False) for a in agents) == len(self.names)

    # --- instances -------------------------------------------------------------------------------

    def instance(self, name):
        for row in self.instances() or []:
            if row["name"] == name:
                return row
        return None

    def is_state(self, name, state, node=None):
        row = self.instance(name)
        return row is not None and row["state"] == state and (node is None or row.get("node") == node) and row

    def launch(self, environment, node=None, timeout=120):
        """Start one and wait until it runs; returns its name."""
        before = {row["id"] for row in self.instances()}
        self.venvctl("start", environment, *(["--node", node] if node else []), "--wait", "--timeout", f"{timeout}s",
                     timeout=timeout + 30)
        return next(row["name"] for row in self.instances() if row["id"] not in before)

    def console(self, node, instance):
        path = self.dir / node / "console" / f"{instance}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def counted(self, instance):
        """The numbers on the consoles of all nodes."""
        numbers = []
        for node in self.names:
            numbers += map(int, COUNT.findall(self.console(node, instance)))
        return numbers

    def counts_on(self, instance, more=3, seconds=60):
        """The guest lives: its count goes on from where it is now."""
        now = max(self.counted(instance), default=0)
        self.wait(seconds, f"{instance} counts on from {now}", lambda: max(self.counted(instance), default=0) >= now + more)

    def check_count(self, instance):
        """No number is missing, none came twice: nothing was lost, and no moment was lived twice. Returns how many there are.
        A line that was cut in two by a move counts, as long as the consoles of all nodes have it together."""
        numbers = sorted(self.counted(instance))
        missing = sorted(set(range(1, max(numbers, default=0) + 1)) - set(numbers))
        twice = sorted({n for n in numbers if numbers.count(n) > 1})
        text = "".join(self.console(node, instance) for node in self.names)
        missing = [n for n in missing if not self.torn(instance, n)]
        if missing or twice:
            raise Failure(f"{instance}: missing {missing[:20]}, twice {twice[:20]} of {len(numbers)}\n{text[-2000:]}")
        return len(numbers)

    def torn(self, instance, number):
        """Its line began on one node and ended on another."""
        line, texts = f"count {number}", [self.console(node, instance) for node in self.names]
        heads = [text.rstrip("\r\n").rsplit("\n", 1)[-1] for text in texts]
        tails = [text.split("\n", 1)[0].rstrip("\r") for text in texts]
        return any(head + tail == line for head in heads for tail in tails if head != line)

    def running_copies(self):
        """For each node the UUIDs that run there, as libvirt says; None where it cannot be asked."""
        found = {}
        for name in self.names:
            result = self.virsh(name, "list", "--state-running", "--uuid", check=False, timeout=20)
            found[name] = set(result.stdout.split()) if result.returncode == 0 else None
        return found

    def report(self):
        lines = [super().report()]
        for name in self.names:
            for path in sorted((self.dir / name / "console").glob("*.log")):
                lines += [f"--- {name}: {path.name}", *path.read_text(errors="replace").splitlines()[-5:]]
            log = self.dir / name / "libvirtd/libvirtd.log"
            if log.exists():
                lines += [f"--- {name}: libvirtd.log", *log.read_text(errors="replace").splitlines()[-10:]]
        lines += ["--- events"] + [f"{row['kind']}: {row.get('text', '')}" for row in self.events()[-25:]]
        return "\n".join(lines)

    # --- the end ---------------------------------------------------------------------------------

    def close(self):
        for name in list(self.processes):
            try:
                self.kill(name)
            except subprocess.TimeoutExpired:
                pass
        for name, holder in self.holders.items():
            if name in self.uris:
                self.libvirtd("stop", name, check=False)
            holder.kill()
            holder.wait()
            self.run("umount", "--lazy", self.dir / name, check=False)
        self.run("ip", "link", "delete", "hub", check=False)
        shutil.rmtree(self.dir, ignore_errors=True)


# libvirt runs this at the steps of a guest's life, and waits for it (libvirt.org/hooks.html).
HOOK = """#!/bin/sh
cat >/dev/null
[ -e NODE/hold.$2 ] || exit 0
touch NODE/at.$2
tries=0
while [ -e NODE/hold.$2 ] && [ $tries -lt 50 ]; do
    sleep 0.1
    tries=$((tries + 1))
done
exit 0
"""

MANAGER = """
manager:
  name: mgr
  listen: ["10.77.0.254:PORT"]
  state: DIR/state
  tls:
    ca: DIR/pki/ca.crt
    certificate: DIR/pki/manager-mgr.crt
    key: DIR/pki/manager-mgr.key
  tick: 1s
"""

ENVIRONMENTS = """
environments:
  counter:
    hypervisor: qemu
    vcpus: 1
    memory: 128MiB
    kernel: DIR/guest/vmlinuz
    initrd: DIR/guest/initrd
    cmdline: "console=ttyS0 quiet panic=-1 class=counter count=0.2"
    ready: running
  withdisk:
    hypervisor: qemu
    vcpus: 1
    memory: 128MiB
    kernel: DIR/guest/vmlinuz
    initrd: DIR/guest/initrd
    cmdline: "console=ttyS0 quiet panic=-1 class=withdisk count=0.2"
    disks: [{file: DIR/disks/data.qcow2, format: qcow2}]
    ready: running
  busy:
    hypervisor: qemu
    vcpus: 1
    memory: 128MiB
    kernel: DIR/guest/vmlinuz
    initrd: DIR/guest/initrd
    cmdline: "console=ttyS0 quiet panic=-1 class=busy count=0.2 dirty=32"
    ready: running
"""

NODE = """
agent:
  name: NAME
  manager: "10.77.0.254:PORT"
  groups: [default, hypervisor]
  sample_every: 1s
  commands: [DIR/commands]
  hypervisor: "URI"
  migrate_uri: "qemu+tcp://{node}/system"
  state_dir: DIR/NAME/state
  saves_dir: DIR/saves
  paths: [DIR/guest, DIR/disks, DIR/shared]
  console_dir: DIR/console
  tls:
    ca: DIR/pki/ca.crt
    certificate: DIR/pki/agent-NAME.crt
    key: DIR/pki/agent-NAME.key
"""
