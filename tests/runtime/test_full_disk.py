"""A full disk under the manager's state (F05), on a small tmpfs: what changes something is refused with NO_SPACE, reads and heartbeats
go on, and it goes on by itself when there is room again. Nothing that was confirmed is lost, whatever moment it was. The same without inodes, and over the quota.

    test_full_disk.py            the test
    test_full_disk.py sweep [STEP]  room from 0 to 2 MiB in steps of STEP KiB (4), a manager for each
"""
import json
import os
import signal
import subprocess
import sys
import time
import unittest
from cluster import BIN, PATIENCE, Cluster, wait

SIZE = 12 << 20
ENVIRONMENTS = "environments:\n  tool: {hypervisor: test, vcpus: 1, memory: 64MiB}\n"


class Disk:
    """A tmpfs on the state's folder, and files that fill it, or use up its inodes."""

    def __init__(self, path, inodes=0):
        self.path = path
        path.mkdir(exist_ok=True)
        options = f"size={SIZE}" + (f",nr_inodes={inodes}" if inodes else "")
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", path], check=True)

    def use_up_inodes(self):
        for number in range(100000):
            try:
                (self.path / f"inode-{number}").touch()
            except OSError:
                return
        raise AssertionError("there are always more inodes")

    def free_inodes(self):
        for file in self.path.glob("inode-*"):
            file.unlink()

    def fill(self, leave=0):
        self.clear()
        with open(self.path / "filler", "wb") as file:
            for _ in range(100):  # the manager writes, too, between looking and filling
                stat = os.statvfs(self.path)
                size = stat.f_bavail * stat.f_frsize - leave
                try:
                    if size > 0:
                        os.posix_fallocate(file.fileno(), 0, size)
                    return
                except OSError:
                    file.truncate(0)

    def clear(self):
        if (self.path / "filler").exists():
            (self.path / "filler").unlink()

    def close(self):
        subprocess.run(["umount", "-l", self.path], check=True)


def status(c):
    result = c.venvctl("status", "--json")
    return json.loads(result.stdout) if result.returncode == 0 else {}


class FullDiskCase(unittest.TestCase):
    INODES = 0

    def setUp(self):
        self.cluster = Cluster()
        self.disk = Disk(self.cluster.dir / "state", self.INODES)
        self.cluster.manager_config(ENVIRONMENTS)
        self.cluster.command("true", "#!/bin/sh\n")

    def tearDown(self):
        c = self.cluster
        for name in list(c.processes):
            c.processes[name].kill()
            c.processes[name].wait(PATIENCE)
        self.disk.close()
        c.close()

    def start(self):
        c = self.cluster
        manager = c.start_manager()
        c.start_agent("node1")
        c.wait("it is connected", lambda: c.is_connected("node1"))
        c.wait("there is a reserve", lambda: (self.disk.path / "manager.reserve").exists())
        return manager

    def use_up(self, most=3000):
        """Ask until it is refused. The requests that were confirmed."""
        confirmed = 0
        for _ in range(most):
            result = self.cluster.venvctl("exec", "node1", "true", "--timeout", "5s")
            if result.returncode != 0:
                return confirmed, result
            confirmed += 1
        self.fail("the disk was never full")

    def check_confirmed(self, confirmed):
        done = [row for row in self.cluster.rows("events", "--since", "0") if row["kind"] == "action-done"]
        self.assertGreaterEqual(len(done), confirmed)


class FullDisk(FullDiskCase):
    def test_full_and_room_again(self):
        c, manager = self.cluster, self.start()
        self.disk.fill()
        confirmed, refused = self.use_up()
        self.assertEqual(refused.returncode, 1, refused.stderr)
        self.assertIn("disk of the manager's state is full", refused.stderr)
        self.assertIn("make room", refused.stderr)
        self.assertEqual(status(c)["disk"], "full")
        for verb in (["start", "tool"], ["stop", "--environment", "tool"], ["exec", "node1", "true"]):
            result = c.venvctl(*verb)
            self.assertEqual(result.returncode, 1, f"{verb}: {result.stderr}")
        # Reads, a dry run, the log of events; and the agent's heartbeats, for longer than any silence would be taken.
        self.assertEqual(c.venvctl("start", "tool", "--dry-run").returncode, 0)
        self.assertEqual(c.venvctl("get", "node1").returncode, 0)
        self.assertTrue(any(row["kind"] == "disk-full" for row in c.rows("events")))
        time.sleep(3)
        self.assertTrue(c.is_connected("node1"))
        # An agent may come and go: the reserve is for that.
        c.start_agent("node2")
        c.wait("another agent connects", lambda: c.is_connected("node2"))
        c.stop("node2")
        self.assertIsNone(manager.poll(), c.log("manager"))
        self.disk.clear()
        c.wait("there is room", lambda: "disk" not in status(c))
        self.assertEqual(c.venvctl("exec", "node1", "true").returncode, 0)
        self.assertTrue((self.disk.path / "manager.reserve").exists())
        c.stop("manager", signal.SIGKILL)
        c.start_manager()
        c.wait("it is back", lambda: c.is_connected("node1"))
        self.check_confirmed(confirmed + 1)

    def test_not_even_the_reserve(self):
        """Filled again after the reserve was given up: nothing can be written. It waits, and loses nothing."""
        c, manager = self.cluster, self.start()
        self.disk.fill()
        confirmed, _ = self.use_up()
        self.disk.fill()
        for _ in range(12):  # each coming and going is some rows
            c.start_agent("node2")
            time.sleep(0.3)
            c.stop("node2", signal.SIGKILL)
            self.disk.fill()
        began = time.monotonic()
        self.assertEqual(status(c)["disk"], "full")
        self.assertEqual(c.venvctl("exec", "node1", "true").returncode, 1)
        self.assertLess(time.monotonic() - began, 5, "it was not answered at once")
        self.assertIsNone(manager.poll(), c.log("manager"))
        self.disk.clear()
        c.wait("there is room", lambda: "disk" not in status(c))
        self.assertEqual(c.venvctl("exec", "node1", "true").returncode, 0)
        c.stop("manager", signal.SIGKILL)
        c.start_manager()
        c.wait("it is back", lambda: c.is_connected("node1"))
        self.check_confirmed(confirmed + 1)

    def test_a_start_on_a_full_disk(self):
        c = self.cluster
        self.start()
        c.stop("manager", signal.SIGKILL)
        (self.disk.path / "manager.reserve").unlink()
        self.disk.fill()
        manager = c.start("manager")
        c.wait("it can be looked at", lambda: status(c).get("disk") == "full" or manager.poll() is not None)
        if manager.poll() is not None:  # not a byte to open the database with: it says so, and tries again when it is started again
            self.assertIn("make room", c.log("manager"))
            self.disk.clear()
            c.start("manager")
        self.disk.clear()
        c.wait("it is back", lambda: c.is_connected("node1") and "disk" not in status(c))
        self.assertEqual(c.venvctl("exec", "node1", "true").returncode, 0)


class NoInodes(FullDiskCase):
    """There is room, and no further file can be made (F04): for what is written into files that there are, that is no trouble."""

    INODES = 64

    def test_the_manager_goes_on_and_starts_again(self):
        c, manager = self.cluster, self.start()
        self.disk.use_up_inodes()
        confirmed = 0
        for _ in range(40):
            confirmed += c.venvctl("exec", "node1", "true", "--timeout", "5s").returncode == 0
        self.assertEqual(confirmed, 40)
        self.assertIsNone(manager.poll(), c.log("manager"))
        c.stop("manager", signal.SIGKILL)
        again = c.start("manager")
        c.wait("it is back, or says why not", lambda: c.is_connected("node1") or again.poll() is not None)
        if again.poll() is not None:  # the database needs a file beside it to be opened
            self.assertRegex(c.log("manager"), "make room|No space left")
            self.disk.free_inodes()
            c.start_manager()
        c.wait("it is back", lambda: c.is_connected("node1"))
        self.assertEqual(c.venvctl("exec", "node1", "true").returncode, 0)
        self.disk.free_inodes()
        c.wait("all is well", lambda: "disk" not in status(c))
        c.stop("manager", signal.SIGKILL)
        c.start_manager()
        c.wait("it is back once more", lambda: c.is_connected("node1"))
        self.check_confirmed(confirmed + 1)

    def test_a_stopped_manager_has_to_make_its_files_again(self):
        c = self.cluster
        self.start()
        self.assertEqual(c.venvctl("exec", "node1", "true").returncode, 0)
        c.stop("manager")
        self.disk.use_up_inodes()
        again = c.start("manager")
        c.wait("it says why not, or works", lambda: again.poll() is not None or c.is_connected("node1"))
        if again.poll() is not None:
            self.assertRegex(c.log("manager"), "make room|No space left")
        self.disk.free_inodes()
        if again.poll() is not None:
            c.start_manager()
        c.wait("it is back", lambda: c.is_connected("node1"))
        self.assertEqual(c.venvctl("exec", "node1", "true").returncode, 0)
        self.check_confirmed(2)


class NoQuota(FullDiskCase):
    """The user's quota is used up (F04): EDQUOT is a full disk, not one that is broken."""

    def setUp(self):
        super().setUp()
        shim, c = BIN / "quota_shim.so", self.cluster
        self.switch = c.dir / "over-quota"
        if not shim.exists() or subprocess.run(["env", f"LD_PRELOAD={shim}", BIN / "venv-mgr", "--version"], capture_output=True).returncode:
            self.skipTest("nothing can be put before this manager")
        c.inside["manager"] = ["env", f"LD_PRELOAD={shim}", f"VENV_QUOTA_DIR={self.disk.path}", f"VENV_QUOTA_SWITCH={self.switch}"]

    def test_it_is_full_and_goes_on_when_there_is_more(self):
        c, manager = self.cluster, self.start()
        confirmed = sum(c.venvctl("exec", "node1", "true").returncode == 0 for _ in range(3))
        self.assertEqual(confirmed, 3)
        self.switch.touch()
        held = subprocess.Popen([BIN / "venvctl", "--config", c.dir / "client.yaml", "exec", "node1", "true"])
        self.addCleanup(held.kill)
        time.sleep(1)  # what is asked before it is known to be full waits as behind a slow disk
        c.wait("it says that it is full", lambda: status(c).get("disk") == "full")
        result = c.venvctl("exec", "node1", "true", "--timeout", "3s")
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertIn("disk of the manager's state is full", result.stderr)
        self.assertEqual(c.venvctl("get", "node1").returncode, 0)
        self.assertIsNone(manager.poll(), c.log("manager"))
        self.assertIsNone(held.poll())  # asked before anybody knew: not confirmed, and not refused
        self.switch.unlink()
        c.wait("there is room", lambda: "disk" not in status(c))
        confirmed += held.wait(PATIENCE) == 0
        self.assertEqual(confirmed, 4)
        self.assertEqual(c.venvctl("exec", "node1", "true").returncode, 0)
        c.stop("manager", signal.SIGKILL)
        c.start_manager()
        c.wait("it is back", lambda: c.is_connected("node1"))
        self.check_confirmed(confirmed + 1)


def sweep(step):
    """Every amount of room that is left: whatever it is, no confirmation is lost, and the manager goes on when there is room."""
    case, runs, refusals, ended = FullDisk(), 0, 0, 0
    for leave in range(0, (2 << 20) + 1, step << 10):
        case.setUp()
        try:
            c, manager = case.cluster, case.start()
            case.disk.fill(leave)
            confirmed = 0
            for _ in range(6):
                confirmed += c.venvctl("exec", "node1", "true", "--timeout", "5s").returncode == 0
            refusals += confirmed < 6
            case.disk.fill(0)
            confirmed += c.venvctl("exec", "node1", "true", "--timeout", "5s").returncode == 0
            case.disk.clear()
            if manager.poll() is not None:
                ended += 1
                c.start_manager()
            c.wait("it goes on", lambda: c.venvctl("exec", "node1", "true").returncode == 0)
            c.stop("manager", signal.SIGKILL)
            c.start_manager()
            c.wait("it is back", lambda: c.is_connected("node1"))
            case.check_confirmed(confirmed + 1)
            runs += 1
        finally:
            case.tearDown()
    print(f"full disk: {runs} amounts of room from 0 to 2 MiB in steps of {step} KiB; {refusals} with refusals, {ended} managers ended, "
          "no confirmation lost")
    return 0 if runs == (2 << 10) // step + 1 and ended == 0 else 1


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] == "sweep":
        sys.exit(sweep(int(sys.argv[2]) if len(sys.argv) > 2 else 4))
    unittest.main()
