#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Manual pages of section 3 from the public headers.

    man3.py pages INCLUDE OUT VERSION   write libvenv-HEADER.3 for each header, and an alias page for each function
    man3.py check INCLUDE OUT           every function declared VENV_API has a page that tells what it does

The headers are the only source: their first comment is the description, and each declaration's comment is
its entry. Understood are the few marks that the headers use: @brief, @par, @param, @retval, @return, @name,
@code, `word`, **word**, tables of |, lists of -, and lines that are indented.
"""
import pathlib
import re
import sys


# --- reading ---------------------------------------------------------------------------------------------

def strip_comment(text):
    """Lines of a /** … */ comment without its stars."""
    body = text[3:-2] if text.endswith("*/") else text[3:]
    lines = [re.sub(r"^\s?\*\s?", "", line.strip("\n")) if re.match(r"^\s*\*", line) else line.strip("\n")
             for line in body.split("\n")]
    lines = [re.sub(r"^\s*\* ?", "", line) if line.lstrip().startswith("*") else line for line in lines]
    while lines and not lines[0].strip():
        lines.pop(0)
    while lines and not lines[-1].strip():
        lines.pop()
    if len(lines) > 0:
        lines[0] = lines[0].lstrip()
    return lines


class Entry:
    """One declaration and its comment."""

    def __init__(self, kind, names, code, comment):
        self.kind, self.names, self.code, self.comment = kind, names, code, comment


TOKEN = re.compile(r"/\*\*(?!<).*?\*/|/\*.*?\*/", re.S)


def declaration_end(text, start):
    """Index after a declaration that begins at start: its ; outside of braces, or a body's closing brace."""
    depth = 0
    index = start
    while index < len(text):
        comment = re.match(r"/\*.*?\*/|//[^\n]*", text[index:], re.S)
        if comment:
            index += comment.end()
            continue
        if text[index] == "{":
            depth += 1
        elif text[index] == "}":
            depth -= 1
            if depth == 0 and re.match(r"static inline\b", text[start:]):
                return index + 1
        elif text[index] == ";" and depth == 0:
            return index + 1
        index += 1
    return len(text)


def declaration(code):
    """(kind, names) of one declaration's text."""
    plain = re.sub(r"/\*.*?\*/", "", code, flags=re.S)
    if plain.startswith("VENV_API") or plain.startswith("static inline"):
        match = re.search(r"\b(venv_\w+)\s*\(", plain)
        return ("function", [match.group(1)]) if match else ("data", re.findall(r"\b(venv_\w+)\s*;", plain))
    if plain.startswith("typedef"):
        pointer = re.search(r"\(\s*\*\s*(venv_\w+)\s*\)", plain)
        name = pointer.group(1) if pointer else re.search(r"(venv_\w+)\s*;\s*$", plain).group(1)
        return "type", [name]
    return "other", []


def parse(text):
    """The header's own comment, and its entries in order; groups are entries of kind group."""
    start = text.index("/**")
    end = text.index("*/", start) + 2
    about = strip_comment(text[start:end])
    entries, comment, index = [], None, end
    while index < len(text):
        rest = text[index:]
        space = re.match(r"\s+", rest)
        if space:
            if "\n\n" in space.group(0) and comment is not None and not comment[0].startswith("@name"):
                comment = None
            index += space.end()
            continue
        if rest.startswith("/**"):
            close = text.index("*/", index) + 2
            comment = strip_comment(text[index:close])
            index = close
            if any("@{" in line for line in comment):
                joined = [line.replace("@{", "").rstrip() for line in comment]
                entries.append(Entry("group", [], "", joined))
                comment = None
            elif comment and comment[0].startswith("@}"):
                comment = None
            continue
        if rest.startswith("/*"):
            index = text.index("*/", index) + 2
            continue
        if rest.startswith("#"):
            close = index
            while True:
                close = text.index("\n", close)
                if text[close - 1] != "\\":
                    break
                close += 1
            line = text[index:close]
            define = re.match(r"#define\s+(VENV_\w+)(\([^)]*\))?\s*(.*)", line, re.S)
            if define and not define.group(1).endswith("_H") and define.group(1) not in PRIVATE_MACROS:
                entries.append(macro(define, comment))
            comment = None
            index = close
            continue
        word = re.match(r"VENV_(BEGIN|END)_DECLS|extern \"C\" \{|\}", rest)
        if word:
            index += word.end()
            continue
        close = declaration_end(text, index)
        code = text[index:close].strip()
        kind, names = declaration(code)
        if kind != "other":
            entries.append(Entry(kind, names, code, comment))
            comment = None
        index = max(close, index + 1)
    return about, entries


PRIVATE_MACROS = {"VENV_BEGIN_DECLS", "VENV_END_DECLS", "VENV_MESSAGE"}


def macro(define, comment):
    value = define.group(3)
    trailing = re.search(r"/\*\*<\s*(.*?)\s*\*/", value, re.S)
    value = re.sub(r"/\*.*?\*/", "", value, flags=re.S)
    value = re.sub(r"\\\n\s*", "", value).strip()
    text = [re.sub(r"\s+", " ", trailing.group(1))] if trailing else comment
    return Entry("macro", [define.group(1) + (define.group(2) or "")], value, text)


# --- writing ---------------------------------------------------------------------------------------------

def escape(text):
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("~", "\\(ti").replace("^", "\\(ha")
    text = text.replace("`", "\\(ga")
    return re.sub(r"[^\x00-\x7f]", lambda match: "\\[u%04X]" % ord(match.group(0)), text)


def guard(line):
    return "\\&" + line if line.startswith((".", "\\(aq")) else line


def inline(text):
    """Marks inside of a line: code and strong are bold, the names of functions and limits are, too."""
    out = []
    for part in re.split(r"(`[^`]+`|\*\*[^*]+\*\*|(?<![\w*])\*[A-Za-z][^*]*\*(?![\w*])|\bvenv_\w+\(\))", text):
        if not part:
            continue
        if part.startswith("**") and len(part) > 4:
            out.append("\\fB" + escape(part[2:-2]) + "\\fR")
        elif part.startswith("`") and part.endswith("`") and len(part) > 2:
            out.append("\\fB" + escape(part[1:-1]) + "\\fR")
        elif part.startswith("venv_") and part.endswith("()"):
            out.append("\\fB" + escape(part[:-2]) + "\\fR()")
        elif part.startswith("*") and part.endswith("*") and len(part) > 2:
            out.append("\\fI" + escape(part[1:-1]) + "\\fR")
        else:
            out.append(escape(part))
    return guard("".join(out))


def preformatted(lines):
    """Lines as they are, without the blanks that all of them have."""
    while lines and not lines[0].strip():
        lines = lines[1:]
    while lines and not lines[-1].strip():
        lines = lines[:-1]
    if not lines:
        return []
    depth = min(len(line) - len(line.lstrip()) for line in lines if line.strip())
    out = [".PP", ".RS 4", ".nf"]
    out += [guard(escape(line[depth:])) or "\\&" for line in lines]
    return out + [".fi", ".RE"]


def table(rows):
    """Markdown's table as a list: the first cell is the tag."""
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", row.strip().strip("|"))] for row in rows]
    cells = [row for row in cells if not all(re.fullmatch(r":?-+:?", cell) for cell in row)]
    titles, body = cells[0], cells[1:]
    out = []
    for row in body:
        out += [".TP", "\\fB" + inline(row[0]).replace("\\fB", "").replace("\\fR", "") + "\\fR"]
        if len(titles) == 2:
            out.append(inline(row[1]))
            continue
        for title, cell in zip(titles[1:], row[1:]):
            out += [inline(f"{title}: {cell}") + ".", ".br"] if cell else []
        if out[-1] == ".br":
            out.pop()
    return out


def body(lines):
    """Paragraphs, lists, tables, indented pictures and @par sections of a comment, as roff."""
    out, index, after_break = [], 0, True
    base = 0
    while index < len(lines):
        line = lines[index]
        text = line.strip()
        indent = len(line) - len(line.lstrip())
        if not text:
            after_break = True
            index += 1
        elif text.startswith("@par"):
            title = text[4:].strip()
            out += [".SS " + '"' + escape(title) + '"']
            following = [item for item in lines[index + 1:] if item.strip()]
            base = len(following[0]) - len(following[0].lstrip()) if following else 0
            index += 1
            after_break = True
        elif text.startswith("@code"):
            close = next(i for i in range(index, len(lines)) if lines[i].strip().startswith("@endcode"))
            out += preformatted(lines[index + 1:close])
            index = close + 1
            after_break = True
        elif text.startswith("|"):
            close = index
            while close < len(lines) and lines[close].strip().startswith("|"):
                close += 1
            out += table(lines[index:close])
            out.append(".PP")
            index = close
        elif text.startswith("- ") or text.startswith("– "):
            item = [text[2:]]
            index += 1
            while index < len(lines) and lines[index].strip() and not lines[index].strip().startswith(("- ", "@")):
                item.append(lines[index].strip())
                index += 1
            out += [".IP \\(bu 2", inline(" ".join(item))]
            after_break = False
        elif indent >= base + 3:
            close = index
            while close < len(lines) and (not lines[close].strip() or
                                          len(lines[close]) - len(lines[close].lstrip()) >= base + 3):
                close += 1
            out += preformatted(lines[index:close])
            index = close
            after_break = True
        else:
            paragraph = []
            while index < len(lines) and lines[index].strip() and not lines[index].strip().startswith(("@", "|", "- ")) \
                    and (not paragraph or len(lines[index]) - len(lines[index].lstrip()) < base + 3):
                paragraph.append(lines[index].strip())
                index += 1
            if not paragraph:
                index += 1
                continue
            out += ([".PP"] if after_break or not out else [".PP"]) + [inline(" ".join(paragraph))]
            after_break = False
    return out


def split_tags(lines):
    """Prose, then the @param, @retval and @return of a comment as (tag, word, text)."""
    prose, tags = [], []
    current = None
    in_code = False
    for line in lines:
        for piece in re.split(r"(?<=[.;])\s+(?=@(?:param|retval|return)\b)|\s\s+(?=@(?:param|retval|return)\b)", line):
            text = piece.strip()
            if text.startswith("@code"):
                in_code = True
            if text.startswith("@endcode"):
                in_code = False
            match = re.match(r"@(param(?:\[\w+\])?|retval|return)\s*(.*)", text) if not in_code else None
            if match:
                tag = match.group(1).split("[")[0]
                rest = match.group(2)
                if tag == "return":
                    current = [tag, "", rest]
                else:
                    word = re.match(r"((?:\w+|…)(?:\s*,\s*\w+)*)\s*(.*)", rest)
                    current = [tag, word.group(1), word.group(2)] if word else [tag, rest, ""]
                tags.append(current)
            elif current is not None and text and (line.startswith((" ", "\t")) or not line.startswith("@")):
                if current[0] != "param" and not line.startswith(" ") and len(prose) + len(tags) and line[:1].isupper():
                    prose += ["", text]
                    current = None
                else:
                    current[2] = (current[2] + " " + text).strip()
            elif not text:
                if current is None:
                    prose.append(piece)
                else:
                    current = None
                    prose.append("")
            elif current is not None and text:
                current[2] = (current[2] + " " + text).strip()
            else:
                prose.append(piece)
    return prose, tags


def prototype(code):
    """A declaration without our attributes and comments, on as few lines as it takes."""
    plain = re.sub(r"/\*.*?\*/", "", code, flags=re.S)
    plain = re.sub(r"\bVENV_(API|MUST_USE)\b\s*", "", plain)
    plain = re.sub(r"\s*VENV_PRINTF\(\d+, \d+\)", "", plain)
    if plain.startswith("static inline"):
        plain = re.sub(r"^static inline\s+", "", plain.split("{")[0].strip() + ";")
    return re.sub(r"\s+", " ", plain).strip()


def wrap_prototype(text, width=78):
    if len(text) <= width:
        return [text]
    head, _, rest = text.partition("(")
    parts = re.split(r",\s*", rest)
    lines, line, indent = [], head + "(", " " * 8
    for number, part in enumerate(parts):
        piece = part + ("," if number + 1 < len(parts) else "")
        if len(line) + len(piece) + 1 > width and not line.endswith("("):
            lines.append(line)
            line = indent + piece
        else:
            line += ("" if line.endswith("(") else " ") + piece
    return lines + [line]


def type_text(entry):
    """A type as C, with its comments in place, re-indented."""
    lines = entry.code.replace("/**<", "/*").replace("/**", "/*").split("\n")
    return [".PP", ".nf"] + [guard(escape(line.rstrip())) or "\\&" for line in lines] + [".fi"]


def function_entry(entry):
    out = [".SS \"" + escape(entry.names[0]) + "()\"", ".nf"]
    out += ["\\fB" + escape(line) + "\\fR" for line in wrap_prototype(prototype(entry.code))]
    out.append(".fi")
    prose, tags = split_tags(entry.comment or [])
    out += body(prose)
    for tag, word, text in tags:
        if tag == "param":
            out += [".TP", "\\fI" + escape(word) + "\\fR", inline(text) if text else "\\&"]
    returns = [item for item in tags if item[0] != "param"]
    if len(returns) == 1 and returns[0][0] == "return":
        return out + [".PP", inline("Returns " + returns[0][2])]
    if returns:
        out += [".PP", "Returns:"]
    for tag, word, text in returns:
        out += [".TP", "\\fB" + escape(word) + "\\fR" if tag == "retval" else "otherwise",
                inline(text) if text else "\\&"]
    return out


SECTION_TITLES = {"macro": "CONSTANTS", "type": "TYPES"}


def page(name, text, version, others):
    about, entries = parse(text)
    brief = ""
    lines = []
    grabbing = False
    for line in about:
        if line.startswith("@file"):
            continue
        if line.startswith("@brief"):
            brief, grabbing = line[6:].strip(), True
            continue
        if grabbing and line.strip() and not line.startswith(("@", "     ")):
            brief += " " + line.strip()
            continue
        grabbing = False
        lines.append(line)
    functions = [entry for entry in entries if entry.kind == "function"]
    out = [".\\\" Made from include/venv/%s.h by man/library/man3.py." % name,
           f'.TH LIBVENV\\-{escape(name).upper()} 3 "" "venv {version}" "Library functions"',
           ".SH NAME", f"libvenv\\-{escape(name)} \\- {escape(brief.rstrip('.').replace('`', ''))}",
           ".SH SYNOPSIS", ".nf", f"\\fB#include <venv/{escape(name)}.h>\\fR", "\\&"]
    for entry in functions:
        out += [guard(escape(line)) for line in wrap_prototype(prototype(entry.code))]
    out += ["\\&", "Link with \\fB\\-lvenv\\fR, or with what \\fBpkg\\-config \\-\\-libs venv\\fR prints.", ".fi", ".SH DESCRIPTION"]
    out += body(lines)
    macros = [entry for entry in entries if entry.kind == "macro"]
    types = [entry for entry in entries if entry.kind == "type"]
    if macros:
        out.append(".SH CONSTANTS")
        for entry in macros:
            value = f" = {entry.code}" if entry.code and len(entry.code) <= 60 and "(" not in entry.names[0] else ""
            out += [".TP", f"\\fB{escape(entry.names[0])}\\fR{escape(value)}"]
            told = " ".join(line.strip() for line in entry.comment or [] if not line.startswith("@"))
            out.append(inline(told) if told else "\\&")
    if types:
        out.append(".SH TYPES")
        for entry in types:
            out.append(f".SS \"{escape(entry.names[0])}\"")
            if entry.comment:
                out += body(split_tags(entry.comment)[0])
            out += type_text(entry)
            for tag, word, told in split_tags(entry.comment or [])[1]:
                out += [".TP", ("\\fI" if tag == "param" else "\\fB") + escape(word or "value") + "\\fR", inline(told) or "\\&"]
    if functions:
        out.append(".SH FUNCTIONS")
        for entry in entries:
            if entry.kind == "group":
                told = " ".join(line.strip() for line in entry.comment if line.strip())
                told = re.sub(r"^@name\s*", "", told)
                title, _, rest = told.partition(".  ") if ".  " in told else told.partition(". ")
                out += [".PP", "\\fI" + escape(title.rstrip(".").strip()) + "\\fR" + (("\\&. " + inline(rest.strip())) if rest else "")] \
                    if has_functions(entries, entry) else []
            elif entry.kind == "function":
                out += function_entry(entry)
    out += [".SH \"SEE ALSO\"", ", ".join(f"\\fBlibvenv\\-{escape(other)}\\fR(3)" for other in others if other != name)]
    return "\n".join(squeeze(out)) + "\n", [entry.names[0] for entry in functions]


def has_functions(entries, group):
    for entry in entries[entries.index(group) + 1:]:
        if entry.kind == "group":
            return False
        if entry.kind == "function":
            return True
    return False


def squeeze(lines):
    """Paragraph marks that say nothing: before a heading, after one, two in a row."""
    out = []
    for line in lines:
        if out and out[-1] == ".PP" and (line == ".PP" or line.startswith((".SH", ".SS", ".TP", ".IP"))):
            out.pop()
        if line == ".PP" and out and out[-1].startswith((".SH", ".SS")):
            continue
        out.append(line)
    return out


# --- commands --------------------------------------------------------------------------------------------

def headers(include):
    return {path.stem: path.read_text() for path in sorted(pathlib.Path(include, "venv").glob("*.h"))}


def write_pages(include, out, version):
    out = pathlib.Path(out)
    out.mkdir(parents=True, exist_ok=True)
    for old in out.glob("*.3"):
        old.unlink()
    texts = headers(include)
    for name, text in texts.items():
        content, functions = page(name, text, version, list(texts))
        (out / f"libvenv-{name}.3").write_text(content)
        for function in functions:
            (out / f"{function}.3").write_text(f".so man3/libvenv-{name}.3\n")


def declared(text):
    plain = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    return set(re.findall(r"VENV_API[^;{]*?\b(venv_\w+)\s*\(", plain))


def check(include, out):
    broken, seen = [], 0
    for name, text in headers(include).items():
        pages = pathlib.Path(out, f"libvenv-{name}.3")
        content = pages.read_text() if pages.exists() else ""
        for function in sorted(declared(text)):
            seen += 1
            alias = pathlib.Path(out, f"{function}.3")
            if not alias.exists() or f"libvenv-{name}.3" not in alias.read_text():
                broken.append(f"{function}: no page")
                continue
            entry = re.search(r'\.SS "%s\(\)"\n(.*?)(?=\n\.S[SH] |\Z)' % re.escape(function), content, re.S)
            if not entry:
                broken.append(f"{function}: not in libvenv-{name}.3")
        for line in re.findall(r"^.*(?<!\\)@(?:param|retval|par|code|name|return)\b.*$", content, re.M):
            broken.append(f"libvenv-{name}.3: a mark was not understood: {line}")
    for line in broken:
        print(line)
    print(f"{seen} functions looked at; {len(broken)} broken")
    sys.exit(1 if broken or seen == 0 else 0)


def main():
    arguments = sys.argv[1:]
    if len(arguments) == 4 and arguments[0] == "pages":
        write_pages(*arguments[1:])
    elif len(arguments) == 3 and arguments[0] == "check":
        check(*arguments[1:])
    else:
        sys.exit(__doc__)


main()
