#!/usr/bin/env python3
"""Dashboards and ingest together: many clients ask range queries while samples arrive at a fixed rate.

  tests/bench/dashboard_load.py build/release/tarsier --clients 200 --rate 200000

An hour of 32,000 series is written first; then every client asks one query after the other, over the last hour, and 16
connections write as much as --rate says. Printed are the latencies of both, what was refused, and how long after a client
closed its connection its query, which would run for minutes, was gone from /api/tarsier/v1/queries.
"""

import argparse
import asyncio
import json
import os
import random
import shutil
import socket
import sys
import tempfile
import time
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "end_to_end"))
from processes import Server, free_port, http  # noqa: E402
from remote_write_load import PLACE, template  # noqa: E402
from remote_write import _varint  # noqa: E402
from scrape import anonymous_bytes, cpu_seconds  # noqa: E402

CONNECTIONS, SAMPLES, STEP_MS = 16, 2000, 15_000
QUERIES = ('sum(rate(load{{connection="{c:04}"}}[5m]))', 'avg by (instance) (load{{connection="{c:04}"}})',
           'load{{connection="{c:04}",instance="10.0.0.{i}:9100"}}', 'topk(5, rate(load{{instance="10.0.0.{i}:9100"}}[5m]))',
           'quantile(0.9, load{{connection="{c:04}"}})', 'max_over_time(load{{instance="10.0.0.{i}:9100"}}[10m])')


class Figures:
    def __init__(self):
        self.latencies, self.statuses = [], {}

    def add(self, seconds, status):
        self.latencies.append(seconds)
        self.statuses[status] = self.statuses.get(status, 0) + 1

    def text(self, what):
        self.latencies.sort()
        at = lambda q: self.latencies[int(q * (len(self.latencies) - 1))] * 1000 if self.latencies else 0
        return (f"{what}: {len(self.latencies)}, {at(0.5):.0f} / {at(0.99):.0f} / {at(1):.0f} ms (median / 99 % / worst), "
                f"statuses {self.statuses}")


async def ask(reader, writer, method, path, body=b"", headers=""):
    writer.write(f"{method} {path} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    status = int(head[9:12])
    if b"content-length:" in head:
        await reader.readexactly(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))
    elif b"chunked" in head:
        while size := int(await reader.readline(), 16):
            await reader.readexactly(size + 2)
        await reader.readline()
    return status


async def write(number, port, arguments, figures, begin, end):
    """An hour at once, then at the rate asked for."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 16)
    body, place = template(number, SAMPLES), _varint(PLACE)
    headers = "Content-Type: application/x-protobuf\r\nContent-Encoding: snappy\r\n"
    t = int(time.time() * 1000) - 3_600_000
    history = t + 3_600_000
    while t < history:
        if await ask(reader, writer, "POST", "/api/v1/write", body.replace(place, _varint(t)), headers) == 204:
            t += STEP_MS
    begin[number].set_result(None)
    await asyncio.gather(*begin)
    pause = CONNECTIONS * SAMPLES / arguments.rate
    due = time.time() + random.random() * pause
    end_at = time.time() + arguments.seconds
    while time.time() < end_at:
        await asyncio.sleep(max(0, due - time.time()))
        due += pause
        began = time.perf_counter()
        status = await ask(reader, writer, "POST", "/api/v1/write", body.replace(place, _varint(t)), headers)
        figures.add(time.perf_counter() - began, status)
        t += 100
    end.append(time.time())
    writer.close()


async def look(number, port, arguments, figures, begin):
    await asyncio.gather(*begin)
    r = random.Random(number)
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    end_at = time.time() + arguments.seconds
    while time.time() < end_at:
        now = int(time.time())
        query = r.choice(QUERIES).format(c=r.randrange(CONNECTIONS), i=r.randrange(250))
        body = urllib.parse.urlencode({"query": query, "start": now - 3600, "end": now, "step": 60}).encode()
        began = time.perf_counter()
        status = await ask(reader, writer, "POST", "/api/v1/query_range", body,
                           "Content-Type: application/x-www-form-urlencoded\r\n")
        figures.add(time.perf_counter() - began, status)
        await asyncio.sleep(arguments.pause)
    writer.close()


def disconnect_milliseconds(url, port):
    """From closing the connection of a query of minutes until it is listed no more."""
    def is_running():
        return any("[1h:1s]" in q["query"] for q in json.loads(http(f"{url}/api/tarsier/v1/queries")[1])["data"]["running"])

    client = socket.create_connection(("127.0.0.1", port))
    query = urllib.parse.urlencode({"query": "sum(quantile_over_time(0.9, load[1h:1s]))"})
    client.sendall(f"GET /api/v1/query?{query} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    while not is_running():
        time.sleep(0.01)
    time.sleep(0.5)
    client.close()
    began = time.perf_counter()
    while is_running():
        time.sleep(0.002)
    return (time.perf_counter() - began) * 1000


async def run(arguments):
    directory = tempfile.mkdtemp(prefix="tarsier_dashboards_", dir=arguments.scratch)
    port = free_port()
    config = os.path.join(directory, "config.yml")
    with open(config, "w", encoding="utf-8") as file:
        file.write("global: {}\n")
    server = Server("server", [os.path.abspath(arguments.tarsier), f"--config.file={config}",
                               f"--storage.tsdb.path={directory}/data", f"--web.listen-address=127.0.0.1:{port}",
                               "--query.result-cache-size=0B", "--web.max-connections=1000"], port, directory)
    try:
        server.start()
        loop = asyncio.get_running_loop()
        begin, end = [loop.create_future() for _ in range(CONNECTIONS)], []
        writes, looks = Figures(), Figures()
        loaded = asyncio.gather(*begin)
        tasks = [write(i, port, arguments, writes, begin, end) for i in range(CONNECTIONS)]
        tasks += [look(i, port, arguments, looks, begin) for i in range(arguments.clients)]
        work = asyncio.gather(*tasks)
        await loaded
        cpu = cpu_seconds(server.process.pid)
        await work
        cpu = cpu_seconds(server.process.pid) - cpu
        print(writes.text(f"writes of {SAMPLES} samples"))
        print(looks.text(f"queries of {arguments.clients} clients"))
        print(f"{len(writes.latencies) * SAMPLES / arguments.seconds / 1000:.0f} k samples/s and "
              f"{len(looks.latencies) / arguments.seconds:.0f} queries/s for {arguments.seconds:.0f} s, server CPU {cpu:.1f} s, "
              f"memory {anonymous_bytes(server.process.pid) / 2**20:.0f} MiB, load {os.getloadavg()[0]:.1f}")
        gone = sorted(disconnect_milliseconds(server.url, port) for _ in range(5))
        print(f"queries of closed connections gone after {gone[0]:.0f} to {gone[-1]:.0f} ms, median {gone[2]:.0f} ms")
    finally:
        if server.process is not None:
            server.stop()
        shutil.rmtree(directory, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tarsier", help="the program: a release build")
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--rate", type=float, default=200_000, help="samples a second")
    parser.add_argument("--pause", type=float, default=1, help="seconds between a client's queries")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--scratch", default=None, help="directory for the data, on a real disk")
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
