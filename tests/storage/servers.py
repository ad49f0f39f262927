#!/usr/bin/env python3
"""Start real servers on 127.0.0.1 in a private directory, run a program against them, stop them by their pids.

    servers.py PROGRAM

nginx (HTTP with ranges, WebDAV, TLS), vsftpd (explicit and implicit TLS), OpenSSH's sftp, and the S3 of s3_server.py, as
Debian has none that a test could start. The program finds them in VENV_TEST_… of its environment.
"""
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time

import s3_server


def port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(number, process, log):
    for _ in range(200):
        if process.poll() is not None:
            break
        try:
            socket.create_connection(("127.0.0.1", number), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    sys.exit(f"a server did not start: {process.args}\n{log.read_text() if log.exists() else ''}")


def run(*command):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


class Rig:
    def __init__(self):
        self.top = pathlib.Path(tempfile.mkdtemp(prefix="venv-servers-"))
        self.processes = []
        self.env = dict(os.environ)

    def start(self, name, number, *command):
        log = self.top / f"{name}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL)
        self.processes.append(process)
        wait_for(number, process, log)

    def stop(self):
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
        shutil.rmtree(self.top, ignore_errors=True)

    def secret(self, name, text):
        path = self.top / name
        path.write_text(text + "\n")
        path.chmod(0o600)
        return str(path)

    def certificate(self):
        run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
            "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(self.top / "tls.key"), "-out", str(self.top / "tls.pem"))
        self.env["VENV_TEST_CA"] = str(self.top / "tls.pem")

    def nginx(self):
        plain, tls = port(), port()
        root = self.top / "web"
        root.mkdir()
        (self.top / "tmp").mkdir()
        password = subprocess.run(["openssl", "passwd", "-apr1", "open sesame"], check=True, capture_output=True, text=True)
        self.secret("htpasswd", "ali:" + password.stdout.strip())
        user = "user root;" if os.geteuid() == 0 else ""
        paths = "\n".join(f"{kind}_temp_path {self.top}/tmp/{kind};" for kind in
                          ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        (self.top / "nginx.conf").write_text(f"""
daemon off; {user} worker_processes 1; pid {self.top}/nginx.pid; error_log {self.top}/nginx.err;
load_module /usr/lib/nginx/modules/ngx_http_dav_ext_module.so;
events {{ worker_connections 64; }}
http {{
  access_log off; client_max_body_size 0; {paths}
  dav_methods PUT DELETE MKCOL MOVE COPY; dav_ext_methods PROPFIND OPTIONS;
  server {{
    listen 127.0.0.1:{plain}; root {root};
    location = /loop {{ return 302 /loop; }}
    location = /to-file {{ return 302 file:///etc/passwd; }}
    location = /to-metadata {{ return 302 http://169.254.169.254/latest/; }}
    location = /to-ftp {{ return 302 ftp://127.0.0.1/x; }}
    location = /there {{ return 307 /moved.txt; }}
    location = /busy {{ add_header Retry-After 1 always; return 503; }}
  }}
  server {{
    listen 127.0.0.1:{tls} ssl; root {root}; ssl_certificate {self.top}/tls.pem; ssl_certificate_key {self.top}/tls.key;
    auth_basic "venv"; auth_basic_user_file {self.top}/htpasswd;
    location = /to-plain {{ auth_basic off; return 302 http://127.0.0.1:{plain}/moved.txt; }}
  }}
}}
""")
        self.start("nginx", plain, "nginx", "-p", str(self.top), "-c", str(self.top / "nginx.conf"))
        for name in ("http", "dav", "https", "davs"):
            (root / name).mkdir()
            number = tls if name.endswith("s") else plain
            self.env[f"VENV_TEST_{name.upper()}"] = f"{name}://127.0.0.1:{number}/{name}"
        self.env["VENV_TEST_WEB_PASSWORD"] = self.secret("web.secret", "open sesame")

    def vsftpd(self):
        for name in ("ftp", "ftps"):
            number = port()
            root = self.top / name
            root.mkdir()
            self.secret("emails", "ftp secret")
            config = self.top / f"{name}.conf"
            config.write_text("\n".join([
                "listen=YES", "listen_address=127.0.0.1", f"listen_port={number}", "background=NO", "local_enable=NO",
                "anonymous_enable=YES", "run_as_launching_user=YES", f"anon_root={root}", "write_enable=YES",
                "anon_upload_enable=YES", "anon_mkdir_write_enable=YES", "anon_other_write_enable=YES",
                "anon_world_readable_only=NO", "anon_umask=022", "force_dot_files=YES", "seccomp_sandbox=NO", "isolate=NO",
                "isolate_network=NO", "secure_email_list_enable=YES", f"email_password_file={self.top}/emails",
                "xferlog_enable=NO", "ssl_enable=YES", "allow_anon_ssl=YES", "require_ssl_reuse=NO", "ssl_ciphers=HIGH",
                f"rsa_cert_file={self.top}/tls.pem", f"rsa_private_key_file={self.top}/tls.key",
                f"implicit_ssl={'YES' if name == 'ftps' else 'NO'}", "ssl_tlsv1=YES",
                "strict_ssl_read_eof=NO", ""]))  # libcurl ends an upload without the alert that TLS asks for
            self.start(name, number, "vsftpd", str(config))
            self.env[f"VENV_TEST_{name.upper()}"] = f"{name}://127.0.0.1:{number}"
        self.env["VENV_TEST_FTP_PASSWORD"] = self.secret("ftp.secret", "ftp secret")

    def sshd(self):
        number = port()
        (self.top / "sftp").mkdir()
        for key in ("host", "user"):
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.top / f"{key}.key"))
        if os.geteuid() == 0:
            pathlib.Path("/run/sshd").mkdir(exist_ok=True)
        (self.top / "sshd.conf").write_text("\n".join([
            f"Port {number}", "ListenAddress 127.0.0.1", f"HostKey {self.top}/host.key", f"PidFile {self.top}/sshd.pid",
            f"AuthorizedKeysFile {self.top}/user.key.pub", "PasswordAuthentication no", "UsePAM no", "StrictModes no",
            "PermitRootLogin yes", "Subsystem sftp internal-sftp", ""]))
        self.start("sshd", number, "/usr/sbin/sshd", "-D", "-e", "-f", str(self.top / "sshd.conf"))
        public = (self.top / "host.key.pub").read_text().split()
        (self.top / "known").write_text(f"[127.0.0.1]:{number} {public[0]} {public[1]}\n")
        other = (self.top / "user.key.pub").read_text().split()
        (self.top / "wrong").write_text(f"[127.0.0.1]:{number} {other[0]} {other[1]}\n")
        import getpass
        self.env["VENV_TEST_SFTP"] = f"sftp://{getpass.getuser()}@127.0.0.1:{number}{self.top}/sftp"
        self.env["VENV_TEST_SFTP_KEY"] = str(self.top / "user.key")
        self.env["VENV_TEST_SFTP_KNOWN"] = str(self.top / "known")
        self.env["VENV_TEST_SFTP_WRONG"] = str(self.top / "wrong")

    def s3(self):
        self.s3_server = s3_server.start()
        endpoint = f"http://127.0.0.1:{self.s3_server.server_address[1]}"
        self.env["VENV_TEST_S3"] = f"s3://{s3_server.BUCKET}#endpoint={endpoint},region={s3_server.REGION}"
        self.env["VENV_TEST_S3_ENDPOINT"] = endpoint
        self.env["VENV_TEST_S3_USER"] = s3_server.ACCESS
        self.env["VENV_TEST_S3_SECRET"] = self.secret("s3.secret", s3_server.SECRET)


def main():
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    rig = Rig()
    try:
        rig.certificate()
        rig.nginx()
        rig.vsftpd()
        rig.sshd()
        rig.s3()
        status = subprocess.run(sys.argv[1:], env=rig.env).returncode
        if rig.s3_server.uploads:
            print("uploads were left behind:", rig.s3_server.uploads.keys())
            status = status or 1
        if status and rig.s3_server.refused:
            print("refused by s3:", sorted(set(rig.s3_server.refused)))
    finally:
        rig.stop()
    sys.exit(status)


main()
