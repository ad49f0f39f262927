# SPDX-License-Identifier: Apache-2.0
"""Put the messages of message.def into the page of the protocol.

    messages.py message.def venv-protocol.7.in OUTPUT

A row takes the comment right before it as the description of its body. Fails if a row has none, and has no
predecessor to share one with.
"""
import os
import re
import sys

DIRECTIONS = {"A": "agent to manager", "U": "user to manager", "MA": "manager to agent", "MU": "manager to user"}
ROW = re.compile(r'VENV_MESSAGE\((-?\d+), (\w+), "([\w-]+)", ([AUM| ]+), (\d+), "([^"]*)"\)')


def roff(text):
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("…", "...").replace("→", "->").replace("—", "-")
    return "\n".join("\\&" + line if line[:1] in ".'" else line for line in text.split("\n"))


def comment_text(comment):
    lines = [re.sub(r"^\s*\*?\s?", "", line) for line in comment.split("\n")]
    return "\n".join(line.rstrip() for line in lines).strip()


def messages(source):
    out, comment = [], ""
    pieces = re.split(r"(/\*.*?\*/)", source, flags=re.S)
    for piece in pieces[2:]:  # the licence and the head of the file are not about a row
        if piece.startswith("/*"):
            text = comment_text(piece[2:-2])
            section = re.fullmatch(r"-+ (.*?) -+", text)
            if section:
                out.append(".SS " + roff(section.group(1)[:1].upper() + section.group(1)[1:]))
                comment = ""
            else:
                comment = text
            continue
        for number, name, _, directions, size, summary in ROW.findall(piece):
            if not comment:
                sys.exit(f"{name}: its body is not described in message.def")
            ways = ", ".join(DIRECTIONS[way.strip()] for way in directions.split("|"))
            out += [".TP", f".BR {name} \" {roff(number)}\"", roff(f"{summary}."), ".br",
                    roff(f"From {ways}; at most {int(size):,} bytes."), ".IP", ".nf", roff(comment), ".fi"]
    return "\n".join(out)


def main():
    table, template, output = sys.argv[1:]
    with open(table, encoding="utf-8") as file:
        source = file.read()
    text = messages(source.split("*/", 2)[2])
    count = len(ROW.findall(source))
    if text.count(".TP") != count or count == 0:
        sys.exit("not every row of message.def was understood")
    with open(template, encoding="utf-8") as file:
        page = file.read()
    if "@MESSAGES@\n" not in page:
        sys.exit("the page has no place for the messages")
    os.makedirs(os.path.dirname(output), exist_ok=True)
    with open(output, "w", encoding="utf-8") as file:
        file.write(page.replace("@MESSAGES@\n", text + "\n"))


main()
