#!/usr/bin/env python3
"""Membership on real daemons: what an agent remembers, who it may be, several managers, one-way networks.

    VENV_BIN=build/dev/bin python3 tests/runtime/test_membership.py [-v] [Class.test]
"""
import signal
import unittest

from cluster import PATIENCE, Cluster


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


if __name__ == "__main__":
    unittest.main()
