#!/usr/bin/env python3
"""Actions that reach out of the cluster, with real daemons: the example that mails the administrators, a webhook, plug-ins."""
import email
import email.header
import json
import pathlib
import signal
import sys
import time
import unittest

import cluster

sys.path.insert(0, str(cluster.TOP / "tests/deliver"))
import certificates  # noqa: E402
import sinks  # noqa: E402

HOSTILE = "${agent.name} \\\" '; $(id) `id`\r\nBcc: x@y"


class Actions(unittest.TestCase):
    def setUp(self):
        self.cluster = cluster.Cluster()
        self.addCleanup(self.cluster.close)
        self.smtp, self.http = sinks.Smtp(), sinks.Http()
        self.addCleanup(self.smtp.close)
        self.addCleanup(self.http.close)
        self.outside = (f"mail: {{server: 'smtp://127.0.0.1:{self.smtp.port}', tls: none, from: venv@example.org, timeout: 3s, retries: 1,\n"
                        "  recipients: {admins: [admin@example.org, root@example.org]}}\n"
                        f"webhooks: {{chat: {{url: 'http://127.0.0.1:{self.http.port}/ok', timeout: 2s}},\n"
                        f"  hangs: {{url: 'http://127.0.0.1:{self.http.port}/hang', timeout: 1s, retries: 0}}}}\n"
                        f"plugins: ['{self.cluster.dir}/plugins']\n")
        (self.cluster.dir / "plugins").mkdir()

    def plugin(self, name, text):
        path = self.cluster.dir / "plugins" / name
        path.write_text(text)
        path.chmod(0o755)

    def temperature(self, value):
        (self.cluster.dir / "heat").write_text(str(value))

    def actions(self, kind):
        rows = [row for row in self.cluster.rows("list", "actions") or [] if row["kind"] == kind]
        return [self.cluster.rows("show", "action", row["id"]) for row in rows]

    def ended(self, kind, count=1):
        def look():
            rows = self.actions(kind)
            return rows if len(rows) >= count and all(row["state"] not in ("pending", "running") for row in rows) else None
        return self.cluster.wait(f"{count} {kind} ended", look)

    def start(self, triggers, properties=""):
        c = self.cluster
        c.manager_config(self.outside + triggers)
        c.start_manager()
        c.start_agent("node1", more=properties)
        c.wait("node1 is connected", lambda: c.is_connected("node1"))

    def test_a_hot_node_is_mailed_to_the_administrators(self):
        c = self.cluster
        c.command("cputemp", f"#!/bin/sh\ncat {c.dir}/heat\n")
        self.temperature(60)
        self.start(f"include: ['{cluster.TOP}/examples/triggers/hot.yaml']\n",
                   "properties:\n  cputemp: {command: [cputemp], type: double, unit: Cel, every: 1}\n")
        time.sleep(1)
        self.assertEqual(self.smtp.sessions, [])
        self.temperature(91.5)
        row = self.ended("mail")[0]
        self.assertEqual((row["state"], row["by"], row["result"]["status"]), ("done", "trigger/hot", 250))
        (commands, message), = self.smtp.sessions
        self.assertEqual([line.strip() for line in commands if line.startswith(b"RCPT")],
                         [b"RCPT TO:<admin@example.org>", b"RCPT TO:<root@example.org>"])
        read = email.message_from_bytes(message)
        self.assertEqual(str(email.header.make_header(email.header.decode_header(read["Subject"]))), "node node1 at 91.5 °C")
        self.assertIn("The processor of node1 is at 91.5 °C", read.get_payload(decode=True).decode())
        self.assertEqual(read["Message-ID"], f"<{row['id']}@mgr.test>")
        parent = c.rows("show", "action", row["parent"])
        self.assertEqual((parent["kind"], parent["subject"], parent["state"]), ("firing", "hot", "done"))
        self.temperature(92)
        time.sleep(1)
        self.assertEqual(len(self.smtp.sessions), 1)  # once, until it has been cool again

    def test_over_tls_to_servers_of_another_ca(self):
        own = certificates.Certificates()
        self.addCleanup(own.close)
        start, whole = sinks.Smtp(starttls=own.contexts["good"]), sinks.Http(tls=own.contexts["good"])
        wrong = sinks.Http(tls=own.contexts["wrong name"])
        for server in (start, whole, wrong):
            self.addCleanup(server.close)
        self.outside = (f"mail: {{server: 'smtp://localhost:{start.port}', from: venv@example.org, ca: {own.ca},\n"
                        "  recipients: {admins: [admin@example.org]}}\n"
                        f"webhooks: {{chat: {{url: 'https://localhost:{whole.port}/ok', ca: {own.ca}}},\n"
                        f"  wrong: {{url: 'https://localhost:{wrong.port}/ok', ca: {own.ca}}}}}\n")
        self.start("triggers:\n  once:\n    every: 0\n    when: 'true'\n    do:\n      - mail: {to: admins, subject: over TLS}\n"
                   "      - webhook: {to: chat}\n      - webhook: {to: wrong}\n")
        self.assertEqual(self.ended("mail")[0]["state"], "done")
        self.assertEqual(start.versions, ["TLSv1.3"])
        rows = {row["subject"]: row for row in self.ended("webhook", 2)}
        self.assertEqual((rows["chat"]["state"], rows["wrong"]["state"]), ("done", "failed"))
        self.assertIn("TLS with the server does not work", rows["wrong"]["error"])
        self.assertEqual((len(whole.requests), len(wrong.requests)), (1, 0))

    def test_values_of_agents_are_text(self):
        c = self.cluster
        c.command("evil", "#!/usr/bin/env python3\nimport sys\nsys.stdout.write(" + repr(json.dumps(HOSTILE)) + ")\n")
        self.plugin("keep", f"#!/bin/sh\ncat >{c.dir}/kept.tmp; mv {c.dir}/kept.tmp {c.dir}/kept\n")
        self.start("triggers:\n  evil:\n    on: [update]\n    when: 'agent.p.evil != \"\"'\n    do:\n"
                   "      - mail: {to: admins, subject: 'x ${agent.p.evil}', text: '${agent.p.evil}'}\n"
                   "      - webhook: {to: chat, body: {value: '${agent.p.evil}', list: ['a ${agent.p.evil}', 5]}}\n"
                   "      - plugin: {name: keep, input: {value: '${agent.p.evil}'}}\n",
                   "properties:\n  evil: {command: [evil], type: json, every: 0}\n")
        for kind in ("mail", "webhook", "plugin"):
            self.assertEqual([row["state"] for row in self.ended(kind)], ["done"])
        read = email.message_from_bytes(self.smtp.sessions[0][1])
        self.assertEqual(len(read.keys()), 9)
        self.assertEqual(read.get_payload(decode=True).decode().rstrip("\r\n"), HOSTILE)
        self.assertEqual(json.loads(self.http.requests[0][3]), {"value": HOSTILE, "list": ["a " + HOSTILE, 5]})
        given = json.loads((c.dir / "kept").read_text())
        self.assertEqual((given["input"], given["by"]), ({"value": HOSTILE}, "trigger/evil"))

    def test_other_folders_of_plugins_while_it_runs(self):
        c = self.cluster
        self.plugin("old", f"#!/bin/sh\nsleep 2; echo old >>{c.dir}/ran\n")
        other = c.dir / "other"
        other.mkdir()
        (other / "new").write_text(f"#!/bin/sh\necho new >>{c.dir}/ran\n")
        (other / "new").chmod(0o755)
        run = "triggers:\n  {0}:\n    every: 0\n    when: 'true'\n    do: [{{plugin: {{name: {0}}}}}]\n"
        self.start(run.format("old"))
        c.wait("the old one runs", lambda: self.actions("plugin"))
        c.manager_config(self.outside.replace("/plugins']", "/other']") + run.format("new"))
        answer = json.loads(c.venvctl("reload", "--json", check=True).stdout)
        change, = [row for row in answer["manager"] if row["key"] == "plugins"]
        self.assertEqual((change["live"], change["from"], change["to"]), (True, [f"{c.dir}/plugins"], [str(other)]))
        rows = {row["subject"]: row for row in self.ended("plugin", 2)}
        self.assertEqual({name: row["state"] for name, row in rows.items()}, {"old": "done", "new": "done"})  # the old one went on
        self.assertEqual(sorted((c.dir / "ran").read_text().split()), ["new", "old"])
        c.manager_config(self.outside.replace("/plugins']", "/other']") + run.format("old"))
        c.venvctl("reload", check=True)
        gone = [row for row in self.ended("plugin", 3) if row["state"] == "failed"]
        self.assertEqual([row["subject"] for row in gone], ["old"])

    def test_plugins_that_misbehave(self):
        c = self.cluster
        self.plugin("hangs", f"#!/bin/sh\necho $$ >{c.dir}/hangs.pid\nsleep 600\n")
        self.plugin("floods", "#!/bin/sh\nexec head -c 3000000 /dev/zero\n")
        self.plugin("daemon", f"#!/bin/sh\nsetsid sh -c 'echo $$ >{c.dir}/daemon.pid; exec sleep 600' >/dev/null 2>&1 </dev/null &\n"
                              f"while [ ! -s {c.dir}/daemon.pid ]; do sleep 0.05; done\n")
        self.plugin("fails", "#!/bin/sh\necho so it is >&2\nexit 3\n")
        self.start("triggers:\n  all:\n    when: 'true'\n    do:\n" + "".join(
            f"      - plugin: {{name: {name}, timeout: 1s}}\n" for name in ("hangs", "floods", "daemon", "fails", "missing")))
        rows = {row["subject"]: row for row in self.ended("plugin", 5)}
        self.assertEqual({name: row["state"] for name, row in rows.items()},
                         {"hangs": "unknown", "floods": "done", "daemon": "done", "fails": "failed", "missing": "failed"})
        self.assertTrue(rows["floods"]["result"]["truncated"])
        self.assertEqual(rows["fails"]["result"]["exit"], 3)
        self.assertIn("exit status 3", rows["fails"]["error"])
        self.assertIn("missing", rows["missing"]["error"])
        for name in ("hangs", "daemon"):
            pid = int((c.dir / f"{name}.pid").read_text())
            c.wait(f"{name} is gone", lambda: not pathlib.Path(f"/proc/{pid}").exists())

    def test_a_webhook_that_hangs_holds_up_nobody_and_its_end_is_final(self):
        self.start("triggers:\n  slow:\n    when: 'true'\n    do:\n      - webhook: {to: hangs}\n      - webhook: {to: chat}\n")
        rows = {row["subject"]: row["state"] for row in self.ended("webhook", 2)}
        self.assertEqual(rows, {"hangs": "unknown", "chat": "done"})
        body = json.loads(next(request[3] for request in self.http.requests if request[1] == "/ok"))
        self.assertEqual((body["manager"], body["by"]), ("mgr", "trigger/slow"))

    def test_what_was_under_way_at_a_restart(self):
        c = self.cluster
        self.smtp.hang = b"MAIL"
        self.plugin("long", f"#!/bin/sh\necho x >>{c.dir}/ran\nsleep 600\n")
        self.start("triggers:\n  once:\n    when: 'true'\n    do:\n      - mail: {to: admins, subject: still here}\n"
                   "      - plugin: {name: long, timeout: 10m}\n")
        c.wait("both are under way", lambda: (c.dir / "ran").exists() and self.actions("mail"))
        c.stop("manager", signal.SIGKILL)
        self.smtp.hang = None
        c.start_manager()
        self.assertEqual(self.ended("mail")[0]["state"], "done")
        row = self.ended("plugin")[0]
        self.assertEqual(row["state"], "unknown")
        self.assertIn("restarted", row["error"])
        self.assertEqual((c.dir / "ran").read_text(), "x\n")
        self.assertEqual(email.message_from_bytes(self.smtp.sessions[-1][1])["Message-ID"], f"<{self.actions('mail')[0]['id']}@mgr.test>")

    def test_an_instance_is_paused_saved_and_restored_by_people(self):
        c = self.cluster
        c.manager_config("environments:\n  class2: {hypervisor: test, vcpus: 1, memory: 64MiB}\n")
        c.start_manager()
        c.start_agent("node1", hypervisor="fake:")
        c.wait("node1 is connected", lambda: c.is_connected("node1"))
        c.wait("it has started", lambda: c.venvctl("start", "class2", "--wait", "--timeout", "20s").returncode == 0)
        name = c.rows("list", "instances")[0]["name"]

        def state():
            return next(row["state"] for row in c.rows("list", "instances") if row["name"] == name)
        for verb, after in (("pause", "paused"), ("resume", "running"), ("save", "saved"), ("restore", "running")):
            result = c.venvctl(verb, name, "--wait", "--timeout", "20s")
            self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
            self.assertEqual(state(), after)
        self.assertEqual(c.venvctl("restore", name).returncode, 1)  # it is not saved
        self.assertEqual(c.venvctl("pause", "nobody-1").returncode, 3)
        result = c.venvctl("migrate", name, "--wait", "--timeout", "20s")
        self.assertEqual(result.returncode, 1)
        self.assertIn("no other node can take", result.stderr)
        self.assertEqual(state(), "running")
        self.assertEqual(c.venvctl("destroy", name, "--wait", "--timeout", "20s").returncode, 0)
        self.assertEqual(state(), "stopped")
        kinds = {row["kind"] for row in c.rows("list", "actions")}
        self.assertLessEqual({"start", "pause", "resume", "save", "restore", "migrate", "destroy"}, kinds)

    def test_an_image_is_brought_to_a_node_or_refused_for_the_reason(self):
        c = self.cluster
        (c.dir / "image.raw").write_bytes(bytes(range(256)) * 4096)
        c.run(cluster.BIN / "venv-sync", "key", c.dir / "publisher.key")
        c.run(cluster.BIN / "venv-sync", "make", c.dir / "image.raw", c.dir / "repository", "--name", "small", "--key", c.dir / "publisher.key")
        c.manager_config()
        c.start_manager()
        c.start_agent("node1")
        c.issue("agent", "node2")
        path = c.agent_config("node2")
        path.write_text(path.read_text() + f"  images: {{repository: '{c.dir}/repository', trust: {c.dir}/publisher.pub, "
                        f"directory: {c.dir}/images}}\n")
        c.start("node2")
        c.wait("both are connected", lambda: c.is_connected("node1", "node2"))
        result = c.venvctl("sync", "node1", "small")
        self.assertEqual(result.returncode, 1)
        self.assertIn("no repository of images", result.stdout + result.stderr)
        result = c.venvctl("sync", "node2", "small", "--json")
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertEqual(json.loads(result.stdout)[0]["version"], 1)
        self.assertEqual((c.dir / "images/small.raw").read_bytes(), (c.dir / "image.raw").read_bytes())
        self.assertEqual(c.venvctl("sync", "node2", "absent").returncode, 3)
        self.assertEqual({row["state"] for row in self.actions("sync")}, {"done", "failed"})

    def test_a_configuration_that_reaches_nowhere_is_refused(self):
        c = self.cluster
        for triggers, word in (("mail: {to: nobody, subject: x}", "no recipients 'nobody'"), ("webhook: {to: else}", "no webhook 'else'"),
                               ("mail: {to: admins}", "`subject` is missing"), ("plugin: {input: 1}", "`name` is missing")):
            c.manager_config(self.outside + f"triggers:\n  t:\n    when: 'true'\n    do:\n      - {triggers}\n")
            result = c.run(cluster.BIN / "venv-mgr", "--config", c.dir / "manager.yaml", "--check", check=False)
            self.assertNotEqual(result.returncode, 0)
            self.assertIn(word, result.stdout + result.stderr)
        for bad in (self.outside.replace("admin@example.org", "'a@b\\r\\nBcc: c'"), self.outside.replace("venv@example.org", "'a b'"),
                    self.outside.replace("http://127", "gopher://127"), self.outside.replace("smtp://", "file://")):
            c.manager_config(bad)
            self.assertNotEqual(c.run(cluster.BIN / "venv-mgr", "--config", c.dir / "manager.yaml", "--check", check=False).returncode, 0)


if __name__ == "__main__":
    unittest.main()
