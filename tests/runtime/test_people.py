#!/usr/bin/env python3
"""What people ask a manager with a past: why, trigger list and test, and the replay of a changed trigger, with real daemons.

    VENV_BIN=build/dev/bin python3 tests/runtime/test_people.py [-v]
"""
import json
import signal
import time
import unittest

from cluster import BIN, Cluster

ENVIRONMENTS = "environments:\n  class2: {hypervisor: test, vcpus: 1, memory: 64MiB, ready: running}\n" \
               "  huge: {hypervisor: test, vcpus: 1, memory: 4096GiB}\n" \
               "  broken: {hypervisor: test, vcpus: 1, memory: 64MiB, kernel: /nowhere/vmlinuz, initrd: /nowhere/initrd}\n"
WHEN = 'queue("class2").pending > 0 && instances("class2").size() == 0'
TRIGGERS = f"""triggers:
  grow:
    when: '{WHEN}'
    hold: 1s
    on: [update]
    do: [{{start: {{environment: class2, count: 1}}}}]
  shrink:
    when: 'queue("class2").pending == 0 && instances("class2").exists(i, i.state == "running")'
    hold: 600ms
    on: [update]
    do: [{{stop: {{environment: class2, force: true}}}}]
  counted:
    when: 'queue("class2").pending >= 100'
    hold: 3
    every: 1
    do: [{{log: {{text: 'a hundred'}}}}]
"""


class People(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        """One past for all: five jobs come, a guest starts, they go, it is stopped; the manager is killed and comes back."""
        c = cls.cluster = Cluster("people")
        try:
            c.manager_config(ENVIRONMENTS + TRIGGERS)
            c.command("spool", f"#!/bin/sh\ncat {c.dir}/queue\n")
            cls.queue(0)
            c.start_manager()
            c.start_agent("head", more="properties:\n  queue: {command: [spool], type: json, every: 1}\n")
            c.start_agent("node1", hypervisor="fake:")
            c.start_agent("node2", hypervisor="fake:")
            c.wait("all are connected", lambda: c.is_connected("head", "node1", "node2"))
            c.wait("the queue is known", lambda: (c.rows("get", "head", "queue") or [{}])[0].get("quality") == "ok")
            cls.queue(5)
            c.wait("a guest runs", lambda: cls.state("class2-1") == "running")
            time.sleep(1)
            cls.queue(0)
            c.wait("it was stopped", lambda: cls.state("class2-1") == "stopped")
            c.stop("manager", signal.SIGKILL)
            (c.dir / "manager.log").unlink()
            c.start_manager()
            c.wait("all have come back", lambda: c.is_connected("head", "node1", "node2"))
            c.wait("the queue is known", lambda: cls.evaluated("grow")["when"]["state"] == "false")
        except BaseException:
            c.close()
            raise

    @classmethod
    def tearDownClass(cls):
        cls.cluster.close()

    @classmethod
    def queue(cls, pending):
        path = cls.cluster.dir / "queue"
        path.with_suffix(".new").write_text(json.dumps({"class2": {"pending": pending, "running": 0}}))
        path.with_suffix(".new").rename(path)

    @classmethod
    def state(cls, name):
        return next((row["state"] for row in cls.cluster.rows("list", "instances") or [] if row["name"] == name), None)

    @classmethod
    def evaluated(cls, name):
        return cls.cluster.rows("trigger", "test", name)[0]["units"][0]

    def why(self, *arguments):
        return json.loads(self.cluster.venvctl("why", *arguments, "--json", check=True).stdout)

    def steps(self, why, kind):
        return [step for step in why["steps"] if step["kind"] == kind]

    # --- why --------------------------------------------------------------------------------------------------

    def test_why_an_instance_from_the_sample_to_the_end(self):
        why = self.why("instance", "class2-1")
        self.assertRegex(why["answer"], r"^class2-1 is stopped on node[12]: as asked; asked for by trigger/grow$")
        samples = [(step["detail"]["subject"], step["detail"]["label"], step["detail"]["value"]) for step in self.steps(why, "sample")]
        self.assertIn(("head", "queue", {"pending": 5, "running": 0}), samples)
        for step in self.steps(why, "sample"):
            if step["detail"]["label"] == "queue":
                self.assertIn("time", step)
        grow = self.steps(why, "condition")[0]["detail"]
        self.assertEqual((grow["source"], grow["state"]), (WHEN, "true"))
        parts = {WHEN[part["begin"]:part["end"]]: part.get("value", part.get("text")) for part in grow["parts"]}
        self.assertEqual(parts[WHEN], True)
        self.assertEqual(parts['queue("class2").pending'], 5)
        self.assertEqual(parts['instances("class2").size()'], 0)
        self.assertRegex(self.steps(why, "hold")[0]["text"], r"^hold: 1\.[0-9]s of 1s$")
        self.assertEqual([step["text"].split(":")[0][7:] and step["text"].split(": ")[1].split(" by")[0] for step in self.steps(why, "action")],
                         ["start class2", "start class2-1", "stop class2", "stop class2-1"])
        placement = self.steps(why, "placement")[0]["detail"]
        self.assertEqual({node["node"]: node["rule"] for node in placement["nodes"]}, {"node1": "ok", "node2": "ok"})
        texts = [step["text"] for step in why["steps"]]
        self.assertTrue(any("grow fired" in text for text in texts), texts)
        self.assertTrue(any("shrink fired" in text for text in texts), texts)
        times = [step["time"] for step in why["steps"] if step["level"] == 0 and "time" in step]
        self.assertEqual(times, sorted(times))

    def test_why_an_action_and_what_its_node_said(self):
        action = next(row for row in self.cluster.rows("list", "actions") if row["subject"] == "class2-1" and row["kind"] == "start")
        why = self.why("action", action["id"][:8])
        self.assertEqual(why["answer"], "start class2-1 by trigger/grow is done")
        self.assertTrue(self.steps(why, "condition"))
        missing = self.cluster.venvctl("why", "action", "00000000")
        self.assertEqual(missing.returncode, 3)

    def test_why_an_instance_failed_in_the_words_of_its_node(self):
        failed = self.cluster.venvctl("start", "broken", "--wait", "--node", "node1", "--timeout", "20s")
        self.assertNotEqual(failed.returncode, 0)
        why = self.why("instance", "broken-1")
        self.assertRegex(why["answer"], r"broken-1 is failed on node1: .*/nowhere.*; asked for by user/admin")
        self.assertTrue(any("user/admin asks for 1 of broken" in step["text"] for step in why["steps"]), why["steps"])
        rules = {node["node"]: node["rule"] for node in self.steps(why, "placement")[0]["detail"]["nodes"]}
        self.assertEqual(rules, {"node1": "ok", "node2": "asked"})
        self.assertTrue(any("/nowhere" in step["text"] for step in self.steps(why, "action")), why["steps"])

    def test_why_nothing_starts_on_a_node(self):
        why = self.why("node", "node1")
        self.assertIn("could start 2 of 3 environments", why["answer"])
        verdicts = {step["text"].split(":")[0]: step["detail"]["rule"] for step in self.steps(why, "verdict")}
        self.assertEqual(verdicts, {"class2": "ok", "huge": "memory", "broken": "ok"})
        self.assertIn("connected", self.why("node", "head")["answer"])

    def test_why_a_trigger_has_not_fired(self):
        why = self.why("trigger", "grow")
        self.assertEqual(why["answer"], "grow does not fire: `when` is false")
        self.assertTrue(self.steps(why, "last"))
        self.assertTrue(any("grow fired" in step["text"] for step in why["steps"]))
        text = self.cluster.venvctl("why", "trigger", "grow", check=True).stdout
        self.assertIn("^^^", text)
        for kind in "trigger", "node", "instance", "action":
            for name in "none", "x" * 300:
                missing = self.cluster.venvctl("why", kind, name)
                self.assertEqual(missing.returncode, 3, missing.stderr)
                self.assertEqual("so long ago" in missing.stderr, kind in ("instance", "action") and name == "none", missing.stderr)

    # --- trigger ----------------------------------------------------------------------------------------------

    def test_a_hold_is_looked_at_live(self):
        c = self.cluster
        rows = {row["name"]: row for row in c.rows("trigger", "list")}
        self.assertEqual(set(rows), {"grow", "shrink", "counted"})
        self.assertEqual((rows["grow"]["mode"], rows["grow"]["fired"], rows["grow"]["enabled"]), ("act", 1, True))
        self.assertIn("definition", c.rows("trigger", "show", "grow"))
        c.venvctl("trigger", "disable", "grow", "--why", "a test", check=True)
        self.addCleanup(lambda: (self.queue(0), c.venvctl("trigger", "enable", "grow", check=True)))
        self.assertIn("disabled by user/admin: a test", self.why("trigger", "grow")["answer"])
        self.queue(100)
        seen = set()

        def fired():
            row = next(row for row in c.rows("trigger", "list") if row["name"] == "counted")
            seen.add(row.get("counter", ""))
            return row["fired"] > 0

        c.wait("a count of three", fired)
        self.assertLessEqual(seen, {"", "1/3", "2/3"}, seen)

    def test_a_trigger_is_tested_in_the_managers_world_and_leaves_no_trace(self):
        c = self.cluster
        path = c.dir / "new.yaml"
        path.write_text("triggers:\n  hot:\n    on: [update]\n    when: agent.p.cpus > 0 && agent.name == \"node1\"\n"
                        "    do: [{log: {text: 'cpus of ${agent.name}'}}]\n")
        result = c.venvctl("trigger", "test", path, "--agent", "node1", check=True)
        lines = result.stdout.splitlines()
        self.assertEqual(lines[0], "hot for node1: it would fire")
        self.assertIn('    agent.p.cpus > 0 && agent.name == "node1"', lines)
        self.assertIn('    ^^^^^^^^^^^^^^^^                           true', lines)
        self.assertIn("  do log: text cpus of node1", lines)
        everywhere = json.loads(c.venvctl("trigger", "test", path, "--json", check=True).stdout)[0]["units"]
        self.assertEqual({unit["agent"]: unit["would"] for unit in everywhere}, {"head": "nothing", "node1": "fire", "node2": "nothing"})
        self.assertEqual({row["name"] for row in c.rows("trigger", "list")}, {"grow", "shrink", "counted"})
        path.write_text("hot:\n  when: 'agent.p.cpus >'\n  do: [{log: {text: x}}]\n")
        wrong = c.venvctl("trigger", "test", path)
        self.assertEqual(wrong.returncode, 1)
        self.assertIn("trigger hot", wrong.stderr)
        for name in "none", "x" * 200:
            self.assertEqual(c.venvctl("trigger", "test", name).returncode, 3, name)
            self.assertEqual(c.venvctl("trigger", "test", "grow", "--agent", name).returncode, 3, name)

    # --- the flight recorder --------------------------------------------------------------------------------------

    def test_dump_and_what_is_left_when_an_assertion_fails(self):
        c = self.cluster
        path = c.dir / "dumped.record"
        self.assertRegex(c.venvctl("dump", path, check=True).stdout, r"dumped.record: \d+ bytes")
        data = path.read_bytes()
        self.assertTrue(data.startswith(b"venv-record 1\n"), data[:20])
        self.assertGreater(len(data), 1000)
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        path.chmod(0o644)
        c.venvctl("dump", path, check=True)
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        link = c.dir / "link.record"
        link.symlink_to(c.dir / "elsewhere")
        refused = c.venvctl("dump", link)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("symbolic link", refused.stderr)
        self.assertFalse((c.dir / "elsewhere").exists())
        data = path.read_bytes()
        stepped = c.run(BIN / "venv_sim", "--replay", path, check=False)
        self.assertEqual(stepped.returncode, 0, stepped.stdout[-2000:] + stepped.stderr[-2000:])
        self.assertEqual(c.stop("manager", signal.SIGABRT), -signal.SIGABRT)
        left = (c.dir / "state/flight.record").read_bytes()
        self.assertTrue(left.startswith(data[:1000]), "the record of the crash is not that of the same life")
        (c.dir / "manager.log").unlink()
        c.start_manager()
        c.wait("all have come back", lambda: c.is_connected("head", "node1", "node2"))

    # --- replay -----------------------------------------------------------------------------------------------

    def replay(self, path, *more):
        since = () if "--since" in more else ("--since", "1h")
        return json.loads(self.cluster.venvctl("trigger", "replay", path, *since, "--json", *more, check=True).stdout)

    def test_the_same_triggers_would_have_fired_as_they_did(self):
        path = self.cluster.dir / "same.yaml"
        path.write_text(TRIGGERS)
        answer = self.replay(path)
        did = [(row["trigger"], row["kind"]) for row in answer["did"] if row["trigger"] != "counted"]
        self.assertEqual(did, [("grow", "fired"), ("grow", "recovered"), ("shrink", "fired"), ("shrink", "recovered")])
        self.assertEqual([row["did"] for row in answer["triggers"] if row["name"] != "counted"], [1, 1])  # firings
        would = [row for row in answer["would"] if row["kind"] == "fired" and row["trigger"] != "counted"]
        self.assertEqual([row["trigger"] for row in would][:2], ["grow", "shrink"])
        table = self.cluster.venvctl("trigger", "replay", path, "--since", "1h", check=True).stdout
        self.assertRegex(table, r"fired +fired +grow +- +start class2")
        self.assertRegex(table, r"recovered +recovered +grow")
        self.assertIn("The model: each start finds a node and works", table)
        environment = answer["environments"][0]
        self.assertEqual((environment["name"], environment["did_start"]), ("class2", 1))
        self.assertGreaterEqual(environment["would_start"], 1)
        self.assertGreater(environment["did_hours_triggers"], 0)
        span = ("--since", answer["from"][:19], "--until", answer["to"][:19] + "Z")
        once, twice = self.replay(path, *span), self.replay(path, *span)
        self.assertEqual(once["would"], twice["would"])
        self.assertEqual((once["from"][:19], once["environments"]), (answer["from"][:19], twice["environments"]))

    def test_a_changed_trigger_would_have_fired_elsewhere(self):
        path = self.cluster.dir / "changed.yaml"
        path.write_text("grow:\n  when: 'queue(\"class2\").pending > 3'\n  until: 'queue(\"class2\").pending == 0'\n  on: [update]\n"
                        "  do: [{start: {environment: class2, count: '${queue(\"class2\").pending}'}}]\n  recover: [{stop: {environment: class2}}]\n"
                        "never:\n  when: 'queue(\"class2\").pending > 1000'\n  on: [update]\n  do: [{log: {text: x}}]\n")
        live, folder = self.replay(path), self.replay(path, "--state", self.cluster.dir / "state")
        for answer in live, folder:
            rows = [(row["trigger"], row["kind"], row["orders"]) for row in answer["would"] if row["kind"] in ("fired", "recovered")][:2]
            self.assertEqual(rows, [("grow", "fired", [{"verb": "start", "arguments": {"count": 5, "environment": "class2"}}]),
                                    ("grow", "recovered", [{"verb": "stop", "arguments": {"environment": "class2"}}])])
            self.assertGreaterEqual(answer["environments"][0]["would_start"], 5)
            why = next(row for row in answer["would"] if row["kind"] == "fired")["why"]
            self.assertEqual(why["samples"][0]["value"], {"pending": 5, "running": 0})
        self.assertNotIn("did", folder)
        fired, recovered = [row["time"] for row in live["would"] if row["kind"] in ("fired", "recovered")][:2]
        self.assertLess(fired, live["did"][0]["time"])  # no hold: a second before what did happen
        self.assertLess(fired, recovered)


class Trimmed(unittest.TestCase):
    def test_what_is_no_longer_kept_is_told(self):
        """Of more than two thousand events the first are gone: replay, why and events say so instead of telling less."""
        c = Cluster("trimmed")
        self.addCleanup(c.close)
        triggers = "triggers:\n" + "".join(
            f"  t{i}:\n    when: 'agents.exists(a, a.name == \"head\" && a.p.level % 2 == {i % 2})'\n    on: [update]\n"
            "    do: [{log: {text: n}}]\n" for i in range(200)) + (
            "  once:\n    when: 'agents.exists(a, a.name == \"head\" && a.p.level > 1)'\n    on: [update]\n    do: [{log: {text: n}}]\n")
        c.manager_config("  events_max: 1000\n" + triggers)
        c.command("level", "#!/bin/sh\ndate +%s\n")
        c.start_manager()
        c.start_agent("head", more="properties:\n  level: {command: [level], type: int, every: 1}\n")
        c.wait("the first events are gone", lambda: (c.rows("events", "--since", "1") or [{}])[0].get("kind") == "resync")
        first = next(row for row in c.rows("events", "--since", "1") if row["kind"] != "resync")
        path = c.dir / "triggers.yaml"
        path.write_text(triggers)
        answer = json.loads(c.venvctl("trigger", "replay", path, "--since", "1h", "--json", check=True).stdout)
        self.assertGreaterEqual(answer["did_from"], first["time"])
        self.assertLess(answer["history_from"], answer["did_from"])
        text = c.venvctl("trigger", "replay", path, "--since", "1h", check=True).stdout
        self.assertIn("The log of events begins at ", text)
        self.assertIn("The history begins at ", text)
        action = min(c.rows("list", "actions"), key=lambda row: row["made"])
        self.assertIn("which is no longer kept", c.venvctl("why", "action", action["id"], check=True).stdout)


if __name__ == "__main__":
    unittest.main(verbosity=2)
