#!/usr/bin/env python3
"""Membership on real daemons: what an agent remembers, who it may be, several managers, one-way networks.

    VENV_BIN=build/dev/bin python3 tests/runtime/test_membership.py [-v] [Class.test]
"""
import os
import shutil
import signal
import unittest

from cluster import BIN, PATIENCE, Cluster, free_port


class Case(unittest.TestCase):
    def setUp(self):
        self.cluster = Cluster()
        self.addCleanup(self.cluster.close)


class Memory(Case):
    """What was begun is written down first; an agent that cannot remember does not go on as if nothing had been."""

    def memory(self):
        return self.cluster.dir / "node1.state" / f"node1@{self.cluster.name}.memory"

    def test_it_lives_through_kills(self):
        c = self.cluster
        c.command("note", f"#!/bin/sh\necho $1 >> {c.dir}/noted\n")
        c.start_manager()
        c.start_agent("node1")
        sizes = []
        for number in range(5):
            c.wait("it is connected", lambda: c.is_connected("node1"))
            self.assertEqual(c.venvctl("exec", "node1", "note", number).returncode, 0)
            sizes.append(self.memory().stat().st_size)
            c.stop("node1", signal.SIGKILL)
            c.start("node1")
        self.assertEqual((c.dir / "noted").read_text().split(), list("01234"))
        for before, after in zip(sizes, sizes[1:]):
            self.assertIn(after - before, (16, 17), "one id for each command")
        self.assertFalse(list(self.memory().parent.glob("*.new")))

    def test_one_without_an_id_of_its_machine_is_no_clone_of_itself(self):
        """No /etc/machine-id: one is drawn and kept. What was started again takes over from what is frozen, and is not refused for a minute."""
        c = self.cluster
        hide = ["unshare", "--mount", "sh", "-c", 'test ! -e /etc/machine-id || mount --bind /dev/null /etc/machine-id; exec "$@"', "sh"]
        if c.run(*hide, "true", check=False).returncode != 0:
            self.skipTest("mounts of its own are not allowed here")
        c.inside["node1"] = hide
        c.start_manager()
        c.start_agent("node1")
        c.wait("it is connected", lambda: c.is_connected("node1"))
        frozen = c.processes.pop("node1")
        frozen.send_signal(signal.SIGSTOP)
        try:
            c.start("node1")
            c.wait("the second is connected", lambda: c.log("node1").count("connected to manager") >= 2, 10)
            self.assertNotIn("second machine", c.log("manager"))
            self.assertEqual(len((c.dir / "node1.state" / "machine-id").read_text()), 32)
        finally:
            frozen.kill()
            frozen.wait()

    def test_a_damaged_file_is_not_taken_for_an_empty_one(self):
        c = self.cluster
        c.start_manager()
        c.start_agent("node1")
        c.wait("it is connected", lambda: c.is_connected("node1"))
        c.wait("it has written", self.memory().exists)
        c.stop("node1")
        good = self.memory().read_bytes()
        middle = len(good) // 2
        for bad in (b"", good[:-1], good[:middle] + bytes([good[middle] ^ 1]) + good[middle + 1:], b"x" * 100):
            self.memory().write_bytes(bad)
            (c.dir / "node1.log").unlink()
            self.assertEqual(c.start("node1").wait(PATIENCE), 2)
            self.assertIn("node1@test.memory is damaged", c.log("node1"))
            self.assertIn("remove the file", c.log("node1"))
        self.memory().unlink()
        c.start("node1")
        c.wait("it is back", lambda: c.is_connected("node1"))

    def test_nothing_is_begun_that_cannot_be_written_down(self):
        c = self.cluster
        c.command("note", f"#!/bin/sh\necho $1 >> {c.dir}/noted\n")
        c.start_manager()
        c.start_agent("node1")
        c.wait("it is connected", lambda: c.is_connected("node1"))
        c.wait("it has written", self.memory().exists)
        folder = self.memory().parent
        folder.rename(c.dir / "elsewhere")
        result = c.venvctl("exec", "node1", "note", "lost")
        self.assertEqual(result.returncode, 1, result.stdout)
        self.assertIn("it was not begun", result.stdout + result.stderr)
        self.assertTrue(c.is_connected("node1"))
        (c.dir / "elsewhere").rename(folder)
        self.assertEqual(c.venvctl("exec", "node1", "note", "kept").returncode, 0)
        self.assertEqual((c.dir / "noted").read_text(), "kept\n")
        self.assertIn("can be written again", c.log("node1"))


class Managers(Case):
    """Several managers on one network, each with its own groups (requirement A15)."""

    def setUp(self):
        super().setUp()
        c = self.cluster
        c.manager_config("  groups: [lab]\n")
        c.issue("manager", "mgr2")
        self.port2 = free_port()
        (c.dir / "manager2.yaml").write_text(
            f"manager:\n  name: mgr2\n  listen: ['127.0.0.1:{self.port2}']\n  state: {c.dir}/state2\n  groups: [farm]\n"
            + c.tls("manager", "mgr2", "  "))
        (c.dir / "client2.yaml").write_text(f"managers: ['127.0.0.1:{self.port2}']\n" + c.tls("user", "admin"))
        c.start_manager()
        c.start("manager2")
        c.wait("the second manager listens", lambda: "listening on" in c.log("manager2"))

    def agents_of_the_second(self):
        c = self.cluster
        result = c.run(BIN / "venvctl", "--config", c.dir / "client2.yaml", "list", "agents", "--quiet", check=False)
        return result.stdout.split()

    def test_each_has_its_own(self):
        c = self.cluster
        c.start_agent("n1", groups=["lab", "farm"])
        c.start_agent("n2", groups=["farm"], port=self.port2)
        c.wait("n1 is the first one's", lambda: c.is_connected("n1"))
        c.wait("n2 is the second one's", lambda: self.agents_of_the_second() == ["n2"])
        self.assertEqual([row["name"] for row in c.rows("list", "groups")], ["lab"], "a group of the other manager is not seen")
        # whoever comes to the wrong one is told so, and disturbs nobody
        c.start_agent("n3", groups=["farm"])
        c.wait("n3 is refused", lambda: "manager mgr serves the groups lab, and agent n3 is in none of them" in c.log("n3"))
        self.assertIsNone(c.agent("n3"))
        # one that lists both finds its own
        c.start_agent("n4", groups=["farm"], managers=[f"127.0.0.1:{c.port}", f"127.0.0.1:{self.port2}"])
        c.wait("n4 is the second one's", lambda: self.agents_of_the_second() == ["n2", "n4"])
        # what happens to one manager does not concern the agents of the other
        c.stop("manager2", signal.SIGKILL)
        c.wait("n2 has noticed", lambda: "lost the connection" in c.log("n2"))
        self.assertTrue(c.is_connected("n1"))
        kinds = [row["kind"] for row in c.rows("events") if row["subject"].startswith("n")]
        self.assertEqual(kinds, ["agent-connected", "group-join"])

    def test_an_agent_of_another_cluster_is_refused(self):
        c = self.cluster
        other = c.dir / "other"
        c.run(BIN / "make_certificate", "ca", other, "other", 30)
        c.issue("agent", "n9", pki=other)
        path = c.agent_config("n9", groups=["lab"])
        path.write_text(path.read_text().replace(str(c.pki), str(other)))
        c.start("n9")
        c.wait("the agent is told", lambda: "cannot reach manager" in c.log("n9") or "cannot connect" in c.log("n9"))
        c.wait("the manager says who", lambda: c.refusals())
        address, reason = c.refusals()[0]
        self.assertNotIn(address, reason, "the address is said once")
        self.assertIsNone(c.agent("n9"))


@unittest.skipUnless(os.geteuid() == 0 and shutil.which("ip") and shutil.which("iptables"), "needs root, ip and iptables")
class OneWay(Case):
    """Two network namespaces, and a network that lets words through in one direction only: no node stays half alive."""

    MANAGER, AGENT = "10.213.7.1", "10.213.7.2"

    def setUp(self):
        super().setUp()
        c = self.cluster
        self.spaces = [f"venv-m-{os.getpid()}", f"venv-a-{os.getpid()}"]
        for space in self.spaces:
            c.run("ip", "netns", "add", space)
            self.addCleanup(c.run, "ip", "netns", "del", space, check=False)
        c.run("ip", "link", "add", "v0", "netns", self.spaces[0], "type", "veth", "peer", "name", "v0", "netns", self.spaces[1])
        for space, address in zip(self.spaces, (self.MANAGER, self.AGENT)):
            c.run("ip", "-n", space, "addr", "add", f"{address}/24", "dev", "v0")
            c.run("ip", "-n", space, "link", "set", "v0", "up")
            c.run("ip", "-n", space, "link", "set", "lo", "up")
        inside = [["ip", "netns", "exec", space] for space in self.spaces]
        c.inside = {"manager": inside[0], "venvctl": inside[0], "n1": inside[1]}
        c.manager_config("  heartbeat: 500ms\n  suspect: 1500ms\n  lost: 5s\n", address=self.MANAGER)
        (c.dir / "client.yaml").write_text(f"managers: ['{self.MANAGER}:{c.port}']\n" + c.tls("user", "admin"))
        c.start_manager()
        c.start_agent("n1", managers=[f"{self.MANAGER}:{c.port}"])
        c.wait("it is connected", lambda: c.is_connected("n1"))

    def cut(self, space, to):
        rule = ["-d", to, "-p", "tcp", "-j", "DROP"]
        self.cluster.run("ip", "netns", "exec", self.spaces[space], "iptables", "-A", "OUTPUT", *rule)
        return lambda: self.cluster.run("ip", "netns", "exec", self.spaces[space], "iptables", "-D", "OUTPUT", *rule)

    def check(self, heal):
        c = self.cluster
        c.wait("it is found out", lambda: c.agent("n1")["state"] == "suspect", 8)
        c.wait("the agent has given the connection up", lambda: "closing the connection to manager" in c.log("n1"), 8)
        c.wait("it is lost", lambda: c.agent("n1")["state"] == "lost", 15)
        heal()
        c.wait("it is back", lambda: c.is_connected("n1"))

    def test_one_that_cannot_hear(self):
        self.check(self.cut(0, self.AGENT))

    def test_one_that_cannot_be_heard(self):
        c = self.cluster
        self.check(self.cut(1, self.MANAGER))
        self.assertRegex(c.log("n1"), "did not confirm that it hears us|nothing was heard from the peer")


if __name__ == "__main__":
    unittest.main()
