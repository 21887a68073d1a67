#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Shows: a short demo ends with exit 0, counts every event once, publishes lists that are clicked more often
than chance, and leaves neither a file nor a process, also when it is interrupted.

usage: demo_learns_and_leaves_nothing.py MILLRACE
"""
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# Long enough to be sure of: after 8 s what was learned stands 2 to 8 standard errors above chance, after 16 s 11 to 14.
SECONDS = 16


def expect(what, value, low, high):
    if not low <= value <= high:
        sys.exit(f"BROKEN: {what}: found {value}, want {low} to {high}")


def start(millrace, folder, *options):
    environment = dict(os.environ, TMPDIR=folder)
    return subprocess.Popen([millrace, "demo", *options], env=environment, text=True,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def finish(process, folder, timeout):
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        sys.exit(f"BROKEN: the demo did not end within {timeout} s")
    expect(f"exit status, after {err!r}", process.returncode, 0, 0)
    expect("bytes on stderr", len(err), 0, 0)
    left = [path.name for path in Path(folder).iterdir()]
    expect(f"files left behind ({left})", len(left), 0, 0)
    return out


def check_json(millrace, folder):
    r = json.loads(finish(start(millrace, folder, "--seconds", str(SECONDS), "--seed", "2", "--json"), folder, 60))
    expect("seconds", r["seconds"], SECONDS - 1, SECONDS + 2)
    expect("events learned less sent", r["events_learned"] - r["events_sent"], 0, 0)
    for name in "events_refused", "events_duplicate", "lists_unreadable", "versions_fell":
        expect(name, r[name], 0, 0)
    expect("events", r["events_sent"], 4000, 40000)
    expect("lists", r["lists"], 500, 20000)
    expect("users with a list", r["users_with_list"], 500, r["users"])
    expect("median latency", r["latency_p50_ms"], 1, 2000)
    expect("p99 latency", r["latency_p99_ms"], r["latency_p50_ms"], 5000)
    expect("models in the blend", len(r["blend_weights"]), 4, 32)
    rates = {name: group["click_rate"] for name, group in r["groups"].items()}
    for name, group in r["groups"].items():
        expect(f"items shown to {name}", group["shown"], 1000, 50000)
        expect(f"click rate of {name}", rates[name], 0.01, 0.3)
    # A short run: surely above chance, not yet the ratio of a whole one.
    chance = r["groups"]["random"]
    error = (rates["learned"] / r["groups"]["learned"]["shown"] + rates["random"] / chance["shown"]) ** 0.5
    expect("learned above random, in standard errors", (rates["learned"] - rates["random"]) / error, 3, 1000)
    expect("ceiling", r["ceiling"], rates["learned"], 0.5)


def check_lines(millrace, folder):
    out = finish(start(millrace, folder, "--seconds", "6", "--users", "100"), folder, 60)
    expect("escape sequences without a terminal", out.count("\033"), 0, 0)
    for text in "events/s", "click rate", "learned / popularity", "transactions promise", "real brokers":
        expect(f"mentions of '{text}'", out.count(text), 1, 100)


def check_interrupt(millrace, folder, seconds, number):
    process = start(millrace, folder, "--seconds", "600", "--json")
    time.sleep(seconds)  # into its start, or into its run: any moment has to do
    process.send_signal(number)
    r = json.loads(finish(process, folder, 40))
    expect("stopped", r["stopped"], True, True)
    expect("events learned less sent", r["events_learned"] - r["events_sent"], 0, 0)


def main():
    millrace = sys.argv[1]
    for check in (check_json, check_lines, lambda m, f: check_interrupt(m, f, 1, signal.SIGTERM),
                  lambda m, f: check_interrupt(m, f, 7, signal.SIGINT)):
        with tempfile.TemporaryDirectory() as folder:
            check(millrace, folder)


main()
