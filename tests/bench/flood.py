#!/usr/bin/env python3
"""Millions of new series thrown at a server that takes no more, while those it has go on.

  tests/bench/flood.py build/release/tarsier --existing 1000000 --flood 10000000 --memory-limit 2GiB

The server is limited to the existing series and to so much memory. While connections send new series, others append a sample to
every existing series, round by round. At the end queries count what was acknowledged; printed are the most memory there was
(RssAnon + RssShmem), what was lost, and what a refusal says. Samples of existing series that come in one request with new ones
must be stored as well: every request of the flood has one.
"""

import argparse
import http.client
import os
import shutil
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "end_to_end"))
from processes import Server, free_port  # noqa: E402
from remote_write import snappy_literals, encode_series, _message  # noqa: E402

SERIES = 2000  # Of a request.
UNITS = {"MiB": 1 << 20, "GiB": 1 << 30}


def anonymous_bytes(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        fields = dict(line.split(":", 1) for line in file)
    return sum(int(fields[name].split()[0]) * 1024 for name in ("RssAnon", "RssShmem"))


def body_of(metric, first, count, t, value):
    """`count` series of the metric, numbered from `first`, with one sample each."""
    example = encode_series({"__name__": metric, "id": "00000000", "instance": "10.0.0.1:9100", "job": "bench"}, [(t, value)])
    before, after = (_message(1, example)).split(b"00000000")
    return b"".join(before + b"%08d" % n + after for n in range(first, first + count))


class Sender:
    def __init__(self, port, path="/api/v1/write"):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        self.path = path

    def post(self, body):
        while True:
            self.connection.request("POST", self.path, snappy_literals(body),
                                    {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"})
            answer = self.connection.getresponse()
            text = answer.read().decode()
            if answer.status not in (429, 503):
                return answer.status, text
            time.sleep(0.1)


def in_parallel(count, work):
    threads = [threading.Thread(target=work, args=(i,), daemon=True) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def run(arguments):
    directory = tempfile.mkdtemp(prefix="tarsier_flood_", dir=arguments.scratch)
    port = free_port()
    config = os.path.join(directory, "config.yml")
    with open(config, "w", encoding="utf-8") as file:
        file.write("global: {}\n")
    limit = int(float(arguments.memory_limit[:-3]) * UNITS[arguments.memory_limit[-3:]])
    server = Server("server", [os.path.abspath(arguments.tarsier), f"--config.file={config}", "--log.level=warn",
                               f"--storage.tsdb.path={directory}/data", f"--web.listen-address=127.0.0.1:{port}",
                               f"--storage.head-series-max={0 if arguments.by_memory else arguments.existing + arguments.connections}",
                               f"--storage.memory-limit={limit}B"], port, directory)
    try:
        server.start()
        pid, existing, connections = server.process.pid, arguments.existing, arguments.connections
        t0 = int(time.time()) // 15 * 15_000 - 1_800_000
        peak, done = [0], threading.Event()

        def watch():
            while not done.is_set():
                peak[0] = max(peak[0], anonymous_bytes(pid))
                time.sleep(0.05)

        def append_all(i, t, errors):
            sender = Sender(port)
            for first in range(i * SERIES, existing, connections * SERIES):
                status, text = sender.post(body_of("good", first, min(SERIES, existing - first), t, float(t % 97)))
                if status not in (200, 204):
                    errors.append(text)

        errors, rounds = [], [0]
        threading.Thread(target=watch, daemon=True).start()
        in_parallel(connections, lambda i: append_all(i, t0, errors))
        # So that every request of the flood has an existing series from the begin.
        for i in range(connections):
            Sender(port).post(body_of("along", i, 1, t0, 0.0))
        rounds[0] = 1
        after_load = peak[0]
        print(f"{existing} series: {after_load / 2**20:.0f} MiB", flush=True)
        refusals, along = [], [0] * connections

        def go_on():
            while not done.is_set():
                t = t0 + rounds[0] * 15_000
                in_parallel(2, lambda i: [append_all(k, t, errors) for k in range(i, connections, 2)])
                rounds[0] += 1

        def throw(i):
            sender = Sender(port)
            for n, first in enumerate(range(i * SERIES, arguments.flood, connections * SERIES)):
                body = body_of("flood", first, SERIES, t0, 1.0) + body_of("along", i, 1, t0 + 1 + n, 0.0)
                status, text = sender.post(body)
                along[i] += 1
                if status not in (200, 204):
                    refusals[:] = [f"{status} {text.strip()}"]

        began = time.time()
        going = threading.Thread(target=go_on, daemon=True)
        going.start()
        in_parallel(connections, throw)
        seconds = time.time() - began
        done.set()
        going.join()
        end = (t0 + rounds[0] * 15_000) / 1000
        count = lambda selector: int(float(server.query(f"sum(count_over_time({selector}[2h]))", end)[0]["value"][1]))
        stored, stored_along = count("good"), count("along")
        sent, sent_along = existing * rounds[0], sum(along) + connections
        print(f"{arguments.flood} new series in {seconds:.0f} s, meanwhile {rounds[0]} rounds of all existing ones: "
              f"lost {sent - stored} of {sent}, and {sent_along - stored_along} of {sent_along} in the flood's own requests; "
              f"most memory {peak[0] / 2**20:.0f} of {limit / 2**20:.0f} MiB ({peak[0] / limit:.1%}), load {os.getloadavg()[0]:.1f}\n"
              f"a refusal: {refusals[0][:400] if refusals else 'none'}")
        for error in errors[:3]:
            print("refused, though it existed:", error[:300])
        return 0 if stored == sent and stored_along == sent_along and peak[0] <= limit * 1.1 and refusals else 1
    finally:
        if server.process is not None:
            server.stop(300)
        shutil.rmtree(directory, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tarsier", help="the program: a release build")
    parser.add_argument("--existing", type=int, default=1_000_000)
    parser.add_argument("--flood", type=int, default=10_000_000)
    parser.add_argument("--memory-limit", default="2GiB", help="a number and MiB or GiB")
    parser.add_argument("--by-memory", action="store_true", help="no limit but that of memory: new series are taken as long as there is some")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--scratch", default=None, help="directory for the data, on a real disk")
    sys.exit(run(parser.parse_args()))


if __name__ == "__main__":
    main()
