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
