#!/usr/bin/env python3
"""Manager and agents as real daemons over loopback TLS: living, dying, coming back, and wrong peers.

    VENV_BIN=build/dev/bin python3 tests/runtime/test_daemons.py [-v] [Class.test]
"""
import os
import re
import resource
import signal
import socket
import ssl
import struct
import threading
import time
import unittest

from cluster import BIN, PATIENCE, Cluster, wait

HEADER = struct.Struct(">IBBhQ")  # size, version, flags, type, request: include/venv/message.h
STATUS, HELLO, PUSH = 400, 200, 210


class Case(unittest.TestCase):
    def setUp(self):
        self.cluster = Cluster()
        self.addCleanup(self.cluster.close)


class Life(Case):
    """What agents tell is seen; whoever dies comes back, and the others stay."""

    def test_properties_and_groups_are_seen(self):
        c = self.cluster
        c.command("answer", "#!/bin/sh\necho 42\n")
        c.start_manager()
        c.start_agent("node1", more="properties:\n  answer: {command: [answer], type: int, every: 1}\n")
        c.start_agent("node2")
        c.wait("both are connected", lambda: c.is_connected("node1", "node2"))
        groups = {row["name"]: row["agents"] for row in c.rows("list", "groups")}
        self.assertEqual(sorted(groups["default"]), ["node1", "node2"])  # they are in the order in which they came
        self.assertEqual(groups["node1-group"], ["node1"])

        def answered():
            rows = c.rows("get", "node1", "answer")
            return rows and rows[0].get("quality") == "ok" and rows[0]["value"] == 42

        c.wait("the property is 42", answered)
        for label, kind in (("memfree", int), ("load1", float), ("cpus", int), ("diskfree", int), ("kernel", str)):
            row = c.wait(f"{label} is known", lambda l=label: [r for r in c.rows("get", "node2", l) or [] if r.get("quality") == "ok"])[0]
            self.assertIsInstance(row["value"], (kind, int), label)

    def test_a_manager_that_is_killed_is_found_again(self):
        c = self.cluster
        c.start_manager()
        agents = [c.start_agent(name) for name in ("node1", "node2")]
        c.wait("both are connected", lambda: c.is_connected("node1", "node2"))
        for _ in range(3):
            c.stop("manager", signal.SIGKILL)
            (c.dir / "manager.log").unlink()
            c.start_manager()
            c.wait("both have come back", lambda: c.is_connected("node1", "node2"))
        for agent in agents:
            self.assertIsNone(agent.poll(), "an agent ended")
        kinds = [row["kind"] for row in c.rows("events")]
        self.assertEqual(kinds.count("manager-started"), 4)

    def test_an_agent_that_is_killed_is_seen_to_be_gone_and_to_come_back(self):
        c = self.cluster
        c.start_manager()
        c.start_agent("node1")
        c.start_agent("node2")
        c.wait("both are connected", lambda: c.is_connected("node1", "node2"))
        c.stop("node1", signal.SIGKILL)
        c.wait("it is gone", lambda: c.agent("node1")["state"] != "connected")
        self.assertEqual(c.agent("node2")["state"], "connected")
        c.start("node1")
        c.wait("it is back", lambda: c.is_connected("node1", "node2"))

    def test_both_end_in_order(self):
        c = self.cluster
        c.start_manager()
        c.start_agent("node1")
        c.wait("it is connected", lambda: c.is_connected("node1"))
        self.assertEqual(c.stop("node1"), 0)
        c.wait("it said farewell", lambda: c.agent("node1")["state"] != "connected", 5)
        self.assertIn("machines on this node run on", c.log("node1"))
        began = time.monotonic()
        self.assertEqual(c.stop("manager", signal.SIGINT), 0)
        self.assertLess(time.monotonic() - began, 10)
        self.assertIn("instances run on", c.log("manager"))

    def test_an_agent_without_a_manager_lives_and_ends(self):
        c = self.cluster
        agent = c.start_agent("node1")
        c.wait("it says that it cannot connect", lambda: "cannot connect to" in c.log("node1"))
        self.assertIsNone(agent.poll())
        self.assertEqual(c.stop("node1"), 0)

    def test_a_hangup_reads_the_configuration_anew(self):
        c = self.cluster
        manager = c.start_manager()
        manager.send_signal(signal.SIGHUP)
        c.wait("it was read", lambda: "the configuration was read anew: nothing is different" in c.log("manager"))
        c.manager_config("unknown: 1\n")
        manager.send_signal(signal.SIGHUP)
        c.wait("the mistake is shown", lambda: re.search(r"not read anew, and nothing was changed: \S+manager.yaml:\d+:\d+:", c.log("manager")))
        self.assertIsNone(manager.poll())

    def test_a_trigger_knows_the_zones_of_the_system(self):
        c = self.cluster
        when = 'timestamp("2026-11-22T18:30:00Z").getHours("Europe/Rome") == 19 && now.getHours("Europe/Rome") >= 0'
        c.manager_config(f"triggers:\n  rome:\n    when: '{when}'\n    do: [{{log: {{text: it is so in Rome}}}}]\n")
        c.start("manager")
        c.wait("it fired", lambda: "it is so in Rome" in c.log("manager"))

    def test_a_trigger_stops_the_agents_of_a_group(self):
        c = self.cluster
        when = 'agents.filter(a, a.state == "connected").size() == 2'
        c.manager_config(f"triggers:\n  stop:\n    when: '{when}'\n    do: [{{control: {{target: '@node1-group', verb: stop}}}}]\n")
        c.start("manager")
        c.wait("the manager listens", lambda: "listening on" in c.log("manager"))
        agents = [c.start_agent(name) for name in ("node1", "node2")]
        self.assertEqual(agents[0].wait(PATIENCE), 0)
        self.assertIsNone(agents[1].poll())
        c.wait("the action is done", lambda: "done" in [row["state"] for row in c.rows("list", "actions") or [] if row["kind"] == "control"])

    def test_the_service_manager_is_told(self):
        c = self.cluster
        path = str(c.dir / "notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
            listener.bind(path)
            listener.settimeout(PATIENCE)
            os.environ.update(NOTIFY_SOCKET=path, WATCHDOG_USEC="200000")
            try:
                manager = c.start("manager", "--pid-file", c.dir / "manager.pid")
            finally:
                del os.environ["NOTIFY_SOCKET"], os.environ["WATCHDOG_USEC"]
            told = {listener.recv(100)}
            while b"READY=1" not in told or b"WATCHDOG=1" not in told:
                told.add(listener.recv(100))
            self.assertEqual(int((c.dir / "manager.pid").read_text()), manager.pid)
            self.assertEqual(c.stop("manager"), 0)
            while b"STOPPING=1" not in told:
                told.add(listener.recv(100))
        self.assertFalse((c.dir / "manager.pid").exists())

    def test_an_instance_starts_and_stops_on_a_hypervisor_in_memory(self):
        c = self.cluster
        c.manager_config("environments:\n  small: {hypervisor: test, vcpus: 1, memory: 64MiB, ready: running}\n")
        c.start_manager()
        c.start_agent("node1", hypervisor="fake:")
        c.wait("it is connected", lambda: c.is_connected("node1"))
        c.venvctl("start", "small", "--wait", "--timeout", "20s", check=True)
        rows = c.rows("list", "instances")
        self.assertEqual([(row["state"], row["node"]) for row in rows], [("running", "node1")])
        c.venvctl("stop", rows[0]["name"], "--wait", "--timeout", "20s", check=True)
        c.wait("it is stopped", lambda: c.rows("list", "instances")[0]["state"] == "stopped")


class Start(Case):
    """What keeps a daemon from starting is said at once, with what to do."""

    def expect(self, name, status, *words, **options):
        process = self.cluster.start(name, **options)
        self.assertEqual(process.wait(PATIENCE), status, self.cluster.log(name))
        for word in words:
            self.assertIn(word, self.cluster.log(name))

    def test_one_state_one_manager(self):
        c = self.cluster
        c.start_manager()
        c.manager_config(name="manager2")
        self.expect("manager2", 1, str(c.processes["manager"].pid))

    def test_a_port_in_use(self):
        c = self.cluster
        with socket.socket() as holder:
            holder.bind(("127.0.0.1", c.port))
            holder.listen()
            self.expect("manager", 1, f"127.0.0.1:{c.port}", "another program")

    def test_certificates_that_do_not_fit(self):
        c = self.cluster
        path = c.dir / "manager.yaml"
        good = path.read_text()
        path.write_text(good.replace("manager-mgr.crt", "user-admin.crt").replace("manager-mgr.key", "user-admin.key"))
        self.expect("manager", 2, "manager")
        path.write_text(good.replace("manager-mgr.key", "absent.key"))
        self.expect("manager", 2, "absent.key")
        path.write_text(good.replace("manager-mgr.key", "user-admin.key"))
        self.expect("manager", 2, "user-admin.key")
        path.write_text(good.replace("name: mgr", "name: other"))
        self.expect("manager", 2, "other")
        path.write_text(good)
        (c.pki / "manager-mgr.key").chmod(0o644)
        self.expect("manager", 2, "manager-mgr.key")

    def test_an_agent_under_another_name(self):
        c = self.cluster
        c.issue("agent", "node1")
        path = c.agent_config("node1")
        path.write_text(path.read_text().replace("name: node1", "name: node2"))
        self.expect("node1", 2, "node1", "node2")

    def test_a_disk_that_fails(self):
        """Past a limit on the size of files every write fails: the manager ends, and has confirmed nothing that is lost."""
        c = self.cluster
        c.command("true", "#!/bin/sh\n")
        manager = c.start_manager()
        c.start_agent("node1")
        c.wait("it is connected", lambda: c.is_connected("node1"))
        room = (c.dir / "state/manager.db-wal").stat().st_size + (128 << 10)
        resource.prlimit(manager.pid, resource.RLIMIT_FSIZE, (room, room))
        confirmed = 0
        for _ in range(2000):
            if c.venvctl("exec", "node1", "true").returncode != 0 or manager.poll() is not None:
                break
            confirmed += 1
        self.assertEqual(manager.wait(PATIENCE), 1)
        self.assertIn("nothing was confirmed that is not stored", c.log("manager"))
        c.start_manager()
        c.wait("it is back", lambda: c.is_connected("node1"))
        done = [row for row in c.rows("events") if row["kind"] == "action-done"]
        self.assertGreaterEqual(len(done), confirmed)


class Strangers(Case):
    """Whoever is not let in: refused, logged once with address and reason, and nobody else notices."""

    def setUp(self):
        super().setUp()
        c = self.cluster
        self.manager = c.start_manager()
        self.good = c.start_agent("good")
        c.wait("the good agent is connected", lambda: c.is_connected("good"))
        self.address = c.agent("good")["address"]

    def tearDown(self):
        c = self.cluster
        self.assertIsNone(self.manager.poll(), c.log("manager"))
        self.assertIsNone(self.good.poll())
        row = c.agent("good")
        self.assertEqual((row["state"], row["address"]), ("connected", self.address), "the good agent was disturbed")
        kinds = [event["kind"] for event in c.rows("events")]
        self.assertEqual(kinds.count("agent-connected"), 1 + self.admitted)

    admitted = 0

    def connect(self, source=None):
        return socket.create_connection(("127.0.0.1", self.cluster.port), PATIENCE, source_address=source and (source, 0))

    def context(self, role=None, name=None, pki=None, **settings):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if role:
            base = (pki or self.cluster.pki) / f"{role}-{name}"
            context.load_cert_chain(f"{base}.crt", f"{base}.key")
        for key, value in settings.items():
            setattr(context, key, value)
        return context

    def expect_refusal(self, connection, *words):
        """The connection ends, and exactly one line says so, with the address and one of the words."""
        mine = "%s:%d" % connection.getsockname()[:2]

        def line():
            return [reason for address, reason in self.cluster.refusals() if address == mine]

        reasons = self.cluster.wait(f"{mine} is refused ({', '.join(words)})", line, 15)
        self.assertEqual(len(reasons), 1)
        self.assertTrue(any(word in reasons[0] for word in words), reasons)
        connection.settimeout(PATIENCE)
        try:
            while connection.recv(4096):
                pass
        except OSError:
            pass  # an alert or a reset: it has ended either way
        connection.close()

    def handshake(self, context):
        connection = self.connect()
        try:
            return context.wrap_socket(connection, server_hostname="mgr", do_handshake_on_connect=True)
        except (ssl.SSLError, ConnectionError):
            return connection

    def address_of(self, attempt):
        """Run an attempt that may fail at any point; keep a socket for its address."""
        raw = self.connect()
        mine = "%s:%d" % raw.getsockname()
        try:
            attempt(raw)
        except (ssl.SSLError, OSError):
            pass
        return mine

    def refuse(self, context, *words):
        def attempt(raw):
            with context.wrap_socket(raw, server_hostname="mgr") as secure:
                secure.settimeout(PATIENCE)
                while secure.recv(4096):
                    pass

        mine = self.address_of(attempt)
        reasons = self.cluster.wait(f"{mine} is refused",
                                    lambda: [reason for address, reason in self.cluster.refusals() if address == mine], 15)
        self.assertEqual(len(reasons), 1, reasons)
        self.assertTrue(any(word in reasons[0] for word in words), reasons)

    def test_no_certificate(self):
        self.refuse(self.context(), "certificate")

    def test_another_ca(self):
        other = Cluster("test")  # the same name of a cluster, and its own CA
        self.addCleanup(other.close)
        other.issue("agent", "good")
        self.refuse(self.context("agent", "good", other.pki), "CA", "signed", "authority")

    def test_another_cluster(self):
        other = Cluster("elsewhere")
        self.addCleanup(other.close)
        other.issue("agent", "good")
        self.refuse(self.context("agent", "good", other.pki), "CA", "signed", "cluster")

    def test_an_expired_certificate(self):
        self.cluster.issue("agent", "old", days_ago=20, days=5)
        self.refuse(self.context("agent", "old"), "expired")

    def test_the_wrong_role(self):
        self.refuse(self.context("manager", "mgr"), "manager", "role", "purpose")

    def test_tls_1_2(self):
        self.cluster.issue("agent", "old-tls")
        self.refuse(self.context("agent", "old-tls", maximum_version=ssl.TLSVersion.TLSv1_2), "TLS 1.3", "version")

    def test_plain_tcp(self):
        connection = self.connect()
        connection.sendall(b"HELLO\r\n" * 10)
        self.expect_refusal(connection, "TLS")

    def test_random_bytes(self):
        for seed in range(4):
            connection = self.connect(f"127.0.0.{seed + 2}")
            connection.sendall(os.urandom(2000 * (seed + 1)))
            self.expect_refusal(connection, "TLS", "handshake", "version", "bytes")

    def test_a_beginning_and_then_silence(self):
        context = self.context()
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        machine = context.wrap_bio(incoming, outgoing, server_hostname="mgr")
        try:
            machine.do_handshake()
        except ssl.SSLWantReadError:
            pass
        hello = outgoing.read()
        connection = self.connect()
        connection.sendall(hello[: len(hello) // 2])
        began = time.monotonic()
        self.expect_refusal(connection, "5 s")
        self.assertLess(time.monotonic() - began, 12)

    def test_silence_after_the_handshake(self):
        """Known, but without a first message: closed after the time for it."""
        self.cluster.issue("agent", "silent")
        with self.context("agent", "silent").wrap_socket(self.connect(), server_hostname="mgr") as secure:
            secure.settimeout(20)
            try:
                while secure.recv(4096):
                    pass
            except (ssl.SSLError, ConnectionError):
                pass
        self.assertIn("agent silent", self.cluster.log("manager"))

    def test_slow_ones_in_numbers_keep_nobody_out(self):
        """Nine addresses hold forty connections each and say nothing: a new agent comes in all the same."""
        sockets = []
        for host in range(2, 11):
            for _ in range(40):
                try:
                    sockets.append(self.connect(f"127.0.0.{host}"))
                except OSError:
                    pass
        self.admitted = 1
        self.cluster.start_agent("late")
        self.cluster.wait("a new agent comes in", lambda: self.cluster.is_connected("late"), 10)

        def gone():
            for each in list(sockets):
                each.setblocking(False)
                try:
                    if each.recv(100):
                        continue
                except BlockingIOError:
                    continue
                except OSError:
                    pass  # a reset has ended it, too
                each.close()
                sockets.remove(each)
            return not sockets

        self.cluster.wait("all of them are closed", gone, 20)
        self.assertLessEqual(len(self.cluster.refusals()), 120 + 30)

    def secure(self, role, name):
        if not (self.cluster.pki / f"{role}-{name}.crt").exists():
            self.cluster.issue(role, name)
        connection = self.context(role, name).wrap_socket(self.connect(), server_hostname="mgr")
        connection.settimeout(PATIENCE)
        return connection

    def break_protocol(self, role, name, data, *words):
        connection = self.secure(role, name)
        mine = "%s:%d" % connection.getsockname()
        try:
            connection.sendall(data)
            while connection.recv(4096):
                pass
        except (ssl.SSLError, OSError):
            pass
        connection.close()
        self.cluster.wait(f"{mine} is refused ({words})", lambda: [
            reason for address, reason in self.cluster.refusals() if address == mine and any(w in reason for w in words)], 15)

    def test_a_frame_that_promises_too_much(self):
        self.break_protocol("agent", "large", HEADER.pack(0xFFFFFFFF, 1, 0, HELLO, 0), "bytes", "long", "large")

    def test_a_frame_of_another_version(self):
        self.break_protocol("agent", "other", HEADER.pack(0, 99, 0, HELLO, 0), "version")

    def test_a_body_that_is_nonsense(self):
        self.break_protocol("agent", "nonsense", HEADER.pack(3, 1, 0, HELLO, 0) + b"\xff\xff\xff", "hello", "CBOR", "body")

    def test_a_message_that_only_users_may_send(self):
        self.break_protocol("agent", "curious", HEADER.pack(1, 1, 0, STATUS, 7) + b"\xa0", "status", "may not")

    def test_a_message_before_the_first(self):
        """PUSH without HELLO: the session ends. It is known who it was, so it is no stranger."""
        connection = self.secure("agent", "hasty")
        connection.sendall(HEADER.pack(1, 1, 0, PUSH, 0) + b"\xa0")
        try:
            while connection.recv(4096):
                pass
        except (ssl.SSLError, OSError):
            pass
        connection.close()
        self.assertIn("agent hasty", self.cluster.log("manager"))

    def test_a_storm_beyond_the_descriptors(self):
        """With few descriptors left: no busy loop, the good agent stays, and there is room again afterwards."""
        soft = len(os.listdir(f"/proc/{self.manager.pid}/fd")) + 20
        resource.prlimit(self.manager.pid, resource.RLIMIT_NOFILE, (soft, soft))
        sockets = []
        for i in range(100):
            try:
                sockets.append(self.connect(f"127.0.1.{1 + i % 50}"))
            except OSError:
                pass

        def ticks():
            fields = open(f"/proc/{self.manager.pid}/stat").read().rsplit(")", 1)[1].split()
            return int(fields[11]) + int(fields[12])

        before, began = ticks(), time.monotonic()
        time.sleep(2)  # a measurement, not a wait for something
        used = (ticks() - before) / os.sysconf("SC_CLK_TCK") / (time.monotonic() - began)
        self.assertLess(used, 0.5, "the manager is busy with connections that it cannot take")
        for each in sockets:
            each.close()
        self.admitted = 1
        self.cluster.start_agent("late")
        self.cluster.wait("there is room again", lambda: self.cluster.is_connected("late"))


class FalseManager(Case):
    """The agent, too, looks at who it talks to."""

    def serve(self, role, name, pki):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pki / f"{role}-{name}.crt", pki / f"{role}-{name}.key")
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        self.bytes_read = b""

        def answer():
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                try:
                    with context.wrap_socket(connection, server_side=True) as secure:
                        secure.settimeout(5)
                        self.bytes_read += secure.recv(4096)
                except (ssl.SSLError, OSError):
                    connection.close()

        threading.Thread(target=answer, daemon=True).start()
        return listener.getsockname()[1]

    def expect(self, port, *words):
        c = self.cluster
        agent = c.start_agent("node1", port=port)
        c.wait(f"it refuses ({words})", lambda: any(word in c.log("node1") for word in words))
        self.assertIsNone(agent.poll())
        self.assertEqual(self.bytes_read, b"", "it told something to a false manager")

    def test_an_agent_that_plays_manager(self):
        self.cluster.issue("agent", "evil")
        self.expect(self.serve("agent", "evil", self.cluster.pki), "role", "purpose", "manager")

    def test_a_manager_of_another_ca(self):
        other = Cluster("test")
        self.addCleanup(other.close)
        self.expect(self.serve("manager", "mgr", other.pki), "CA", "signed")

    def test_something_that_is_no_tls_at_all(self):
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        self.bytes_read = b""

        def answer():
            try:
                connection, _ = listener.accept()
                connection.sendall(b"220 mail.example.org ESMTP\r\n")
                wait("it hangs up", lambda: connection.recv(4096) == b"", 10)
            except OSError:
                pass

        threading.Thread(target=answer, daemon=True).start()
        self.expect(listener.getsockname()[1], "TLS")


if __name__ == "__main__":
    assert (BIN / "venv-mgr").exists(), f"there is no venv-mgr in {BIN}"
    unittest.main()
