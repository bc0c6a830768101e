#!/usr/bin/env python3
"""How long a page takes: from the decision that an alert fires to the first byte at a webhook, group_wait 0.

    tests/bench/pages.py --tarsier build/release/tarsier

Two ways in. "posted": an alert posted to /api/v2/alerts, from before the request. "rule": an alert of this server's own
rule, from the evaluation time (its startsAt), so with the query, the journal and the notifier's log, both synced. Rules
page first into an idle notifier, then many groups at once, and then again one by one while as many groups as alerts were
posted are looked at every second.
"""

import argparse
import calendar
import json
import os
import shutil
import socket
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "end_to_end"))

from processes import Server, free_port, http, wait_until  # noqa: E402
from remote_write import send  # noqa: E402


class Receiver:
    """Notes when the first byte of each request comes, and which alerts it is about."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.socket.getsockname()[1]
        self.arrived = {}  # By the alert's label `page`: (time, startsAt).
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            connection = self.socket.accept()[0]
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        data = b""
        first = None
        while True:
            piece = connection.recv(65536)
            if not piece:
                return
            if not data:
                first = time.time()
            data += piece
            head, separator, body = data.partition(b"\r\n\r\n")
            length = next((int(line.split(b":")[1]) for line in head.split(b"\r\n")
                           if line.lower().startswith(b"content-length:")), 0)
            if not separator or len(body) < length:
                continue
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            for alert in json.loads(body[:length])["alerts"]:
                self.arrived.setdefault(alert["labels"]["page"], (first, alert["startsAt"]))
            data = b""


def quantiles(name, seconds):
    seconds = sorted(seconds)
    at = lambda q: seconds[min(len(seconds) - 1, int(q * len(seconds)))] * 1000  # noqa: E731
    print(f"{name}: {len(seconds)} pages, median {at(0.5):.1f} ms, p90 {at(0.9):.1f} ms, p99 {at(0.99):.1f} ms, "
          f"worst {seconds[-1] * 1000:.1f} ms", flush=True)


def unix_seconds(text):
    whole, _, fraction = text.rstrip("Z").partition(".")
    return calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) + float("0." + (fraction or "0"))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tarsier", required=True)
    parser.add_argument("--posted", type=int, default=500)
    parser.add_argument("--rule", type=int, default=100, help="pages of a rule, one a second, each time")
    parser.add_argument("--burst", type=int, default=60, help="pages of a rule at once, five times")
    parser.add_argument("--directory", help="for the data; not a tmpfs")
    options = parser.parse_args()
    directory = tempfile.mkdtemp(prefix="pages_", dir=options.directory)
    receiver = Receiver()
    config = os.path.join(directory, "config.yml")
    with open(config, "w", encoding="utf-8") as file:
        file.write(f"""
rule_files: [{directory}/rules.yml]
notifier:
  route: {{receiver: hook, group_by: [page], group_wait: 0s, group_interval: 1s}}
  receivers: [{{name: hook, webhook_configs: [{{url: 'http://127.0.0.1:{receiver.port}/'}}]}}]
""")
    with open(os.path.join(directory, "rules.yml"), "w", encoding="utf-8") as file:
        file.write("groups: [{name: g, interval: 1s, rules: [{alert: Page, expr: fault > 0}]}]\n")
    port = free_port()
    server = Server("tarsier", [options.tarsier, f"--config.file={config}", f"--storage.tsdb.path={directory}/data",
                                "--web.enable-remote-write-receiver", f"--web.listen-address=127.0.0.1:{port}"],
                    port, directory).start()
    try:
        def pages_of_rule(name, prefix):
            for i in range(options.rule):
                send(server.url, [({"__name__": "fault", "page": f"{prefix}{i}"}, [(int(time.time() * 1000), 1.0)])])
                time.sleep(1)
            wait_until(lambda: all(f"{prefix}{i}" in receiver.arrived for i in range(options.rule)), "every page")
            quantiles(name, [receiver.arrived[f"{prefix}{i}"][0] - unix_seconds(receiver.arrived[f"{prefix}{i}"][1])
                             for i in range(options.rule)])

        pages_of_rule("rule, notifier idle", "a")
        delays = []
        for turn in range(5 if options.burst else 0):
            names = [f"b{turn}.{i}" for i in range(options.burst)]
            now = int(time.time() * 1000)
            send(server.url, [({"__name__": "fault", "page": name}, [(now, 1.0)]) for name in names])
            wait_until(lambda: all(name in receiver.arrived for name in names), "every page of a burst")
            delays += [receiver.arrived[name][0] - unix_seconds(receiver.arrived[name][1]) for name in names]
            time.sleep(2)
        if delays:
            quantiles(f"rule, {options.burst} groups at once", delays)
        delays = []
        for i in range(options.posted):
            begun = time.time()
            body = json.dumps([{"labels": {"alertname": "Posted", "page": f"p{i}"}}]).encode()
            status, text = http(server.url + "/api/v2/alerts", body, {"Content-Type": "application/json"})
            if status != 200:
                raise AssertionError(text)
            while f"p{i}" not in receiver.arrived:
                time.sleep(0.001)
            delays.append(receiver.arrived[f"p{i}"][0] - begun)
        quantiles("posted", delays)
        pages_of_rule(f"rule, {options.posted} other groups every second", "r")
    finally:
        server.kill()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
