"""Proposals, switches and reloads of real daemons, with kill -9 in between."""
import json
import signal
import unittest

import cluster

ENVIRONMENT = ("environments:\n  {0}: {{hypervisor: test, vcpus: 1, memory: 64MiB}}\n")
LEVEL = "  {0}:\n    when: 'agents.exists(a, a.name == \"head\" && a.p.level > {1})'\n    on: [update]\n"


class Case(unittest.TestCase):
    def setUp(self):
        self.cluster = cluster.Cluster()
        self.addCleanup(self.cluster.close)
        self.level(0)
        self.cluster.command("level", f"#!/bin/sh\ncat {self.cluster.dir}/level.txt\n")

    def level(self, value):
        (self.cluster.dir / "level.txt").write_text(f"{value}\n")

    def head(self):
        self.cluster.start_agent("head", more="properties:\n  level: {command: [level], type: int, every: 1}\n")

    def events(self, kind):
        return [row for row in self.cluster.rows("events", "--since", "0") or [] if row["kind"] == kind]

    def kill_manager(self):
        self.cluster.stop("manager", signal.SIGKILL)
        (self.cluster.dir / "manager.log").unlink()
        self.cluster.start_manager()


class Proposals(Case):
    def test_applied_once_over_kills(self):
        c = self.cluster
        c.manager_config(ENVIRONMENT.format("tool") + "triggers:\n" + LEVEL.format("grow", 5) +
                         "    mode: propose\n    do: [{start: {environment: tool, count: 2}}]\n")
        c.start_manager()
        self.head()
        c.wait("the head is there", lambda: c.is_connected("head"))
        self.level(9)
        proposal = c.wait("it proposes", lambda: c.rows("list", "proposals"))[0]
        self.assertEqual((proposal["state"], proposal["summary"]), ("open", "start tool (2)"))
        self.kill_manager()
        self.assertEqual(c.rows("list", "proposals")[0]["id"], proposal["id"])
        self.assertEqual(c.rows("list", "instances"), [])
        identity = "00000000-0000-4000-8000-000000000077"
        done = c.venvctl("trigger", "apply", proposal["id"], "--id", identity, "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.kill_manager()
        self.assertEqual(len(c.rows("list", "instances")), 2)
        again = c.venvctl("trigger", "apply", proposal["id"][:8], "--id", identity)
        self.assertEqual(again.returncode, 0, again.stderr)
        other = c.venvctl("trigger", "apply", proposal["id"])
        self.assertEqual(other.returncode, 1)
        self.assertIn("was applied before, by user/admin", other.stderr)
        self.assertEqual(len(c.rows("list", "instances")), 2)
        shown = json.loads(c.venvctl("show", "proposal", proposal["id"], "--json", check=True).stdout)
        self.assertEqual((shown["state"], len(shown["actions"])), ("applied", 1))

    def proposing(self, more=""):
        c = self.cluster
        c.manager_config(ENVIRONMENT.format("tool") + "triggers:\n" + LEVEL.format("grow", 5) + more +
                         "    mode: propose\n    do: [{start: {environment: tool, count: 2}}]\n")
        c.start_manager()
        self.head()
        c.wait("the head is there", lambda: c.is_connected("head"))
        self.level(9)
        return c.wait("it proposes", lambda: c.rows("list", "proposals"))[0]["id"]

    def refused(self, code, text, *arguments):
        result = self.cluster.venvctl("trigger", *arguments)
        self.assertEqual(result.returncode, code, result.stderr)
        self.assertIn(text, result.stderr)

    def test_rejected_stays_rejected_over_a_kill(self):
        c = self.cluster
        proposal = self.proposing()
        self.kill_manager()
        told = json.loads(c.venvctl("trigger", "reject", proposal[:8], "--why", "not now", "--json", check=True).stdout)
        self.assertEqual((told["id"], told["state"], told["by"], told["reason"]), (proposal, "rejected", "user/admin", "not now"))
        self.kill_manager()
        self.refused(1, "was rejected before, by user/admin", "apply", proposal)
        self.refused(1, "was rejected before", "reject", proposal)
        self.assertEqual(c.rows("list", "instances"), [])
        event, = self.events("proposal-rejected")
        self.assertIn("not now", event["text"])
        for verb in "apply", "reject":
            self.refused(3, "", verb, "00000000-0000-4000-8000-000000000001")
            self.refused(3, "", verb, proposal[:7])

    def test_expired_cannot_be_applied(self):
        c = self.cluster
        proposal = self.proposing("    expires: 1s\n")
        c.wait("it expired", lambda: c.rows("list", "proposals")[0]["state"] == "expired")
        self.refused(1, "expired", "apply", proposal)
        self.assertEqual(c.rows("list", "instances"), [])

    def test_disabling_and_enabling_is_done_once_and_told(self):
        c = self.cluster
        c.manager_config("triggers:\n" + LEVEL.format("noisy", 5) + "    do: [{log: {text: noise}}]\n")
        c.start_manager()
        self.head()
        c.wait("the head is there", lambda: c.is_connected("head"))
        identity = "00000000-0000-4000-8000-000000000078"
        told = [json.loads(c.venvctl("trigger", "disable", "noisy", "--id", identity, "--json", check=True).stdout) for _ in range(2)]
        self.assertEqual([trigger["enabled"] for trigger in told], [False, False])
        self.assertEqual(len(self.events("trigger-disabled")), 1)
        c.venvctl("trigger", "enable", "noisy", check=True)
        self.kill_manager()
        # The same request once more: it was done, and is not done again.
        c.venvctl("trigger", "disable", "noisy", "--id", identity, check=True)
        self.assertEqual([row["enabled"] for row in c.rows("list", "triggers")], [True])
        self.assertEqual((len(self.events("trigger-disabled")), len(self.events("trigger-enabled"))), (1, 1))
        self.refused(3, "none", "enable", "none")
        self.refused(3, "none", "disable", "none")

    def test_a_disabled_trigger_stays_so(self):
        c = self.cluster
        c.manager_config("triggers:\n" + LEVEL.format("noisy", 5) + "    do: [{log: {text: noise}}]\n")
        c.start_manager()
        self.head()
        c.wait("the head is there", lambda: c.is_connected("head"))
        c.venvctl("trigger", "disable", "noisy", "--why", "at night", check=True)
        self.kill_manager()
        self.level(9)
        row = c.wait("it is listed", lambda: c.rows("list", "triggers"))[0]
        self.assertEqual((row["enabled"], row["disabled_by"], row["disabled_why"]), (False, "user/admin", "at night"))
        c.wait("the head is back", lambda: c.is_connected("head"))
        c.venvctl("trigger", "enable", "noisy", check=True)
        c.wait("it fires", lambda: self.events("trigger-fired"))


class Reload(Case):
    def test_what_is_new_is_used_and_what_was_goes_on(self):
        c = self.cluster
        old = ENVIRONMENT.format("tool") + "triggers:\n" + LEVEL.format("high", 5) + "    do: [{log: {text: high}}]\n"
        c.manager_config(old)
        manager = c.start_manager()
        self.head()
        c.start_agent("node1", hypervisor="fake:")
        self.level(9)
        c.wait("it fired", lambda: len(self.events("trigger-fired")) == 1)
        started = c.venvctl("start", "tool", "--wait", "--timeout", "20s")
        self.assertEqual(started.returncode, 0, started.stderr)
        new = (ENVIRONMENT.format("other") + "triggers:\n" + LEVEL.format("high", 5) + "    do: [{log: {text: high}}]\n" +
               LEVEL.format("higher", 7) + "    do: [{log: {text: higher}}]\n")
        c.manager_config("  grace: 3s\n" + new)
        dry = json.loads(c.venvctl("reload", "--dry-run", "--json", check=True).stdout)
        self.assertFalse(dry["applied"])
        self.assertEqual(dry["environments"], {"added": ["other"], "removed": ["tool"], "changed": []})
        self.assertEqual(self.events("configuration-reloaded"), [])
        said = c.venvctl("reload", check=True).stdout
        self.assertIn("added    trigger higher", said)
        self.assertIn("removed  environment tool", said)
        self.assertIn("manager.grace: duration(\"3s\"), was duration(\"30s\")", said)
        c.wait("the new one fires", lambda: len(self.events("trigger-fired")) == 2)
        self.assertEqual([row["state"] for row in c.rows("list", "instances")], ["running"])
        self.assertEqual(c.venvctl("start", "tool").returncode, 3)
        self.assertIn("nothing is different", c.venvctl("reload", check=True).stdout)
        c.manager_config("triggers:\n  high: {when: '1 >', do: []}\n")
        wrong = c.venvctl("reload")
        self.assertEqual(wrong.returncode, 1)
        self.assertRegex(wrong.stderr, r"manager\.yaml:\d+:\d+: trigger high: when: ")
        manager.send_signal(signal.SIGHUP)
        c.wait("the log tells it, too", lambda: "nothing was changed" in c.log("manager"))
        self.assertEqual({row["name"] for row in c.rows("list", "triggers")}, {"high", "higher"})
        c.manager_config("  grace: 3s\n" + new)
        self.kill_manager()
        c.wait("they are back", lambda: c.is_connected("head", "node1"))
        self.assertEqual(len(self.events("trigger-fired")), 2)
        self.assertEqual(c.venvctl("stop", c.rows("list", "instances")[0]["name"], "--wait", "--timeout", "20s").returncode, 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
