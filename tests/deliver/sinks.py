"""Servers that the tests of deliveries are: an SMTP sink that keeps every command and message, and an HTTP server with moods. Both can
speak TLS: given a context of ssl from the first byte, the sink also after STARTTLS."""
import socket
import ssl
import threading
import time


class Smtp:
    """A sink. `refuse` maps the beginning of a command to a reply; each session is kept as (commands, message). With `starttls` the commands
    before it are kept in `plain`. `stall`: it takes connections, or STARTTLS, and shakes no hands."""

    def __init__(self, tls=None, starttls=None, stall=False, login=None):
        self.tls, self.starttls, self.stall, self.login, self.plain, self.versions = tls, starttls, stall, login, [], []
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        self.sessions, self.refuse, self.hang, self.drop_after_data = [], {}, None, 0
        self.lock = threading.Lock()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def reply(self, stream, line, secure):
        for begin, answer in self.refuse.items():
            if line.upper().startswith(begin):
                stream.write(answer + b"\r\n")
                return stream.flush()
        offers = b"250-STARTTLS\r\n" if self.starttls and not secure else b""
        offers += b"250-AUTH PLAIN LOGIN\r\n" if self.login else b""
        if line.upper().startswith(b"AUTH"):
            words = line.split()[1:]
            if len(words) == 1:
                stream.write(b"334 \r\n")
                stream.flush()
                words.append(stream.readline().strip())
            stream.write(b"235 welcome\r\n" if words == [b"PLAIN", self.login] else b"535 no\r\n")
        else:
            stream.write(b"250-sink\r\n" + offers + b"250 8BITMIME\r\n" if line.upper().startswith(b"EHLO") else b"250 ok\r\n")
        stream.flush()

    def secure(self, connection, context):
        if self.stall:
            time.sleep(30)
        secured = context.wrap_socket(connection, server_side=True)
        self.versions.append(secured.version())
        return secured

    def serve(self, connection):
        try:
            with connection:
                self.talk(self.secure(connection, self.tls) if self.tls else connection, bool(self.tls))
        except (OSError, ssl.SSLError):
            pass

    def talk(self, connection, secure, greet=True):
        commands, message = [], None
        with connection, connection.makefile("rwb") as stream:
            if greet:
                stream.write(b"220 sink\r\n")
                stream.flush()
            while True:
                line = stream.readline()
                if not line or (self.hang and line.upper().startswith(self.hang)):
                    time.sleep(30 if line else 0)
                    break
                commands.append(line)
                word = line.strip().upper()
                if word == b"STARTTLS" and self.starttls and not secure:
                    self.plain.append(list(commands))
                    stream.write(b"220 go on\r\n")
                    stream.flush()
                    self.talk(self.secure(connection, self.starttls), True, greet=False)
                    break
                if word == b"QUIT":
                    stream.write(b"221 bye\r\n")
                    stream.flush()
                    break
                if word != b"DATA" or any(word.startswith(key) for key in self.refuse):
                    self.reply(stream, line, secure)
                    continue
                stream.write(b"354 go on\r\n")
                stream.flush()
                lines = []
                while True:
                    line = stream.readline()
                    if not line or line == b".\r\n":
                        break
                    lines.append(line[1:] if line.startswith(b".") else line)
                message = b"".join(lines)
                with self.lock:
                    drop = self.drop_after_data > 0
                    self.drop_after_data -= drop
                    self.sessions.append((list(commands), message))
                if drop:
                    break
                stream.write(b"250 taken\r\n")
                stream.flush()

    def close(self):
        self.listener.close()


class Http:
    """A server whose path says how it behaves. Each request is kept as (method, path, headers, body)."""

    def __init__(self, tls=None, stall=False):
        self.tls, self.stall, self.versions = tls, stall, []
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        self.requests, self.failures = [], {}
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        try:
            with connection:
                if self.stall:
                    time.sleep(30)
                if self.tls:
                    connection = self.tls.wrap_socket(connection, server_side=True)
                    self.versions.append(connection.version())
                self.talk(connection)
        except (OSError, ssl.SSLError):
            pass

    def talk(self, connection):
        with connection, connection.makefile("rb") as stream:
            first = stream.readline().decode("latin-1").split()
            if len(first) < 2:
                return
            headers = {}
            for line in iter(stream.readline, b"\r\n"):
                if not line:
                    return
                name, _, value = line.decode("latin-1").partition(":")
                headers.setdefault(name.strip().lower(), []).append(value.strip())
            body = stream.read(int(headers.get("content-length", ["0"])[0]))
            self.requests.append((first[0], first[1], headers, body))
            try:
                self.answer(connection, first[1])
            except OSError:
                pass

    def answer(self, connection, path):
        def say(status, more=b"", body=b"{}"):
            connection.sendall(b"HTTP/1.1 %d x\r\n%sContent-Length: %d\r\nConnection: close\r\n\r\n" % (status, more, len(body)) + body)
        if path == "/hang":
            time.sleep(30)
        elif path == "/slow":
            connection.sendall(b"HTTP/1.1 200 ok\r\nContent-Length: 100000\r\n\r\n")
            for _ in range(60):
                connection.sendall(b"x")
                time.sleep(0.5)
        elif path == "/redirect":
            say(307, b"Location: http://127.0.0.1:%d/ok\r\n" % self.port)
        elif path == "/huge":
            connection.sendall(b"HTTP/1.1 200 ok\r\nConnection: close\r\n\r\n")
            for _ in range(20000):
                connection.sendall(b"x" * 65536)
        elif path == "/reset":
            return
        elif path == "/flaky":
            self.failures[path] = self.failures.get(path, 0) + 1
            say(503 if self.failures[path] < 3 else 200)
        else:
            say(int(path[1:]) if path[1:].isdigit() else 200)

    def close(self):
        self.listener.close()
