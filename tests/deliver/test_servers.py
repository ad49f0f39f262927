#!/usr/bin/env python3
"""lib/deliver against servers that take, refuse, hang, flood and lie. The number of hostile mails is printed."""
import base64
import email
import email.header
import email.policy
import json
import random
import subprocess
import sys
import tempfile
import time
import unittest

import certificates
import sinks

ORDERS = sys.argv.pop() if len(sys.argv) > 1 else "build/dev/bin/deliver_orders"
HOSTILE = 1500
PIECES = ["\r\n", "\n", "\r", "\r\n.\r\n", ".\r\n", "\r\nBcc: evil@example.com", "\r\n\r\n", "=?UTF-8?B?QUFB?=", "${agent.name}", "%s%n", "`id`",
          "$(id)", "'; DROP TABLE", '"', "\\", "<b>", "\u0085", "\u2028", "\u202e", "\x1b[31m", "\x7f", "\x00", "°", "日本語", "🔥", "a", " ", "\t",
          "QUIT\r\n", "\r\nRCPT TO:<evil@example.com>\r\n", "\r\nDATA\r\n", "-----BEGIN", "x" * 300]
ID = "00000000-0000-4000-8000-%012x"


class Deliver:
    def __init__(self):
        self.process = subprocess.Popen([ORDERS], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __call__(self, **order):
        self.process.stdin.write(json.dumps(order).encode() + b"\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        assert self.process.wait(30) == 0


class Outside:
    """What both kinds of tests need: the program that delivers, and servers without TLS."""

    def setUp(self):
        self.deliver = Deliver()
        self.smtp, self.http = sinks.Smtp(), sinks.Http()

    def tearDown(self):
        self.deliver.close()
        self.smtp.close()
        self.http.close()

    def mail(self, number=1, **more):
        order = {"kind": "mail", "id": ID % number, "server": f"smtp://127.0.0.1:{self.smtp.port}", "tls": False, "from": "venv@example.org",
                 "to": ["admin@example.org", "root@example.org"], "subject": "s", "text": "t", "made": 1700069340, "domain": "mgr.lab",
                 "timeout": 2000, "retries": 0}
        return self.deliver(**{**order, **more})

    def hook(self, path, **more):
        order = {"kind": "webhook", "id": ID % 5, "url": f"http://127.0.0.1:{self.http.port}{path}", "body": {"a": 1}, "timeout": 1000,
                 "retries": 0}
        return self.deliver(**{**order, **more})


class Servers(Outside, unittest.TestCase):
    # --- mail -----------------------------------------------------------------------------------

    def test_hostile_arguments_change_nothing_but_the_text(self):
        draw = random.Random(11)
        for number in range(HOSTILE):
            subject = "".join(draw.choice(PIECES) for _ in range(draw.randrange(12)))
            text = "".join(draw.choice(PIECES) for _ in range(draw.randrange(30)))
            self.assertEqual(self.mail(number, subject=subject, text=text)["rc"], "ok")
            commands, message = self.smtp.sessions[-1]
            words = [line.split()[0].split(b":")[0].upper() for line in commands]
            self.assertEqual(words, [b"EHLO", b"MAIL", b"RCPT", b"RCPT", b"DATA"])
            self.assertEqual(commands[1].strip()[:31], b"MAIL FROM:<venv@example.org>"[:31])
            self.assertEqual([line.strip() for line in commands[2:4]], [b"RCPT TO:<admin@example.org>", b"RCPT TO:<root@example.org>"])
            read = email.message_from_bytes(message)
            self.assertEqual(read.keys(), ["Date", "From", "To", "Subject", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type",
                                           "Content-Transfer-Encoding"])
            self.assertEqual(read["Message-ID"], f"<{ID % number}@mgr.lab>")
            self.assertFalse(read.defects)
            shown = str(email.header.make_header(email.header.decode_header(read["Subject"])))
            self.assertLessEqual(len(shown), 200)
            self.assertFalse(any(ord(c) < 32 or c == "\x7f" for c in shown.replace("\r\n ", " ").replace("\n", "")))
            self.assertNotIn(b"\n.", message)
            decoded = base64.b64decode("".join(message.decode().split("\r\n\r\n", 1)[1].split())).decode()
            self.assertEqual(decoded.replace("\r\n", "\n"), (text + "\r\n").replace("\r\n", "\n"))
        print(f"{HOSTILE} hostile mails, {len(self.smtp.sessions)} taken, headers and envelope untouched")
        self.assertEqual(len(self.smtp.sessions), HOSTILE)

    def test_a_server_that_refuses(self):
        self.smtp.refuse = {b"RCPT": b"550 no such user"}
        answer = self.mail(retries=2)
        self.assertEqual((answer["rc"], answer["attempts"]), ("io", 1))
        self.assertEqual(self.smtp.sessions, [])
        self.smtp.refuse = {b"MAIL": b"451 later"}
        answer = self.mail(retries=1)
        self.assertEqual((answer["rc"], answer["attempts"]), ("io", 2))

    def test_no_mail_without_tls_where_it_is_required(self):
        self.assertEqual(self.mail(tls=True)["rc"], "denied")
        self.assertEqual(self.smtp.sessions, [])

    def test_a_server_that_is_not_there_or_hangs(self):
        self.assertEqual(self.mail(server="smtp://127.0.0.1:1", retries=1), {"rc": "unreachable", "status": 0, "attempts": 2, "truncated": False,
                                                                            "answer": 0})
        self.smtp.hang = b"MAIL"
        begin = time.monotonic()
        self.assertEqual(self.mail(timeout=1000)["rc"], "unreachable")  # it never had the text
        self.assertLess(time.monotonic() - begin, 5)

    def test_a_lost_answer_is_unknown_and_the_second_try_has_the_same_id(self):
        self.smtp.drop_after_data = 1
        self.assertIn(self.mail(7)["rc"], ("unknown", "timed-out"))
        self.smtp.drop_after_data = 1
        self.assertEqual(self.mail(8, retries=2)["rc"], "ok")
        ids = [email.message_from_bytes(message)["Message-ID"] for _, message in self.smtp.sessions]
        self.assertEqual(ids[1:], [f"<{ID % 8}@mgr.lab>"] * 2)

    # --- webhooks -------------------------------------------------------------------------------

    def test_a_webhook_is_json_with_the_id_of_the_action(self):
        body = {"text": "${agent.name} \r\n\x00 \"'; $(id)", "n": [1, 2.5, None, True]}
        self.assertEqual(self.hook("/ok", body=body), {"rc": "ok", "status": 200, "attempts": 1, "truncated": False, "answer": 2})
        method, path, headers, sent = self.http.requests[-1]
        self.assertEqual((method, path), ("POST", "/ok"))
        self.assertEqual(json.loads(sent), body)
        self.assertEqual(headers["idempotency-key"], [ID % 5])
        self.assertEqual(headers["content-type"], ["application/json"])

    def test_what_a_status_means(self):
        for status, rc, attempts in ((204, "ok", 1), (400, "io", 1), (404, "io", 1), (500, "io", 2), (429, "io", 2)):
            answer = self.hook(f"/{status}", retries=1)
            self.assertEqual((answer["rc"], answer["status"], answer["attempts"]), (rc, status, attempts))
        answer = self.hook("/flaky", retries=3)
        self.assertEqual((answer["rc"], answer["attempts"]), ("ok", 3))
        self.assertEqual(len({request[2]["idempotency-key"][0] for request in self.http.requests if request[1] == "/flaky"}), 1)

    def test_a_redirect_is_not_followed(self):
        answer = self.hook("/redirect", retries=2)
        self.assertEqual((answer["rc"], answer["status"], answer["attempts"]), ("io", 307, 1))
        self.assertEqual([request[1] for request in self.http.requests], ["/redirect"])

    def test_a_server_that_hangs_or_drips_or_floods_or_hangs_up(self):
        for path in ("/hang", "/slow"):
            begin = time.monotonic()
            self.assertEqual(self.hook(path)["rc"], "timed-out")
            self.assertLess(time.monotonic() - begin, 4)
        answer = self.hook("/huge", timeout=5000)
        self.assertEqual((answer["rc"], answer["truncated"], answer["answer"]), ("ok", True, 4096))
        self.assertEqual(self.hook("/reset")["rc"], "unknown")
        self.assertEqual(self.hook("/ok", url="http://127.0.0.1:1/")["rc"], "unreachable")
        self.assertEqual(self.hook("/ok", url="file:///etc/passwd")["rc"], "io")


# Whatever is wrong with the server's certificate, or with its TLS.
WRONG = ["wrong name", "no name", "expired", "not yet valid", "of another CA", "self-signed", "TLS 1.1"]
LOGIN = base64.b64encode(b"\0venv\0geheim").strip()


class Tls(Outside, unittest.TestCase):
    """Mail over STARTTLS and smtps, and https web hooks: what works, and that nothing of an order reaches who is not the server."""

    @classmethod
    def setUpClass(cls):
        cls.certificates = certificates.Certificates()

    @classmethod
    def tearDownClass(cls):
        cls.certificates.close()

    def setUp(self):
        super().setUp()
        self.secret = tempfile.NamedTemporaryFile("w")
        self.secret.write("geheim\n")
        self.secret.flush()
        self.addCleanup(self.secret.close)
        self.servers = []

    def tearDown(self):
        super().tearDown()
        for server in self.servers:
            server.close()

    def made(self, server):
        self.servers.append(server)
        return server

    def secure_mail(self, scheme, server, host="127.0.0.1", **more):
        order = {"server": f"{scheme}://{host}:{server.port}", "tls": True, "ca": str(self.certificates.ca), "timeout": 5000}
        return self.mail(**{**order, **more})

    def secure_hook(self, server, path="/ok", host="127.0.0.1", **more):
        order = {"url": f"https://{host}:{server.port}{path}", "ca": str(self.certificates.ca), "timeout": 5000}
        return self.hook(path, **{**order, **more})

    def smtp_of(self, scheme, kind, **more):
        context = self.certificates.contexts[kind]
        return self.made(sinks.Smtp(tls=context, **more) if scheme == "smtps" else sinks.Smtp(starttls=context, **more))

    def test_mail_arrives_over_both_kinds_of_tls(self):
        for scheme in ("smtp", "smtps"):
            for host in ("127.0.0.1", "localhost"):
                server = self.smtp_of(scheme, "good")
                self.assertEqual(self.secure_mail(scheme, server, host, subject="81.5 °C", text="hello"),
                                 {"rc": "ok", "status": 250, "attempts": 1, "truncated": False, "answer": 0})
                (commands, message), = server.sessions
                self.assertEqual([line.split()[0].split(b":")[0] for line in commands], [b"EHLO", b"MAIL", b"RCPT", b"RCPT", b"DATA"])
                read = email.message_from_bytes(message)
                self.assertEqual(base64.b64decode(read.get_payload()), b"hello\r\n")
                self.assertIn(server.versions[0], ("TLSv1.2", "TLSv1.3"))
                if scheme == "smtp":  # nothing of the order is said before the server has shown who it is
                    self.assertEqual([line.split()[0] for line in server.plain[0]], [b"EHLO", b"STARTTLS"])

    def test_a_password_is_said_under_tls_only(self):
        for scheme in ("smtp", "smtps"):
            server = self.smtp_of(scheme, "good", login=LOGIN)
            answer = self.secure_mail(scheme, server, user="venv", password_file=self.secret.name)
            self.assertEqual(answer["rc"], "ok")
            self.assertTrue(any(line.startswith(b"AUTH") for line in server.sessions[0][0]))
            self.assertFalse(any(line.startswith(b"AUTH") for plain in server.plain for line in plain))
            server = self.smtp_of(scheme, "good", login=b"another")
            self.assertEqual(self.secure_mail(scheme, server, user="venv", password_file=self.secret.name, retries=2)["rc"], "denied")
            self.assertEqual(server.sessions, [])

    def test_a_server_that_takes_starttls_back_gets_nothing(self):
        server = self.made(sinks.Smtp(login=LOGIN))  # somebody between us has taken it out of the answer
        self.assertEqual(self.secure_mail("smtp", server, user="venv", password_file=self.secret.name)["rc"], "denied")
        server.refuse = {b"STARTTLS": b"454 not now"}
        self.assertEqual(self.secure_mail("smtp", server, user="venv", password_file=self.secret.name)["rc"], "denied")
        self.assertEqual(server.sessions, [])

    def test_a_wrong_server_gets_nothing(self):
        tried = 0
        for kind in WRONG:
            for scheme in ("smtp", "smtps"):
                server = self.smtp_of(scheme, kind, login=LOGIN)
                answer = self.secure_mail(scheme, server, retries=2, user="venv", password_file=self.secret.name)
                self.assertEqual((kind, answer["rc"], answer["attempts"]), (kind, "denied", 1))
                self.assertEqual(server.sessions, [])
                tried += 1
            server = self.made(sinks.Http(tls=self.certificates.contexts[kind]))
            answer = self.secure_hook(server, retries=2, token_file=self.secret.name)
            self.assertEqual((kind, answer["rc"], answer["attempts"]), (kind, "denied", 1))
            self.assertEqual(server.requests, [])
            tried += 1
        good = self.made(sinks.Http(tls=self.certificates.contexts["good"]))
        for ca in (str(self.certificates.other_ca), "/dev/null", "/no/such/file"):
            self.assertEqual(self.secure_hook(good, ca=ca)["rc"], "denied")
        order = {"kind": "webhook", "id": ID % 5, "url": f"https://127.0.0.1:{good.port}/ok", "body": {}, "timeout": 5000, "retries": 0}
        self.assertEqual(self.deliver(**order)["rc"], "denied")  # without `ca`: those of the system
        self.assertEqual(good.requests, [])
        print(f"{tried} wrong servers, none was told anything")

    def test_a_webhook_arrives_with_its_token(self):
        for host in ("127.0.0.1", "localhost"):
            server = self.made(sinks.Http(tls=self.certificates.contexts["good"]))
            self.assertEqual(self.secure_hook(server, host=host, token_file=self.secret.name, body={"a": "°"})["rc"], "ok")
            (method, path, headers, body), = server.requests
            self.assertEqual((method, path, headers["authorization"], json.loads(body)), ("POST", "/ok", ["Bearer geheim"], {"a": "°"}))
            self.assertIn(server.versions[0], ("TLSv1.2", "TLSv1.3"))
        server = self.made(sinks.Http(tls=self.certificates.contexts["good"]))
        answer = self.secure_hook(server, "/flaky", retries=3)
        self.assertEqual((answer["rc"], answer["attempts"]), ("ok", 3))
        self.assertEqual(self.secure_hook(server, "/redirect")["status"], 307)

    def test_a_server_that_shakes_no_hands_costs_its_time_and_no_more(self):
        stalled = [("smtps", self.smtp_of("smtps", "good", stall=True)), ("smtp", self.smtp_of("smtp", "good", stall=True))]
        for scheme, server in stalled:
            begin = time.monotonic()
            self.assertEqual(self.secure_mail(scheme, server, timeout=1000)["rc"], "unreachable")
            self.assertLess(time.monotonic() - begin, 4)
        begin = time.monotonic()
        self.assertEqual(self.secure_hook(self.made(sinks.Http(stall=True)), timeout=1000)["rc"], "unreachable")
        self.assertEqual(self.secure_hook(self.made(sinks.Http(tls=self.certificates.contexts["good"])), "/hang", timeout=1000)["rc"], "timed-out")
        self.assertLess(time.monotonic() - begin, 8)
        # It does not speak TLS at all: either its answer is heard, which is no TLS, or it closes first.
        self.assertIn(self.secure_hook(self.http, timeout=1000)["rc"], ("unreachable", "denied"))
        self.assertEqual(self.secure_mail("smtps", self.smtp)["rc"], "denied")
        self.assertEqual((self.http.requests, self.smtp.sessions), ([], []))


if __name__ == "__main__":
    unittest.main()
