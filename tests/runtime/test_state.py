"""The state of a manager as it lies on a disk: restored from the past (F20), asked for by two (F19), on a disk that fails (F04), and its
history, which is read while it is written.

    VENV_BIN=build/dev/bin python3 tests/runtime/test_state.py [-v]
"""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import time
import unittest
import unittest.mock
from cluster import BIN, PATIENCE, Cluster, wait

ENVIRONMENTS = "environments:\n  tool: {hypervisor: test, vcpus: 1, memory: 64MiB}\n"
PROPERTY = "properties:\n  beat: {command: [beat], type: int, every: 1}\n  dull: {command: [dull], type: string, every: 1}\n"


class Case(unittest.TestCase):
    def setUp(self):
        self.cluster = Cluster()
        self.cluster.manager_config(ENVIRONMENTS)
        self.addCleanup(self.cluster.close)

    def status(self):
        result = self.cluster.venvctl("status", "--json")
        return json.loads(result.stdout) if result.returncode == 0 else {}


class Rollback(Case):
    def start(self):
        c = self.cluster
        c.start_manager()
        c.start_agent("node1", hypervisor="fake:")
        c.wait("it is connected", lambda: c.is_connected("node1"))

    def restart_with(self, files):
        c = self.cluster
        c.stop("manager", signal.SIGKILL)
        state = c.dir / "state"
        for path in state.glob("manager.db*"):
            path.unlink()
        for path in files.glob("manager.db*"):
            shutil.copy(path, state)
        (c.dir / "manager.log").unlink()
        c.start_manager()

    def copy(self):
        c = self.cluster
        c.stop("manager")
        shutil.copytree(c.dir / "state", c.dir / "copy")
        (c.dir / "manager.log").unlink()
        c.start_manager()
        c.wait("it is back", lambda: c.is_connected("node1"))

    def test_an_old_copy(self):
        c = self.cluster
        self.start()
        self.copy()
        started = json.loads(c.venvctl("start", "tool", "--wait", "--json", check=True).stdout)["instances"][0]["name"]
        self.restart_with(c.dir / "copy")
        c.wait("it is found out", lambda: "rollback" in self.status())
        # It looks on: reads work, nothing is driven.
        self.assertIn("has seen revision", self.status()["rollback"])
        self.assertTrue(c.is_connected("node1"))
        self.assertTrue(any(row["kind"] == "rollback" for row in c.rows("events")))
        self.assertIn("accept-rollback", c.log("manager"))
        for verb in (["start", "tool"], ["stop", "--environment", "tool"], ["exec", "node1", "true"]):
            refused = c.venvctl(*verb)
            self.assertEqual(refused.returncode, 1, refused.stderr)
            self.assertIn("accept-rollback", refused.stderr)
        # Restarting changes nothing about it, whoever is connected.
        c.stop("node1")
        c.stop("manager", signal.SIGKILL)
        (c.dir / "manager.log").unlink()
        c.start_manager()
        self.assertIn("rollback", self.status())
        top = max(row["revision"] for row in c.rows("events"))
        result = c.venvctl("accept-rollback")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertNotIn("rollback", self.status())
        self.assertGreater(max(row["revision"] for row in c.rows("events")), top)
        # The agent comes with its old mark, and is welcome; it goes on, also after the next start.
        c.start("node1")
        c.wait("it is connected", lambda: c.is_connected("node1"))
        self.assertEqual(c.venvctl("start", "tool", "--wait").returncode, 0)
        c.stop("manager", signal.SIGKILL)
        (c.dir / "manager.log").unlink()
        c.start_manager()
        c.wait("it is back", lambda: c.is_connected("node1"))
        time.sleep(0.5)
        self.assertNotIn("rollback", self.status())
        self.assertTrue(started)

    def test_a_second_time(self):
        """Accepted once is not accepted for ever: the same old copy again is found out again."""
        c = self.cluster
        self.start()
        self.copy()
        c.venvctl("start", "tool", "--wait", check=True)
        for _ in range(2):
            self.restart_with(c.dir / "copy")
            c.wait("it is found out", lambda: "rollback" in self.status())
            self.assertEqual(c.venvctl("accept-rollback").returncode, 0)
            c.wait("it goes on", lambda: c.venvctl("start", "tool", "--wait").returncode == 0)
            time.sleep(0.3)  # a mark of the new line reaches the agent

    def test_an_empty_state(self):
        c = self.cluster
        self.start()
        c.venvctl("start", "tool", "--wait", check=True)
        (c.dir / "none").mkdir()
        self.restart_with(c.dir / "none")
        c.wait("it is found out", lambda: "rollback" in self.status())
        self.assertEqual(c.venvctl("accept-rollback").returncode, 0)
        self.assertEqual(c.venvctl("start", "tool", "--wait").returncode, 0)

    def test_nothing_to_accept(self):
        c = self.cluster
        self.start()
        refused = c.venvctl("accept-rollback")
        self.assertEqual(refused.returncode, 1)
        self.assertIn("nothing to accept", refused.stderr)
        for _ in range(3):  # kills alone are no rollback
            c.venvctl("start", "tool")
            c.stop("manager", signal.SIGKILL)
            (c.dir / "manager.log").unlink()
            c.start_manager()
            c.wait("it is back", lambda: c.is_connected("node1"))
        self.assertNotIn("rollback", self.status())


class Two(Case):
    def test_two_at_once(self):
        """F19: of two managers on one state one runs, however often it is tried, and the other says who it is."""
        c = self.cluster
        manager = c.start_manager()
        for _ in range(40):
            other = c.run(BIN / "venv-mgr", "--config", c.dir / "manager.yaml", check=False)
            self.assertEqual(other.returncode, 1, other.stderr)
            self.assertIn(f"in use by process {manager.pid}", other.stderr)
        self.assertEqual(c.venvctl("status").returncode, 0)
        c.stop("manager", signal.SIGKILL)
        for _ in range(15):  # both at the same moment
            two = [subprocess.Popen([BIN / "venv-mgr", "--config", c.dir / "manager.yaml"], stdin=subprocess.DEVNULL,
                                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(2)]
            wait("one of the two ends", lambda: any(p.poll() is not None for p in two))
            time.sleep(0.05)
            alive = [p for p in two if p.poll() is None]
            self.assertEqual(len(alive), 1)
            alive[0].kill()
            alive[0].wait(PATIENCE)


@unittest.skipUnless(shutil.which("cc"), "needs a compiler")
class FailingDisk(Case):
    SHIM = r'''
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* While the file FAIL is there, a sync of the database or its log fails. */
static int failing(int fd)
{
    char link[64], path[512];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    path[n > 0 ? n : 0] = 0;
    return strstr(path, "manager.db") && access(getenv("FAIL"), F_OK) == 0;
}
#define SYNC(name) int name(int fd) { int (*real)(int) = dlsym(RTLD_NEXT, #name); \
    if (failing(fd)) { errno = EIO; return -1; } return real(fd); }
SYNC(fsync)
SYNC(fdatasync)
'''

    def test_a_sync_that_fails(self):
        """F04: it ends at once and tries nothing again; what was asked for then is not confirmed; a restart goes on from the disk."""
        c = self.cluster
        source, shim, switch = c.dir / "shim.c", c.dir / "shim.so", c.dir / "fail"
        source.write_text(self.SHIM)
        c.run("cc", "-shared", "-fPIC", "-o", shim, source, "-ldl")
        c.command("true", "#!/bin/sh\n")
        # A manager with a sanitizer in it wants to come first, and is asked not to.
        sanitizer = ":".join(filter(None, [os.environ.get("ASAN_OPTIONS"), "verify_asan_link_order=0"]))
        with unittest.mock.patch.dict(os.environ, {"LD_PRELOAD": str(shim), "FAIL": str(switch), "ASAN_OPTIONS": sanitizer}):
            manager = c.start_manager()
        c.start_agent("node1")
        c.wait("it is connected", lambda: c.is_connected("node1"))
        self.assertEqual(c.venvctl("exec", "node1", "true").returncode, 0)
        switch.touch()
        asking = subprocess.Popen([BIN / "venvctl", "--config", c.dir / "client.yaml", "exec", "node1", "true", "--timeout", "5s"],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.assertEqual(manager.wait(10), 1)
        self.assertIn("nothing was confirmed that is not stored", c.log("manager"))
        self.assertEqual(c.log("manager").count("could not be written"), 1)
        switch.unlink()
        (c.dir / "manager.log").unlink()
        c.start_manager()
        c.wait("it is back", lambda: c.is_connected("node1"))
        self.assertEqual(c.venvctl("exec", "node1", "true").returncode, 0)
        self.assertIn(asking.wait(2 * PATIENCE), (0, 1, 5, 6))  # it has asked again under its id, and knows now


class Watching(Case):
    def test_across_restarts(self):
        """Whoever follows the events sees each once and in order, whatever becomes of the manager."""
        c = self.cluster
        c.command("true", "#!/bin/sh\n")
        c.start_manager()
        c.start_agent("node1")
        c.wait("it is connected", lambda: c.is_connected("node1"))
        with open(c.dir / "seen", "wb") as seen:
            watcher = subprocess.Popen([BIN / "venvctl", "--config", c.dir / "client.yaml", "events", "--follow", "--since", "0", "--json"],
                                       stdout=seen, stderr=subprocess.DEVNULL)
        self.addCleanup(lambda: watcher.poll() is None and watcher.kill())
        for number in range(5):
            for _ in range(4):
                c.venvctl("exec", "node1", "true", "--timeout", "5s")
            if number == 2:  # a slow one: it does not read for a while, and nobody else waits for it
                watcher.send_signal(signal.SIGSTOP)
            c.stop("manager", signal.SIGKILL)
            (c.dir / "manager.log").unlink()
            c.start_manager()
            c.wait("it is back", lambda: c.is_connected("node1"))
            if number == 3:
                watcher.send_signal(signal.SIGCONT)
        events = {row["revision"]: row for row in c.rows("events", "--since", "0")}
        last = max(events)

        def lines():
            return [json.loads(line) for line in (c.dir / "seen").read_text().splitlines()]
        c.wait("it has seen all", lambda: lines() and lines()[-1]["revision"] >= last)
        rows = lines()
        self.assertEqual([row["revision"] for row in rows], list(range(1, len(rows) + 1)))
        self.assertEqual(rows[:last], [events[n] for n in range(1, last + 1)])
        watcher.kill()
        watcher.wait(PATIENCE)


class History(Case):
    def test_what_was_known_when(self):
        c = self.cluster
        c.command("beat", f"#!/bin/sh\nn=$(cat {c.dir}/n 2>/dev/null || echo 0); echo $((n + 1)) | tee {c.dir}/n\n")
        c.command("dull", "#!/bin/sh\necho same\n")
        c.start_manager()
        c.start_agent("node1", more=PROPERTY)
        c.wait("it beats", lambda: int((c.dir / "n").read_text() or 0) > 8 if (c.dir / "n").exists() else False)
        rows = c.wait("samples are there", lambda: (lambda r: r if r and len(r) > 5 else None)(c.rows("history", "beat", "node1")))
        values = [row["value"] for row in rows if row["quality"] == "ok"]
        self.assertEqual(values, sorted(values))
        self.assertTrue(all(row["subject"] == "node1" and row["label"] == "beat" for row in rows))
        # The same out of the files, while the manager writes them.
        offline = json.loads(c.run(BIN / "venvctl", "history", "beat", "node1", "--state", c.dir / "state", "--json").stdout)
        self.assertGreaterEqual(len(offline), len(rows))
        self.assertEqual([row["value"] for row in offline][:len(rows)], [row["value"] for row in rows])
        # Pages, and a time that begins in between: first what it was then.
        text = c.venvctl("history", "beat", "node1", "--since", "500ms", check=True).stdout.splitlines()
        self.assertTrue(text[0].endswith("before"), text)
        # What was killed is there; and a restart says so.
        c.stop("manager", signal.SIGKILL)
        offline = json.loads(c.run(BIN / "venvctl", "history", "beat", "node1", "--state", c.dir / "state", "--json").stdout)
        self.assertGreaterEqual(len(offline), len(rows))
        (c.dir / "manager.log").unlink()
        c.start_manager()
        c.wait("it is back", lambda: c.is_connected("node1"))
        last = offline[-1]["value"]
        c.wait("it goes on", lambda: (c.rows("history", "beat", "node1") or [{}])[-1].get("value", 0) > last + 3)
        nothing = c.venvctl("history", "nothing", "node1")
        self.assertEqual(nothing.returncode, 3, nothing.stderr)
        self.assertEqual(c.venvctl("history", "beat", "node1", "--since", "1h", "--until", "2h").returncode, 2)

    def test_none_is_kept(self):
        c = self.cluster
        path = c.dir / "manager.yaml"
        path.write_text(path.read_text().replace("  tick: 200ms\n", "  tick: 200ms\n  history: 0s\n"))
        c.start_manager()
        c.start_agent("node1")
        c.wait("it is connected", lambda: c.is_connected("node1"))
        refused = c.venvctl("history", "load1", "node1")
        self.assertEqual(refused.returncode, 3, refused.stderr)
        self.assertIn("keeps no history", refused.stderr)
        self.assertFalse((c.dir / "state/history").exists())


if __name__ == "__main__":
    unittest.main()
