#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tables.py PAGE SCENARIO.DEF SEEDED.DEF SIM.H OUTPUT: the page with its tables put in from the sources of the tests."""
import pathlib
import re
import sys


def text(words):
    safe = words.replace("\\", "\\e").replace("-", "\\-").replace("`", "").replace("…", "...")
    return "\\&" + safe if safe[:1] in ".'" else safe


def form(words):
    """Words in capitals are what is filled in: in italics."""
    return " ".join(f"\\fI{word}\\fP" if word.isupper() else f"\\fB{text(word)}\\fP" for word in words.split())


def statements(source):
    out = []
    for part, verb, words, where, what in re.findall(r"^/\* --- (.+?) \*/$|^FORM\((\w+), \"(.*?)\", (\w+), \"(.*?)\"\)$", source, re.M):
        if part:
            out.append(f".SS {text(part[0].upper() + part[1:])}")
        elif verb:
            out += [".TP", form(words), text(what) + (" (simulator only)" if where == "SIMULATOR" else "")]
    return "\n".join(out) + "\n"


def faults(source):
    rows = re.findall(r'^SEEDED\((\w+), "(.*?)", "(.*?)", "(.*?)"\)', source, re.M)
    return "".join(f".TP\n.B {text(name.lower().replace('_', '-'))}\n{text(breaks)}; rule {text(rule)}\n" for name, _, breaks, rule in rows)


def misfortunes(source):
    rows = re.findall(r'X\(\w+, "([\w-]+)",[^"]*"(.*?)"\)', source)
    return "".join(f".TP\n.B {text(name)}\n{text(what)}\n" for name, what in rows)


def main():
    page, scenario, seeded, sim, output = (pathlib.Path(name) for name in sys.argv[1:])
    result = page.read_text()
    for mark, table in (("statements", statements(scenario.read_text())), ("faults", faults(seeded.read_text())),
                        ("misfortunes", misfortunes(sim.read_text()))):
        if not table or f"@{mark}@\n" not in result:
            sys.exit(f"{page}: no table {mark}")
        result = result.replace(f"@{mark}@\n", table)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(result)


main()
