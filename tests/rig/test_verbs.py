#!/usr/bin/env python3
"""Every verb on real hypervisors: two nodes with a libvirtd and an agent each, a manager, and guests that count aloud.

What a machine lived through is read off its console: after each verb the count goes on, and at the end no number is missing.

    test_verbs.py BINARIES [unittest options]
"""
import sys
import time
import unittest

import nodes

BINARIES, ROWS = None, []


class Verbs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.rig = nodes.Nodes(BINARIES)
        try:
            cls.rig.start_all()
        except BaseException:
            cls.rig.close()
            raise

    @classmethod
    def tearDownClass(cls):
        cls.rig.close()

    def verb(self, *words, timeout=120):
        """Run a verb, wait for its end; a row of the table."""
        begin = time.monotonic()
        done = self.rig.venvctl(*words, "--wait", "--timeout", f"{timeout}s", check=False, timeout=timeout + 30)
        ROWS.append([" ".join(words), f"{time.monotonic() - begin:.1f} s", f"exit {done.returncode}"])
        self.assertEqual(done.returncode, 0, f"{words}: {done.stdout}{done.stderr}\n{self.rig.report()}")

    def end(self, name):
        count = self.rig.check_count(name)
        ROWS[-1].append(f"{count} numbers, none missing, none twice")
        self.rig.venvctl("destroy", name, "--wait", "--timeout", "60s", timeout=90)

    def test_pause_resume(self):
        name = self.rig.launch("counter", "node1")
        self.rig.counts_on(name)
        self.verb("pause", name)
        before = max(self.rig.counted(name))
        time.sleep(2)
        self.assertLessEqual(max(self.rig.counted(name)) - before, 1, "a paused guest counts")
        self.verb("resume", name)
        self.rig.counts_on(name)
        self.end(name)

    def test_save_restore(self):
        name = self.rig.launch("counter", "node1")
        self.rig.counts_on(name)
        self.verb("save", name)
        self.assertEqual(self.rig.qemu_pids("node1"), [])
        self.verb("restore", name)
        self.rig.counts_on(name)
        self.end(name)

    def test_save_restore_elsewhere(self):
        name = self.rig.launch("counter", "node1")
        self.rig.counts_on(name)
        self.verb("save", name)
        self.verb("restore", name, "--to", "node2")
        self.assertTrue(self.rig.is_state(name, "running", "node2"))
        self.assertEqual(self.rig.qemu_pids("node1"), [])
        self.assertEqual(self.rig.virsh("node1", "list", "--all", "--uuid").stdout.strip(), "")
        self.assertEqual(self.files("node1", "saves"), [])
        self.rig.counts_on(name)
        self.end(name)
        self.assertEqual(self.files("node2", "saves"), [])

    def test_reboot(self):
        name = self.rig.launch("counter", "node1")
        self.rig.counts_on(name)
        pids = self.rig.qemu_pids("node1")
        for words in (("--grace", "30s"), ("--force",)):
            boots = self.rig.console("node1", name).count(": up, kernel")
            self.verb("reboot", name, *words)
            self.rig.wait(60, "it boots anew", lambda: self.rig.console("node1", name).count(": up, kernel") == boots + 1)
            self.assertEqual(self.rig.qemu_pids("node1"), pids)
        self.rig.venvctl("destroy", name, "--wait", "--timeout", "60s", timeout=90)

    def test_checkpoint_revert(self):
        name = self.rig.launch("counter", "node1")
        self.rig.counts_on(name)
        self.verb("checkpoint", name)
        self.rig.counts_on(name, more=10)
        self.rig.check_count(name)
        before = max(self.rig.counted(name))
        self.verb("revert", name)
        self.rig.wait(30, "it counts again", lambda: self.rig.counted(name)[-1] < before)
        self.rig.venvctl("destroy", name, "--wait", "--timeout", "60s", timeout=90)
        self.assertEqual(self.files("node1", "saves"), [])

    def files(self, node, folder):
        return sorted(path.name for path in (self.rig.dir / node / folder).iterdir())

    def test_migrate_limits(self):
        """What changes faster than it is carried: ended with a reason, by its time or by somebody; and with patience it moves."""
        name = self.rig.launch("busy", "node1")
        self.rig.counts_on(name)
        done = self.rig.venvctl("migrate", name, "--to", "node2", "--bandwidth", "2MiB", "--wait", "--timeout", "8s", check=False)
        ROWS.append(["migrate --bandwidth 2MiB --timeout 8s (busy guest)", "", f"exit {done.returncode}", done.stderr.strip().splitlines()[0]])
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("it was not over in 8 s", done.stderr)
        self.assertTrue(self.rig.is_state(name, "running", "node1"))
        self.rig.venvctl("migrate", name, "--to", "node2", "--bandwidth", "2MiB")
        shown = self.rig.wait(30, "it is told how far it is", lambda: self.rig.instance(name).get("progress"))
        ROWS.append(["progress", "", "", str({key: shown[key] for key in ("total", "left", "rate", "round")})])
        self.rig.venvctl("cancel", name)
        self.rig.wait(30, "it stays", lambda: self.rig.is_state(name, "running", "node1"))
        action = [row for row in self.rig.listing("list", "actions") if row["kind"] == "migrate" and row["subject"] == name][-1]
        ROWS.append(["cancel", "", action["state"], action.get("error", "")])
        self.verb("migrate", name, "--to", "node2", "--auto-converge")
        self.assertTrue(self.rig.is_state(name, "running", "node2"))
        self.rig.counts_on(name)
        self.end(name)

    def test_migrate_with_disks(self):
        """The disk is on node1 alone: without a copy it is refused, with one what the guest wrote is on node2."""
        disk = self.rig.dir / "node1/disks/data.qcow2"
        self.rig.run("qemu-img", "create", "-q", "-f", "qcow2", disk, "16M")
        name = self.rig.launch("withdisk", "node1")
        self.rig.counts_on(name)
        self.assertEqual(self.files("node2", "disks"), [])
        self.verb("migrate", name, "--to", "node2", "--copy-disks")
        self.assertEqual(self.files("node2", "disks"), ["data.qcow2"])
        self.rig.counts_on(name)
        self.end(name)

    def test_migrate(self):
        name = self.rig.launch("counter", "node1")
        self.rig.counts_on(name)
        for there, here in (("node2", "node1"), ("node1", "node2")):
            self.verb("migrate", name, "--node", there)
            self.assertTrue(self.rig.is_state(name, "running", there))
            self.assertEqual(self.rig.qemu_pids(here), [])
            self.assertEqual(len(self.rig.qemu_pids(there)), 1)
            self.rig.counts_on(name)
        self.end(name)


def table(rows):
    widths = [max(len(row[k]) for row in rows if len(row) > k) for k in range(max(map(len, rows)))] if rows else []
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())


def main():
    global BINARIES
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    nodes.enter()
    BINARIES = sys.argv.pop(1)
    result = unittest.main(verbosity=2, exit=False).result
    table(ROWS)
    sys.exit(not result.wasSuccessful())


main()
