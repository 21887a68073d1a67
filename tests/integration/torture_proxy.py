# SPDX-License-Identifier: Apache-2.0
"""torture_proxy: a network between workers and brokers that can be cut, delayed and reset.

Each path (of one worker) goes over ports of its own to every broker; a process of its own carries all
bytes, so that the test's Python never slows them. Bytes that a cut holds back arrive after it, as TCP
sends them again: a request can come much later than it was sent.
"""
import asyncio
import contextlib
import multiprocessing


class Path:
    """What one worker's connections suffer now."""

    def __init__(self):
        self.open = {"up": asyncio.Event(), "down": asyncio.Event()}
        for gate in self.open.values():
            gate.set()
        self.delay = 0.0
        self.refused = False
        self.writers = set()

    async def pump(self, reader, writer, direction):
        try:
            while data := await reader.read(65536):
                if self.delay > 0:
                    await asyncio.sleep(self.delay)
                await self.open[direction].wait()
                writer.write(data)
                await writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def serve(self, reader, writer, port):
        self.writers.add(writer)
        try:
            if self.refused:
                return
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
            self.writers.add(far_writer)
            await asyncio.gather(self.pump(reader, far_writer, "up"), self.pump(far_reader, writer, "down"))
            self.writers.discard(far_writer)
        except OSError:
            pass  # the broker is down: so is this connection
        finally:
            self.writers.discard(writer)
            writer.close()

    def command(self, verb, value):
        if verb == "cut":  # up, down or both
            for direction in ("up", "down") if value == "both" else (value,):
                self.open[direction].clear()
        elif verb == "delay":
            self.delay = value
        elif verb == "reset":
            self.refused = value
            for writer in list(self.writers):
                with contextlib.suppress(Exception):
                    writer.transport.abort()
        elif verb == "heal":
            self.delay, self.refused = 0.0, False
            for gate in self.open.values():
                gate.set()


async def carry(routes, pipe):
    paths = {}
    for name, pairs in routes.items():
        paths[name] = path = Path()
        for port, far in pairs:
            await asyncio.start_server(lambda r, w, p=path, f=far: p.serve(r, w, f), "127.0.0.1", port)
    pipe.send("ready")
    ended = asyncio.Event()

    def on_command():
        try:
            name, verb, value = pipe.recv()
            paths[name].command(verb, value)
        except EOFError:
            ended.set()

    asyncio.get_running_loop().add_reader(pipe.fileno(), on_command)
    await ended.wait()


class Proxy:
    """routes: path -> [(port that the worker is told, port of the broker)]."""

    def __init__(self, routes):
        self.pipe, far = multiprocessing.Pipe()
        self.process = multiprocessing.Process(target=self.run, args=(routes, far, self.pipe), daemon=True)
        self.process.start()
        far.close()
        self.pipe.recv()

    @staticmethod
    def run(routes, pipe, ours):
        ours.close()
        asyncio.run(carry(routes, pipe))

    def tell(self, path, verb, value=None):
        self.pipe.send((path, verb, value))
