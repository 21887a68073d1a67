#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""torture: faults of every kind on three workers and three brokers under load, then the books are checked.

A seed chooses the faults and when they come; several may be in force at once, but one broker and two
workers at most. Each worker reaches the brokers over a path of the proxy (torture_proxy.py). A worker
that exits is started again, as a supervisor does, and the reason is kept.

What is checked at the end, all of it from what Kafka has (a fresh worker with an empty folder takes all
tasks from the changelogs; bus_tool reads the topics as any read_committed consumer):

  counts    events of each user and each item in the state = a plain fold of the input topic
  once      no event was read twice (each has an id, and a second reading would count as one more copy than
            the producer has made)
  markers   commit numbers of a task rise by one, the same ones in both changelogs
  epochs    the epoch log has each of these commits once, and no other
  lists     a user's version never falls nor repeats, and each list is of a commit that exists
  letters   as many dead letters as the topic has bad events
  again     the whole history, run again from its epoch log, comes to the same hashes, lists and deltas

Then each check has to find a mistake that is put into a copy of its input: a check that cannot fail
shows nothing. The last line is a JSON object with the figures.
"""
import argparse
import collections
import datetime
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient

sys.path.insert(0, str(Path(__file__).parent / "python"))
import bus  # noqa: E402
from torture_proxy import Proxy  # noqa: E402

HERE = Path(__file__).parent
APP, TOPIC, TASKS, USERS, ITEMS, BAD = "torture", "clicks", 6, 600, 600, 400
SESSION_S, TRANSACTION_S, TAKEOVER_S, STOP_S = 6, 4, 6, 10
FAILPOINTS = ["learning", "records-sent", "offsets-sent", "commit-sent", "committed", "storing", "restoring"]


def now_ms():
    return time.time() * 1000


def cpu_times():
    """(busy, all) of this machine, in ticks."""
    ticks = [int(n) for n in Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]
    return sum(ticks) - ticks[3] - ticks[4], sum(ticks)


def process_state(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return ""


def process_runs(pid):
    return process_state(pid) not in ("", "Z")


class Worker:
    """A process that is started again whenever it should run and does not."""

    def __init__(self, rig, index, name, membership, folder):
        self.rig, self.index, self.name, self.membership, self.folder = rig, index, name, membership, folder
        self.process, self.starts, self.wanted, self.armed, self.again_at = None, 0, False, None, 0.0
        self.log, self.left_at = None, None
        servers = ",".join(f"127.0.0.1:{port}" for port, _ in rig.routes[str(index)])
        self.config = rig.write_config(name, servers, folder, membership)

    def start(self, failpoint=None):
        self.note_stop()
        self.starts += 1
        self.log = self.rig.work / f"worker-{self.name}-{self.starts}.log"
        environment = dict(os.environ, OPENBLAS_NUM_THREADS="1", MILLRACE_FAILPOINT=failpoint or "")
        with open(self.log, "w") as log:
            self.process = subprocess.Popen([self.rig.millrace, "run", "--config", self.config], stderr=log,
                                            stdout=log, env=environment)
        self.wanted, self.armed = True, failpoint

    def runs(self):
        return self.process is not None and self.process.poll() is None

    def signal(self, number):
        if self.runs():
            self.process.send_signal(number)

    def kill(self):
        self.wanted = False
        self.note_stop(ended=False)
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def leave(self):
        """SIGTERM: a stop takes less than STOP_S."""
        self.wanted = False
        if self.runs():
            self.left_at = time.time()
        self.signal(signal.SIGTERM)

    def note_stop(self, ended=True):
        """How long the stop that was asked for has taken; one that a kill ends was too long at any rate."""
        if self.left_at is None or (ended and self.runs()):
            return
        code = self.process.returncode if ended else None
        self.rig.stops.append((time.time() - self.left_at, code, str(self.log)))
        self.left_at = None

    def stopped(self, seconds=2 * STOP_S):
        """Waits for the end of a stop; kills what does not end. Returns its exit status."""
        try:
            if self.process is not None:
                self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
        self.note_stop()
        return self.process.returncode if self.process is not None else 0

    def supervise(self):
        """Starts it again where it ended by itself. Returns the reason, where there is one."""
        self.note_stop()
        if self.runs() and self.name not in self.rig.busy and process_state(self.process.pid) == "T":
            self.signal(signal.SIGCONT)  # a fail point was reached late
        if not self.wanted or self.runs():
            return None
        code, reason = self.process.returncode, None
        if self.again_at == 0.0:
            self.again_at = time.time() + 1
            if self.armed is None or code not in (-signal.SIGKILL, 1) or "failpoint" not in self.log.read_text():
                reason = f"exit {code}: {self.error()}"
        if time.time() >= self.again_at:
            self.again_at = 0.0
            self.start()
        return reason

    def error(self):
        lines = [line for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        ends = [line for line in lines if " run: ends" in line or "runtime error" in line or "ERROR:" in line]
        return re.sub(r"^\S+Z ", "", (ends or lines or ["nothing was said"])[-1])[:300]


class Rig:
    """Brokers, paths, workers, the producer and what has been done to them."""

    def __init__(self, options):
        self.options, self.work = options, Path(options.work)
        self.millrace, self.tool = f"{options.build}/bin/millrace", f"{options.build}/tests/bus_tool"
        self.brokers = options.brokers
        ports = [int(server.rsplit(":", 1)[1]) for server in options.brokers.split(",")]
        self.routes = {str(j): [(port + 4 + j, port + 1 + j) for port in ports] for j in (1, 2, 3)}
        self.proxy = Proxy(self.routes)
        self.kafka_data = Path(os.environ["KAFKA_DATA"])
        self.observer = Consumer({"bootstrap.servers": self.brokers, "group.id": APP, "log_level": 2,
                                  "isolation.level": "read_committed", "enable.auto.commit": False})
        self.chaos = random.Random(options.seed)
        self.undo = []  # (when, what it frees, function that returns whether it is done)
        self.busy = set()
        self.exits, self.done, self.episodes = [], collections.Counter(), []
        self.stops, self.loads, self.cpu = [], [], cpu_times()  # stops: (seconds, exit status or None, log)
        self.begun = time.time()
        self.points = b"MILLRACE_FAILPOINT" in Path(self.millrace).read_bytes()
        self.disk = self.make_disk()

    def say(self, text):
        print(f"{time.time() - self.begun:7.1f}  {text}", flush=True)

    def make_disk(self):
        disk = self.work / "disk"
        disk.mkdir()
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512m", "tmpfs", disk],
                                 capture_output=True, text=True, check=False)
        if mounted.returncode == 0:
            return disk
        self.say(f"no full disks: a tmpfs cannot be mounted here ({mounted.stderr.strip()})")
        return None

    def write_config(self, name, servers, folder, membership="dynamic", more=""):
        path = self.work / f"{name}.yaml"
        path.write_text(f"""app: {APP}
instance: {name}
kafka:
  bootstrap_servers: "{servers}"
  session_timeout: {SESSION_S}s
  transaction_timeout: {TRANSACTION_S}s
  membership: {membership}
topics:
  {TOPIC}: {{kind: click}}
state: {{path: {folder}, wait: 2m}}
users: {{memory: 8MiB}}
items: {{max: 5000}}
lists: {{k: 10}}
dedup: {{events_max: 400000, window: 1d}}
metrics: {{interval: 5s}}
commit: {{interval_min: {self.options.interval}ms}}
standby: {self.options.standby}
memory: {{pages: small}}
{more}
""")
        return str(path)

    def run_tool(self, *arguments):
        return subprocess.run([self.tool, self.brokers, *arguments], capture_output=True, text=True, check=False)

    def start(self):
        made = self.run_tool("make", TOPIC, str(TASKS))
        assert made.returncode == 0, made.stderr
        folders = [str(self.work / "state-a"), str(self.disk / "state" if self.disk else self.work / "state-b"),
                   str(self.work / "state-c")]
        self.workers = [Worker(self, 1, "a", "static", folders[0]), Worker(self, 2, "b", "static", folders[1]),
                        Worker(self, 3, "c", "dynamic", folders[2])]
        config = self.write_config("check", self.brokers, folders[0])
        for _ in range(40):  # a topic is not known to every broker at once
            check = subprocess.run([self.millrace, "check", "--config", config, "--create-topics"],
                                   capture_output=True, text=True, check=False)
            if check.returncode == 0 and all(self.topics_at(server) >= 9 for server in self.brokers.split(",")):
                break
            time.sleep(0.5)
        assert check.returncode == 0, check.stdout + check.stderr
        self.sent_log = open(self.work / "sent.log", "w+")
        self.producer = subprocess.Popen([self.tool, self.brokers, "clicks", TOPIC, str(10 ** 9), str(USERS),
                                          str(ITEMS), str(self.options.rate), str(BAD), "again"],
                                         stdout=self.sent_log, stderr=self.sent_log)
        for worker in self.workers:
            worker.start()

    @staticmethod
    def topics_at(server):
        known = AdminClient({"bootstrap.servers": server}).list_topics(timeout=10).topics
        return sum(name == TOPIC or name.startswith(APP) for name in known)

    # What goes on beside the faults.

    def lag(self):
        """Events that no commit covers yet; None where the brokers do not say."""
        try:
            partitions = [TopicPartition(TOPIC, p) for p in range(TASKS)]
            ends = [self.observer.get_watermark_offsets(p, timeout=3)[1] for p in partitions]
            committed = self.observer.committed(partitions, timeout=3)
            return sum(end - max(row.offset, 0) for end, row in zip(ends, committed))
        except Exception:  # pylint: disable=broad-except
            return None

    def turn(self):
        for worker in self.workers:
            reason = worker.supervise()
            if reason:
                self.exits.append(f"{worker.name}: {reason}")
                self.say(f"worker {worker.name} ended: {reason}")
        assert self.producer.poll() is None, "the producer ended: " + Path(self.sent_log.name).read_text()
        for entry in [e for e in self.undo if e[0] <= time.time()]:
            if entry[2]():
                self.undo.remove(entry)
                self.busy.discard(entry[1])
        for episode in self.episodes:
            if episode.get("until", 0) > now_ms():
                episode["others"] |= {entry[1] for entry in self.undo} - {episode["target"]}

    def wait(self, seconds):
        until = time.time() + seconds
        while time.time() < until:
            self.turn()
            time.sleep(min(0.1, max(0.0, until - time.time())))

    def calm(self, seconds, most=None):
        """Waits until nothing is broken and the workers keep up. Returns how long that took; None: they do not."""
        begun, good = time.time(), 0
        most = self.options.rate if most is None else most
        while time.time() - begun < seconds:
            self.wait(0.25)
            lag = self.lag() if not self.undo and all(w.runs() for w in self.workers) else None
            good = good + 1 if lag is not None and lag <= most else 0
            if good == 3:
                return time.time() - begun
        return None

    def later(self, seconds, what, function):
        self.busy.add(what)
        self.undo.append((time.time() + seconds, what, lambda: function() is not False))

    def note(self, kind, target, detail="", seconds=0.0):
        """seconds: how long it is measured, and looked at what else is broken meanwhile."""
        self.done[kind] += 1
        self.episodes.append({"kind": kind, "target": target, "ms": now_ms(), "until": now_ms() + 1000 * seconds,
                              "others": set()})
        self.loads.append(os.getloadavg()[0])
        self.say(f"{kind} {target} {detail}".rstrip())

    # Faults of a worker.

    def kill(self, w):
        w.kill()
        self.note("kill", w.name)
        self.later(self.chaos.uniform(0, 2), w.name, w.start)

    def point(self, w, action):
        name = self.chaos.choice(FAILPOINTS)
        often = {"storing": 3, "restoring": 2}.get(name, 60)
        late = f":{self.chaos.randint(1, 8)}" if name == "commit-sent" else ""
        text = f"{name}:{self.chaos.randint(1, often)}:{action}{late}"
        w.leave()
        w.stopped()
        if name == "restoring":
            shutil.rmtree(w.folder, ignore_errors=True)
        w.start(text)
        self.note(f"{action} at {name}", w.name, text)
        hold = SESSION_S + TRANSACTION_S if action == "stop" else 6
        self.later(self.chaos.uniform(hold - 2, hold + 2), w.name, lambda: w.signal(signal.SIGCONT))

    def kill_at(self, w):
        self.point(w, "kill")

    def stop_at(self, w):
        self.point(w, "stop")

    def stop(self, w):
        w.signal(signal.SIGSTOP)
        seconds = self.chaos.choice([TRANSACTION_S + 0.5, SESSION_S + 2, SESSION_S + TRANSACTION_S + 1])
        self.note("stop", w.name, f"for {seconds} s")
        self.later(seconds, w.name, lambda: w.signal(signal.SIGCONT))

    def leave(self, w):
        w.leave()
        self.note("leave", w.name)

        def back():
            if w.runs() and time.time() - w.left_at > 2 * STOP_S:
                w.kill()
            if not w.runs():
                w.start()
            return w.wanted

        self.later(self.chaos.uniform(1, 9), w.name, back)

    def leave_cut_off(self, w):
        """A stop that no broker hears of: the last commit cannot be had, and the end has to come all the same."""
        self.proxy.tell(str(w.index), "cut", "both")
        w.leave()
        self.note("leave", w.name, "cut off")

        def back():
            self.proxy.tell(str(w.index), "heal")
            if w.runs():
                w.kill()
            w.start()

        self.later(STOP_S + 1, w.name, back)

    def lose_state(self, w):
        w.kill()
        shutil.rmtree(w.folder, ignore_errors=True)
        self.note("lost state", w.name)
        self.later(self.chaos.uniform(0, 2), w.name, w.start)

    def cut(self, w):
        way, seconds = self.chaos.choice(["up", "down", "both"]), self.chaos.uniform(1, 9)
        self.proxy.tell(str(w.index), "cut", way)
        self.note(f"cut {way}", w.name, f"for {seconds:.1f} s")
        self.later(seconds, w.name, lambda: self.proxy.tell(str(w.index), "heal"))

    def delay(self, w):
        ms, seconds = self.chaos.choice([20, 100, 400]), self.chaos.uniform(2, 6)
        self.proxy.tell(str(w.index), "delay", ms / 1000)
        self.note("delay", w.name, f"{ms} ms for {seconds:.1f} s")
        self.later(seconds, w.name, lambda: self.proxy.tell(str(w.index), "heal"))

    def reset(self, w):
        seconds = self.chaos.choice([0, 0, 2, 5])
        self.proxy.tell(str(w.index), "reset", seconds > 0)
        self.note("reset", w.name, f"for {seconds} s")
        self.later(seconds, w.name, lambda: self.proxy.tell(str(w.index), "heal"))

    def full_disk(self, _):
        w, filler, seconds = self.workers[1], self.disk / "filler", self.chaos.uniform(2, 6)
        with open(filler, "wb", buffering=0) as out:
            try:
                while True:
                    out.write(bytes(1 << 16))
            except OSError:
                pass
        self.note("full disk", w.name, f"for {seconds:.1f} s")
        self.later(seconds, w.name, filler.unlink)

    # Faults of a broker.

    def broker_pid(self, i):
        return int((self.kafka_data / str(i) / "pid").read_text())

    def broker_up(self, i):
        if process_runs(self.broker_pid(i)):
            return False
        subprocess.run([HERE / "kafka/kafka.sh", "up", str(i)], check=True, stdout=subprocess.DEVNULL)
        return True

    def broker_end(self, number, kind):
        i = self.chaos.randint(1, 3)
        os.kill(self.broker_pid(i), number)
        self.note(kind, i)
        seconds = self.chaos.uniform(1, 5)

        def answers():  # the next broker fault only when this one is back in its place
            try:
                about = self.observer.list_topics(TOPIC, timeout=2).topics[TOPIC]
                return all(len(p.isrs) == 3 for p in about.partitions.values())
            except Exception:  # pylint: disable=broad-except
                return False

        def up():
            if not self.broker_up(i):
                return False
            self.undo.append((time.time() + 2, "broker", answers))
            return True

        self.busy.add("broker")
        self.undo.append((time.time() + seconds, "nothing", up))

    def broker_kill(self, _):
        self.broker_end(signal.SIGKILL, "broker kill")

    def broker_restart(self, _):
        self.broker_end(signal.SIGTERM, "broker restart")

    def broker_stop(self, _):
        i, seconds = self.chaos.randint(1, 3), self.chaos.uniform(1, 8)
        os.kill(self.broker_pid(i), signal.SIGSTOP)
        self.note("broker stop", i, f"for {seconds:.1f} s")
        self.later(seconds, "broker", lambda: os.kill(self.broker_pid(i), signal.SIGCONT))

    def absence(self, w):
        """Killed, and away for so long that others take its tasks, whatever else happens."""
        w.kill()
        self.note("takeover", w.name, "with other faults", SESSION_S + TAKEOVER_S)
        self.later(SESSION_S + TAKEOVER_S, w.name, w.start)

    # Measured ones, alone: nothing else is broken before and meanwhile.

    def takeover(self, w):
        if self.calm(40) is None:
            self.say("no takeover: the workers do not come to rest")
            return
        w.kill()
        self.note("takeover", w.name, "", SESSION_S + TAKEOVER_S)
        self.wait(SESSION_S + TAKEOVER_S)
        w.start()

    def freeze(self, w):
        """As takeover, but the process is stopped, and wakes up when others have its tasks."""
        if self.calm(40) is None:
            self.say("no takeover: the workers do not come to rest")
            return
        w.signal(signal.SIGSTOP)
        self.note("takeover", w.name, "stopped", SESSION_S + TAKEOVER_S)
        self.busy.add(w.name)
        self.wait(SESSION_S + TAKEOVER_S)
        self.busy.discard(w.name)
        w.signal(signal.SIGCONT)

    def join(self, _):
        w = self.workers[2]
        if self.calm(40) is None:
            return
        w.leave()
        self.note("leave for others", w.name)
        self.wait(5)
        w.stopped()
        if self.calm_without(w, 20) is None:
            return
        w.start()
        self.note("join", w.name)
        self.wait(8)

    def calm_without(self, w, seconds):
        begun = time.time()
        while time.time() - begun < seconds:
            self.wait(0.25)
            lag = self.lag()
            if lag is not None and lag <= self.options.rate and not w.runs():
                return True
        return None

    def torture(self):
        one = {"kill": self.kill, "stop": self.stop, "leave": self.leave,
               "leave cut off": self.leave_cut_off, "lost state": self.lose_state, "cut": self.cut,
               "delay": self.delay, "reset": self.reset, "broker kill": self.broker_kill,
               "broker restart": self.broker_restart, "broker stop": self.broker_stop,
               "takeover": self.takeover, "freeze": self.freeze, "absence": self.absence, "join": self.join}
        if self.points:
            one.update({"kill at": self.kill_at, "kill at 2": self.kill_at, "stop at": self.stop_at})
        else:
            self.say("no fail points: the binary is built without MILLRACE_FAILPOINTS")
        if self.disk:
            one["full disk"] = self.full_disk
        only = [k for k in self.options.only.split(",") if k]
        one = {k: f for k, f in one.items() if not only or k in only}
        bag = []
        while sum(self.done.values()) < self.options.faults:
            if not bag:
                bag = sorted(one)
                self.chaos.shuffle(bag)
            kind = bag.pop()
            target = None
            while True:
                self.wait(0.1)
                free = [w for w in self.workers if w.name not in self.busy and w.runs()]
                if kind.startswith("broker"):
                    if "broker" not in self.busy:
                        break
                elif kind == "full disk":
                    if self.workers[1] in free:
                        break
                elif len(free) >= 2:
                    target = self.chaos.choice(free)
                    break
            one[kind](target)
            self.wait(self.chaos.uniform(0.2, self.options.pause))

    # The end.

    def rest(self):
        """All is mended; the producer stops; the workers have to come to the end by themselves."""
        while self.undo:
            self.wait(0.1)
        self.proxy_heal()
        busy, total = cpu_times()
        self.busy_share = round((busy - self.cpu[0]) / max(1, total - self.cpu[1]), 2)
        self.producer.terminate()
        self.producer.wait(90)
        text = Path(self.sent_log.name).read_text()
        found = re.search(r"sent=(\d+) bad=(\d+)", text)
        assert found, f"the producer: {text}"
        self.producer = subprocess.Popen(["sleep", "100000"])  # nothing is sent any more
        seconds = self.calm(90, most=0)
        self.say(f"sent {found[0]}; " + ("no end within 90 s" if seconds is None else f"at the end after {seconds:.1f} s"))
        return int(found[1]), int(found[2]), seconds

    def proxy_heal(self):
        for path in self.routes:
            self.proxy.tell(path, "heal")

    def stop_workers(self):
        for worker in self.workers:
            worker.leave()
        bad = [w.name for w in self.workers if w.stopped() != 0]
        time.sleep(SESSION_S + 1)  # static members are members until then
        return [f"worker {name} did not stop well: {w.error()}" for w in self.workers for name in bad if w.name == name]

    def run_fresh(self, name, more="", seconds=240):
        """A worker that takes all tasks, to the present end of all inputs. Returns its log, and its exit status."""
        config = self.write_config(name, self.brokers, self.work / "state-fresh", "dynamic", more)
        log = self.work / f"{name}.log"
        with open(log, "w") as out:
            ended = subprocess.run([self.millrace, "run", "--config", config, "--stop-at-end"], stdout=out, stderr=out,
                                   timeout=seconds, check=False)
        return log.read_text(), ended.returncode

    def run_again(self, seconds=600):
        """The whole history once more, from epoch log and topics: what was compared, or what differs."""
        config = self.write_config("again", self.brokers, self.work / "state-again")
        again = subprocess.run([self.millrace, "replay", "--config", config, "--epochs", "--json"],
                               capture_output=True, text=True, timeout=seconds, check=False)
        if again.returncode != 0:
            return {}, [f"replay --epochs: {again.stderr[-400:]}"]
        found = json.loads(again.stdout)
        return found, [f"replay --epochs: {found['lists_gone']} lists were not compared"] if found["lists_gone"] else []

    def trace(self, topic):
        traced = self.run_tool("trace", topic)
        assert traced.returncode == 0, f"{topic}: {traced.stderr}"
        return [line.split(" ") for line in traced.stdout.splitlines()]

    def end(self):
        self.proxy_heal()
        for worker in getattr(self, "workers", []):
            worker.signal(signal.SIGCONT)
            worker.kill()
        if getattr(self, "producer", None) and self.producer.poll() is None:
            self.producer.kill()
            self.producer.wait()
        self.observer.close()
        if self.disk:
            subprocess.run(["umount", self.disk], check=False)


# What is checked: functions of plain data, so that mistakes can be put into a copy.

def check_counts(books):
    bad = []
    for what in ("users", "items"):
        want, have = books[f"{what}_want"], books[f"{what}_have"]
        for name in sorted(set(want) | set(have)):
            if want.get(name, 0) != have.get(name, 0):
                bad.append(f"counts: {what[:-1]} {name} has {have.get(name, 0)} events, was sent {want.get(name, 0)}")
    if books["read"] != books["records"]:
        bad.append(f"counts: {books['read']} records were read, the topic has {books['records']}")
    if books["learned"] != sum(books["users_want"].values()):
        bad.append(f"counts: {books['learned']} events were learned, the topic has {sum(books['users_want'].values())}")
    if books["duplicate"] != books["copies"]:
        bad.append(f"once: {books['duplicate']} copies were found, the topic has {books['copies']}")
    if books["letters"] != books["bad"]:
        bad.append(f"letters: {books['letters']} dead letters, the topic has {books['bad']} bad events")
    return bad


def check_markers(books):
    bad, sets = [], []
    for changelog in ("user-rows", "item-rows"):
        last, seen = {}, set()
        for _, task, seq, instance, commit, _ms, offset in books[changelog]:
            if task in last and int(seq) != last[task] + 1:
                bad.append(f"markers: {changelog} [{task}] offset {offset}: commit {seq} after {last[task]}")
            last[task] = int(seq)
            seen.add((task, seq, instance, commit))
        sets.append(seen)
    bad += [f"markers: {row} is in one changelog only" for row in sorted(sets[0] ^ sets[1])]
    epochs = collections.Counter((task, seq) for _, task, seq in books["epochs"])
    commits = {(task, seq) for task, seq, _, _ in sets[0]}
    bad += [f"epochs: commit {row} stands there {n} times" for row, n in epochs.items() if n > 1]
    bad += [f"epochs: commit {row} is not there" for row in sorted(commits - set(epochs))]
    bad += [f"epochs: there is no commit {row}" for row in sorted(set(epochs) - commits)]
    return bad


def check_lists(books):
    bad, last = [], {}
    commits = {(row[1], int(row[2])) for row in books["user-rows"]}
    for _, partition, user, version, _ms in books["lists"]:
        version = int(version)
        if version <= last.get(user, 0):
            bad.append(f"lists: user {user}: version {version} after {last[user]}")
        if (partition, version >> 20) not in commits:
            bad.append(f"lists: user {user}: version {version} is of commit {version >> 20}, which is not there")
        last[user] = version
    return bad


def check(books):
    return check_counts(books) + check_markers(books) + check_lists(books)


def doctored(books):
    """Copies with one mistake each: (name, books)."""
    def copy(name, key, change):
        changed = dict(books)
        changed[key] = change(books[key])
        return name, changed

    def twice(rows):
        return rows[:len(rows) // 2] + [rows[len(rows) // 2]] + rows[len(rows) // 2:]

    def without(rows):
        return rows[:len(rows) // 2] + rows[len(rows) // 2 + 1:]

    def one_more(counts):
        name = sorted(counts)[0]
        return {**counts, name: counts[name] + 1}

    def undone(rows):
        _, partition, user, version, ms = rows[-1]
        return rows + [["l", partition, user, str(int(version) + (1 << 30)), ms]]

    return [
        copy("a commit twice in a changelog", "user-rows", twice), copy("a commit lost", "item-rows", without),
        copy("an epoch record twice", "epochs", twice), copy("an epoch record lost", "epochs", without),
        copy("a list twice", "lists", twice), copy("an event of a user twice", "users_have", one_more),
        copy("an event of an item lost", "items_want", one_more), copy("a list of an aborted commit", "lists", undone),
        copy("an event read twice", "duplicate", lambda n: n + 1), copy("a dead letter lost", "letters", lambda n: n - 1),
    ]


def fold(rig):
    """Events of each user and item, each once, straight from the input topic; how many copies and bad ones."""
    schema = bus.schema_of(rig.millrace, "click")
    users, items, seen, copies, bad = collections.Counter(), collections.Counter(), set(), 0, 0
    for message in bus.read_all(rig.brokers, TOPIC):
        try:
            click = schema.read(message.value())
        except Exception:  # pylint: disable=broad-except
            bad += 1
            continue
        if click["event_id"] in seen:
            copies += 1
            continue
        seen.add(click["event_id"])
        users[click["user"]] += 1
        items[click["item"]] += 1
    return users, items, copies, bad


def inspect(rig, folder, what, key, name):
    found = json.loads(subprocess.check_output([rig.millrace, "inspect", folder, what, "--json", "--top", "10000"]))
    return {row[name]: row["events"] for row in found[key]}


def make_books(rig, fresh_log, sent, bad):
    counted = re.search(r"counted read=(\d+) learned=(\d+) duplicate=(\d+)", fresh_log)
    assert counted, "the fresh worker did not say what it has counted"
    users, items, copies, cut = fold(rig)
    folder = rig.work / "state-fresh"
    books = {
        "users_want": users, "items_want": items, "bad": cut, "copies": copies,
        "records": sum(users.values()) + copies + cut,
        "users_have": inspect(rig, folder, "users", "most_active", "user"),
        "items_have": inspect(rig, folder, "items", "most_popular", "item"),
        "read": int(counted[1]), "learned": int(counted[2]), "duplicate": int(counted[3]),
        "letters": int(rig.run_tool("count", f"{APP}.dead-letters").stdout.split("=")[1]),
    }
    assert cut >= bad and sum(users.values()) == sent - bad, f"the topic has {sum(users.values())} good, {cut} bad events"
    for topic in ("user-rows", "item-rows", "epochs", "lists"):
        rows = rig.trace(f"{APP}.{topic}")
        books[topic] = [row for row in rows if row[0] in "mel"]
    return books


# Figures.

def quantile(values, share):
    values = sorted(values)
    return round(values[min(len(values) - 1, int(share * len(values)))] / 1000, 2) if values else None


def bases(rig):
    """What a task was taken from, by its workers' logs: (milliseconds, instance, task, "local copy" or "changelog")."""
    found = []
    for log in rig.work.glob("worker-*.log"):
        for line in log.read_text(errors="replace").splitlines():
            row = re.match(r'(\S+)Z .* task: restored task=(\d+) base="?(local copy|changelog)', line)
            if row:
                at = datetime.datetime.fromisoformat(row[1] + "+00:00").timestamp() * 1000
                found.append((at, log.name.split("-")[1], row[2], row[3]))
    return sorted(found)


def takeovers(rig, books):
    """Milliseconds from each takeover, less the session time-out, until another worker commits its tasks, by
    how it was: from a local copy or from the changelog alone, with nothing else broken or with other faults."""
    found = collections.defaultdict(list)
    rows = sorted((float(row[5]), row[1], row[3]) for row in books["user-rows"])
    taken = bases(rig)
    for episode in [e for e in rig.episodes if e["kind"] == "takeover"]:
        last = {}
        for ms, task, instance in rows:
            if ms <= episode["ms"]:
                last[task] = instance
        for task in [t for t, instance in last.items() if instance == episode["target"]]:
            after = [ms for ms, t, instance in rows
                     if t == task and ms > episode["ms"] and instance != episode["target"]]
            base = [what for ms, instance, t, what in taken
                    if t == task and ms > episode["ms"] and instance != episode["target"]]
            # Where nobody has taken it when its worker is back, it counts as long as that was.
            took = (after[0] - episode["ms"] if after else 1e9) - 1000 * SESSION_S
            how = "other faults" if episode["others"] else base[0] if base else "local copy"
            found[how].append(min(took, 1000 * TAKEOVER_S))
    return {how: {"tasks": len(times), "p50": quantile(times, 0.5), "p95": quantile(times, 0.95)}
            for how, times in sorted(found.items())}


def pauses(rig, books, kind, window):
    """The longest time without a list, in each partition, around a measured join or leave."""
    found = []
    for episode in [e for e in rig.episodes if e["kind"] == kind]:
        begin, end = episode["ms"] + window[0] * 1000, episode["ms"] + window[1] * 1000
        for partition in range(TASKS):
            times = sorted({int(row[4]) for row in books["lists"]
                            if row[1] == str(partition) and begin <= int(row[4]) <= end})
            if len(times) > 1:
                found.append(max(b - a for a, b in zip(times, times[1:])))
    return found


def retention(rig):
    """Records that were not read are deleted: the worker stops and says so, or counts them, as it is told."""
    wrong = []
    sent = rig.run_tool("clicks", TOPIC, "3000", str(USERS), str(ITEMS), "0")
    assert sent.returncode == 0, sent.stderr
    first = [rig.observer.get_watermark_offsets(TopicPartition(TOPIC, p), timeout=10)[1] for p in range(TASKS)]
    admin = AdminClient({"bootstrap.servers": rig.brokers})
    for future in admin.delete_records([TopicPartition(TOPIC, 0, first[0] - 10)], request_timeout=60).values():
        future.result()
    log, code = rig.run_fresh("gap-stop")
    if code != 1 or "are gone from the log before they were read" not in log or "on_input_gap: continue" not in log:
        wrong.append(f"retention: with on_input_gap: stop the worker ended with {code}")
    log, code = rig.run_fresh("gap-continue", "on_input_gap: continue")
    gone = re.search(r"records are gone before they were read .*records=(\d+)", log)
    if code != 0 or gone is None:
        wrong.append(f"retention: with on_input_gap: continue the worker ended with {code}")
    rig.say(f"retention: {gone[1] if gone else 'no'} records gone, counted")
    return wrong


def run(rig):
    rig.start()
    took = rig.calm(60)
    assert took is not None, "the workers did not begin within a minute"
    rig.say(f"three workers keep up after {took:.1f} s; seed {rig.options.seed}")
    rig.torture()
    sent, bad, settled = rig.rest()
    wrong = [] if settled is not None else ["the workers did not come to the end by themselves"]
    wrong += rig.stop_workers()
    log, code = rig.run_fresh("fresh")
    if code != 0:
        return wrong + [f"the fresh worker ended with {code}: {log[-400:]}"], {}
    books = make_books(rig, log, sent, bad)
    wrong += check(books)
    wrong += [f"a stop took {s:.1f} s: {log}" for s, _, log in rig.stops if s > STOP_S]
    for name, copy in doctored(books):
        if not check(copy):
            wrong.append(f"the checks do not find {name}")
    compared, differences = rig.run_again()
    wrong += differences
    joins, leaves = pauses(rig, books, "join", (-1, 7)), pauses(rig, books, "leave for others", (-1, 4.5))
    figures = {
        "seed": rig.options.seed, "faults": sum(rig.done.values()), "kinds": dict(sorted(rig.done.items())),
        "events": sent, "commits": len(books["user-rows"]), "lists": len(books["lists"]),
        "takeover_beyond_session_s": takeovers(rig, books),
        "join_pause_p50_s": quantile(joins, 0.5), "join_pause_max_s": quantile(joins, 1),
        "leave_pause_p50_s": quantile(leaves, 0.5), "leave_pause_max_s": quantile(leaves, 1), "stops": len(rig.stops),
        "stop_p50_s": quantile([1000 * s for s, _, _ in rig.stops], 0.5),
        "stop_max_s": quantile([1000 * s for s, _, _ in rig.stops], 1),
        "stops_cut_short": sum(code != 0 for _, code, _ in rig.stops),
        "load_mean": round(sum(rig.loads) / len(rig.loads), 1), "cpu_busy": rig.busy_share,
        "settled_s": settled and round(settled, 1),
        "run_again": {what: compared.get(what) for what in ("commits", "engines", "hashes_same", "lists_same",
                                                            "deltas_same")},
        "worker_exits": rig.exits, "minutes": round((time.time() - rig.begun) / 60, 1),
    }
    try:
        wrong += retention(rig)
    except Exception as problem:  # pylint: disable=broad-except
        wrong.append(f"retention: {problem!r}")
    return wrong, figures


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("work")
    parser.add_argument("brokers")
    parser.add_argument("--faults", type=int, default=12)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--rate", type=int, default=600, help="events a second")
    parser.add_argument("--interval", type=int, default=250, help="milliseconds between two commits: back to back "
                        "three workers keep three brokers so busy that a small machine has no time for anything else")
    parser.add_argument("--standby", type=int, default=4, help="tasks of others that each worker keeps a copy of")
    parser.add_argument("--pause", type=float, default=2.0, help="at most so many seconds between two faults")
    parser.add_argument("--only", default="", help="kinds of faults, with commas")
    rig = Rig(parser.parse_args())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # leaves nothing behind
    try:
        wrong, figures = run(rig)
    finally:
        rig.end()
    for line in wrong[:40]:
        print("WRONG", line)
    figures["wrong"] = len(wrong)
    print(json.dumps(figures))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
