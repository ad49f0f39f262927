#!/usr/bin/env python3
"""venv-sync as people use it, and as they should not be able to.

    scenario.py VENV-SYNC
"""
import filecmp
import json
import os
import pathlib
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time

TOOL = sys.argv[1]
ROOT = pathlib.Path(tempfile.mkdtemp(prefix="venv-sync-"))
os.environ["VENV_SYNC_KEYS"] = str(ROOT / "keys")
os.environ["LC_ALL"] = "C"
checks = 0


def check(condition, what):
    global checks
    checks += 1
    if not condition:
        raise SystemExit(f"scenario: {what} does not hold (files are in {ROOT})")


def run(*arguments, status=0):
    done = subprocess.run([TOOL, *map(str, arguments)], capture_output=True, text=True, timeout=120)
    check(done.returncode == status, f"status {status} of {' '.join(map(str, arguments))}: it is {done.returncode}, {done.stderr}")
    return done


def report(*arguments, status=0):
    return json.loads(run(*arguments, "--json", status=status).stdout)


def same(a, b):
    return filecmp.cmp(a, b, shallow=False)


def contents(rng):
    text = bytearray()
    for _ in range(60):
        text += bytes(rng.choices(b"abcdefgh \n", k=500)) * 100 + rng.randbytes(20000)
    image = bytes(text) + bytes(5 << 20) + rng.randbytes(300000) + bytes(70001)
    changed = bytearray(image)
    for _ in range(30):
        at = rng.randrange(len(text)) // 4096 * 4096
        changed[at:at + 4096] = rng.randbytes(4096)
    moved = changed[:1000] + rng.randbytes(3333) + changed[1000:]
    return image, bytes(changed), bytes(moved)


def versions(repo, files):
    one = report("make", files[0], repo, "--name", "disk")
    check(one["version"] == 1 and one["new_bytes"] > 4000000, "the first version is 1")
    check(report("make", files[0], repo, "--name", "disk")["unchanged"], "what is the same is not published again")
    two = report("make", files[1], repo, "--name", "disk")
    check(two["version"] == 2 and two["deltas"] > 10, "the second version has differences")
    check(two["stored"] < one["stored"], "the second version stores less")
    three = report("make", files[2], repo, "--name", "disk", "--version", 7)
    check(three["version"] == 7 and three["new_chunks"] <= 3, "an insertion changes few chunks")
    run("make", files[0], repo, "--name", "disk", "--version", 7, status=1)
    run("make", files[0], repo, "--name", "disk", "--version", 6, status=1)
    other = report("make", files[1], repo, "--name", "other")
    check(other["version"] == 1 and other["new_chunks"] == 0, "images share their chunks")
    names = [(row["name"], row["version"], row["signed"]) for row in report("list", repo)]
    check(names == [("disk", 1, True), ("disk", 2, True), ("disk", 7, True), ("other", 1, True)], f"the list: {names}")
    check([row["version"] for row in report("list", repo, "other")] == [1], "the list of one image")
    run("list", repo, "nothing", status=3)


def getting(repo, files):
    target = ROOT / "target.raw"
    first = report("get", repo, "disk@1", target)
    check(same(target, files[0]) and first["chunks_fetched"] > 20, "a first get")
    check(os.stat(target).st_blocks * 512 < os.stat(files[0]).st_size - (4 << 20), "holes stay holes")
    second = report("get", repo, "disk@2", target)
    check(same(target, files[1]) and second["deltas"] > 10 and second["received"] < first["received"] / 4, "a get of differences")
    predicted = report("diff", repo, "disk@1", "disk@2")
    check(predicted["fetch"] < second["received"] < predicted["fetch"] + 60000, "diff tells what get reads")
    check(report("get", repo, "disk@2", target)["unchanged"], "it is there already")
    third = report("get", repo, "disk", target)
    check(third["version"] == 7 and same(target, files[2]), "latest is the newest")
    check(report("get", repo, "disk@1", target)["version"] == 1 and same(target, files[0]), "a number goes back")
    # A file that is nobody's, as destination and as seed.
    stranger = ROOT / "stranger.raw"
    shutil.copy(files[1], stranger)
    found = report("get", repo, "disk@1", stranger)
    check(same(stranger, files[0]) and found["chunks_seeded"] > 20, "what is at the destination is used")
    seeded = report("get", repo, "disk@7", ROOT / "seeded.raw", "--seed", files[1])
    check(same(ROOT / "seeded.raw", files[2]) and seeded["chunks_fetched"] <= 3, "a seed is used")
    # Somebody writes to the destination: found and put right.
    with open(target, "r+b") as file:
        file.seek(100000)
        file.write(b"changed by hand")
    check(not report("get", repo, "disk@1", target)["unchanged"] and same(target, files[0]), "a change is found")
    run("get", repo, "disk@9", target, status=3)
    run("get", repo, "disk@0", target, status=2)
    run("get", ROOT / "nowhere", "disk", target, status=3)
    check(same(target, files[0]), "a get that fails changes nothing")
    left = sorted(p.name for p in ROOT.iterdir() if p.name.startswith(".target"))
    check(left == [".target.raw.venv-lock", ".target.raw.venv-manifest"], f"what is left beside it: {left}")


def qcow2(repo, files):
    out = ROOT / "disk.qcow2"
    run("get", repo, "disk@2", out)
    check(subprocess.run(["qemu-img", "check", "-q", "-f", "qcow2", out]).returncode == 0, "qemu-img check")
    check(subprocess.run(["qemu-img", "compare", "-q", "-f", "raw", "-F", "qcow2", files[1], out]).returncode == 0, "qemu-img compare")
    check(report("get", repo, "disk@2", out)["unchanged"], "a qcow2 file is known again")
    run("get", repo, "disk@1", out)
    check(subprocess.run(["qemu-img", "compare", "-q", "-f", "raw", "-F", "qcow2", files[0], out]).returncode == 0, "a new version of it")
    for version in ("0.10", "1.1"):
        made = ROOT / f"in-{version}.qcow2"
        subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-o", f"compat={version}", files[1], made], check=True)
        done = report("make", made, repo, "--name", "fromqcow")
        check(done["new_chunks"] <= 1, "qcow2 holds the same chunks")
    canary = ROOT / "canary"
    canary.write_text("a secret that must not leave\n" * 400)
    hostile = {
        "backing": ["create", "-q", "-f", "qcow2", "-b", canary, "-F", "raw", ROOT / "h.qcow2", "1M"],
        "data file": ["create", "-q", "-f", "qcow2", "-o", f"data_file={ROOT}/data.raw", ROOT / "h.qcow2", "1M"],
        "compressed": ["convert", "-c", "-f", "raw", "-O", "qcow2", files[1], ROOT / "h.qcow2"],
    }
    for what, line in hostile.items():
        subprocess.run(["qemu-img", *map(str, line)], check=True)
        done = run("make", ROOT / "h.qcow2", repo, "--name", "hostile", status=2 if what == "compressed" else 4)
        check("secret" not in done.stdout + done.stderr and not (pathlib.Path(repo) / "images/hostile").exists(), what)
    # A raw disk in which a guest wrote a header of qcow2 stays raw.
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", canary, "-F", "raw", ROOT / "guest.raw", "1M"], check=True)
    run("make", ROOT / "guest.raw", repo, "--name", "guest")
    run("get", repo, "guest", ROOT / "guest.out")
    check(same(ROOT / "guest.raw", ROOT / "guest.out"), "raw is never taken for qcow2")


def hostile_repository(repo, files):
    """T14, T15, T24: manifests that are changed, old, another's; links in the repository."""
    bad = ROOT / "bad"
    target = ROOT / "victim.raw"
    run("get", repo, "disk@2", target)

    def fresh():
        shutil.rmtree(bad, ignore_errors=True)
        shutil.copytree(repo, bad)
        return bad / "images/disk"

    # Rolled back: an old copy of everything.
    images = fresh()
    (images / "7.manifest").unlink()
    (images / "2.manifest").unlink()
    run("get", bad, "disk", target, status=1)
    check(same(target, files[1]), "latest does not go back")
    # An old manifest under a new number.
    images = fresh()
    shutil.copy(images / "1.manifest", images / "8.manifest")
    run("get", bad, "disk", target, status=2)
    # A manifest of somebody else.
    own = ROOT / "keys"
    os.environ["VENV_SYNC_KEYS"] = str(ROOT / "other-keys")
    run("make", files[0], ROOT / "foreign", "--name", "disk")
    os.environ["VENV_SYNC_KEYS"] = str(own)
    run("get", ROOT / "foreign", "disk", ROOT / "foreign.raw", status=4)
    check(not (ROOT / "foreign.raw").exists(), "an unknown key gives nothing")
    check(report("list", ROOT / "foreign")[0]["signed"] is False, "list tells of it")
    # Links where files should be.
    images = fresh()
    (ROOT / "outside").write_bytes((images / "2.manifest").read_bytes())
    (images / "2.manifest").unlink()
    (images / "2.manifest").symlink_to(ROOT / "outside")
    run("get", bad, "disk@2", ROOT / "linked.raw", status=4)
    shutil.rmtree(bad)
    for name in ("../x", "/etc/passwd", "a/b", "-rf", "..", "A", "a%2eb", "", "a\nb", "x" * 65, "\u2025"):
        run("make", files[0], repo, f"--name={name}", status=2)
        run("get", repo, "--", name, ROOT / "named.raw", status=2)
    # The destination is a link: it is replaced, what it pointed to is not.
    precious = ROOT / "precious"
    precious.write_text("precious")
    link = ROOT / "link.raw"
    link.symlink_to(precious)
    run("get", repo, "disk@1", link)
    check(precious.read_text() == "precious" and not link.is_symlink() and same(link, files[0]), "a link is not followed")


def collecting(repo, files):
    before = report("gc", repo)
    check(before["packs_deleted"] == 0, "nothing is unused")
    first = report("gc", repo, "--keep", 1, "--dry-run")
    check(first["versions_deleted"] == 2 and len(report("list", repo, "disk")) == 3, "a dry run deletes nothing")
    report("gc", repo, "--keep", 1)
    check([row["version"] for row in report("list", repo, "disk")] == [7], "old versions are gone")
    waiting = report("gc", repo)
    check(waiting["packs_deleted"] == 0 and waiting["packs_waiting"] > 0, "packs wait for their time of grace")
    check(report("gc", repo, "--grace", "0s")["packs_deleted"] == waiting["packs_waiting"], "then they are deleted")
    check(report("verify", repo)["broken"] == 0, "what is used is there")
    run("get", repo, "disk", ROOT / "after.raw")
    check(same(ROOT / "after.raw", files[2]), "and can be had")
    manifest = pathlib.Path(repo) / "images/disk/7.manifest"
    kept = manifest.read_bytes()
    manifest.write_bytes(kept[:-10])
    packs = sorted((pathlib.Path(repo) / "packs").iterdir())
    run("gc", repo, "--grace", "0s", status=2)
    check(packs == sorted((pathlib.Path(repo) / "packs").iterdir()), "an unreadable manifest stops the collection")
    manifest.write_bytes(kept)


def together(files):
    """Two publishers at once, two getters of the same file at once."""
    repo = ROOT / "together"
    both = [subprocess.Popen([TOOL, "make", str(file), str(repo), "--name", "disk", "-q"]) for file in files]
    check(all(p.wait(120) == 0 for p in both), "all publish")
    check([row["version"] for row in report("list", repo, "disk")] == [1, 2, 3], "all have a version")
    check(json.loads((repo / "catalog.json").read_text())["images"]["disk"] == [1, 2, 3], "the catalog has them")
    both = [subprocess.Popen([TOOL, "get", str(repo), "disk", str(ROOT / "shared.raw"), "--json"], stdout=subprocess.PIPE) for _ in range(4)]
    reports = [json.loads(p.communicate(timeout=120)[0]) for p in both]
    check(sum(not r["unchanged"] for r in reports) == 1, "one did the work, the others found it done")
    check(report("verify", repo)["broken"] == 0, "all is right")


def over_urls(files):
    """The same repository behind file: and, by nginx, behind http:."""
    url = (ROOT / "by-url").as_uri()
    run("make", files[0], url, "--name", "disk")
    run("make", files[1], url, "--name", "disk")
    check([row["version"] for row in report("list", url)] == [1, 2], "versions by URL")
    run("get", url, "disk@1", ROOT / "url.raw")
    got = report("get", url, "disk", ROOT / "url.raw")
    check(same(ROOT / "url.raw", files[1]) and got["chunks_seeded"] > 10, "get by URL")
    check(report("verify", url)["broken"] == 0, "verify by URL")
    run("gc", url, status=2)
    run("get", "gopher://example.org/x", "disk", ROOT / "url.raw", status=2)
    nginx = shutil.which("nginx") or "/usr/sbin/nginx"
    if not os.path.exists(nginx):
        print("scenario: no nginx on this machine, http was left out")
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    web = ROOT / "web"
    web.mkdir()
    (web / "nginx.conf").write_text(f"""daemon off; pid {web}/pid; error_log {web}/error.log;
events {{ }}
http {{ access_log off; server {{ listen 127.0.0.1:{port}; root {ROOT}; }}
  client_body_temp_path {web}/b; proxy_temp_path {web}/p; fastcgi_temp_path {web}/f; uwsgi_temp_path {web}/u; scgi_temp_path {web}/s; }}
""")
    for path in (ROOT, ROOT / "by-url"):
        path.chmod(0o755)
    server = subprocess.Popen([nginx, "-c", web / "nginx.conf", "-e", web / "error.log"])
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        place = f"http://127.0.0.1:{port}/by-url"
        open_to = ["--schemes", "http", "--networks", "loopback"]
        run("get", place, "disk", ROOT / "http.raw", status=4)
        got = report("get", place, "disk@1", ROOT / "http.raw", *open_to)
        check(same(ROOT / "http.raw", files[0]) and got["chunks_fetched"] > 20, "get by http")
        got = report("get", place, "disk", ROOT / "http.raw", *open_to)
        check(same(ROOT / "http.raw", files[1]) and got["received"] < 4000000, "a second version by http")
        run("get", place, "nothing", ROOT / "http.raw", *open_to, status=3)
    finally:
        server.terminate()
        server.wait()


def usage():
    run(status=2)
    run("mkae", "a", "b", status=2)
    run("make", "a", "b", status=2)
    run("get", "a", status=2)
    run("make", ROOT / "absent", ROOT / "r", "--name", "x", status=3)
    run("make", ROOT, ROOT / "r", "--name", "x", status=2)
    run("--help")
    run("-V")
    key = ROOT / "my.key"
    run("key", key)
    check(os.stat(key).st_mode & 0o777 == 0o600 and (ROOT / "my.pub").exists(), "a pair of keys")
    run("key", key, status=1)
    key.chmod(0o644)
    run("make", __file__, ROOT / "r", "--name", "x", "--key", key, status=4)
    empty = ROOT / "empty"
    empty.write_bytes(b"")
    run("make", empty, ROOT / "r", "--name", "empty")
    run("get", ROOT / "r", "empty", ROOT / "empty.out")
    check((ROOT / "empty.out").read_bytes() == b"", "an empty image")
    thin = ROOT / "thin"
    with open(thin, "wb") as file:
        file.truncate(1 << 40)
        file.seek(1 << 39)
        file.write(os.urandom(1 << 20))
    done = report("make", thin, ROOT / "r", "--name", "thin")
    check(done["stored"] < 1.1 * (1 << 20), "a thin terabyte costs its data")
    got = report("get", ROOT / "r", "thin", ROOT / "thin.out")
    check(got["received"] < 1.1 * (1 << 20) and os.stat(ROOT / "thin.out").st_blocks * 512 < 2 << 20, "and comes thin")


def main():
    files = [ROOT / "1.raw", ROOT / "2.raw", ROOT / "3.raw"]
    for path, content in zip(files, contents(random.Random(7))):
        path.write_bytes(content)
    repo = ROOT / "repo"
    versions(repo, files)
    getting(repo, files)
    check(report("verify", repo)["broken"] == 0, "a new repository is right")
    hostile_repository(repo, files)
    qcow2(repo, files)
    collecting(repo, files)
    together(files)
    over_urls(files)
    usage()
    shutil.rmtree(ROOT)
    print(f"{checks} checks")


main()
