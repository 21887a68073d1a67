#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""soak: one worker under an even load, looked at every few seconds: what it has must not grow.

Resident memory (VmRSS), the state file, the lag and the latency of the metrics topic. After the warm-up
share a line is fitted to each; its slope is what grows. Users and items are a fixed population, and the
window of event ids is small enough to be full before the warm-up ends, so that nothing has a reason to
grow. The last line is a JSON object; exit 1 where memory or state grow by more than --grow-max of their
mean an hour, where the lag grows, or where the worker is not there at the end.
"""
import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition

sys.path.insert(0, str(Path(__file__).parent / "python"))
import bus  # noqa: E402

TASKS = 4


class Metrics:
    """The newest values of the metrics topic."""

    def __init__(self, brokers, millrace):
        self.schema = bus.schema_of(millrace, "metric")
        self.consumer = Consumer({"bootstrap.servers": brokers, "group.id": "soak", "isolation.level": "read_committed",
                                  "enable.auto.commit": False, "auto.offset.reset": "earliest"})
        self.consumer.assign([TopicPartition("soak.metrics", p, 0) for p in range(TASKS)])
        self.values = {}

    def look(self):
        while (message := self.consumer.poll(0)) is not None:
            if message.error() is None:
                metric = self.schema.read(message.value())
                if not metric["labels"]:
                    self.values[metric["name"]] = metric["value"]
        return self.values


def slope_per_hour(times, values):
    mean_t, mean_v = statistics.fmean(times), statistics.fmean(values)
    spread = sum((t - mean_t) ** 2 for t in times)
    return 3600 * sum((t - mean_t) * (v - mean_v) for t, v in zip(times, values)) / spread if spread else 0.0


def rss_mib(pid):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("the worker is not there")


def summary(samples, key):
    values = [s[key] for s in samples if s.get(key) is not None]
    times = [s["s"] for s in samples if s.get(key) is not None]
    if len(values) < 3:
        return None
    return {"first": round(values[0], 2), "last": round(values[-1], 2), "mean": round(statistics.fmean(values), 2),
            "max": round(max(values), 2), "per_hour": round(slope_per_hour(times, values), 2)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("work")
    parser.add_argument("brokers")
    parser.add_argument("--rate", type=int, default=2000, help="events a second")
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--every", type=float, default=5, help="seconds between two looks")
    parser.add_argument("--warm-up", type=float, default=0.4, help="share of the time that is left out")
    parser.add_argument("--users", type=int, default=20000)
    parser.add_argument("--items", type=int, default=5000)
    parser.add_argument("--grow-max", type=float, default=0.5, help="of the mean, an hour")
    options = parser.parse_args()
    work, millrace, tool = Path(options.work), f"{options.build}/bin/millrace", f"{options.build}/tests/bus_tool"
    config = work / "soak.yaml"
    config.write_text(f"""app: soak
instance: one
kafka: {{bootstrap_servers: "{options.brokers}"}}
topics:
  clicks: {{kind: click}}
state: {{path: {work}/state}}
users: {{memory: 64MiB}}
items: {{max: {2 * options.items}}}
dedup: {{events_max: 20000}}
metrics: {{interval: 5s}}
""")
    subprocess.run([tool, options.brokers, "make", "clicks", str(TASKS)], check=True)
    subprocess.run([millrace, "check", "--config", config, "--create-topics"], check=True, stdout=subprocess.DEVNULL)
    with open(work / "soak.log", "w") as log:
        worker = subprocess.Popen([millrace, "run", "--config", config], stderr=log,
                                  env=dict(os.environ, OPENBLAS_NUM_THREADS="1"))
    producer = subprocess.Popen([tool, options.brokers, "clicks", "clicks", str(10 ** 9), str(options.users),
                                 str(options.items), str(options.rate)])
    samples, begun, status = [], time.time(), 1
    try:
        metrics = Metrics(options.brokers, millrace)
        while time.time() - begun < 60 * options.minutes:
            time.sleep(options.every)
            assert worker.poll() is None, "the worker ended"
            values, load = metrics.look(), os.getloadavg()[0]
            samples.append({"s": time.time() - begun, "rss_mib": rss_mib(worker.pid), "load": load,
                            "state_mib": (work / "state/data.mdb").stat().st_size / 2 ** 20,
                            "lag_records": values.get("lag_records"), "rate": values.get("records_per_second"),
                            "p99_s": values.get("latency_p99_seconds")})
            print(" ".join(f"{k}={v:.2f}" for k, v in samples[-1].items() if v is not None), flush=True)
        producer.send_signal(signal.SIGTERM)
        producer.wait(60)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(20) == 0, "the worker did not stop well"
        warm = [s for s in samples if s["s"] >= options.warm_up * 60 * options.minutes]
        found = {k: summary(warm, k) for k in ("rss_mib", "state_mib", "lag_records", "rate", "p99_s", "load")}
        wrong = [k for k in ("rss_mib", "state_mib")
                 if found[k] and found[k]["per_hour"] > options.grow_max * found[k]["mean"]]
        lag = found["lag_records"]
        if lag and lag["per_hour"] > 3600 * 0.01 * options.rate:  # a hundredth of the load is left behind
            wrong.append("lag_records")
        print(json.dumps({"rate": options.rate, "minutes": options.minutes, **found, "grows": wrong}))
        status = 1 if wrong else 0
    finally:
        for process in (producer, worker):
            if process.poll() is None:
                process.kill()
                process.wait()
    sys.exit(status)


if __name__ == "__main__":
    main()
