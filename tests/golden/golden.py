#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Golden files: commands and what they print, to the byte.

usage: golden.py MILLRACE [--update] [FILE...]

A file begins with a sentence of prose (lines with '#'), then has one or more cases: a line '$ ARGUMENTS', run by
a shell in tests/data/golden with millrace on the PATH, followed by what it prints (stdout and stderr together)
and, where it is not 0, a line '[exit N]'. --update writes what is printed now; a human reads the diff.
"""
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
DATA = HERE.parent / "data" / "golden"


def run(command, binary, scratch):
    environment = {**os.environ, "PATH": f"{Path(binary).resolve().parent}:{os.environ['PATH']}", "OUT": scratch,
                   "OPENBLAS_NUM_THREADS": "1", "TMPDIR": scratch, "MILLRACE_BLAS_REEXEC": "1", "LC_ALL": "C"}
    done = subprocess.run(["sh", "-c", command], cwd=DATA, env=environment, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=120, check=False)
    text = done.stdout.replace(scratch, "$OUT")
    if text and not text.endswith("\n"):
        text += "\n"
    return text + (f"[exit {done.returncode}]\n" if done.returncode else "")


def render(path, binary):
    lines = path.read_text().splitlines(keepends=True)
    out = [line for line in lines if line.startswith("#")]
    with tempfile.TemporaryDirectory() as scratch:
        for line in lines:
            if line.startswith("$ "):
                out += ["\n", line, run(line[2:], binary, scratch)]
    return "".join(out)


def main():
    binary = sys.argv[1]
    update = "--update" in sys.argv
    files = [Path(a) for a in sys.argv[2:] if a != "--update"] or sorted(HERE.glob("*.golden"))
    wrong = 0
    for path in files:
        want, have = path.read_text(), render(path, binary)
        if update:
            path.write_text(have)
        elif want != have:
            wrong += 1
            (HERE.parent.parent / "build").mkdir(exist_ok=True)
            seen = HERE.parent.parent / "build" / (path.name + ".now")
            seen.write_text(have)
            subprocess.run(["diff", "-u", str(path), str(seen)], check=False)
    print(f"{len(files)} golden files, {wrong} differ")
    return 1 if wrong or not files else 0


if __name__ == "__main__":
    sys.exit(main())
