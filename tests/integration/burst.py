#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""burst: one worker at a sustained rate, then at several times that, then at the sustained rate again.

Looked at twice a second: memory of the process, the lag of the metrics topic beside the lag that the broker's
offsets tell, lists and how old they are when a reader has them (their `time` is that of the newest event of
their task). The last line is a JSON object.

Exit 1 where
- anonymous memory exceeds the sum of what the configuration grants (engine, as the start line says it,
  kafka.queue_bytes_max, and commit.bytes_max for the commit that is open, the one on its way and the client's
  queue) by more than --margin-mib for everything else: threads, arenas of epochs, the client's own, code;
- an event was not counted, or twice;
- the lag in the topic of metrics stays far below what the offsets tell, or the lag is not below a second's
  load within --recover seconds from the burst's end;
- for two seconds on end no list comes.
"""
import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition

sys.path.insert(0, str(Path(__file__).parent / "python"))
import bus  # noqa: E402

TASKS, QUEUE_MIB, COMMIT_MIB, USERS_MIB = 4, 32, 32, 64
SAMPLE = 20  # one list in so many is decoded


class Tail:
    """The committed records of a topic as they come."""

    def __init__(self, brokers, topic):
        self.consumer = Consumer({"bootstrap.servers": brokers, "group.id": "burst", "enable.auto.commit": False,
                                  "isolation.level": "read_committed", "auto.offset.reset": "earliest"})
        self.consumer.assign([TopicPartition(topic, p, 0) for p in range(TASKS)])

    def take(self):
        while messages := self.consumer.consume(10000, 0):
            yield from (m for m in messages if m.error() is None)


class Look:
    """What is seen of worker and bus from outside."""

    def __init__(self, brokers, millrace, pid):
        self.metrics, self.lists = Tail(brokers, "burst.metrics"), Tail(brokers, "burst.lists")
        self.metric, self.list = bus.schema_of(millrace, "metric"), bus.schema_of(millrace, "list")
        self.ends = Consumer({"bootstrap.servers": brokers, "group.id": "burst"})  # the worker's group
        self.pid, self.told, self.told_at, self.samples, self.ages, self.count = pid, None, 0, [], [], 0

    def behind(self):
        """Records between the offsets that the worker has committed and the ends of the log."""
        parts = [TopicPartition("clicks", p) for p in range(TASKS)]
        done = {p.partition: max(p.offset, 0) for p in self.ends.committed(parts, 10)}
        return sum(self.ends.get_watermark_offsets(p, 10)[1] - done[p.partition] for p in parts)

    def memory_mib(self, name):
        text = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(rf"^{name}:\s+(\d+) kB", text, re.M).group(1)) / 1024

    def look(self, phase, since):
        lists, ages = 0, []
        for message in self.metrics.take():
            metric = self.metric.read(message.value())
            if metric["name"] == "lag_records":
                self.told, self.told_at = metric["value"], time.time()
        for message in self.lists.take():
            lists += 1
            self.count += 1
            if self.count % SAMPLE == 0:
                ages.append(time.time() - self.list.read(message.value())["time"].timestamp())
        self.ages += [(phase, age) for age in ages]
        self.samples.append({"phase": phase, "s": time.time() - since, "rss_mib": self.memory_mib("VmRSS"),
                             "anonymous_mib": self.memory_mib("RssAnon"), "lag": self.behind(), "told": self.told,
                             "lists": lists})
        print(" ".join(f"{k}={v:.1f}" if isinstance(v, float) else f"{k}={v}" for k, v in self.samples[-1].items()),
              flush=True)
        return self.samples[-1]

    def of(self, phase):
        rows, ages = [s for s in self.samples if s["phase"] == phase], [a for p, a in self.ages if p == phase]
        seconds = rows[-1]["s"] - rows[0]["s"] if len(rows) > 1 else 1
        cut = statistics.quantiles(ages, n=100) if len(ages) > 1 else [0] * 99
        return {"lag_max": max(s["lag"] for s in rows), "lag_told_max": max(s["told"] or 0 for s in rows),
                "anonymous_mib_max": round(max(s["anonymous_mib"] for s in rows)),
                "rss_mib_max": round(max(s["rss_mib"] for s in rows)),
                "lists_per_s": round(sum(s["lists"] for s in rows[1:]) / seconds),
                "list_age_p50_s": round(cut[49], 2), "list_age_p99_s": round(cut[98], 2)}


def wait_until_ready(path, worker):
    for _ in range(600):
        if " rebalance: ready" in path.read_text():
            return
        assert worker.poll() is None, "the worker ended"
        time.sleep(0.1)
    raise RuntimeError("the worker did not get ready")


class Load:
    """Producers, one after the other, whose event ids go on where the last one's ended."""

    def __init__(self, tool, brokers, options):
        self.command, self.options, self.sent, self.next = [tool, brokers, "clicks", "clicks"], options, 0, 0

    def send(self, rate, seconds, watch):
        count, o = int(rate * seconds), self.options
        with subprocess.Popen([*map(str, [self.command[0], self.command[1], "clicks", "clicks", count, o.users, o.items,
                                          rate, 0, "once", self.next])], stdout=subprocess.PIPE, text=True) as process:
            try:
                while process.poll() is None:
                    watch()
                    time.sleep(0.5)
                assert process.returncode == 0, "the producer failed"
                said = process.stdout.read()
            finally:
                process.kill()
        self.next += count
        self.sent += int(re.search(r"sent=(\d+)", said).group(1))
        return count / (int(re.search(r"ms=(\d+)", said).group(1)) / 1000)


def gap_of_lists(samples):
    """The longest time in which the worker was behind and no list came."""
    longest = begun = 0
    for s in samples:
        if s["lists"] > 0 or s["lag"] == 0 or begun == 0:
            begun = s["s"]
        longest = max(longest, s["s"] - begun)
    return longest


def judge(found, look, options, limit):
    wrong = []
    if found["anonymous_mib_max"] > limit + options.margin_mib:
        wrong.append(f"memory: {found['anonymous_mib_max']} MiB, want at most {limit} + {options.margin_mib}")
    if found["counted"] != found["sent"] or found["duplicate"] != 0:
        wrong.append("events: counted is not what was sent")
    lag, told = (max(found[p][k] for p in ("burst", "after")) for k in ("lag_max", "lag_told_max"))
    if lag > 10 * options.rate and told < lag / 4:
        wrong.append("lag: told too low")
    if found["recovery_s"] is None:
        wrong.append(f"recovery: still behind {options.recover} s after the burst")
    if found["longest_gap_of_lists_s"] > options.gap:
        wrong.append("lists: a gap")
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("work")
    parser.add_argument("brokers")
    parser.add_argument("--rate", type=int, default=2000, help="events a second, before and after")
    parser.add_argument("--times", type=int, default=10, help="the rate, in the burst")
    parser.add_argument("--before", type=float, default=6, help="seconds")
    parser.add_argument("--burst", type=float, default=10, help="seconds")
    parser.add_argument("--after", type=float, default=10, help="seconds, and for as long as the lag lasts")
    parser.add_argument("--recover", type=float, help="seconds in which the lag has to be gone (60 and 4 times the burst)")
    parser.add_argument("--users", type=int, default=20000)
    parser.add_argument("--items", type=int, default=5000)
    parser.add_argument("--margin-mib", type=int, default=96)
    parser.add_argument("--gap", type=float, default=3, help="seconds without a list that are too many")
    options = parser.parse_args()
    options.recover = options.recover or 60 + 4 * options.burst
    work, millrace, tool = Path(options.work), f"{options.build}/bin/millrace", f"{options.build}/tests/bus_tool"
    config = work / "burst.yaml"
    config.write_text(f"""app: burst
instance: one
kafka: {{bootstrap_servers: "{options.brokers}", queue_bytes_max: {QUEUE_MIB}MiB}}
topics:
  clicks: {{kind: click}}
state: {{path: {work}/state}}
users: {{memory: {USERS_MIB}MiB}}
items: {{max: {2 * options.items}}}
dedup: {{events_max: 20000}}
commit: {{bytes_max: {COMMIT_MIB}MiB}}
lists: {{k: 20}}
metrics: {{interval: 1s}}
""")
    subprocess.run([tool, options.brokers, "make", "clicks", str(TASKS)], check=True)
    subprocess.run([millrace, "check", "--config", config, "--create-topics"], check=True, stdout=subprocess.DEVNULL)
    with open(work / "burst.log", "w") as log:
        worker = subprocess.Popen([millrace, "run", "--config", config], stderr=log,
                                  env=dict(os.environ, OPENBLAS_NUM_THREADS="1"))
    try:
        wait_until_ready(work / "burst.log", worker)
        look, load = Look(options.brokers, millrace, worker.pid), Load(tool, options.brokers, options)
        begun = time.time()
        rates = {}
        rates["before"] = load.send(options.rate, options.before, lambda: look.look("before", begun))
        rates["burst"] = load.send(options.rate * options.times, options.burst, lambda: look.look("burst", begun))
        over, recovered = time.time(), []

        def after():
            if look.look("after", begun)["lag"] < options.rate and not recovered:
                recovered.append(time.time() - over)
        rates["after"] = load.send(options.rate, options.after, after)
        while not recovered and time.time() - over < options.recover:
            load.send(options.rate, 5, after)
        while look.behind() > 0 and time.time() - over < 2 * options.recover:
            time.sleep(0.5)
        worker.terminate()
        assert worker.wait(30) == 0, "the worker did not stop well"
        text = (work / "burst.log").read_text()
        read, learned, duplicate = map(int, re.search(r"counted read=(\d+) learned=(\d+) duplicate=(\d+)",
                                                      text).groups())
        limit = int(re.search(r"engine_mib=(\d+)", text).group(1)) + QUEUE_MIB + 4 * COMMIT_MIB
        found = {"sent": load.sent, "counted": read, "learned": learned, "duplicate": duplicate,
                 "limit_mib": limit, "anonymous_mib_max": max(round(s["anonymous_mib"]) for s in look.samples),
                 "recovery_s": round(recovered[0], 1) if recovered else None,
                 "longest_gap_of_lists_s": round(gap_of_lists(look.samples), 1), "load": os.getloadavg()[0]}
        for phase, rate in rates.items():
            found[phase] = {"events_per_s": round(rate), **look.of(phase)}
        wrong = judge(found, look, options, limit)
        print(json.dumps({**found, "wrong": wrong}))
    finally:
        if worker.poll() is None:
            worker.kill()
            worker.wait()
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
