"""A CA of the tests' own, and certificates of it that are good, or wrong in one way each."""
import pathlib
import ssl
import subprocess
import tempfile
import warnings

CONFIG = """
[ca]
default_ca = own
[own]
database = {dir}/index.txt
serial = {dir}/serial
new_certs_dir = {dir}
default_md = sha256
policy = any
unique_subject = no
copy_extensions = none
[any]
commonName = supplied
"""


class Certificates:
    """`contexts[KIND]` of ssl for a server; `ca` and `other_ca` are files for who checks them. It lives as long as the object."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="venv-ca-")
        self.dir = pathlib.Path(self.folder.name)
        self.ca, self.other_ca = self.authority("ca"), self.authority("other")
        self.contexts = {
            "good": self.context("good", "ca", "IP:127.0.0.1,DNS:localhost"),
            "wrong name": self.context("wrong-name", "ca", "DNS:mail.example.org,IP:192.0.2.1"),
            "no name": self.context("no-name", "ca", "DNS:x", common_name="127.0.0.1"),
            "expired": self.context("expired", "ca", "IP:127.0.0.1", ("20200101000000Z", "20200201000000Z")),
            "not yet valid": self.context("early", "ca", "IP:127.0.0.1", ("20480101000000Z", "20490101000000Z")),
            "of another CA": self.context("foreign", "other", "IP:127.0.0.1"),
            "self-signed": self.self_signed(),
        }
        old = self.context("good", None, None)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
        old.set_ciphers("ALL:@SECLEVEL=0")
        self.contexts["TLS 1.1"] = old

    def run(self, *words):
        subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True, cwd=self.dir)

    def authority(self, name):
        folder = self.dir / name
        folder.mkdir()
        (folder / "index.txt").touch()
        (folder / "serial").write_text("01\n")
        (folder / "ca.cnf").write_text(CONFIG.format(dir=folder))
        self.run("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN=tests {name}", "-addext",
                 "basicConstraints=critical,CA:true", "-keyout", folder / "ca.key", "-out", folder / "ca.pem")
        return folder / "ca.pem"

    def context(self, name, authority, names, times=None, common_name="a server"):
        key, request, certificate = (self.dir / f"{name}.{end}" for end in ("key", "csr", "pem"))
        if authority:
            folder = self.dir / authority
            (self.dir / "extensions").write_text(f"subjectAltName={names}\nextendedKeyUsage=serverAuth\n")
            self.run("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={common_name}", "-keyout", key, "-out", request)
            begin, end = times or ("20200101000000Z", "20480101000000Z")
            self.run("ca", "-batch", "-notext", "-config", folder / "ca.cnf", "-cert", folder / "ca.pem", "-keyfile", folder / "ca.key",
                     "-startdate", begin, "-enddate", end, "-extfile", self.dir / "extensions", "-in", request, "-out", certificate)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        return context

    def self_signed(self):
        self.run("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext",
                 "subjectAltName=IP:127.0.0.1", "-keyout", "alone.key", "-out", "alone.pem")
        return self.context("alone", None, None)

    def close(self):
        self.folder.cleanup()
