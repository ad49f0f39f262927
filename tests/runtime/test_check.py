#!/usr/bin/env python3
"""Bad configurations: one error with file, line, column and what is expected, at once, exit status 2.

    VENV_BIN=build/dev/bin python3 tests/runtime/test_check.py [-v]
"""
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time
import unittest

TOP = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("VENV_BIN", TOP / "build/dev/bin"))
TLS = "  tls: {ca: /c, certificate: /d, key: /k}\n"
MANAGER = "manager:\n  name: mgr\n  listen: ['127.0.0.1:7420']\n  state: /s\n" + TLS
AGENT = "agent:\n  name: node1\n  manager: 'mgr.example.org:7420'\n" + TLS
TRIGGER = "triggers:\n  t:\n    on: [update]\n    do: [{log: {text: x}}]\n"


class Check(unittest.TestCase):
    program, main, good = None, "main.yaml", ""

    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="venv-check."))
        self.addCleanup(shutil.rmtree, self.dir)

    def write(self, name, text):
        path = self.dir / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def check(self, text=None):
        path = self.dir / self.main
        if text is not None:
            self.write(self.main, text)
        began = time.monotonic()
        result = subprocess.run([BIN / self.program, "--config", path, "--check"], capture_output=True, timeout=60)
        self.assertLess(time.monotonic() - began, 10)
        return result.returncode, result.stdout.decode(), result.stderr.decode()

    def refuse(self, text, *words, place=r":\d+:\d+", file=None):
        """One error: `PROGRAM: FILE:LINE:COLUMN: TEXT`; an expression's has two more lines, with a caret."""
        status, out, err = self.check(text)
        self.assertEqual((status, out), (2, ""), err)
        lines = err.splitlines()
        self.assertRegex(lines[0], rf"^{self.program}: {re.escape(str(self.dir / (file or self.main)))}{place}: \S")
        if len(lines) > 1:
            self.assertEqual(len(lines), 3, err)
            self.assertRegex(lines[2], r"^\s*\^")
        for word in words:
            self.assertIn(word, err)
        self.assertLess(len(err), 2000)

    def accept(self, text):
        self.assertEqual(self.check(text), (0, f"{self.dir / self.main}: correct\n", ""))


class Both:
    """What is the same for both programs; `good` is a configuration that is correct."""

    def test_a_correct_one(self):
        self.accept(self.good)

    def test_a_file_that_is_not_there(self):
        self.refuse(None, "No such file", place="")

    def test_an_unknown_key(self):
        self.refuse(self.good + "colour: blue\n", "colour")
        self.refuse(self.good.replace("  name:", "  nmae: x\n  name:"), "nmae", "name", place=":2:3")

    def test_a_wrong_type(self):
        self.refuse(self.good.replace(TLS, "  tls: 5\n"), "tls")
        self.refuse("just text\n")
        self.refuse("- a\n- list\n")

    def test_nothing_at_all(self):
        self.refuse("")
        self.refuse("# only a comment\n")

    def test_a_missing_key(self):
        self.refuse(self.good.replace(TLS, ""), "tls")

    def test_a_duplicate_key(self):
        self.refuse(self.good + self.good)

    def test_an_include_that_is_not_there(self):
        lines = self.good.count("\n")
        self.refuse(self.good + "include: [more.yaml]\n", "more.yaml", place=f":{lines + 1}:11")
        self.accept(self.good + "include: [more*.yaml]\n")

    def test_a_mistake_in_an_included_file(self):
        self.write("conf.d/x.yaml", "# a comment\n\n  colour: blue\n")
        self.refuse(self.good + "include: [conf.d/*.yaml]\n", "colour", file="conf.d/x.yaml", place=":3:3")

    def test_an_alias_bomb(self):
        bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n"
        for letter, before in zip("bcdefghij", "abcdefghi"):
            bomb += f"{letter}: &{letter} [" + ", ".join([f"*{before}"] * 9) + "]\n"
        self.refuse(bomb, "anchor")

    def test_brackets(self):
        self.refuse("[" * 65536, "deep")
        self.refuse("{a: " * 16384, "deep")
        self.refuse("- " * 32768, "deep")

    def test_what_is_not_text(self):
        self.refuse(b"agent: \xff\xfe\n")
        self.refuse(b"\x00\x01\x02")
        self.refuse(os.urandom(4096), place=r"(:\d+:\d+)?")

    def test_broken_yaml(self):
        self.refuse("a: [1, 2\n")
        self.refuse("a: 'unclosed\n")
        self.refuse("a:\n\t- tab\n")
        self.refuse("a: 1\n---\nb: 2\n")
        self.refuse("a: !!python/object:os.system x\n")

    def test_too_large(self):
        self.refuse("#" * (1 << 20) + "\n", "1 MiB", place="")

    def test_a_folder(self):
        (self.dir / self.main).mkdir()
        self.refuse(None, place="")

    def test_what_anybody_may_write(self):
        self.write(self.main, self.good).chmod(0o666)
        self.refuse(None, "chmod", place="")


class Manager(Both, Check):
    program, good = "venv-mgr", MANAGER

    def trigger(self, when):
        return MANAGER + TRIGGER + f"    when: {when}\n"

    def test_expressions(self):
        self.accept(self.trigger("'1 < 2'"))
        self.refuse(self.trigger("'1 <'"))
        self.refuse(self.trigger("'quue(\"x\") == 1'"), "quue", "queue")
        self.refuse(self.trigger("'\"text\"'"), "true or false")
        self.refuse(self.trigger("'" + "(" * 1000 + "'"))
        self.refuse(self.trigger("'" + " && ".join(["true"] * 30000) + "'"))

    def test_triggers(self):
        self.refuse(MANAGER + TRIGGER.replace("log", "lgo") + "    when: 'true'\n", "lgo")
        self.refuse(MANAGER + TRIGGER.replace("update", "sometimes") + "    when: 'true'\n", "update, join")
        self.refuse(MANAGER + TRIGGER, "when")

    def test_time_zones(self):
        self.accept(self.trigger("'now.getHours(\"Europe/Rome\") == 18'"))
        self.accept(self.trigger("'now.getHours(\"+02:00\") == 18'"))
        self.refuse(self.trigger("'now.getHours(\"Europe/Atlantis\") == 18'"), "Europe/Atlantis", "tzdata")
        self.refuse(self.trigger("'now.getHours(\"../passwd\") == 18'"), "../passwd")

    def test_schedules(self):
        def at(times, zone):
            return MANAGER + f"triggers:\n  t:\n    at: '{times}'\n    zone: {zone}\n    do: [{{log: {{text: x}}}}]\n"

        self.accept(at("30 18 * * mon-fri", "Europe/Rome"))
        self.refuse(at("30 25 * * *", "UTC"), "hour", "0 to 23", place=":8:13")
        self.refuse(at("30 18 * * *", "Europe/Atlantis"), "Europe/Atlantis", place=":9:11")

    def test_the_examples(self):
        examples = sorted((TOP / "examples/triggers").glob("*.yaml"))
        self.assertGreaterEqual(len(examples), 3)
        main = MANAGER + ("environments:\n  class2: {hypervisor: test, vcpus: 1, memory: 64MiB}\n"
                          "mail: {server: 'smtp://mail.example.org', from: venv@example.org, recipients: {admins: [admin@example.org]}}\n")
        for example in examples:
            shutil.copy(example, self.dir)
            with self.subTest(example.name):
                self.accept(main + f"include: [{example.name}]\n")
        self.accept(main + f"include: [{', '.join(e.name for e in examples)}]\n")

    def test_environments(self):
        self.refuse(MANAGER + "environments:\n  e: {hypervisor: magic, vcpus: 1, memory: 64MiB}\n", "magic")
        self.refuse(MANAGER + "environments:\n  e: {hypervisor: test, vcpus: many, memory: 64MiB}\n", "vcpus")

    def test_a_name_in_two_files(self):
        trigger = TRIGGER + "    when: 'true'\n"
        self.write("a.yaml", trigger)
        self.write("b.yaml", "# the same again\n" + trigger)
        self.accept(MANAGER + "include: [a.yaml]\n")
        self.refuse(MANAGER + "include: [a.yaml, b.yaml]\n", "a.yaml", file="b.yaml", place=":3:3")


class Agent(Both, Check):
    program, good = "venv-agent", AGENT

    def test_properties(self):
        self.accept(AGENT + "properties:\n  p: {command: [x], type: int, every: 1}\n")
        self.refuse(AGENT + "properties:\n  p: {command: [x], type: number, every: 1}\n", "number", "int")
        self.refuse(AGENT + "properties:\n  p: {command: [x], type: int, every: often}\n", "every")
        self.refuse(AGENT + "properties:\n  p: {command: [x], type: int, every: 1, timeout: 5 parsecs}\n", "parsecs")
        self.refuse(AGENT + "properties:\n  'bad label!': {command: [x], type: int, every: 1}\n", "label")

    def test_addresses(self):
        self.refuse(AGENT.replace("mgr.example.org:7420", "mgr:port"), "HOST:PORT")

    def test_a_label_in_two_files(self):
        properties = "properties:\n  p: {command: [x], type: int, every: 1}\n"
        self.write("a.yaml", properties)
        self.write("b.yaml", "# the same again\n" + properties)
        self.accept(AGENT + "include: [a.yaml]\n")
        self.refuse(AGENT + "include: [a.yaml, b.yaml]\n", "a.yaml", file="b.yaml", place=":3:3")


class Usage(unittest.TestCase):
    def call(self, program, *arguments):
        return subprocess.run([BIN / program, *arguments], capture_output=True, text=True, timeout=60)

    def test_help_version_and_nonsense(self):
        for program in ("venv-mgr", "venv-agent"):
            shown = self.call(program, "--help")
            self.assertEqual((shown.returncode, shown.stderr), (0, ""))
            for option in ("--config", "--check", "--log-level", "--pid-file"):
                self.assertIn(option, shown.stdout)
            shown = self.call(program, "--version")
            self.assertEqual(shown.returncode, 0)
            self.assertRegex(shown.stdout, rf"^{program} \d+\.\d+\.\d+\n$")
            for wrong in (["--nonsense"], ["extra"], ["--log-level", "loud", "--check"], ["--config"]):
                shown = self.call(program, *wrong)
                self.assertEqual((shown.returncode, shown.stdout), (2, ""), wrong)
                self.assertTrue(shown.stderr)


if __name__ == "__main__":
    assert (BIN / "venv-mgr").exists(), f"there is no venv-mgr in {BIN}"
    unittest.main()
