"""A day without a receiver, kill -9 in its middle: nothing that fired or ended stays untold.

The real program on a clock that runs fast (`fast_clock.c`, preloaded): a day takes a minute. By itself, and slower:

    TARSIER=build/release/tarsier TARSIER_CLOCK_SPEED=360 python3 tests/end_to_end/test_page_outage.py
"""

import collections
import http.server
import json
import os
import subprocess
import threading
import time
import unittest

from processes import EndToEndTest, Server, free_port, http as fetch, wait_until

SPEED = float(os.environ.get("TARSIER_CLOCK_SPEED", "1440"))
HOUR = 3600
OUTAGE = (0.5 * HOUR, 24.5 * HOUR)  # Since the start of the clock.
KILL_AT = 12 * HOUR
ALERTS = 36
EVERY, LASTS = 40 * 60, 2 * HOUR    # One begins every 40 minutes and lasts two hours.


class Receiver(http.server.ThreadingHTTPServer):
    """Keeps every request it ever saw; answers 200, 503, or hangs up."""

    daemon_threads = True

    def __init__(self, port, behaviour, seen, delivered):
        self.behaviour, self.seen, self.delivered = behaviour, seen, delivered
        super().__init__(("127.0.0.1", port), Hook)
        self.thread = threading.Thread(target=self.serve_forever, daemon=True)
        self.thread.start()

    def end(self):
        self.shutdown()
        self.server_close()
        self.thread.join()

    def handle_error(self, request, client_address):
        pass


class Hook(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        server = self.server
        server.seen.append((self.headers["webhook-id"], body))
        if server.behaviour == "hang up":
            self.connection.close()
            return
        if server.behaviour == 200:
            server.delivered.append((self.headers["webhook-id"], body))
        self.send_response(server.behaviour)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments):
        pass


class PageOutageTest(EndToEndTest):
    def setUp(self):
        super().setUp()
        self.since = time.time()
        shim = self.path("fast_clock.so")
        subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", shim,
                        os.path.join(os.path.dirname(os.path.abspath(__file__)), "fast_clock.c")], check=True)
        self.environment = {"FAST_CLOCK_SINCE": repr(self.since), "FAST_CLOCK_SPEED": repr(SPEED), "LD_PRELOAD": shim}
        self.port, self.hook_port = free_port(), free_port()
        self.seen, self.delivered = [], []
        rules = "groups:\n- name: day\n  interval: 2m\n  rules:\n"
        for i in range(ALERTS):
            begin = self.since + 600 + i * EVERY
            rules += (f"  - {{alert: Alert{i}, expr: 'vector(time()) >= {begin:.0f} < {begin + LASTS:.0f}', "
                      f"annotations: {{since: '{i}'}}}}\n")
        self.write("rules.yml", rules)
        self.config = self.write("tarsier.yml", f"""
rule_files: [{self.path('rules.yml')}]
notifier:
  route: {{receiver: hook, group_by: [alertname], group_wait: 0s, group_interval: 5m, repeat_interval: 3d}}
  receivers: [{{name: hook, webhook_configs: [{{url: 'http://127.0.0.1:{self.hook_port}/'}}]}}]
""")

    def start(self):
        command = ["env", *(f"{k}={v}" for k, v in self.environment.items()), os.environ["TARSIER"],
                   f"--config.file={self.config}", f"--storage.tsdb.path={self.path('data')}",
                   f"--web.listen-address=127.0.0.1:{self.port}"]
        return self.add(Server("tarsier", command, self.port, self.directory)).start()

    def receiver(self, behaviour):
        return Receiver(self.hook_port, behaviour, self.seen, self.delivered)

    def until(self, seconds):
        """Waits until that many seconds of the fast clock have passed."""
        time.sleep(max(0.0, self.since + seconds / SPEED - time.time()))

    def notifications(self, server):
        return json.loads(fetch(server.url + "/api/tarsier/v1/notifications")[1])["data"]["notifications"]

    def test_a_day_without_a_receiver_and_a_kill_lose_no_page(self):
        server = self.start()
        hook = self.receiver(200)
        self.until(OUTAGE[0])
        hook.end()  # Refused connections at first,
        before = len(self.delivered)
        self.until(OUTAGE[0] + 6 * HOUR)
        hook = self.receiver("hang up")  # then no answers,
        self.until(KILL_AT)
        server.kill()
        killed_at = (time.time() - self.since) * SPEED
        server = self.start()
        back_after = (time.time() - self.since) * SPEED - killed_at
        self.until(OUTAGE[0] + 16 * HOUR)
        hook.behaviour = 503  # then errors.
        self.until(OUTAGE[1])
        self.assertEqual(len(self.delivered), before, "somebody was told in the outage")
        queued = [n for n in self.notifications(server) if n["state"] == "queued"]
        hook.behaviour = 200
        self.until(600 + ALERTS * EVERY + LASTS)
        wait_until(lambda: not server.get("/api/v1/alerts")["alerts"], "the end of every alert")
        wait_until(lambda: all(n["state"] == "delivered" for n in self.notifications(server)), "an empty queue")

        contents = {}
        for message_id, body in self.seen:
            self.assertEqual(contents.setdefault(message_id, body), body, "one id with two contents")
        messages = dict(self.delivered)
        told = collections.defaultdict(list)
        for body in messages.values():
            for alert in json.loads(body)["alerts"]:
                told[alert["labels"]["alertname"]].append((alert["status"], alert["startsAt"]))
        history = json.loads(fetch(server.url + "/api/tarsier/v1/alerts/history?limit=10000")[1])["data"]["events"]
        for event, status in (("firing", "firing"), ("resolved", "resolved")):
            happened = collections.Counter(e["labels"]["alertname"] for e in history if e["event"] == event)
            for i in range(ALERTS):
                name = f"Alert{i}"
                self.assertGreaterEqual(happened[name], 1, f"{name} never was {event}")
                self.assertEqual(len({s for s in told[name] if s[0] == status}), happened[name], (name, told[name]))
        for name, statuses in told.items():
            # Ends after begins. In between a receiver may hear of an end and a new begin: on this clock a machine that
            # stands still for a third of a second leaves its alerts untold for so long that they count as over.
            self.assertEqual((statuses[0][0], statuses[-1][0]), ("firing", "resolved"), (name, statuses))
        print(f"{(OUTAGE[1] - OUTAGE[0]) / HOUR:.0f} h without a receiver at {SPEED:.0f} times the clock, killed at "
              f"{killed_at / HOUR:.1f} h and back after {back_after / 60:.0f} min: {len(queued)} messages were waiting, "
              f"{len(self.seen)} attempts of {len(contents)} ids, {len(self.delivered)} deliveries of {len(messages)} ids, "
              f"{ALERTS} alerts told firing and resolved", flush=True)


if __name__ == "__main__":
    unittest.main()
