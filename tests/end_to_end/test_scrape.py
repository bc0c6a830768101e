"""A real exporter is scraped, and what is stored is what it served."""

import http.server
import re
import threading
import time
import unittest

from processes import EndToEndTest, Server, free_port, http as fetch, wait_until

SAMPLE = re.compile(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{.*\})? (\S+)$")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')


def normal(name, value):
    """Bounds are numbers: the scraper writes "1" as "1.0", whatever the exporter wrote."""
    return float(value) if name in ("le", "quantile") else value


def parse(body):
    """{(name, sorted label pairs): value text} of a text exposition."""
    samples = {}
    for line in body.splitlines():
        match = SAMPLE.match(line)
        if not match:
            continue
        name, labels, value = match.groups()
        pairs = tuple(sorted(
            (k, normal(k, v.replace('\\"', '"').replace("\\n", "\n").replace("\\\\", "\\")))
            for k, v in LABEL.findall(labels or "") if v))
        samples[name, pairs] = float(value)
    return samples


class Recorder(http.server.ThreadingHTTPServer):
    """Stands between the scraper and an exporter and remembers each body it passed on."""

    def __init__(self, exporter_url):
        self.exporter_url = exporter_url
        self.bodies = []
        self.accepts = []
        super().__init__(("127.0.0.1", 0), RecordingHandler)


class RecordingHandler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = fetch(self.server.exporter_url + "/metrics")[1]
        self.server.bodies.append(body)
        self.server.accepts.append(self.headers.get("Accept", ""))
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *arguments):
        pass


class ScrapeTest(EndToEndTest):
    def start_exporter(self):
        port = free_port()
        return self.add(Server("node_exporter", [
            self.need("prometheus-node-exporter"), f"--web.listen-address=127.0.0.1:{port}",
            "--no-collector.systemd", "--log.level=error"], port, self.directory,
            ready_path="/metrics")).start()

    def test_stored_values_are_those_the_exporter_served(self):
        recorder = Recorder(self.start_exporter().url)
        thread = threading.Thread(target=recorder.serve_forever)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(recorder.server_close)
        self.addCleanup(recorder.shutdown)
        target = f"127.0.0.1:{recorder.server_address[1]}"
        tarsier = self.tarsier(f"""
scrape_configs:
  - job_name: node
    scrape_interval: 1s
    static_configs: [{{targets: ["{target}"]}}]
""").start()
        wait_until(lambda: len(recorder.bodies) >= 4, "four scrapes")
        time.sleep(0.5)
        now = time.time()
        stored = tarsier.query('{job="node"}[1m]', now)
        scrape_times = [t for series in stored if series["metric"]["__name__"] == "up"
                        for t, v in series["values"] if v == "1"]
        self.assertGreaterEqual(len(scrape_times), 4)
        by_series = {}
        for series in stored:
            labels = dict(series["metric"])
            name = labels.pop("__name__")
            self.assertEqual(labels.pop("instance"), target)
            self.assertEqual(labels.pop("job"), "node")
            by_series[name, tuple(sorted((k, normal(k, v)) for k, v in labels.items()))] = dict(
                (t, float(v)) for t, v in series["values"])
        compared = 0
        for i, t in enumerate(scrape_times[:4]):
            served = parse(recorder.bodies[i])
            self.assertGreater(len(served), 300)
            for key, value in served.items():
                got = by_series[key].get(t)
                self.assertTrue(got == value or (got != got and value != value),
                                f"scrape {i} {key}: served {value}, stored {got}")
                compared += 1
        print(f"{compared} samples of 4 scrapes compared", end=" ", flush=True)
        self.assertIn("application/openmetrics-text", recorder.accepts[0])
        rates = tarsier.query("rate(node_cpu_seconds_total[1m])", now)
        self.assertTrue(rates and all(float(r["value"][1]) >= 0 for r in rates))

    def test_a_target_that_goes_away_turns_stale_and_down(self):
        exporter = self.start_exporter()
        tarsier = self.tarsier(f"""
scrape_configs:
  - job_name: node
    scrape_interval: 1s
    static_configs: [{{targets: ["127.0.0.1:{exporter.port}"]}}]
""").start()
        wait_until(lambda: tarsier.query("node_load1"), "first scrape")
        exporter.kill()
        wait_until(lambda: [r for r in tarsier.query("up") if r["value"][1] == "0"], "up is 0")
        self.assertEqual(tarsier.query("node_load1"), [])
        target = tarsier.get("/api/v1/targets")["activeTargets"][0]
        self.assertEqual(target["health"], "down")
        self.assertNotEqual(target["lastError"], "")

    def test_bad_exposition_is_reported_and_the_rest_goes_on(self):
        class Bad(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.end_headers()
                self.wfile.write(b"good_metric 1\nbad metric line {{{ 2\n")

            def log_message(self, *arguments):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Bad)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        port = free_port()
        config = f"""
scrape_configs:
  - job_name: bad
    scrape_interval: 1s
    static_configs: [{{targets: ["127.0.0.1:{server.server_address[1]}"]}}]
"""
        tarsier = self.tarsier(config).start()
        wait_until(lambda: tarsier.query('up{job="bad"} == 0'), "up is 0")
        self.assertEqual(tarsier.query("good_metric"), [])
        target = tarsier.get("/api/v1/targets")["activeTargets"][0]
        self.assertIn("line", target["lastError"])
        self.assertEqual(fetch(tarsier.url + "/-/healthy")[0], 200)
        self.assertEqual(tarsier.stop(), 0)


if __name__ == "__main__":
    unittest.main()
