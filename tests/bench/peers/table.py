#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs millrace and its peers over the same logs, one process each, one after the other, and prints one table.
Started by run.sh, which makes the environment."""
import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path

import logs
from rankers import PEERS

HERE = Path(__file__).resolve().parent
OBD = HERE.parents[1] / "data/obd"
LEARN_EVENTS = 50000  # of the peers' passes that only learn
ALONE = ["--no-metrics", "--set", "models.off=popularity,covisit,diag_linucb,multi_interest", "--set", "models.embedding.negatives=4"]
COLUMNS = ["blend", "embedding", "covisit", "popularity_15m", "popularity_1h", "popularity"]
LEVELS = ["1", "5", "10"]
ESTIMATORS = {"switch-dr": "switch_dr", "dros": "dr_shrunk"}  # names of ours: of estimators.py


def run(arguments):
    """Returns what a process printed, its CPU seconds, and what it said last if it failed."""
    before = os.times()
    done = subprocess.run([str(a) for a in arguments], capture_output=True, text=True, check=False)
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    words = (done.stderr.strip().splitlines() or ["without a word"])[-1]
    return done.stdout, cpu, None if done.returncode == 0 else words


def replay(options, path, more):
    text, cpu, failed = run([options.millrace, "replay", "--set", "lanes=1", "--json", "--no-measures", "--input",
                             path, *more])
    if failed:
        sys.exit(f"millrace replay: {failed}")
    found = json.loads(text)
    return found, found["events"] / cpu


def median_rate(options, path, more):
    rates = [replay(options, path, more) for _ in range(options.runs)]
    return statistics.median(rate for _, rate in rates), rates[0][0]["memory"]["resident_max_bytes"]


def millrace_rows(options, path):
    found, rate = replay(options, path, [])
    learn, _ = median_rate(options, path, ["--no-metrics"])
    alone, alone_bytes = median_rate(options, path, ALONE)
    for name in COLUMNS:
        model = found["models"][name]
        row = {"name": name, "ours": True, "says": "millrace " + name}
        for protocol in ("all", "new"):
            row[protocol] = {"recall": model[protocol]["recall@20"], "ndcg": model[protocol]["ndcg@20"],
                             "targets": model[protocol]["targets"]}
        if name == "blend":
            row |= {"says": "millrace blend: all default models", "learn": learn, "judge": rate,
                    "mib": found["memory"]["resident_max_bytes"] / 2**20}
        yield row
    yield {"name": "alone", "ours": True, "says": "millrace embedding alone, 1 + 4, d 64", "learn": alone,
           "mib": alone_bytes / 2**20}


def peer_row(options, name, path, every):
    stream = [sys.executable, HERE / "stream.py", name, path]
    text, _, failed = run([*stream, "evaluate", every])
    row = {"name": name, "ours": False, "says": PEERS[name].says}
    if failed:
        return row | {"failed": failed}
    found = json.loads(text)
    row |= {"says": found["says"], "all": found["all"], "new": found["new"], "mib": found["memory_kib"] / 1024,
            "judge": found["events"] / found["seconds"]}
    if name != "recency":  # a count is no learner whose speed says anything
        learned = [json.loads(run([*stream, "learn", 1, LEARN_EVENTS])[0]) for _ in range(options.runs)]
        row["learn"] = statistics.median(each["events"] / each["seconds"] for each in learned)
    return row


def estimates(options):
    """Both programs' estimates: what the women's and the men's Thompson policy would have earned."""
    for campaign in ("men", "women"):
        log, policy = OBD / f"events-random-{campaign}.csv.gz", OBD / f"events-bts-{campaign}.csv.gz"
        ours, _, failed = run([options.millrace, "ope", log, "--policy", "frequencies", "--of", policy, "--model",
                               "in-sample", "--lambda", ",".join(LEVELS), "--json"])
        theirs, _, wrong = run([sys.executable, HERE / "estimators.py", log, policy, *LEVELS])
        if failed or wrong:
            yield {"campaign": campaign, "failed": failed or wrong}
            continue
        theirs = json.loads(theirs)
        for row in json.loads(ours)["estimates"]:
            name = ESTIMATORS.get(row["estimator"], row["estimator"])
            key = name if row["lambda"] is None else f"{name} {row['lambda']:g}"
            if key in theirs and row["value"] is not None:
                yield {"campaign": campaign, "estimator": key, "millrace": row["value"], "obp": theirs[key]}


def number(row, key, form):
    return format(row[key], form) if row.get(key) is not None else "-"


def print_log(result):
    print(f"\n{result['log']}: {result['events']:,} events, {result['users']:,} users, {result['items']:,} items; "
          f"peers judged on one event in {result['every']} by hash, the same for each, millrace on every one")
    print(f"  {'':50} {'events/s':>10} {'events/s':>10} {'peak':>7}   {'recall@20':^13}   {'nDCG@20':^13}")
    print(f"  {'':50} {'learned':>10} {'and judged':>10} {'MiB':>7}   {'all':>6} {'new':>6}   {'all':>6} {'new':>6}")
    for row in result["rows"]:
        if "failed" in row:
            print(f"  {row['says']:50} did not run: {row['failed'][:90]}")
            continue
        found = [format(row[p][m], ".4f")[1:] if p in row else "-" for m in ("recall", "ndcg") for p in ("all", "new")]
        print(f"  {row['says']:50} {number(row, 'learn', ',.0f'):>10} {number(row, 'judge', ',.0f'):>10} "
              f"{number(row, 'mib', ',.0f'):>7}   {found[0]:>6} {found[1]:>6}   {found[2]:>6} {found[3]:>6}")
    print_goals(result)


def print_goals(result):
    rows = {row["name"]: row for row in result["rows"] if "failed" not in row}
    step = result["step"]
    for label, name in (("River", "river"), ("Vowpal Wabbit", "vw")):
        if name in rows:
            print(f"  the same method: the step alone, {step:,.0f} events/s (millrace bench learn), is "
                  f"{step / rows[name]['learn']:.1f} times {label}'s; with file, rows, commits and lists "
                  f"{rows['alone']['learn'] / rows[name]['learn']:.1f} times")
    for protocol in ("all", "new"):
        peers = [row for row in rows.values() if not row["ours"] and protocol in row]
        if not peers:
            continue
        best = max(peers, key=lambda row: row[protocol]["recall"])
        ours, theirs = rows["blend"][protocol]["recall"], best[protocol]["recall"]
        error = (theirs * (1 - theirs) / max(best[protocol]["targets"], 1)) ** 0.5
        print(f"  recall@20 {protocol}: blend {ours:.4f}, best peer {theirs:.4f} (standard error {error:.4f}): "
              f"{best['says']}; difference {ours - theirs:+.4f}")


def print_estimates(rows):
    print("\nOpen Bandit sample: what the Thompson policy would have earned, from the uniform log")
    for row in rows:
        if "failed" in row:
            print(f"  {row['campaign']:6} did not run: {row['failed'][:120]}")
            continue
        apart = abs(row["millrace"] - row["obp"]) / abs(row["obp"])
        print(f"  {row['campaign']:6} {row['estimator']:14} millrace {row['millrace']:.12f}   "
              f"Open Bandit Pipeline {row['obp']:.12f}   apart {apart:.0e}")


def bench(options):
    """The learning step alone, events/s of one core: 1 positive and 4 negatives, d 64, on drawn traffic."""
    text, _, failed = run([options.millrace, "bench", "learn", "--json"])
    if failed:
        sys.exit(f"millrace bench learn: {failed}")
    return next(f["value"] for f in json.loads(text)["figures"] if f["name"] == "learn_embedding_bpr")


def chosen_logs(options):
    data, made = os.environ.get("MILLRACE_DATA"), options.work / "made-up" / "events.csv.gz"
    if data is None:
        print("MILLRACE_DATA is not set: a small made-up log instead of real ones")
        made.parent.mkdir(exist_ok=True)
        logs.make_up(made)
        return [("made-up", made, 1)]
    wanted = options.logs.split(",") if options.logs else list(logs.LOGS)
    return [(name, Path(data, logs.LOGS[name][0]), logs.LOGS[name][1]) for name in wanted]


def main():
    parser = argparse.ArgumentParser(prog="tests/bench/peers/run.sh BUILD")
    parser.add_argument("--millrace", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--logs", help="some of " + ",".join(logs.LOGS))
    parser.add_argument("--peers", default=",".join(PEERS), help="some of " + ",".join(PEERS))
    parser.add_argument("--runs", type=int, default=3, help="of which the median counts (learning only)")
    parser.add_argument("--json", type=Path, help="writes all of it there, too")
    options = parser.parse_args()
    print(f"millrace and peers, one process and one thread each, on {platform.machine()}, {os.cpu_count()} cores, load "
          f"{os.getloadavg()[0]:.1f}; CPU seconds.\nlearned: median of {options.runs}; peers over the first "
          f"{LEARN_EVENTS:,} events, millrace over the whole log, file and lists included.")
    whole = {"logs": [], "estimates": []}
    failed = options.work / "failed.txt"
    if failed.exists() and failed.read_text():
        print("not installed:", failed.read_text().strip())
    step = bench(options)
    for name, path, every in chosen_logs(options):
        users, items = logs.read(path)
        rows = list(millrace_rows(options, path))
        rows += [peer_row(options, peer, path, every) for peer in options.peers.split(",") if peer]
        whole["logs"].append({"log": name, "events": len(items), "users": int(users.max()) + 1,
                              "items": int(items.max()) + 1, "every": every, "step": step, "rows": rows})
        print_log(whole["logs"][-1])
        sys.stdout.flush()
    whole["estimates"] = list(estimates(options))
    print_estimates(whole["estimates"])
    if options.json:
        options.json.write_text(json.dumps(whole, indent=1))


if __name__ == "__main__":
    main()
