"""Alerts reach real receivers on loopback, through failures and kills, and Debian's amtool works on what is there."""

import base64
import hashlib
import hmac
import http.server
import json
import os
import socket
import struct
import subprocess
import threading
import time
import unittest

from processes import EndToEndTest, Server, free_port, http as fetch, wait_until

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()


class Receiver(http.server.ThreadingHTTPServer):
    """A webhook that answers as `behaviour` says: a status, "reset", "hang" or "drip"."""

    daemon_threads = True
    request_queue_size = 128  # With 5, connections that a test makes at once wait for a second and more.

    def __init__(self, port=0):
        self.behaviour = 200
        self.retry_after = None
        self.lock = threading.Lock()
        self.attempts = []   # (id, body, headers) of every request.
        self.delivered = []  # Those that were answered 200, with their time.
        super().__init__(("127.0.0.1", port), Hook)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/"

    def alerts(self):
        with self.lock:
            return [(json.loads(body)["status"],
                     sorted(a["labels"]["alertname"] for a in json.loads(body)["alerts"]))
                    for _, body, _ in self.delivered]

    def handle_error(self, request, client_address):
        pass  # Broken connections are part of the test.


class Hook(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        arrived = time.time()
        body = self.rfile.read(int(self.headers["Content-Length"]))
        server = self.server
        with server.lock:
            server.attempts.append((self.headers["webhook-id"], body, dict(self.headers)))
            behaviour = server.behaviour
        if behaviour == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            return
        if behaviour == "hang":
            time.sleep(4)
            return
        if behaviour == "drip":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            for _ in range(12):
                self.wfile.write(b".")
                self.wfile.flush()
                time.sleep(0.3)
            return
        if behaviour == 200:
            with server.lock:
                server.delivered.append((self.headers["webhook-id"], body, arrived))
        self.send_response(behaviour)
        if server.retry_after:
            self.send_header("Retry-After", server.retry_after)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments):
        pass


class NotifierTest(EndToEndTest):
    def setUp(self):
        super().setUp()
        self.receiver = Receiver()
        self.addCleanup(self.receiver.server_close)
        self.addCleanup(self.receiver.shutdown)
        self.port = free_port()
        self.secret_file = os.path.join(self.directory, "secret")
        with open(self.secret_file, "w", encoding="utf-8") as file:
            file.write(SECRET + "\n")
        self.config = os.path.join(self.directory, "prometheus.yml")
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(f"""
notifier:
  route:
    receiver: team
    group_by: [alertname]
    group_wait: 0s
    group_interval: 1s
    routes:
    - matchers: ['team="db"']
      receiver: db
  receivers:
  - name: team
    webhook_configs:
    - url: {self.receiver.url}
      timeout: 1s
      signature_secret_files: [{self.secret_file}]
  - name: db
  inhibit_rules:
  - source_matchers: [severity="page"]
    target_matchers: [severity="ticket"]
    equal: [slo]
""")

    def start(self):
        server = Server("tarsier", [
            os.environ["TARSIER"], f"--config.file={self.config}",
            f"--storage.tsdb.path={self.directory}/data",
            f"--web.listen-address=127.0.0.1:{self.port}"], self.port, self.directory)
        self.servers.append(server)
        return server.start()

    def post(self, server, name, ended=False, **labels):
        alert = {"labels": {"alertname": name, **labels}}
        if ended:
            now = time.time()
            alert["endsAt"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now - 1))
            alert["startsAt"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now - 100))
        status, text = fetch(server.url + "/api/v2/alerts", json.dumps([alert]).encode(),
                             {"Content-Type": "application/json"})
        self.assertEqual(status, 200, text)

    def amtool(self, server, *arguments):
        done = subprocess.run([self.need("amtool"), f"--alertmanager.url={server.url}", *arguments],
                              capture_output=True, text=True, timeout=30, check=False)
        return done.returncode, done.stdout if done.returncode == 0 else done.stdout + done.stderr

    def test_alerts_arrive_signed_through_every_failure(self):
        server = self.start()
        self.post(server, "First")
        wait_until(lambda: self.receiver.alerts() == [("firing", ["First"])], "the first alert")
        message_id, body, headers = self.receiver.attempts[0]
        key = base64.b64decode(SECRET[len("whsec_"):])
        text = f"{message_id}.{headers['webhook-timestamp']}.".encode() + body
        self.assertEqual(headers["webhook-signature"],
                         "v1," + base64.b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode())
        self.assertEqual(headers["Idempotency-Key"], message_id)
        self.assertTrue(headers["User-Agent"].startswith("Tarsier/"))
        for i, behaviour in enumerate(["reset", "hang", "drip", 500, 429]):
            name = f"Failing{i}"
            before = len(self.receiver.attempts)
            self.receiver.behaviour = behaviour
            self.receiver.retry_after = "1" if behaviour == 429 else None
            self.post(server, name)
            wait_until(lambda: len(self.receiver.attempts) > before, f"an attempt against {behaviour}")
            time.sleep(1.3 if behaviour in ("hang", "drip") else 0.2)
            self.receiver.behaviour = 200
            self.receiver.retry_after = None
            wait_until(lambda: ("firing", [name]) in self.receiver.alerts(), f"delivery after {behaviour}", 30)
        by_id = {}
        for message_id, body, _ in self.receiver.attempts:
            self.assertEqual(by_id.setdefault(message_id, body), body, "one id with two contents")
        # What is refused for good waits as a dead letter and can be sent again.
        self.receiver.behaviour = 400
        self.post(server, "Refused")
        history = wait_until(lambda: [line for line in self.cli("notifications", server).splitlines() if " dead " in line],
                             "a dead letter")
        self.assertIn("error=unexpected status code 400", history[0])
        self.receiver.behaviour = 200
        self.assertEqual(self.cli("replay", server), "1 dead letters are sent again\n")
        wait_until(lambda: ("firing", ["Refused"]) in self.receiver.alerts(), "the replayed letter")
        self.assertIn('{alertname="First"}', self.cli("list", server))
        metrics = fetch(server.url + "/metrics")[1]
        self.assertIn('alertmanager_notifications_failed_total{integration="webhook",reason="clientError"} ', metrics)

    def cli(self, command, server):
        return subprocess.run([os.environ["TARSIER"], "alert", command, server.url], capture_output=True, text=True,
                              timeout=30, check=True).stdout

    def test_a_kill_in_an_outage_loses_nothing(self):
        server = self.start()
        self.receiver.behaviour = 503
        names = [f"Alert{i}" for i in range(20)]
        for name in names[:10]:
            self.post(server, name)
        wait_until(lambda: len({i for i, _, _ in self.receiver.attempts}) == 10, "ten attempts")
        server.kill()
        server = self.start()
        for name in names[10:]:
            self.post(server, name)
        for name in names[:5]:
            self.post(server, name, ended=True)
        wait_until(lambda: "Alert4\"} firing=0 resolved=1" in self.cli("notifications", server).replace("\\", ""),
                   "the ends are decided")
        server.kill()
        self.receiver.behaviour = 200
        server = self.start()
        want = {("firing", (name,)) for name in names} | {("resolved", (name,)) for name in names[:5]}
        wait_until(lambda: {(s, tuple(n)) for s, n in self.receiver.alerts()} == want, "everything", 90)
        order = self.receiver.alerts()
        for name in names[:5]:
            self.assertLess(order.index(("firing", [name])), order.index(("resolved", [name])))
        by_id = {}
        for message_id, body, _ in self.receiver.attempts:
            self.assertEqual(by_id.setdefault(message_id, body), body, "one id with two contents")

    def test_a_page_leaves_within_a_tenth_of_a_second(self):
        server = self.start()
        delays = []
        for i in range(40):
            began = time.time()
            self.post(server, f"Page{i}")
            wait_until(lambda: len(self.receiver.delivered) > i, "the page", 10)
            delays.append(self.receiver.delivered[i][2] - began)
        delays.sort()
        print(f"page posted to first webhook byte: median {delays[20] * 1000:.1f} ms, "
              f"worst of 40 {delays[-1] * 1000:.1f} ms")


    def test_amtool_works(self):
        server = self.start()
        self.post(server, "Page", severity="page", slo="x", instance="a")
        self.post(server, "Ticket", severity="ticket", slo="x")
        code, text = self.amtool(server, "alert", "query", "-o", "json")
        self.assertEqual(code, 0, text)
        states = {a["labels"]["alertname"]: a["status"]["state"] for a in json.loads(text)}
        self.assertEqual(states, {"Page": "active"})  # amtool hides inhibited ones.
        code, text = self.amtool(server, "alert", "query", "--inhibited", "-o", "json")
        self.assertEqual({a["labels"]["alertname"] for a in json.loads(text)}, {"Ticket"}, text)
        code, silence = self.amtool(server, "silence", "add", "alertname=Page", "instance=~a|b",
                                    "--author=me", "--comment=planned", "--duration=1h")
        self.assertEqual(code, 0, silence)
        silence = silence.strip()
        code, text = self.amtool(server, "silence", "query", "-o", "json")
        self.assertEqual(code, 0, text)
        shown = json.loads(text)
        self.assertEqual([s["id"] for s in shown], [silence])
        self.assertEqual(shown[0]["createdBy"], "me")
        code, text = self.amtool(server, "silence", "query", "alertname=Page", "-q")
        self.assertEqual((code, text.strip()), (0, silence))
        code, text = self.amtool(server, "alert", "query", "--silenced", "-o", "json")
        self.assertEqual({a["labels"]["alertname"] for a in json.loads(text)}, {"Page"}, text)
        server.kill()
        server = self.start()
        code, text = self.amtool(server, "silence", "query", "-q")
        self.assertEqual((code, text.strip()), (0, silence), "silences survive a kill")
        code, text = self.amtool(server, "silence", "update", silence, "--duration=2h")
        self.assertEqual(code, 0, text)
        code, text = self.amtool(server, "silence", "query", "-q")
        self.assertEqual((code, text.strip()), (0, silence), "a longer silence keeps its id")
        self.assertEqual(self.amtool(server, "silence", "expire", silence)[0], 0)
        code, text = self.amtool(server, "silence", "query", "-q")
        self.assertEqual((code, text.strip()), (0, ""))
        code, text = self.amtool(server, "config", "routes", "test", "team=db")
        self.assertEqual((code, text.strip()), (0, "db"))
        code, text = self.amtool(server, "config", "routes", "test", "team=web")
        self.assertEqual((code, text.strip()), (0, "team"))
        code, text = self.amtool(server, "config", "show")
        self.assertEqual(code, 0, text)
        code, text = self.amtool(server, "alert", "add", "Mine", "severity=page")
        self.assertEqual(code, 0, text)
        wait_until(lambda: ("firing", ["Mine"]) in self.receiver.alerts(), "an alert of amtool's")
        status, text = fetch(server.url + "/api/v2/alerts/groups")
        self.assertEqual(status, 200)
        self.assertIn("team", {g["receiver"]["name"] for g in json.loads(text)})


if __name__ == "__main__":
    unittest.main()
