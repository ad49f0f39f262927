#!/usr/bin/env python3
"""An agent and a real libvirtd that hangs, comes back, and is killed: unreachable is told, and never taken for empty.

    VENV_BIN=build/dev/bin python3 tests/runtime/test_hypervisor.py [-v]

Needs root and libvirtd; the daemon is a private one (tests/support/libvirtd.sh). Skipped where that is not possible.
"""
import os
import shutil
import signal
import subprocess
import tempfile
import unittest

from cluster import TOP, Cluster

SCRIPT = TOP / "tests/support/libvirtd.sh"


@unittest.skipUnless(os.geteuid() == 0 and shutil.which("libvirtd"), "needs root and libvirtd")
class Hypervisor(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="venv-virt.", dir="/var/tmp")
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        self.addCleanup(self.libvirtd, "stop", check=False)
        self.uri = self.libvirtd("start").splitlines()[-1]
        self.pid = int(self.libvirtd("pid"))
        self.cluster = Cluster()
        self.addCleanup(self.cluster.close)

    def libvirtd(self, verb, check=True):
        environment = dict(os.environ)
        environment.setdefault("VENV_LIBVIRT_CACHE", str(TOP / "build/cache/libvirt"))
        os.makedirs(environment["VENV_LIBVIRT_CACHE"], exist_ok=True)
        result = subprocess.run(["sh", SCRIPT, verb, self.dir], env=environment, capture_output=True, text=True,
                                timeout=200, stdin=subprocess.DEVNULL)
        if check and result.returncode != 0:
            raise AssertionError(result.stdout + result.stderr)
        return result.stdout.strip()

    def reachable(self):
        row = self.cluster.agent("node1")
        return row and row.get("reachable")

    def test_it_hangs_comes_back_and_is_killed(self):
        c = self.cluster
        c.start_manager()
        agent = c.start_agent("node1", hypervisor=self.uri)
        c.wait("the hypervisor is reachable", lambda: self.reachable() is True, 90)
        address = c.agent("node1")["address"]
        os.kill(self.pid, signal.SIGSTOP)
        try:
            c.wait("that it hangs is told", lambda: self.reachable() is False, 90)
            answered = c.rows("fetch", "node1", "load1")  # the loop is not held up by it
            self.assertEqual(answered[0]["quality"], "ok")
        finally:
            os.kill(self.pid, signal.SIGCONT)
        c.wait("it is reachable again", lambda: self.reachable() is True, 90)
        self.libvirtd("kill")
        c.wait("that it is gone is told", lambda: self.reachable() is False)
        self.libvirtd("start")
        c.wait("the new one is reachable", lambda: self.reachable() is True, 90)
        self.assertEqual(c.agent("node1")["address"], address, "the agent's own connection was lost")
        self.assertIsNone(agent.poll())
        self.assertEqual(c.stop("node1"), 0)


if __name__ == "__main__":
    unittest.main()
