#!/usr/bin/env python3
"""What machines stand on, on a real hypervisor: an overlay on an image, a blank raw disk, a seed for cloud-init; ready when the guest
agent answers; a crash, after which it starts again on its disks; the end, after which nothing is left.

    test_disks.py BINARIES [unittest options]
"""
import os
import signal
import sys
import unittest

import nodes

BINARIES = None
ENVIRONMENTS = """
environments:
  worker:
    hypervisor: qemu
    memory: 128MiB
    kernel: DIR/guest/vmlinuz
    initrd: DIR/guest/initrd
    cmdline: "console=ttyS0 quiet panic=-1 class=worker disks=1 agent=1 count=0.5"
    disks: [{image: base@1}, {size: 20GiB, format: raw}]
    cloud_init: {user_data: "#cloud-config"}
    ready: qemu-guest-agent
    ready_timeout: 90s
    on_crash: restart
    restart: {wait: 1s, wait_max: 4s}
  mute:
    hypervisor: qemu
    memory: 128MiB
    kernel: DIR/guest/vmlinuz
    initrd: DIR/guest/initrd
    cmdline: "console=ttyS0 quiet panic=-1 class=mute"
    disks: [{size: 1GiB}]
    ready: qemu-guest-agent
    ready_timeout: 5s
  hostile:
    hypervisor: qemu
    memory: 128MiB
    kernel: DIR/guest/vmlinuz
    initrd: DIR/guest/initrd
    cmdline: "console=ttyS0 quiet panic=-1 class=hostile"
    disks: [{file: DIR/shared/hostile.qcow2, format: qcow2}]
"""
HEADER = "514649fb00000003"


class Disks(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        extra = ("  machines_dir: DIR/disks/machines\n"
                 "  images: {repository: DIR/shared/repository, trust: DIR/shared/a.pub, directory: DIR/disks/images}\n  console_dir:")
        nodes.NODE = nodes.NODE.replace("  console_dir:", extra)
        cls.rig = nodes.Nodes(BINARIES, count=1, environments=ENVIRONMENTS)
        try:
            cls.make_files()
            cls.rig.start_all()
        except BaseException:
            cls.rig.close()
            raise

    @classmethod
    def tearDownClass(cls):
        cls.rig.close()

    @classmethod
    def make_files(cls):
        rig, shared = cls.rig, cls.rig.dir / "shared"
        hostile, raw, sync = shared / "hostile.qcow2", shared / "base.raw", rig.binaries / "venv-sync"
        rig.run("qemu-img", "create", "-q", "-u", "-f", "qcow2", "-b", "/etc/shadow", "-F", "raw", hostile, "1G")
        raw.write_bytes(b"image of version 1" + bytes(65536 - 18) + hostile.read_bytes()[:65536] + bytes(4 << 20))
        rig.run(sync, "key", shared / "a.key")
        rig.run(sync, "make", raw, shared / "repository", "--name", "base", "--key", shared / "a.key")

    def machines(self):
        return sorted(p.name for p in (self.rig.dir / "node1/disks/machines").glob("*-*-*"))

    def lines(self, instance, begin):
        return [line for line in self.rig.console("node1", instance).splitlines() if line.startswith(begin)]

    def test_its_life(self):
        rig = self.rig
        name = rig.launch("worker", "node1")
        rig.wait(60, "the disks are written", lambda: self.lines(name, "disks are written"))
        self.assertEqual(self.lines(name, "disk vda:"), ["disk vda: " + b"image of version".hex()])
        self.assertEqual(self.lines(name, "disk vdb:"), ["disk vdb: " + "00" * 16])
        seed = self.lines(name, "seed:")[0]
        self.assertIn(f'"instance-id":"{name}-1"', seed)
        self.assertIn("#cloud-config", seed)
        self.assertTrue(any(row["kind"] == "instance-booted" for row in rig.events()), "it was not waited for")
        folder = rig.dir / "node1/disks/machines" / self.machines()[0]
        self.assertLess(sum(p.stat().st_blocks * 512 for p in folder.iterdir()), 2 << 20)
        xml = rig.virsh("node1", "dumpxml", f"venv-{name}").stdout
        self.assertIn("type='raw'", xml)
        self.assertNotIn("shadow", xml)
        # It is killed: the same machine starts again, on what its guest wrote.
        for pid in rig.qemu_pids("node1"):
            os.kill(pid, signal.SIGKILL)
        rig.wait(60, "it has crashed", lambda: any(row["kind"] == "instance-crashed" for row in rig.events()))
        rig.wait(120, "it runs again", lambda: rig.is_state(name, "running") and rig.instance(name)["epoch"] == 2)
        written = "disk vda: " + b"written here...\n".hex()
        rig.wait(60, "what was written is there", lambda: written in self.lines(name, "disk vda:"))
        rig.wait(30, "the seed is read again", lambda: self.lines(name, "seed:"))
        self.assertTrue(self.lines(name, "disk vdb:")[-1].startswith("disk vdb: " + HEADER), self.lines(name, "disk vdb:"))
        self.assertIn(f'"instance-id":"{name}-1"', self.lines(name, "seed:")[-1])
        xml = rig.virsh("node1", "dumpxml", f"venv-{name}").stdout
        self.assertNotIn("shadow", xml)  # the raw disk with a header of qcow2 in it is raw
        self.assertEqual(len(self.machines()), 1)
        rig.venvctl("destroy", name, "--wait", "--timeout", "60s", timeout=90)
        self.assertEqual(self.machines(), [])
        base = next((rig.dir / "node1/disks/images/bases").glob("base@1.*.raw"))
        self.assertEqual(base.read_bytes()[:16], b"image of version")

    def test_not_ready(self):
        rig = self.rig
        done = rig.venvctl("start", "mute", "--wait", "--timeout", "60s", check=False, timeout=90)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertIn("not ready", done.stdout + done.stderr)
        rig.wait(30, "nothing is left of it", lambda: not self.machines() and not rig.qemu_pids("node1"))

    def test_hostile(self):
        done = self.rig.venvctl("start", "hostile", "--wait", "--timeout", "60s", check=False, timeout=90)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertIn("backing file", done.stdout + done.stderr)


def main():
    global BINARIES
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    nodes.enter()
    BINARIES = sys.argv.pop(1)
    unittest.main(verbosity=2)


main()
