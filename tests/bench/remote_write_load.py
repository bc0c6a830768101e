#!/usr/bin/env python3
"""Remote write as many senders do it: requests of one or of thousands of samples over one or a thousand connections.

  tests/bench/remote_write_load.py build/release/tarsier --samples 1 --connections 100
  tests/bench/remote_write_load.py build/release/tarsier --samples 2000 --connections 1000 --overload

Each connection sends its own series, one sample each per request, the next request when the last is answered. An answer of
429 is tried again after the second it asks for. At the end every acknowledged sample is counted by queries: none may be
missing. Bodies are Snappy without compression, so they are four times as large as those of real senders; with --overload
that is the point: a thousand connections offer far more than can be taken, memory must stay bounded and a query must be
answered within seconds of the end.
"""

import argparse
import asyncio
import os
import resource
import shutil
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "end_to_end"))
from processes import Server, free_port  # noqa: E402
from remote_write import encode_series, _message, _varint  # noqa: E402
from scrape import anonymous_bytes, cpu_seconds  # noqa: E402

PLACE = 1_600_000_000_000  # Replaced by the time of a request: the same number of bytes.


class Totals:
    def __init__(self):
        self.samples = self.requests = self.put_off = self.failed = 0
        self.latencies = []
        self.peak = 0


def one_literal(data):
    """Snappy without compression in one piece, so that nothing stands between the bytes of a time."""
    return _varint(len(data)) + b"\xf8" + (len(data) - 1).to_bytes(3, "little") + data


def template(connection, samples):
    name = {"__name__": "load", "job": "bench", "connection": f"{connection:04}"}
    return one_literal(b"".join(
        _message(1, encode_series({**name, "instance": f"10.0.0.{i % 250}:9100", "series": f"{i:05}"}, [(PLACE, 1.5)]))
        for i in range(samples)))


async def send(connection, arguments, port, body, totals, end):
    place = _varint(PLACE)
    head = ("POST /api/v1/write HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n"
            f"Content-Encoding: snappy\r\nContent-Length: {len(body)}\r\n\r\n").encode()
    t = int(time.time() * 1000) - 600_000
    reader = writer = None
    while time.time() < end:
        try:
            if writer is None:
                reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 16)
            began = time.perf_counter()
            writer.write(head)
            writer.write(body.replace(place, _varint(t)))
            answer = await reader.readuntil(b"\r\n\r\n")
            status = int(answer[9:12])
            if status == 204:
                totals.latencies.append(time.perf_counter() - began)
                totals.samples += arguments.samples
                totals.requests += 1
                t += 1
                continue
            totals.put_off += status == 429
            totals.failed += status != 429
            writer.close()
            writer = None
            await asyncio.sleep(1 if status == 429 else 0.1)
        except (OSError, asyncio.IncompleteReadError):
            # The answer may be lost, the samples not: the next try is a retry of the same time.
            writer = None
            await asyncio.sleep(0.1)
    if writer is not None:
        writer.close()


async def watch(pid, totals, end):
    while time.time() < end:
        totals.peak = max(totals.peak, anonymous_bytes(pid))
        await asyncio.sleep(0.1)


async def run(arguments):
    directory = tempfile.mkdtemp(prefix="tarsier_write_", dir=arguments.scratch)
    port = free_port()
    config = os.path.join(directory, "config.yml")
    with open(config, "w", encoding="utf-8") as file:
        file.write("global: {}\n")
    server = Server("server", [os.path.abspath(arguments.tarsier), f"--config.file={config}",
                               f"--storage.tsdb.path={directory}/data", f"--web.listen-address=127.0.0.1:{port}",
                               "--web.max-connections=2000"], port, directory)
    try:
        server.start()
        totals, loop = Totals(), asyncio.get_running_loop()
        made = [template(i, arguments.samples) for i in range(min(arguments.connections, 64))]
        # Templates of many connections would take this process's memory: the number is patched in.
        mark = b"connection\x12\x04"
        texts = [made[i] if i < len(made) else made[0].replace(mark + b"0000", mark + f"{i:04}".encode())
                 for i in range(arguments.connections)]
        cpu, before = cpu_seconds(server.process.pid), anonymous_bytes(server.process.pid)
        end = time.time() + arguments.seconds
        await asyncio.gather(watch(server.process.pid, totals, end),
                             *(send(i, arguments, port, texts[i], totals, end) for i in range(arguments.connections)))
        began = time.time()
        found = await loop.run_in_executor(None, lambda: server.query(
            'sum(count_over_time(load{job="bench"}[1h]))'))
        recovery = time.time() - began
        cpu = cpu_seconds(server.process.pid) - cpu
        stored = int(float(found[0]["value"][1])) if found else 0
        totals.latencies.sort()
        at = lambda q: totals.latencies[int(q * (len(totals.latencies) - 1))] * 1000 if totals.latencies else 0
        print(f"{arguments.samples} samples x {arguments.connections} connections, {arguments.seconds:.0f} s: "
              f"{totals.samples / arguments.seconds / 1000:.1f} k samples/s, {totals.requests / arguments.seconds:.0f} requests/s, "
              f"{cpu / max(totals.samples, 1) * 1e6:.2f} CPU s/M samples, "
              f"latency {at(0.5):.1f} / {at(0.99):.1f} ms (median / 99 %), 429: {totals.put_off}, other refusals: {totals.failed}, "
              f"memory {before / 2**20:.0f} -> {totals.peak / 2**20:.0f} MiB, acknowledged {totals.samples}, stored {stored}, "
              f"lost {max(0, totals.samples - stored)}, whole answer {recovery:.1f} s after the end, load {os.getloadavg()[0]:.1f}")
        return 0 if stored >= totals.samples else 1
    finally:
        if server.process is not None:
            server.stop()
        shutil.rmtree(directory, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tarsier", help="the program: a release build")
    parser.add_argument("--samples", type=int, default=2000, help="of each request, one a series")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--overload", action="store_true", help="a thousand connections with 2,000 samples each")
    parser.add_argument("--scratch", default=None, help="directory for the data, on a real disk")
    arguments = parser.parse_args()
    if arguments.overload:
        arguments.samples, arguments.connections = 2000, 1000
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    sys.exit(asyncio.run(run(arguments)))


if __name__ == "__main__":
    main()
