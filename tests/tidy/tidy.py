#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The rules of the house that a compiler does not know.

usage: tidy.py SOURCE_DIR LIBMR_CORE_A [TOP]

- rooms: who may include whom (ARCHITECTURE.md), and what of other people's headers;
- core is pure: the library's undefined symbols are a short list of names;
- every source names its licence; no left-over marks; no file grows beyond bounds.
With TOP it also prints the ten longest files and functions, to look at.
"""
import re
import subprocess
import sys
from pathlib import Path

ROOMS = {  # room -> rooms that it may include, and foreign headers by prefix
    "core": (["core"], ["xxhash.h", "Random123/", "immintrin.h"]),
    "schemas": (["schemas", "core/base", "core/event", "core/list/record.h"], ["jansson.h", "avro.h"]),
    "state": (["state", "core/base"], ["lmdb.h"]),
    "worker": (["worker", "state", "schemas", "core"],
               ["librdkafka/", "libfyaml.h", "jansson.h", "avro.h", "lmdb.h", "zlib.h", "zstd.h", "cblas.h",
                "bzlib.h", "lzma.h", "snappy-c.h", "openblas_config.h", "curl/"]),
}
# What the engine may ask of the world: memory and text functions, sqrt; no malloc, clock, thread, file.
# fprintf, stderr and abort are the last words of a failed assertion.
PURE = set("""memcpy memset memmove memcmp strlen strcmp strcpy strncmp snprintf vsnprintf __snprintf_chk
    __vsnprintf_chk __memcpy_chk __memset_chk __memmove_chk __stack_chk_fail sqrt sqrtf fprintf
    __fprintf_chk fwrite stderr abort __cpu_model __cpu_features2 __cpu_indicator_init _GLOBAL_OFFSET_TABLE_""".split())
STANDARD = set("""assert ctype errno float inttypes limits math setjmp signal stdarg stdatomic stdbool stddef
    stdint stdio stdlib string time""".split())
PURE_STANDARD = set("float limits math stdarg stdbool stddef stdint stdio stdlib string".split())
LINES_MAX = 900


def sources(root):
    names = subprocess.run(["git", "-C", root, "ls-files", "--", "core", "schemas", "state", "worker", "tests"],
                           capture_output=True, text=True, check=False).stdout.split()
    if not names:  # no git: an unpacked archive
        names = [str(p.relative_to(root)) for room in ROOMS for p in Path(root, room).rglob("*")]
    return [n for n in names if n.endswith((".c", ".h", ".def")) and Path(root, n).exists()]


def check_includes(name, text, complain):
    room = name.split("/")[0]
    if room not in ROOMS:
        return
    inside, outside = ROOMS[room]
    for number, line in enumerate(text.splitlines(), 1):
        ours = re.match(r'#include "([^"]+)"', line)
        theirs = re.match(r"#include <([^>]+)>", line)
        if ours and not ours.group(1).startswith(tuple(inside)) and "/" in ours.group(1):
            complain(f"{name}:{number}: {room} may not include {ours.group(1)}")
        if not theirs:
            continue
        header = theirs.group(1)
        standard = header.endswith(".h") and header[:-2] in STANDARD
        if room == "core" and standard and header[:-2] not in PURE_STANDARD:
            complain(f"{name}:{number}: core is pure: no {header}")
        if room == "core" and not standard and not header.startswith(tuple(outside)):
            complain(f"{name}:{number}: core is pure: no {header}")
        if header.startswith(("librdkafka", "lmdb", "avro")) and not header.startswith(tuple(outside)):
            complain(f"{name}:{number}: {room} does not know {header}")


def check_text(name, text, complain):
    if "SPDX-License-Identifier: Apache-2.0" not in text[:400]:
        complain(f"{name}: has no SPDX line")
    lines = text.count("\n")
    if lines > LINES_MAX:
        complain(f"{name}: {lines} lines; is there a seam inside? at most {LINES_MAX}")
    for number, line in enumerate(text.splitlines(), 1):
        if re.search(r"\b(TODO|FIXME|XXX|HACK)\b", line):
            complain(f"{name}:{number}: a left-over mark")
        if line.rstrip() != line:
            complain(f"{name}:{number}: white space at the end")


def check_purity(library, complain):
    symbols = subprocess.run(["nm", "-A", library], capture_output=True, text=True, check=True).stdout
    defined, undefined = set(), {}
    for line in symbols.splitlines():
        fields = line.split()
        if len(fields) >= 2 and fields[-2] in "UTtDdRrBbWwVv":
            if fields[-2] == "U":
                undefined.setdefault(fields[-1], line.split(":")[1])
            elif fields[-2] in "TDRBWV":
                defined.add(fields[-1])
    for symbol, member in sorted(undefined.items()):
        if symbol not in defined and symbol not in PURE and not symbol.startswith(("__asan", "__ubsan", "__tsan",
                                                                                     "__sanitizer", "__gcov")):
            complain(f"core is pure: {member} asks for {symbol}")


def top(root, names):
    files = sorted(((Path(root, n).read_text().count("\n"), n) for n in names if not n.startswith("tests")),
                   reverse=True)
    print("longest files:", *(f"  {lines:5} {name}" for lines, name in files[:10]), sep="\n")
    functions = []
    for name in names:
        begun = None
        for number, line in enumerate(Path(root, name).read_text().splitlines(), 1):
            if line == "{":
                begun = number
            elif line == "}" and begun is not None:
                functions.append((number - begun - 1, f"{name}:{begun}"))
                begun = None
    print("longest functions:", *(f"  {lines:5} {name}" for lines, name in sorted(functions, reverse=True)[:10]),
          sep="\n")


def main():
    root, library = sys.argv[1], sys.argv[2]
    complaints = []
    names = sources(root)
    for name in names:
        text = Path(root, name).read_text()
        check_includes(name, text, complaints.append)
        check_text(name, text, complaints.append)
    check_purity(library, complaints.append)
    for complaint in complaints:
        print(complaint)
    if len(sys.argv) > 3:
        top(root, names)
    print(f"{len(names)} files, {len(complaints)} complaints")
    return 1 if complaints or not names else 0


if __name__ == "__main__":
    sys.exit(main())
