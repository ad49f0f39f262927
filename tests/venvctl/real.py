#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""venvctl against a real manager and a real agent (with a hypervisor in memory): real.py DIRECTORY_OF_PROGRAMS

Every verb once, with its exit code and what it printed, for people and as JSON; then the manager goes away.
"""
import json
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

PROGRAMS = pathlib.Path(sys.argv[1])
DIR = pathlib.Path(tempfile.mkdtemp(prefix="venv-real-"))
broken = []
daemons = []


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


PORT = free_port()


def venvctl(*words, configured=True):
    line = [PROGRAMS / "venvctl"] + (["--config", DIR / "client.yaml"] if configured else []) + list(words)
    return subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)


def expect(words, code=0, out="", err=""):
    """Run, and look at the exit code and for a text in what was printed."""
    result = venvctl(*(words.split() if isinstance(words, str) else words))
    if result.returncode != code or out not in result.stdout or err not in result.stderr:
        broken.append(f"venvctl {words}: {result.returncode}\n{result.stdout}{result.stderr}")
    return result


def expect_json(words, code=0):
    result = venvctl(*words.split(), "--json")
    try:
        value = json.loads(result.stdout)
    except ValueError:
        value = None
    if result.returncode != code or value is None:
        broken.append(f"venvctl {words} --json: {result.returncode}\n{result.stdout}{result.stderr}")
    return value


def check(what, good):
    if not good:
        broken.append(what)


def wait_for(what, condition, seconds=20):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.1)
    broken.append(f"it did not happen in {seconds} s: {what}")


def start(program, config):
    log = open(DIR / f"{program}.log", "ab")
    daemon = subprocess.Popen([PROGRAMS / program, "--config", DIR / config], stdout=log, stderr=log)
    daemons.append(daemon)
    return daemon


def write_files():
    for role, name in (("manager", "mgr"), ("agent", "node1"), ("user", "ann")):
        made = venvctl("cert", "issue", role, name, "--dir", DIR / "pki", configured=False)
        check(f"cert issue {role}: {made.stderr}", made.returncode == 0)
    (DIR / "commands").mkdir()
    (DIR / "commands/say").write_text("#!/bin/sh\necho \"said $*\"\necho aside >&2\nexit \"$1\"\n")
    (DIR / "commands/say").chmod(0o755)
    (DIR / "images").mkdir()
    (DIR / "images/vmlinuz").write_text("no kernel, and nobody boots it\n")
    (DIR / "manager.yaml").write_text(f"""
manager:
  name: mgr
  listen: ["127.0.0.1:{PORT}"]
  state: {DIR}/state
  tls: {{ca: {DIR}/pki/ca.crt, certificate: {DIR}/pki/manager-mgr.crt, key: {DIR}/pki/manager-mgr.key}}
environments:
  class2: {{hypervisor: test, vcpus: 1, memory: 128MiB, kernel: {DIR}/images/vmlinuz, ready: running}}
triggers:
  never: {{when: 'instances("class2").size() > 100', do: [{{log: {{text: "many"}}}}]}}
""")
    (DIR / "agent.yaml").write_text(f"""
agent:
  name: node1
  manager: 127.0.0.1:{PORT}
  groups: [default, hypervisor]
  commands: [{DIR}/commands]
  paths: [{DIR}/images]
  state_dir: {DIR}/agent
  console_dir: {DIR}/consoles
  hypervisor: "fake:"
  tls: {{ca: {DIR}/pki/ca.crt, certificate: {DIR}/pki/agent-node1.crt, key: {DIR}/pki/agent-node1.key}}
properties:
  greet: {{command: [say, "0"], type: string, every: 1}}
  bad: {{command: [nothing-like-this], type: int, every: 1}}
""")
    (DIR / "consoles").mkdir()
    (DIR / "state").mkdir()
    (DIR / "agent").mkdir()
    (DIR / "client.yaml").write_text(f"""
managers: ["127.0.0.1:{PORT}"]
tls: {{ca: pki/ca.crt, certificate: pki/user-ann.crt, key: pki/user-ann.key}}
""")


def connected():
    result = venvctl("list", "agents", "--json")
    return result.returncode == 0 and any(item["state"] == "connected" and item["hypervisor"] and item.get("reachable")
                                          for item in json.loads(result.stdout))


def look():
    expect("status", out="mgr of real")
    for kind in ("agents", "groups", "environments", "instances", "triggers", "actions"):
        expect(f"list {kind}")
        check(f"list {kind} --json is a list", isinstance(expect_json(f"list {kind}"), list))
    check("the agent's groups", expect_json("list agents")[0]["groups"] == ["default", "hypervisor"])
    check("show agent", expect_json("show agent node1")["name"] == "node1")
    for kind, name in (("group", "default"), ("environment", "class2"), ("trigger", "never")):
        expect(f"show {kind} {name}", out=name)
    expect("show instance nobody", 3, err="nobody")
    expect("list agents -q", out="node1\n")


def ask():
    wait_for("greet is sampled", lambda: venvctl("get", "node1", "greet", "-q").stdout == "said 0\n")
    values = {item["label"]: item for item in expect_json("get node1")}
    check("a bad property says why", values["bad"]["quality"] == "error" and "nothing-like-this" in values["bad"]["reason"])
    check("a built-in one", values["memtotal"]["value"] > 0)
    expect("fetch @hypervisor greet", out="said 0")
    expect("fetch node1 bad", 1, err="nothing-like-this")
    expect(["fetch", "node1", ""], 1, err="no name of a property")
    expect(["get", "node1", ""], 1, err="no name of a property")
    expect("get nobody", 3)
    expect("get node1 nothing", 3)
    expect("exec node1", out="say")
    expect("exec node1 say 0 --json", out="said 0 --json\n")
    expect("exec node1 say 3", 1, out="said 3\n", err="ended with 3")
    expect("exec node1 sh -c true", 3, err="sh")
    expect("fetch node1 nothing", 3, err="nothing")
    expect("fetch @hypervisor cpus --where", 2)
    expect(["get", "@all", "memtotal", "--where", "agent.p.memtotal > 0 && agent.name == 'node1'"], out="node1")
    expect(["get", "@all", "cpus", "--where", "agent.p.nothing > 1"], 6, err="could not tell: lacks agent.p.nothing")
    expect(["exec", "--where", "agent.p.memtotal < 0", "node1", "say", "0"], 3, err="it is true that")
    expect(["exec", "--where", "agent.p.memtotal <", "node1", "say", "0"], 1, err="where")
    check("sizes are for people", "iB" in venvctl("show", "environment", "class2").stdout)
    expect("forget node1", 1, err="is connected")
    expect("forget nobody", 3)
    result = expect_json("exec node1")
    check("exec lists commands", result[0]["commands"][0]["name"] == "say")
    expect("control node1 rjoin default hypervisor 8-core", out="ctrlrjoin")
    wait_for("the agent is in its new group", lambda: "8-core" in venvctl("list", "groups", "-q").stdout.split())


def change():
    plan = expect_json("start class2 --dry-run")
    check("a dry run names the node", plan["dry_run"] and plan["instances"][0]["node"] == "node1")
    check("a dry run starts nothing", expect_json("list instances") == [])
    identity = "0f0e0d0c-0b0a-4908-8706-050403020100"
    first = expect_json(f"start class2 --count 2 --wait --timeout 30s --id {identity}")
    check("two run", [item["state"] for item in first["instances"]] == ["running", "running"])
    again = expect_json(f"start class2 --count 2 --wait --timeout 30s --id {identity}")
    check("asked twice under one id, done once", len(expect_json("list instances")) == 2 and again["action"] == first["action"])
    expect("start nothing", 3, err="nothing")
    expect("start class2 --node nobody", 3, err="nobody")
    expect("list instances", out="running")
    name = first["instances"][0]["name"]
    expect(f"stop {name} --wait --grace 1s --timeout 30s", out=name)
    expect("stop --environment class2 --force --wait --timeout 30s")
    states = {item["state"] for item in expect_json("list instances")}
    check(f"all are stopped: {states}", states == {"stopped"})
    expect("stop nobody", 3)


def events():
    lines = json.loads(venvctl("events", "--since", "0", "--json").stdout)
    revisions = [line["revision"] for line in lines]
    check("revisions count up", revisions == sorted(set(revisions)) and revisions[0] == 1)
    expect("events --last 1", out=f"{revisions[-1]}")
    check("the last one is one line", len(venvctl("events", "--last", "1").stdout.splitlines()) == 1)
    result = venvctl("events", "--since", "0", "--follow", "--timeout", "1s")
    check("following ends with its time", result.returncode == 0 and len(result.stdout.splitlines()) >= len(lines))
    expect("events --since 999999", 1, err="999999")


def follow_through_restart(manager):
    """Who follows sees every event, also those around a restart of the manager."""
    follower = subprocess.Popen([PROGRAMS / "venvctl", "--config", DIR / "client.yaml", "events", "--since", "0", "--follow",
                                 "--json", "--timeout", "20s"], stdout=subprocess.PIPE, text=True)
    time.sleep(0.5)
    manager.send_signal(signal.SIGKILL)
    manager.wait()
    expect("list agents --timeout 1s", 5, err="127.0.0.1")
    start("venv-mgr", "manager.yaml")
    wait_for("the agent comes back", connected)
    last = json.loads(venvctl("events", "--last", "1", "--json").stdout)[0]["revision"]
    seen = []
    for line in follower.stdout:
        seen.append(json.loads(line)["revision"])
        if seen[-1] >= last:
            break
    follower.terminate()
    follower.wait()
    check(f"every event once, in order: {seen}", seen == list(range(1, seen[-1] + 1)) and seen[-1] >= last)


def refused():
    """Another CA's user, and an agent's certificate in a user's hands."""
    venvctl("cert", "init", "--cluster", "real", "--dir", DIR / "other", configured=False)
    venvctl("cert", "issue", "user", "eve", "--dir", DIR / "other", configured=False)
    for ca, certificate in (("other/ca", "other/user-eve"), ("pki/ca", "pki/agent-node1")):
        (DIR / "wrong.yaml").write_text(f"managers: ['127.0.0.1:{PORT}']\n"
                                        f"tls: {{ca: {ca}.crt, certificate: {certificate}.crt, key: {certificate}.key}}\n")
        result = subprocess.run([PROGRAMS / "venvctl", "--config", DIR / "wrong.yaml", "status"],
                                capture_output=True, text=True, timeout=30, check=False)
        check(f"{certificate}: {result.returncode} {result.stderr}", result.returncode in (2, 4))


def lab(memory, more=""):
    (DIR / "lab.yaml").write_text(f"environments:\n  lab: {{hypervisor: test, memory: {memory}, kernel: {DIR}/images/vmlinuz{more}}}\n")
    return f"-f {DIR}/lab.yaml"


def environments():
    """Applied in versions, compared, in use, deleted; what is wrong has its line and column."""
    expect(f"apply {lab('64MiB', ', memroy: 1')}", 2, err="lab.yaml:2:")
    expect(f"apply {lab('64MiB', ', memroy: 1')}", 2, err='did you mean "memory"')
    expect(f"apply {lab('1KiB')}", 2, err="lab.yaml:2:35")
    expect(f"apply {lab('64MiB')} --dry-run", out="lab: added, version 1")
    expect("environment show lab", 3)
    expect(f"apply {lab('64MiB')}", out="lab: added, version 1")
    expect(f"apply {lab('64MiB')}", out="nothing is different from version 1")
    expect("start lab --wait --timeout 20s", out="lab-1")
    expect(f"apply {lab('128MiB')}", out="1 instance of older ones stays as it is")
    expect("environment diff lab", out="- memory: 67108864\n+ memory: 134217728")
    expect("environment diff lab@2 lab@1", out="+ memory: 67108864")
    expect("show instance lab-1", out="started from version 1, newest is 2")
    expect("environment show lab@1", out="64MiB")
    expect("environment list lab", out="user/ann")
    check("environment list", {"class2", "lab"} == {item["name"] for item in expect_json("environment list")})
    expect("environment delete lab", 1, err="lab-1")
    expect("environment delete class2", 1, err="files")
    (DIR / "class2.yaml").write_text("environments: {class2: {hypervisor: test, memory: 64MiB}}\n")
    expect(f"apply -f {DIR}/class2.yaml", 1, err="files")
    (DIR / "triggers.yaml").write_text("environments: {a: {hypervisor: test, memory: 64MiB}}\ntriggers: {}\n")
    expect(f"apply -f {DIR}/triggers.yaml", 2, err="reload")
    (DIR / "hello.user-data").write_text("#cloud-config\nruncmd: [date]\n")
    (DIR / "hello.yaml").write_text("environments: {hello: {hypervisor: test, memory: 64MiB, cloud_init: {user_data: hello.user-data}}}\n")
    expect(f"apply {DIR}/hello.yaml", out="hello: added")
    expect("environment show hello", out="runcmd: [date]")
    expect("environment delete hello --dry-run", out="could be deleted")
    expect("environment delete hello", out="deleted")
    expect("environment show hello", 3)


def imported():
    """What xl or libvirt had, applied as it was printed."""
    corpus = pathlib.Path(__file__).parents[1] / "fuzz/corpus/import"
    made = expect(f"environment import {corpus}/xl-pv.cfg --name pv", out="# pci")
    (DIR / "pv.yaml").write_text(made.stdout)
    expect(f"apply -f {DIR}/pv.yaml", out="pv: added, version 1")
    expect("environment delete pv", out="deleted")
    expect(f"environment import {corpus}/xm-python.cfg", 2, err="xm-python.cfg:1:1")
    expect("environment import /nowhere", 3)
    examples = sorted((pathlib.Path(__file__).parents[2] / "examples/environments").glob("*.yaml"))
    check(f"there are {len(examples)} examples", len(examples) >= 5)
    for example in examples:
        expect(f"apply -f {example} --dry-run", out=": added, version 1")


def environments_after_restart():
    expect("environment diff lab", out="+ memory: 134217728")
    expect("show instance lab-1", out="started from version 1, newest is 2")
    expect("reload", out="nothing is different")
    expect("environment show lab", out="128MiB")
    expect("stop lab-1 --force --wait --timeout 20s")
    expect("environment delete lab", out="deleted")
    expect("environment show hello", 3)


def main():
    made = venvctl("cert", "init", "--cluster", "real", "--dir", DIR / "pki", configured=False)
    check(f"cert init: {made.stderr}", made.returncode == 0)
    write_files()
    expect("status", 5, err="does venv-mgr run there?")
    manager = start("venv-mgr", "manager.yaml")
    agent = start("venv-agent", "agent.yaml")
    wait_for("the agent is connected", connected)
    if not broken:
        for part in (look, ask, change, events, refused, environments, imported):
            part()
        follow_through_restart(manager)
        expect("control node1 rcon", out="ctrlrcon")
        wait_for("the agent is connected again", connected)
        environments_after_restart()
        expect("control node1 stop", out="ctrlstop")
        wait_for("the agent has ended", lambda: agent.poll() == 0)
        expect("control node1 stop", 1, err="not connected")
    for daemon in daemons:
        if daemon.poll() is None:
            daemon.terminate()
    for daemon in daemons:
        daemon.wait(timeout=20)
    expect("list agents", 5)


try:
    main()
finally:
    for daemon in daemons:
        if daemon.poll() is None:
            daemon.kill()
            daemon.wait()
    if broken:
        for name in ("venv-mgr.log", "venv-agent.log"):
            if (DIR / name).exists():
                print(f"--- {name}\n" + "".join((DIR / name).read_text().splitlines(True)[-40:]))
        for line in broken:
            print("broken:", line)
    shutil.rmtree(DIR)
sys.exit(1 if broken else 0)
