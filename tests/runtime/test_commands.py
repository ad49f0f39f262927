#!/usr/bin/env python3
"""The ready set of property commands, run as the runner runs them: clean environment, no arguments guessed."""
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

COMMANDS = pathlib.Path(__file__).resolve().parents[2] / "tools/commands"


class Commands(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="venv-commands."))
        self.addCleanup(shutil.rmtree, self.dir)

    def call(self, name, *arguments, path="/usr/sbin:/usr/bin:/sbin:/bin"):
        return subprocess.run([COMMANDS / name, *map(str, arguments)], capture_output=True, text=True, cwd="/", timeout=30,
                              env={"PATH": path, "LC_ALL": "C"}, stdin=subprocess.DEVNULL)

    def good(self, name, *arguments, **options):
        result = self.call(name, *arguments, **options)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        return result.stdout

    def bad(self, name, *arguments, **options):
        result = self.call(name, *arguments, **options)
        self.assertNotEqual(result.returncode, 0)
        self.assertEqual(result.stdout, "")
        self.assertTrue(result.stderr)

    def file(self, name, text=""):
        path = self.dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def test_ram(self):
        self.assertGreater(int(self.good("ram")), 0)
        self.assertGreater(int(self.good("ram", "MemTotal")), int(self.good("ram", "MemFree")))
        self.good("ram", "Active(anon)")
        self.bad("ram", "NoSuchField")
        self.bad("ram", "x; echo 5")

    def test_cputemp(self):
        self.bad("cputemp", self.dir)  # no sensor is no temperature, not 0
        self.file("class/thermal/thermal_zone0/type", "acpitz\n")
        self.file("class/thermal/thermal_zone0/temp", "99000\n")
        self.bad("cputemp", self.dir)
        self.file("class/thermal/thermal_zone1/type", "x86_pkg_temp\n")
        self.file("class/thermal/thermal_zone1/temp", "41500\n")
        self.assertEqual(self.good("cputemp", self.dir), "41.5\n")
        self.file("class/hwmon/hwmon0/name", "coretemp\n")
        self.file("class/hwmon/hwmon0/temp1_input", "52250\n")
        self.file("class/hwmon/hwmon0/temp2_input", "40000\n")
        self.assertEqual(self.good("cputemp", self.dir), "52.2\n")

    def test_spool_queue(self):
        self.assertEqual(json.loads(self.good("spool-queue", self.dir)), {})
        for name in ("class2/new/a", "class2/new/b", "class2/new/.half", "class2/running/c", "class2/done/d", "stray",
                     "class1/new/.x", "not a class/new/e", "none/running/f", "class1/new/folder/g"):
            self.file(name)
        self.assertEqual(json.loads(self.good("spool-queue", self.dir)),
                         {"class1": {"pending": 0, "running": 0}, "class2": {"pending": 2, "running": 1}})
        self.bad("spool-queue", self.dir / "absent")
        self.bad("spool-queue")

    def test_slurm_queue(self):
        self.bad("slurm-queue", path="/usr/bin:/bin") if not shutil.which("squeue") else None
        path = f"{self.dir}:/usr/bin:/bin"
        self.file("squeue", "#!/bin/sh\ncat <<E\nclass2|PENDING|Resources\nclass2,class1|PENDING|Priority\n"
                            "class1|RUNNING|None\nclass2|PENDING|JobHeldUser\nclass1|COMPLETING|None\n"
                            "class2|PENDING|Dependency\nodd name\"}|RUNNING|None\nE\n").chmod(0o755)
        self.file("sinfo", "#!/bin/sh\nprintf 'class1\\nclass2\\nempty\\n'\n").chmod(0o755)
        rows = json.loads(self.good("slurm-queue", path=path))
        self.assertEqual(rows["class1"], {"pending": 0, "running": 2})
        self.assertEqual(rows["class2"], {"pending": 2, "running": 0})
        self.assertEqual(rows["empty"], {"pending": 0, "running": 0})
        self.assertEqual(rows["odd_name__"], {"pending": 0, "running": 1})
        self.bad("slurm-queue", "colour", path=path)
        self.file("squeue", "#!/bin/sh\necho 'slurm_load_jobs error: Unable to contact slurm controller' >&2\nexit 1\n")
        self.bad("slurm-queue", path=path)  # a scheduler that does not answer has no empty queue

    def test_slurm_drain(self):
        self.bad("slurm-drain", "n1", path="/usr/bin:/bin") if not shutil.which("scontrol") else None
        path = f"{self.dir}:/usr/bin:/bin"
        self.file("scontrol", "#!/bin/sh\nprintf '%s\\n' \"$@\"\n").chmod(0o755)
        self.assertEqual(self.good("slurm-drain", "class2-1", path=path).splitlines(),
                         ["update", "NodeName=class2-1", "State=DRAIN", "Reason=venv: it is to be stopped"])
        self.assertEqual(self.good("slurm-drain", "--resume", "class2-1", path=path).splitlines(), ["update", "NodeName=class2-1", "State=RESUME"])
        for wrong in ([], ["a", "b"], ["--resume"], ["--down", "n1"], ["n1 State=DOWN"], ["n[1-9]"], ["ALL,n1"]):
            self.bad("slurm-drain", *wrong, path=path)
        self.file("scontrol", "#!/bin/sh\necho 'slurm_update error: Invalid node name specified' >&2\nexit 1\n")
        self.bad("slurm-drain", "class2-1", path=path)


if __name__ == "__main__":
    os.umask(0o022)
    unittest.main()
