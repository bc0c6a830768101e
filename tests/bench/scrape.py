#!/usr/bin/env python3
"""Scraping, beside Prometheus: CPU per million samples, and how late scrapes start.

  tests/bench/scrape.py build/release/tarsier                                     200 targets x 1,000 series at 1 s
  tests/bench/scrape.py build/release/tarsier --targets 10000 --series 20 --interval 15 --seconds 90

Targets live in this process, each on an address of its own (127.x.y.z), and change a tenth of their values from scrape to
scrape. The servers run one after the other, so neither takes the other's cores; CPU is user and system time of the server
alone, from /proc, over whole intervals after a warm-up of three. How late a scrape starts is seen from the targets: the
time after the earliest moment in the interval at which that target was asked. A missed turn counts as an interval.
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
from processes import Server, free_port, http  # noqa: E402

ROUNDS = 10


def bodies(series):
    """Answers to take in turn: counters and gauges with labels as services have them."""
    out = []
    for turn in range(ROUNDS):
        lines = ["# HELP http_requests_total Requests.\n# TYPE http_requests_total counter\n"]
        for i in range(series):
            value = 1000 * i + (turn if i % 10 == turn % 10 else 0)
            lines.append(f'http_requests_total{{handler="/api/v{i % 7}/things",code="{200 + i % 5}",method="GET",'
                         f'shard="{i}"}} {value}\n')
        text = "".join(lines).encode()
        out.append(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: "
                   + str(len(text)).encode() + b"\r\n\r\n" + text)
    return out


class Target(asyncio.Protocol):
    def __init__(self, fleet):
        self.fleet = fleet

    def connection_made(self, transport):
        self.transport, self.rest = transport, b""
        self.host = transport.get_extra_info("sockname")[0]

    def data_received(self, data):
        self.rest += data
        while b"\r\n\r\n" in self.rest:
            _, self.rest = self.rest.split(b"\r\n\r\n", 1)
            asked = self.fleet.asked.setdefault(self.host, [])
            asked.append(time.time())
            self.transport.write(self.fleet.bodies[len(asked) % ROUNDS])


class Fleet:
    def __init__(self, count, series):
        self.bodies, self.asked = bodies(series), {}
        self.hosts = [f"127.{1 + i // 62500}.{i // 250 % 250}.{1 + i % 250}" for i in range(count)]


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def anonymous_bytes(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        for line in file:
            if line.startswith("RssAnon"):
                return int(line.split()[1]) * 1024
    return 0


def lateness(asked, interval, begin, end):
    """(latest start in seconds, turns missed) over all targets."""
    latest, missed = 0.0, 0
    for times in asked.values():
        inside = [t for t in times if begin <= t < end]
        if not inside:
            missed += int((end - begin) / interval)
            continue
        middle = sorted(t % interval for t in inside)[len(inside) // 2]
        apart = [(t % interval - middle + interval / 2) % interval - interval / 2 for t in inside]
        latest = max(latest, max(apart) - min(apart))
        missed += max(0, round((inside[-1] - inside[0]) / interval) + 1 - len(inside))
    return latest, missed


async def measure(name, command, fleet, port, arguments):
    directory = tempfile.mkdtemp(prefix="tarsier_scrape_", dir=arguments.scratch)
    own = free_port()
    config = os.path.join(directory, "config.yml")
    with open(config, "w", encoding="utf-8") as file:
        file.write(f"global: {{scrape_interval: {arguments.interval}s, scrape_timeout: {arguments.interval}s}}\n"
                   "scrape_configs:\n- job_name: fleet\n  static_configs:\n  - targets:\n"
                   + "".join(f"    - {host}:{port}\n" for host in fleet.hosts))
    fleet.asked.clear()
    server = Server(name, [command, f"--config.file={config}", f"--storage.tsdb.path={directory}/data",
                           f"--web.listen-address=127.0.0.1:{own}"], own, directory)
    loop = asyncio.get_running_loop()
    try:
        await loop.run_in_executor(None, server.start)
        await asyncio.sleep(3 * arguments.interval)
        cpu, begin = cpu_seconds(server.process.pid), time.time()
        await asyncio.sleep(arguments.seconds)
        cpu, end = cpu_seconds(server.process.pid) - cpu, time.time()
        scrapes = sum(begin <= t < end for times in fleet.asked.values() for t in times)
        latest, missed = lateness(fleet.asked, arguments.interval, begin, end)
        up = await loop.run_in_executor(None, lambda: server.query('sum(up{job="fleet"})'))
        samples = scrapes * arguments.series
        per_million = cpu / max(samples, 1) * 1e6
        print(f"{name:11} {per_million:8.2f} CPU s/M samples  {cpu / (end - begin):5.2f} cores  {scrapes:7} scrapes  "
              f"latest start {latest * 1000:7.0f} ms  missed {missed:5}  up {up[0]['value'][1] if up else 0}  "
              f"anonymous {anonymous_bytes(server.process.pid) / 2**20:6.0f} MiB  load {os.getloadavg()[0]:.1f}", flush=True)
        return per_million
    finally:
        if server.process is not None:
            await loop.run_in_executor(None, server.stop)
        shutil.rmtree(directory, ignore_errors=True)


async def run(arguments):
    fleet = Fleet(arguments.targets, arguments.series)
    listener = await asyncio.get_running_loop().create_server(
        lambda: Target(fleet), "0.0.0.0", 0, backlog=4096)
    port = listener.sockets[0].getsockname()[1]
    print(f"{arguments.targets} targets x {arguments.series} series every {arguments.interval} s, "
          f"{arguments.seconds} s; {os.cpu_count()} cores", flush=True)
    ours = await measure("tarsier", os.path.abspath(arguments.tarsier), fleet, port, arguments)
    if arguments.peer and shutil.which(arguments.peer):
        theirs = await measure("prometheus", arguments.peer, fleet, port, arguments)
        print(f"ratio {ours / theirs:.3f} (must be at most 0.2)")
    listener.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tarsier", help="the program: a release build")
    parser.add_argument("--peer", default="prometheus", help="what to compare with; empty: nothing")
    parser.add_argument("--targets", type=int, default=200)
    parser.add_argument("--series", type=int, default=1000, help="of each target")
    parser.add_argument("--interval", type=int, default=1, help="seconds")
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--scratch", default=None, help="directory for the data, on a real disk")
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
