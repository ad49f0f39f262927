#!/usr/bin/env python3
"""The loop on real parts: a waiting queue starts a real QEMU guest, which runs the jobs and is stopped again.

And what must not happen on the way (each test says it). One rig serves all tests of a class: each begins and
ends with an empty queue and no guest.

    test_loop.py BINARIES [unittest options]
"""
import json
import sys
import time
import unittest

from rig import ENDED, Failure, Rig

BINARIES = None


class Loop(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.rig = Rig(BINARIES)
        try:
            cls.rig.start_all()
        except BaseException:
            cls.rig.close()
            raise
        cls.number = 0

    @classmethod
    def tearDownClass(cls):
        cls.rig.close()

    def setUp(self):
        self.rig.wait(120, "the pool is idle", self.idle)
        self.rig.guests_seen.clear()
        self.before = {row["id"] for row in self.rig.instances()}
        self.boots_before = self.boots()

    # --- a turn of the loop --------------------------------------------------------------------

    def idle(self):
        return self.rig.active() == [] and self.rig.domains() == set()

    def boots(self):
        return sum(text.count(": up, kernel") for text in self.rig.consoles().values())

    def submit(self, script="echo ran on $WORKER\n"):
        type(self).number += 1
        name = f"job-{self.number}"
        self.rig.submit(name, script)
        return name

    def made(self):
        rows = self.rig.instances() or []
        return [row for row in rows if row["id"] not in self.before]

    def finish(self, job, expected="ran on"):
        """The job's output is there, the guest is gone, and there was never more than this one."""
        self.rig.wait(180, f"{job} is done", lambda: self.rig.domains() is not False and self.rig.output(job))
        self.assertIn(expected, self.rig.output(job))
        self.rig.wait(120, "the guest is stopped and the pool idle", self.idle)
        made = self.made()
        self.assertEqual([row["state"] for row in made], ["stopped"], made)
        # A guest that came and went between two looks may not have been seen; its console has the boot all the same.
        ours = {row["id"].replace("-", "") for row in made}
        self.assertLessEqual({uuid.replace("-", "") for uuid in self.rig.guests_seen}, ours, "libvirt showed a guest that is not ours")
        self.assertEqual(self.boots() - self.boots_before, 1, "not exactly one guest was booted")

    def killed(self, names, when, condition, job_script="sleep 3; echo ran on $WORKER\n", going=False):
        """Submit, wait for a moment of the loop, SIGKILL the daemons, start them again, and finish.

        `going`: the guest is on its way down, so that it ends meanwhile proves nothing."""
        job = self.submit(job_script)
        self.rig.wait(120, when, condition)
        running = self.rig.domains()
        for name in names:
            self.rig.kill(name)
        time.sleep(1.0)  # long enough for a guest to end, if killing a daemon ended it
        left = self.rig.domains()
        for name in names:
            self.rig.start(name)
        if not going:
            self.assertLessEqual(running, left, "a guest ended with a daemon")
        self.finish(job)

    def state(self, *states):
        return lambda: any(row["state"] in states for row in self.made())

    def job_taken(self):
        return any((self.rig.dir / "queue/class2/running").iterdir())

    # --- tests ---------------------------------------------------------------------------------

    def test_00_five_jobs(self):
        jobs = [self.submit(f"echo ran on $WORKER number {n}\n") for n in range(5)]
        for job in jobs[:-1]:
            self.rig.wait(180, f"{job} is done", lambda job=job: self.rig.domains() is not False and self.rig.output(job))
        self.finish(jobs[-1])
        worker = self.made()[0]["id"]
        for n, job in enumerate(jobs):
            self.assertEqual(self.rig.output(job), f"ran on {worker} number {n}\n", "not run inside the guest")
        kinds = [row["kind"] for row in self.rig.events()]
        for kind in ("trigger-fired", "trigger-recovered"):
            self.assertIn(kind, kinds)
        revisions = [row["revision"] for row in self.rig.events()]
        self.assertEqual(revisions, sorted(set(revisions)))

    def test_01_manager_killed_when_the_job_waits(self):
        self.killed(["manager"], "the job waits", lambda: True)

    def test_02_manager_killed_when_the_instance_is_decided(self):
        self.killed(["manager"], "an instance is there", lambda: self.made())

    def test_03_node_agent_killed_when_the_instance_starts(self):
        self.killed(["node1"], "an instance is there", lambda: self.made())

    def test_04_both_killed_when_the_instance_starts(self):
        self.killed(["manager", "node1"], "an instance is there", lambda: self.made())

    def test_05_manager_killed_when_the_guest_runs(self):
        self.killed(["manager"], "the guest runs", self.state("running"))

    def test_06_node_agent_killed_when_the_job_runs(self):
        self.killed(["node1"], "a worker has the job", self.job_taken)

    def test_07_head_agent_killed_when_the_job_runs(self):
        self.killed(["head"], "a worker has the job", self.job_taken)

    def test_08_everything_killed_when_the_job_runs(self):
        self.killed(["manager", "node1", "head"], "a worker has the job", self.job_taken)

    def test_09_node_agent_killed_when_the_guest_stops(self):
        self.killed(["node1"], "the guest is being stopped", self.state("draining", "stopping"), going=True)

    def test_10_manager_killed_when_the_guest_stops(self):
        self.killed(["manager"], "the guest is being stopped", self.state("draining", "stopping"), going=True)

    def test_11_both_killed_when_the_guest_stops(self):
        self.killed(["manager", "node1"], "the guest is being stopped", self.state("draining", "stopping"), going=True)

    def test_12_libvirtd_killed_and_away(self):
        """libvirtd is killed: nothing is taken for stopped because it could not be seen."""
        job = self.submit("sleep 8; echo ran on $WORKER\n")
        self.rig.wait(120, "a worker has the job", self.job_taken)
        self.rig.wait(60, "the guest is seen to run", self.state("running"))
        self.rig.libvirtd("kill")
        end = time.monotonic() + 5
        while time.monotonic() < end:
            rows = self.made()
            self.assertEqual(len(rows), 1, rows)
            self.assertNotIn(rows[0]["state"], ENDED | {"stopping"}, rows)
            time.sleep(0.2)
        self.rig.libvirtd_start()
        self.finish(job)

    def test_13_a_foreign_domain_is_left_alone(self):
        """A domain without our mark is counted and never touched, also when everything of ours is stopped."""
        xml = self.rig.dir / "foreign.xml"
        xml.write_text("<domain type='qemu'><name>foreign</name><memory unit='MiB'>32</memory><vcpu>1</vcpu>"
                       "<os><type arch='x86_64'>hvm</type></os></domain>")
        self.rig.run("virsh", "-q", "-c", self.rig.uri, "create", xml)
        try:
            foreign = self.rig.run("virsh", "-q", "-c", self.rig.uri, "domuuid", "foreign").stdout.strip()
            job = self.submit()
            self.rig.wait(180, "the job is done", lambda: self.rig.output(job))
            self.rig.wait(120, "only the foreign domain runs", lambda: self.rig.domains() == {foreign})
            self.rig.wait(60, "nothing of ours is active", lambda: self.rig.active() == [])
            time.sleep(2)
            self.assertEqual(self.rig.domains(), {foreign})
        finally:
            self.rig.run("virsh", "-q", "-c", self.rig.uri, "destroy", "foreign", check=False)


class Asking(unittest.TestCase):
    """People ask: start and stop by hand, and the same thing asked for twice."""

    @classmethod
    def setUpClass(cls):
        cls.rig = Rig(BINARIES)
        try:
            cls.rig.start_all()
        except BaseException:
            cls.rig.close()
            raise

    @classmethod
    def tearDownClass(cls):
        cls.rig.close()

    def test_start_wait_show_stop(self):
        rig = self.rig
        # The queue is not empty while we look, or the trigger would give the guest back.
        rig.kill("queue")
        rig.submit("held")
        rig.wait(60, "the trigger starts a guest", rig.in_state, "running")
        name = rig.active()[0]["name"]
        shown = json.loads(rig.venvctl("show", "instance", name, "--json").stdout)
        self.assertEqual(shown["node"], "node1")
        started = rig.venvctl("start", "class2", "--wait", "--timeout", "120s", "--json", timeout=150)
        self.assertEqual(started.returncode, 0, started.stderr)
        self.assertEqual(len(rig.active()), 2)
        rig.wait(30, "two guests run", lambda: len(rig.domains() or ()) == 2)
        for row in rig.active():
            stopped = rig.venvctl("stop", row["name"], "--wait", "--timeout", "60s", timeout=90)
            self.assertEqual(stopped.returncode, 0, stopped.stderr)
            if row["name"] == name:
                # The trigger is active and has not recovered: it does not fire again for the same demand.
                time.sleep(2)
        self.assertEqual(rig.domains(), set())
        self.assertEqual(rig.venvctl("show", "instance", "nobody", check=False).returncode, 3)
        self.assertEqual(rig.venvctl("start", "nothing", check=False).returncode, 3)


class Properties(unittest.TestCase):
    """A property's command that misbehaves costs that property, and nothing else."""

    COMMANDS = {
        "hangs": "#!/bin/sh\nexec sleep 1000\n",
        "floods": "#!/bin/sh\nhead -c 5000000 /dev/zero | tr '\\0' x\n",
        "nonsense": "#!/bin/sh\nprintf '\\377\\376 {[ not a number'\n",
        "forks": "#!/bin/sh\nfor i in 1 2 3; do sleep 987 & done\necho 7\n",
        "daemonises": "#!/bin/sh\nsetsid sh -c 'sleep 986' >/dev/null 2>&1 &\necho 8\n",
        "fails": "#!/bin/sh\necho the disk is on fire >&2\nexit 3\n",
        "good": "#!/bin/sh\necho 42\n",
    }

    @classmethod
    def setUpClass(cls):
        cls.rig = rig = Rig(BINARIES, hypervisor=False)
        for name, text in cls.COMMANDS.items():
            path = rig.dir / "commands" / name
            path.write_text(text)
            path.chmod(0o755)
        rows = [f"  {name}: {{command: [{name}], type: int, every: 1, timeout: 1s}}"
                for name in [*cls.COMMANDS, "missing"]]
        head = (rig.dir / "head.yaml").read_text()
        (rig.dir / "head.yaml").write_text(head + "\n".join(rows) + "\n")
        try:
            rig.start("manager")
            rig.start("head")
            rig.wait(60, "the agent is connected", rig.connected, 1)
        except BaseException:
            rig.close()
            raise

    @classmethod
    def tearDownClass(cls):
        cls.rig.close()

    def value(self, label):
        rows = self.rig.listing("get", "head", label)
        return rows[0] if rows else None

    def test_each(self):
        self.rig.wait(30, "the good property has its value", lambda: (self.value("good") or {}).get("value") == 42)
        self.rig.wait(30, "the queue is reported", lambda: (self.value("queue") or {}).get("quality") == "ok")
        for label in ("hangs", "floods", "nonsense", "fails", "missing"):
            row = self.rig.wait(30, f"{label} has a quality and a reason",
                                lambda: (lambda r: r if r and r["quality"] in ("error", "absent") and r.get("reason") else None)(self.value(label)))
            self.assertNotEqual(row["quality"], "ok", row)
        self.assertIn("on fire", self.value("fails")["reason"])
        for label, number in (("forks", 7), ("daemonises", 8)):
            row = self.rig.wait(30, f"{label} is sampled", lambda: self.value(label))
            self.assertTrue(row["quality"] != "ok" or row["value"] == number, row)
        time.sleep(5)
        good = self.value("good")
        self.assertEqual((good["quality"], good["value"]), ("ok", 42))
        left = self.rig.run("pgrep", "-fx", "sleep 98[67]|sleep 1000", check=False).stdout.split()
        # Those of the run under way may be there; they do not pile up.
        self.assertLessEqual(len(left), 6, "children of property commands pile up")
        self.rig.check_alive()


def main():
    global BINARIES
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    BINARIES = sys.argv.pop(1)
    unittest.main(verbosity=2)


main()
