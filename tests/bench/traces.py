#!/usr/bin/env python3
"""Spans through the whole server: receiving, counting, sampling, storing, asking.

  tests/bench/traces.py build/release/tarsier                           2 million spans over OTLP/HTTP, default sampling
  tests/bench/traces.py build/release/tarsier --door grpc               the same over gRPC (needs python3-grpcio)
  tests/bench/traces.py build/release/tarsier --keep-all --spans 20000000 --ask      everything stored, then asked for
  tests/bench/traces.py build/release/tarsier --buffer-memory 32MiB     a small budget: overload
  tests/bench/traces.py - --url http://127.0.0.1:4318/v1/traces --pid N  the same load for another program that runs already

A trace is 8 spans of four services with eleven attributes each, about 480 bytes a span; 1 % of the traces have an error, 1 % take
5 s instead of about 50 ms. Requests are made beforehand; on sending, their trace ids (and every few rounds they themselves) are made
anew. The sender is on the same cores, so spans/s is a lower bound; CPU is user and system time of the server alone, from /proc.
"""

import argparse
import concurrent.futures
import http.client
import json
import os
import random
import shutil
import sys
import tempfile
import time
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "end_to_end"))
from otlp import Span, protobuf_request  # noqa: E402
from processes import Server, free_port, http as ask  # noqa: E402

MARK = bytes.fromhex("a55aa55aa55aa55a")  # The high half of every trace id, until it is sent.
TRACES_PER_REQUEST = 64
ROUTES = [f"/api/v1/{noun}/{verb}" for noun in ("cart", "order", "user", "stock") for verb in ("get", "list", "put")]


class Request:
    """A request with its traces, sent under a new number each time."""

    def __init__(self, chance):
        self.chance = chance
        self.make()

    def make(self):
        spans, self.errors, self.slow = [], [], []
        for _ in range(TRACES_PER_REQUEST):
            low = f"{self.chance.getrandbits(64) | 1:016x}"
            is_error, is_slow = self.chance.random() < 0.01, self.chance.random() < 0.01
            (self.errors if is_error else []).append(low)
            (self.slow if is_slow else []).append(low)
            start, took = time.time_ns(), 5_000_000_000 if is_slow else self.chance.randrange(20, 80) * 1_000_000
            parent = ""
            for depth, service in enumerate(["gateway", "gateway", "shop", "shop", "stock", "stock", "db", "db"]):
                route = self.chance.choice(ROUTES)
                span_id = f"{self.chance.getrandbits(64) | 1:016x}"
                spans.append(Span(service, f"{'GET' if depth % 2 == 0 else 'call'} {route}", MARK.hex() + low, span_id,
                                  start + depth * 1_000_000, took - 2 * depth * 1_000_000, kind=2 if depth % 2 == 0 else 3,
                                  parent_id=parent, status=2 if is_error and depth > 5 else 0, attributes={
                                      "http.request.method": "GET", "http.route": route, "url.scheme": "https",
                                      "http.response.status_code": 500 if is_error else 200, "server.port": 8443,
                                      "server.address": f"{service}-{self.chance.randrange(20)}.prod.internal",
                                      "user.id": f"u{self.chance.randrange(100000)}",
                                      "user_agent.original": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36",
                                      "network.protocol.version": "1.1", "thread.id": self.chance.randrange(64),
                                      "k8s.pod.name": f"{service}-7c9f8d6b5-{self.chance.randrange(40):05d}"}))
                parent = span_id
        self.bytes, self.span_count, self.uses = protobuf_request(spans), len(spans), 0

    def next(self, number):
        self.uses += 1
        if self.uses % 200 == 0:
            self.make()
        high = (0x5EED << 48 | number).to_bytes(8, "big")
        return self.bytes.replace(MARK, high), high.hex()


class HttpDoor:
    def __init__(self, url):
        self.parts = urllib.parse.urlsplit(url)
        self.connection = http.client.HTTPConnection(self.parts.netloc, timeout=60)

    def send(self, body):
        self.connection.request("POST", self.parts.path, body, {"Content-Type": "application/x-protobuf"})
        answer = self.connection.getresponse()
        answer.read()
        return answer.status == 200


class GrpcDoor:
    def __init__(self, address):
        import grpc
        self.error = grpc.RpcError
        self.call = grpc.insecure_channel(address).unary_unary("/opentelemetry.proto.collector.trace.v1.TraceService/Export")

    def send(self, body):
        try:
            self.call(body, timeout=60)
            return True
        except self.error:
            return False


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def anonymous_mib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return int(next(line.split()[1] for line in file if line.startswith("RssAnon"))) / 1024


def disk_bytes(path):
    return sum(os.path.getsize(os.path.join(where, name)) for where, _, names in os.walk(path) for name in names)


def share(worker, options, url, grpc_address):
    """One connection's part of the load: (spans taken, requests refused, some of the ids to be kept)."""
    door = GrpcDoor(grpc_address) if options.door == "grpc" else HttpDoor(url)
    requests = [Request(random.Random(options.seed * 1000 + worker * 100 + i)) for i in range(8)]
    taken, refused, number, errors, slow = 0, 0, worker << 32, [], []
    while taken < options.spans // options.connections:
        request = requests[number % len(requests)]
        body, high = request.next(number)
        number += 1
        if not door.send(body):
            refused += 1
            time.sleep(0.05)
            continue
        taken += request.span_count
        if len(errors) < 300:
            errors += [high + low for low in request.errors]
        if len(slow) < 300:
            slow += [high + low for low in request.slow]
    return taken, refused, errors, slow


def times(values):
    values = sorted(values)
    return f"p50 {values[len(values) // 2] * 1000:.1f} ms, p99 {values[len(values) * 99 // 100] * 1000:.1f} ms"


def timed(url, **arguments):
    start = time.monotonic()
    status, text = ask(url, timeout=120, **arguments)
    return time.monotonic() - start, status, text


def show_answers(base, ids, begun):
    took = [timed(f"{base}/tempo/api/traces/{trace_id}")[0] for trace_id in random.Random(1).sample(ids, min(500, len(ids)))]
    print(f"  trace by id:        {times(took)} ({len(took)} ids)")
    took = [timed(f"{base}/api/tarsier/v1/sampling/decisions/{trace_id}")[0] for trace_id in ids[:200]]
    print(f"  decision by id:     {times(took)}")
    window = {"start": int(begun), "end": int(time.time()) + 1, "limit": 20}
    for query in ('{ status = error }', '{ resource.service.name = "db" && duration > 4s }', '{ span.user.id = "u777" }',
                  '{ span.http.response.status_code = 500 } | count() > 2', '{ status = error } >> { resource.service.name = "db" }'):
        url = f"{base}/tempo/api/search?" + urllib.parse.urlencode({"q": query, **window})
        rounds = [timed(url) for _ in range(5)]
        found = len(json.loads(rounds[0][2]).get("traces", []))
        print(f"  search:             {sorted(r[0] for r in rounds)[2] * 1000:8.1f} ms  {found:3} traces  {query}")
    url = f"{base}/tempo/api/metrics/query_range?" + urllib.parse.urlencode(
        {"q": "{ } | rate() by (resource.service.name)", "start": window["start"], "end": window["end"], "step": "10s"})
    print(f"  metrics over all:   {timed(url)[0] * 1000:8.1f} ms")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tarsier", help="the program, or - with --url and --pid")
    parser.add_argument("--spans", type=int, default=2_000_000)
    parser.add_argument("--connections", type=int, default=2)
    parser.add_argument("--door", choices=["http", "grpc"], default="http")
    parser.add_argument("--keep-all", action="store_true", help="always_sample instead of the default policies")
    parser.add_argument("--buffer-memory", default="256MiB")
    parser.add_argument("--ask", action="store_true", help="times of queries at the end")
    parser.add_argument("--url")
    parser.add_argument("--pid", type=int)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()

    directory = tempfile.mkdtemp(prefix="tarsier_traces_")
    server, pid = None, options.pid
    grpc_port, port = free_port(), free_port()
    url, base = options.url, f"http://127.0.0.1:{port}"
    try:
        if options.tarsier != "-":
            policies = ", policies: [{name: all, type: always_sample}]" if options.keep_all else ""
            with open(os.path.join(directory, "tarsier.yml"), "w", encoding="utf-8") as file:
                file.write(f"traces:\n  sampling: {{decision_wait: 10s, buffer_memory: {options.buffer_memory}{policies}}}\n")
            server = Server("tarsier", [os.path.abspath(options.tarsier), f"--config.file={directory}/tarsier.yml",
                                        f"--storage.tsdb.path={directory}/data", f"--web.listen-address=127.0.0.1:{port}",
                                        f"--otlp.grpc-address=127.0.0.1:{grpc_port}"], port, directory)
            server.start()
            pid, url = server.process.pid, f"{base}/v1/traces"
        grpc_address = urllib.parse.urlsplit(url).netloc if options.tarsier == "-" else f"127.0.0.1:{grpc_port}"
        begun, start, cpu = time.time(), time.monotonic(), cpu_seconds(pid)
        peak = 0.0
        with concurrent.futures.ProcessPoolExecutor(options.connections) as pool:
            parts = [pool.submit(share, i, options, url, grpc_address) for i in range(options.connections)]
            while not all(part.done() for part in parts):
                time.sleep(0.1)
                peak = max(peak, anonymous_mib(pid))
            taken, refused, errors, slow = (list(column) for column in zip(*(part.result() for part in parts)))
        took = time.monotonic() - start
        spans = sum(taken)
        print(f"{spans} spans over {options.door}, {options.connections} connections: {spans / took:,.0f} spans/s, "
              f"{sum(refused)} requests refused and repeated")
        time.sleep(15 if server else 0)  # Until the last are decided.
        print(f"  CPU per million:    {(cpu_seconds(pid) - cpu) / spans * 1e6:.2f} s")
        print(f"  anonymous memory:   peak {peak:.0f} MiB")
        if server:
            wanted = sum(errors, []) + sum(slow, [])
            missing = [i for i in wanted if ask(f"{base}/tempo/api/traces/{i}")[0] != 200]
            print(f"  errors and slow:    {len(wanted) - len(missing)} of {len(wanted)} looked for are stored")
            if options.ask:
                show_answers(base, wanted, begun)
            server.stop()
            traces = os.path.join(directory, "data", "tarsier", "traces")
            parts = {name: disk_bytes(os.path.join(traces, name)) for name in ("blocks", "log", "spans", "decisions")}
            print("  on disk:            " + ", ".join(f"{name} {size / 2**20:.1f} MiB" for name, size in parts.items()))
            if options.keep_all:
                print(f"  bytes per span:     {(parts['blocks'] + parts['log']) / spans:.1f}")
    finally:
        if server:
            server.stop()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
