#!/usr/bin/env python3
"""The rules of the house, kept by a test.

    house.py includes            an include goes only down the list of folders; each foreign library in one
    house.py pure DIR            objects of the pure folders below DIR link to nothing impure, keep no state
    house.py symbols LIB         what LIB exports = what include/venv declares = what the symbol map lists
    house.py map                 write the symbol map from include/venv
    house.py hardening FILE...   position independent, full RELRO, no executable stack, no text relocations
    house.py words               no unfinished work by its own words, no banned functions
    house.py seeded DIR          the table of seeded faults is the code, and no library below DIR that is shipped has one

Every command prints what it looked at, and fails where it looked at nothing.
"""
import pathlib
import re
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parents[2]

# Folders whose code is a pure function of its arguments (ARCHITECTURE.md).
PURE = "base value codec expr group property history message trigger environment image manager agent replay".split()
# Neither of the two cores knows the other.
APART = {("manager", "agent"), ("agent", "manager")}

# The folder that implements each public header.
OWNER = {
    "common": "base", "text": "base", "value": "value", "codec": "codec", "config": "codec", "expr": "expr",
    "group": "group", "property": "property", "message": "message", "trigger": "trigger",
    "environment": "environment", "machine": "virt", "identity": "identity", "daemon": "runtime",
    "client": "client", "storage": "storage", "image": "sync", "replay": "replay", "history": "history",
}

# Foreign headers, and the one folder that may see them.
FOREIGN = [
    (r"libvirt/", "virt"), (r"yaml\.h", "codec"), (r"yajl/", "codec"),
    (r"pcre2\.h", "expr"), (r"libxml/", "environment"), (r"sqlite3\.h", "store"),
    (r"openssl/", "identity"), (r"uv\.h", "runtime"), (r"curl/", "net"), (r"zstd\.h", "image"),
    (r"archive(_entry)?\.h", "disk"),
]

# What a pure folder may link to: memory, text, arithmetic, and the libraries it wraps.
PURE_SYMBOLS = re.compile(
    r"""^(malloc|calloc|realloc|free|reallocarray|qsort(_r)?|bsearch|abort|__assert_fail|__stack_chk_fail
    |(__)?mem(cpy|move|set|cmp|chr|rchr|mem|pcpy)(_chk)?|explicit_bzero
    |str(len|nlen|cmp|ncmp|casecmp|ncasecmp|chr|rchr|str|spn|cspn|pbrk|dup|ndup|ncpy|ncat|toll?|toull?|tod|tol|toul)(_chk)?
    |__strtof?d?_internal|stpcpy|__isoc99_sscanf
    |(__)?v?s(n)?printf(_chk)?|__fprintf_chk
    |__ctype_b_loc|__ctype_tolower_loc|__ctype_toupper_loc|tolower|toupper
    |u?abs|llabs|l?div|ll?round|round|floor|ceil|trunc|fabs|fmod|modf|pow|exp\w*|log\w*|sqrt|rint|nearbyint|ldexp|frexp
    |__strn(cpy|cat)_chk|localeconv|isnan|isinf|signbit|__isnan|__isinf|__signbit|__fpclassify|__finite|copysign|nextafter|fma
    |newlocale|uselocale|freelocale|strtod_l|strtod|inet_pton
    |yaml_\w+|yajl_\w+|ZSTD_\w+|_?setjmp|__longjmp_chk|longjmp|localeconv|pcre2_\w+
    |xml(New|Add|Set|Free|Doc|Buf|Node|Get|Has|Str|Char|Unlink|Encode|First|Next|Prev|Last|Child|Parse(Char)?|BufferCreate|Search|CopyNode|IsBlank|Check|Ctxt)\w*
    |xmlReadMemory|xmlFree\w*|xmlMalloc\w*|xmlCtxtReadMemory|xmlStructuredErrorFunc|xmlSetStructuredErrorFunc|xmlResetError
    |_GLOBAL_OFFSET_TABLE_|__udivti3|__divmodti4|__umodti3|__divti3|__modti3|__popcountdi2|__muloti4|__udivmodti4
    |_Unwind_Resume|__gcc_personality_v0|__errno_location
    |__(asan|ubsan|tsan|sanitizer)_\w+|__odr_asan\w*
    )$""", re.X)
# Never, whatever the pattern above would let through.
IMPURE = re.compile(
    r"^(time|clock|clock_gettime|gettimeofday|localtime\w*|gmtime\w*|mktime|getenv|secure_getenv|setenv|open\w*|fopen\w*"
    r"|read|write|socket|connect|getrandom|rand\w*|random\w*|pthread_\w+|thrd_\w+|mtx_\w+|fork|exec\w*|system|popen|sleep|usleep"
    r"|nanosleep|printf|puts|perror|fprintf|setlocale|xmlReadFile|xmlParseFile|xmlSaveFile\w*)$")

# Faults for the simulator to find: the one header that may look at the switch, and the table.
SEEDED_HEADER, SEEDED_TABLE = "lib/base/seeded.h", "sim/seeded.def"

BANNED = "strcpy strcat sprintf vsprintf gets strtok atoi atol system popen tmpnam mktemp alloca".split()


def fail(lines, looked):
    for line in lines:
        print(line)
    print(f"{looked}; {len(lines)} broken")
    sys.exit(1 if lines or looked.startswith("0 ") else 0)


def layers():
    text = (TOP / "lib/CMakeLists.txt").read_text()
    return re.search(r"set\(VENV_LAYERS\s+([^)]*)\)", text).group(1).split()


def sources(*folders):
    for folder in folders:
        for path in sorted((TOP / folder).rglob("*")):
            if path.suffix in (".c", ".h", ".def") and path.is_file():
                yield path


def includes(path):
    for number, line in enumerate(path.read_text().splitlines(), 1):
        match = re.match(r'\s*#\s*include\s+([<"])([^>"]+)[>"]', line)
        if match:
            yield number, match.group(1) == "<", match.group(2)


def check_picture():
    """The table of folders in ARCHITECTURE.md: those that are there, in the order of the layers."""
    there = [name for name in layers() if (TOP / "lib" / name / "CMakeLists.txt").exists()]
    text = (TOP / "ARCHITECTURE.md").read_text()
    table = text[text.index("| lib/ |"):text.index("Around them:")]
    told = re.findall(r"^\| `(\w+)` \| (●?)", table, re.M)
    broken = [] if [name for name, _ in told] == there else \
        [f"ARCHITECTURE.md lists {[name for name, _ in told]}, the layers are {there}"]
    return broken + [f"ARCHITECTURE.md: the mark of {name} is wrong" for name, mark in told if bool(mark) != (name in PURE)]


def check_includes():
    order = {name: index for index, name in enumerate(layers())}
    broken, arrows = check_picture(), 0
    for path in sources("lib"):
        folder = path.relative_to(TOP / "lib").parts[0]
        where = path.relative_to(TOP)
        if folder not in order:
            broken.append(f"{where}: folder {folder} is not in VENV_LAYERS of lib/CMakeLists.txt")
            continue
        for number, angle, name in includes(path):
            target = None
            if angle and name.startswith("venv/"):
                target = OWNER.get(pathlib.PurePath(name[5:]).stem)
                if target is None:
                    broken.append(f"{where}:{number}: <{name}> has no owner in tests/house/house.py")
                    continue
            elif name == SEEDED_TABLE and str(where) == SEEDED_HEADER:
                continue
            elif not angle and "/" in name:
                target = name.split("/")[0]
            elif not angle:
                broken.append(f'{where}:{number}: write "{folder}/{name}", not "{name}"')
            for pattern, home in FOREIGN:
                if angle and re.match(pattern, name):
                    arrows += 1
                    if folder != home:
                        broken.append(f"{where}:{number}: <{name}> belongs to lib/{home} alone")
            if target is None:
                continue
            arrows += 1
            if target not in order:
                broken.append(f"{where}:{number}: {name}: no such folder")
            elif order[target] > order[folder] or (folder, target) in APART:
                broken.append(f"{where}:{number}: lib/{folder} may not use lib/{target}")
    for path in sources("include"):
        for number, angle, name in includes(path):
            arrows += 1
            if not (angle and (name.startswith("venv/") or re.fullmatch(r"std\w+\.h", name))):
                broken.append(f"{path.relative_to(TOP)}:{number}: a public header may include only <venv/…> and <std….h>")
            if name.startswith("venv/") and name.endswith(".h"):
                me, it = OWNER.get(path.stem), OWNER.get(name[5:-2])
                if me is None or it is None or order[it] > order[me]:
                    broken.append(f"{path.relative_to(TOP)}:{number}: <{name}> points up")
    for path in sources("tools", "bindings"):
        own = path.relative_to(TOP).parts[1]
        for number, angle, name in includes(path):
            arrows += 1
            if angle and any(re.match(pattern, name) for pattern, _ in FOREIGN):
                broken.append(f"{path.relative_to(TOP)}:{number}: a tool uses libvenv, not <{name}>")
            if not angle and not (path.parent / name).exists() and not (TOP / "tools" / own / name).exists():
                broken.append(f'{path.relative_to(TOP)}:{number}: a tool includes public headers only, not "{name}"')
    fail(broken, f"{arrows} includes looked at")


def defined(path):
    output = subprocess.run(["nm", "--defined-only", "-g", path], check=True, capture_output=True, text=True).stdout
    return {line.split()[-1] for line in output.splitlines() if len(line.split()) == 3}


def check_pure(directory):
    broken, seen, asserting = [], 0, False
    # What one pure folder defines another may use; which one is the business of the include graph.
    ours = set()
    for folder in PURE:
        for path in pathlib.Path(directory).glob(f"{folder}/CMakeFiles/venv_{folder}.dir/**/*.o"):
            ours |= defined(path)
    for folder in PURE:
        for path in sorted(pathlib.Path(directory).glob(f"{folder}/CMakeFiles/venv_{folder}.dir/**/*.o")):
            seen += 1
            output = subprocess.run(["nm", "-u", path], check=True, capture_output=True, text=True).stdout
            asserting = asserting or "__assert_fail" in output
            for symbol in sorted({line.split()[-1].split("@")[0] for line in output.splitlines() if line.strip()}):
                if symbol not in ours and (IMPURE.match(symbol) or not PURE_SYMBOLS.match(symbol)):
                    broken.append(f"lib/{folder}/{path.stem}: links to {symbol}")
            output = subprocess.run(["readelf", "-SW", path], check=True, capture_output=True, text=True).stdout
            for name, size in re.findall(r"\]\s+(\.(?:data|bss|tdata|tbss)(?:\.(?!rel\.ro)\S+)?)\s+\S+\s+\S+\s+\S+\s+([0-9a-f]+)", output):
                if int(size, 16):
                    broken.append(f"lib/{folder}/{path.stem}: keeps state in {name} ({int(size, 16)} bytes)")
    if seen and not asserting:
        broken.append("assertions are switched off: no object asserts (cmake/VenvFlags.cmake keeps them on in every build)")
    fail(broken, f"{seen} objects of {len(PURE)} pure folders looked at")


def declared():
    names = set()
    for path in sources("include"):
        text = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.S)
        names |= set(re.findall(r"VENV_API[^;{]*?\b(venv_\w+)\s*\(", text))
        names |= set(re.findall(r"VENV_API\s+extern[^;]*?\b(venv_\w+)\s*(?:\[[^]]*\])?\s*;", text))
    return names


def check_symbols(library):
    output = subprocess.run(["nm", "-D", "--defined-only", library], check=True, capture_output=True, text=True).stdout
    exported = {line.split()[-1].split("@")[0] for line in output.splitlines() if line.split()[-2] in "TDBRW"}
    mapped = set(re.findall(r"^\s*(venv_\w+);", (TOP / "lib/libvenv.map").read_text(), re.M))
    public = declared()
    broken = [f"{name}: exported, not declared in include/venv" for name in sorted(exported - public)]
    broken += [f"{name}: declared, not exported" for name in sorted(public - exported)]
    broken += [f"{name}: declared, not in lib/libvenv.map" for name in sorted(public - mapped)]
    broken += [f"{name}: in lib/libvenv.map, not declared" for name in sorted(mapped - public)]
    # Who links the static library sees the internal names, too: they keep to our prefix.
    archive = pathlib.Path(library).resolve().parent / "libvenv.a"
    broken += [f"{name}: a global name of libvenv.a without venv_" for name in sorted(defined(archive))
               if not name.startswith(("venv_", "DW.ref."))]
    fail(broken, f"{len(exported)} exported symbols looked at")


def write_map():
    lines = ["# Every exported symbol, by name; written by tests/house/house.py map, kept by house.py symbols.", "VENV_0 {", "  global:"]
    lines += [f"    {name};" for name in sorted(declared())]
    lines += ["  local:", "    *;", "};", ""]
    (TOP / "lib/libvenv.map").write_text("\n".join(lines))


def check_seeded(directory):
    table = re.findall(r'^SEEDED\((\w+), "([^"]+)"', (TOP / "tests" / SEEDED_TABLE).read_text(), re.M)
    where = {}
    broken = [f"{SEEDED_TABLE}: {name} stands twice" for name in {name for name, _ in table} if [name for name, _ in table].count(name) > 1]
    for path in sources("lib", "include", "tools", "bindings"):
        text, own = path.read_text(), str(path.relative_to(TOP))
        if own == SEEDED_HEADER:
            continue
        if "VENV_SEEDED_FAULTS" in text:
            broken.append(f"{own}: only {SEEDED_HEADER} looks at VENV_SEEDED_FAULTS")
        for name in re.findall(r"\bVENV_SEEDED\((\w+)\)", text):
            where.setdefault(name, set()).add(own.removeprefix("lib/"))
    for name, path in table:
        if where.get(name) != {path}:
            broken.append(f"{SEEDED_TABLE}: {name} should be in lib/{path}, and is in {sorted(where.get(name, {'no file'}))}")
    broken += [f"{name}: not in {SEEDED_TABLE}" for name in where.keys() - {name for name, _ in table}]
    libraries = [path for path in pathlib.Path(directory).iterdir() if re.fullmatch(r"libvenv\w*\.(a|so)", path.name)]
    for path in libraries:
        symbols = subprocess.run(["nm", path], capture_output=True, text=True).stdout + \
            subprocess.run(["strings", "-n", "6", path], check=True, capture_output=True, text=True).stdout
        has = "venv_seeded_is" in symbols
        if has != (path.name == "libvenv_seeded.a"):
            broken.append(f"{path.name}: {'has seeded faults in it' if has else 'has no seeded fault: this test sees nothing'}")
    fail(broken, f"{len(libraries) and len(table)} seeded faults and {len(libraries)} libraries looked at")


def check_hardening(files):
    broken = []
    for name in files:
        def read(*options):
            return subprocess.run(["readelf", "-W", *options, name], check=True, capture_output=True, text=True).stdout
        header, segments, dynamic = read("-h"), read("-l"), read("-d")
        if not re.search(r"Type:\s+DYN", header):
            broken.append(f"{name}: not position independent")
        if not re.search(r"BIND_NOW|Flags:.*\bNOW\b", dynamic):
            broken.append(f"{name}: symbols are not bound at start (-z now)")
        if "GNU_RELRO" not in segments:
            broken.append(f"{name}: no RELRO")
        if re.search(r"GNU_STACK\s+\S+\s+\S+\s+\S+\s+\S+\s+\S+\s+RWE", segments):
            broken.append(f"{name}: executable stack")
        if "TEXTREL" in dynamic:
            broken.append(f"{name}: text relocations")
        if "__stack_chk_fail" not in read("--dyn-syms") and "libvenv" in name:
            broken.append(f"{name}: no stack protector")
    fail(broken, f"{len(files)} files looked at")


def check_words():
    broken, seen = [], 0
    for path in sources("lib", "include", "tools", "bindings", "tests", "examples"):
        seen += 1
        text = path.read_text()
        where = path.relative_to(TOP)
        for number, line in enumerate(text.splitlines(), 1):
            if where.parts[0] in ("lib", "include", "tools", "bindings") and \
                    re.search(r"\b(TODO|FIXME|XXX)\b|not (yet )?implemented", line, re.I):
                broken.append(f"{where}:{number}: unfinished by its own words")
            if re.match(r"\s*#.*\bNDEBUG\b", line):
                broken.append(f"{where}:{number}: assertions are on in every build, by cmake/VenvFlags.cmake")
            code = re.sub(r'"(\\.|[^"\\])*"', '""', re.sub(r"/\*.*?\*/|//.*", "", line))
            for match in re.finditer(r"(?<![\w.>])(\w+)\s*\(", code):
                if match.group(1) in BANNED and where.parts[0] != "tests" and not code.lstrip().startswith("*"):
                    broken.append(f"{where}:{number}: {match.group(1)}() is banned")
        if where.parts[0] in ("lib", "tools", "include") and "SPDX-License-Identifier: Apache-2.0" not in text:
            broken.append(f"{where}: no licence line")
    # No switch may turn verification off.
    for path in sources("lib", "tools"):
        if "SSL_VERIFY_NONE" in path.read_text():
            broken.append(f"{path.relative_to(TOP)}: SSL_VERIFY_NONE")
    fail(broken, f"{seen} files looked at")


def main():
    commands = {"includes": (check_includes, 0), "pure": (check_pure, 1), "symbols": (check_symbols, 1), "seeded": (check_seeded, 1),
                "map": (write_map, 0), "words": (check_words, 0)}
    arguments = sys.argv[1:]
    if arguments[:1] == ["hardening"] and len(arguments) > 1:
        return check_hardening(arguments[1:])
    if not arguments or arguments[0] not in commands or len(arguments) - 1 != commands[arguments[0]][1]:
        sys.exit(__doc__)
    commands[arguments[0]][0](*arguments[1:])


main()
