"""What Grafana asks of its data sources, and what it reads of the answers; the dashboards and rules we ship."""

import json
import os
import pathlib
import re
import subprocess
import sys
import time
import unittest
import urllib.parse
import urllib.request

from otlp import Span, json_request
from processes import EndToEndTest, Server, free_port, http, wait_until

TARSIER = os.environ["TARSIER"]
GRAFANA = pathlib.Path(__file__).resolve().parents[2] / "dashboards/grafana"
TRACE = "0af7651916cd43dd8448eb211c80319c"

CONFIG = """
global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}
rule_files: [rules.yml]
slo_files: [slos.yml]
storage: {exemplars: {max_exemplars: 1000}}
traces:
  sampling: {decision_wait: 2s, decision_wait_after_root_received: 200ms}
  span_metrics: {interval: 1s}
  service_graph: {interval: 1s, wait: 2s}
scrape_configs:
- job_name: prometheus
  static_configs: [{targets: ['127.0.0.1:%(port)d']}]
- job_name: node
  static_configs: [{targets: ['127.0.0.1:%(node)d']}]
"""
RULES = """
groups:
- name: g
  rules:
  - {record: 'job:up:sum', expr: 'sum by (job) (up)'}
  - {alert: Always, expr: 'vector(1)', labels: {severity: none}, annotations: {summary: it fires}}
"""
SLOS = """
slos:
- name: availability
  service: shop
  objective: 99
  sli:
    errors: 'traces_spanmetrics_calls_total{service="shop",status_code="STATUS_CODE_ERROR"}'
    total: 'traces_spanmetrics_calls_total{service="shop"}'
"""


class Grafana(EndToEndTest):
    @classmethod
    def setUpClass(cls):
        """One server for all tests of this class: it takes a while until it has something of everything."""
        cls.fixture = cls("run_nothing")
        EndToEndTest.setUp(cls.fixture)
        try:
            cls.fixture.start_all()
        except BaseException:
            cls.fixture.doCleanups()
            raise
        cls.server = cls.fixture.server
        cls.start_s = cls.fixture.start_s

    @classmethod
    def tearDownClass(cls):
        cls.fixture.doCleanups()

    def setUp(self):
        """Nothing of its own."""

    def run_nothing(self):
        """What the fixture is a test of."""

    def start_all(self):
        node, port = free_port(), free_port()
        self.write("rules.yml", RULES)
        self.write("slos.yml", SLOS)
        exporter = self.add(Server("node_exporter", [
            self.need("prometheus-node-exporter"), f"--web.listen-address=127.0.0.1:{node}"], node, self.directory, "/"))
        exporter.start()
        config = self.write("tarsier.yml", CONFIG % {"port": port, "node": node})
        self.server = self.add(Server("tarsier", [
            TARSIER, f"--config.file={config}", f"--storage.tsdb.path={self.path('data')}",
            f"--web.listen-address=127.0.0.1:{port}", "--otlp.http-address=", "--otlp.grpc-address=",
            "--enable-feature=exemplar-storage"], port, self.directory))
        self.server.start()
        self.start_s = time.time()
        self.send(TRACE, error=2)
        time.sleep(2.5)
        for n in range(20):
            self.send(f"{n + 1:032x}", error=2 if n % 4 == 0 else 0)
        wait_until(lambda: self.server.query("rate(traces_service_graph_request_total[1m]) > 0"), "calls")
        wait_until(lambda: self.server.query("tarsier_slo_burn_rate and on () rate(tarsier_slo_events_total[5m]) >= 0"),
                   "the objective", 90)
        wait_until(lambda: http(f"{self.server.url}/tempo/api/v2/traces/{TRACE}")[0] == 200, "the trace")

    def send(self, trace_id, error):
        now, own = time.time_ns(), trace_id[-12:]
        spans = [
            Span("shop", "GET /cart", trace_id, "aaaa" + own, now - 300_000_000, 200_000_000, kind=2, status=error),
            Span("shop", "call", trace_id, "bbbb" + own, now - 290_000_000, 150_000_000, kind=3, parent_id="aaaa" + own),
            Span("pay", "Charge", trace_id, "cccc" + own, now - 280_000_000, 100_000_000, kind=2, parent_id="bbbb" + own,
                 status=error)]
        status, text = http(self.server.url + "/v1/traces", json.dumps(json_request(spans)).encode(),
                            {"Content-Type": "application/json"})
        self.assertEqual((status, text), (200, "{}"))

    def form(self, path, **parameters):
        """A POST as Grafana's Prometheus data source sends it."""
        body = urllib.parse.urlencode(parameters, doseq=True).encode()
        status, text = http(self.server.url + path, body, {
            "Content-Type": "application/x-www-form-urlencoded", "User-Agent": "Grafana/11.0.0",
            "X-Grafana-Org-Id": "1", "Accept-Encoding": "identity"})
        self.assertEqual(status, 200, text)
        answer = json.loads(text)
        self.assertEqual(answer["status"], "success")
        return answer["data"]

    def fetch(self, path, **headers):
        """(content type, bytes)"""
        request = urllib.request.Request(self.server.url + path, headers=headers)
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.headers["Content-Type"], response.read()

    def range(self):
        now = int(time.time())
        return {"start": now - 300, "end": now, "step": 15}

    # Prometheus

    def test_prometheus_is_saved_and_tested(self):
        data = self.form("/api/v1/query", query="1+1", time=4)
        self.assertEqual(data, {"resultType": "scalar", "result": [4, "2"]})
        info = self.server.get("/api/v1/status/buildinfo")
        self.assertRegex(info["version"], r"^[23]\.\d+\.\d+$")
        self.assertFalse(info.get("features"), "with features Grafana takes the server for Mimir")

    def test_prometheus_draws_panels(self):
        data = self.form("/api/v1/query_range", query="sum by (job) (up)", **self.range())
        self.assertEqual(data["resultType"], "matrix")
        self.assertEqual({series["metric"]["job"] for series in data["result"]}, {"prometheus", "node"})
        t, v = data["result"][0]["values"][0]
        self.assertIsInstance(t, (int, float))
        self.assertEqual(v, "1")
        instant = self.form("/api/v1/query", query="up", time=f"{time.time():.3f}")
        self.assertEqual(instant["resultType"], "vector")
        # What the query builder and variables ask.
        span = {"start": int(self.start_s) - 600, "end": int(time.time())}
        self.assertIn("job", self.form("/api/v1/labels", **span))
        self.assertIn("job", self.form("/api/v1/labels", **{"match[]": "up"}, **span))
        self.assertEqual(self.server.get("/api/v1/label/job/values", **{"match[]": "up"}, **span), ["node", "prometheus"])
        self.assertIn("up", self.server.get("/api/v1/label/__name__/values", limit=40000, **span))
        series = self.form("/api/v1/series", **{"match[]": "up"}, **span)
        self.assertTrue(all(one["__name__"] == "up" for one in series))
        metadata = self.server.get("/api/v1/metadata", limit=40000)
        self.assertEqual(metadata["prometheus_tsdb_head_series"][0]["type"], "gauge")
        self.assertEqual(self.form("/api/v1/format_query", query="sum(up)"), "sum(up)")

    def test_prometheus_links_exemplars_to_traces(self):
        query = "histogram_quantile(0.95, sum by (le) (rate(traces_spanmetrics_latency_bucket[5m])))"
        data = wait_until(lambda: self.form("/api/v1/query_exemplars", query=query, **self.range()), "exemplars")
        exemplar = data[0]["exemplars"][0]
        self.assertIn("service", data[0]["seriesLabels"])
        self.assertRegex(exemplar["labels"]["trace_id"], "^[0-9a-f]{32}$")
        self.assertIsInstance(exemplar["value"], str)
        self.assertIsInstance(exemplar["timestamp"], (int, float))

    def test_prometheus_lists_rules_and_alerts(self):
        groups = self.server.get("/api/v1/rules")["groups"]
        rules = {rule["name"]: rule for group in groups for rule in group["rules"]}
        self.assertEqual(rules["job:up:sum"]["type"], "recording")
        alert = rules["Always"]
        self.assertEqual((alert["type"], alert["state"], alert["health"]), ("alerting", "firing", "ok"))
        for key in ("query", "duration", "labels", "annotations", "alerts", "evaluationTime", "lastEvaluation"):
            self.assertIn(key, alert)
        for key in ("name", "file", "interval", "evaluationTime", "lastEvaluation"):
            self.assertIn(key, groups[0])
        active = self.server.get("/api/v1/alerts")["alerts"]
        self.assertEqual({key for key in active[0]} & {"labels", "annotations", "state", "activeAt", "value"},
                         {"labels", "annotations", "state", "activeAt", "value"})

    # Tempo

    def tempo(self, path, **parameters):
        query = urllib.parse.urlencode(parameters)
        content_type, body = self.fetch(f"/tempo{path}?{query}", Accept="application/json")
        self.assertIn("application/json", content_type)
        return json.loads(body)

    def test_tempo_is_saved_and_tested(self):
        self.assertEqual(self.fetch("/tempo/api/echo")[1], b"echo")
        self.assertIn("version", self.tempo("/api/status/buildinfo"))

    def test_tempo_finds_traces(self):
        now = int(time.time())
        found = self.tempo("/api/search", q='{resource.service.name="shop"}', limit=20, spss=3, start=now - 3600, end=now)
        trace = next(one for one in found["traces"] if one["traceID"].rjust(32, "0") == TRACE)
        self.assertEqual((trace["rootServiceName"], trace["rootTraceName"]), ("shop", "GET /cart"))
        self.assertRegex(trace["startTimeUnixNano"], r"^\d{19}$")
        self.assertEqual(trace["durationMs"], 200)
        span = trace["spanSets"][0]["spans"][0]
        for key in ("spanID", "startTimeUnixNano", "durationNanos"):
            self.assertIn(key, span)
        self.assertIn("metrics", found)
        tags = self.tempo("/api/v2/search/tags")["scopes"]
        self.assertIn("service.name", next(one for one in tags if one["name"] == "resource")["tags"])
        values = self.tempo("/api/v2/search/tag/resource.service.name/values")["tagValues"]
        self.assertIn({"type": "string", "value": "shop"}, values)

    def test_tempo_opens_traces_as_protobuf(self):
        for path in ("/tempo/api/v2/traces/", "/tempo/api/traces/"):
            content_type, body = self.fetch(path + TRACE, Accept="application/protobuf")
            self.assertEqual(content_type, "application/protobuf", path)
            self.assertIn(b"GET /cart", body)
            self.assertIn(bytes.fromhex(TRACE), body)
        self.assertEqual(http(self.server.url + "/tempo/api/v2/traces/" + "f" * 32)[0], 404)

    def test_tempo_computes_metrics_of_traces(self):
        now = int(time.time())
        data = self.tempo("/api/metrics/query_range", q="{} | rate() by (resource.service.name)", start=now - 300, end=now,
                          step="15s")
        series = data["series"]
        labels = {label["key"]: label["value"] for label in series[0]["labels"]}
        self.assertIn("stringValue", labels["resource.service.name"])
        self.assertTrue(any(float(sample["value"]) > 0 for one in series for sample in one["samples"]))
        self.assertRegex(str(series[0]["samples"][0]["timestampMs"]), r"^\d{13}$")

    def test_tempo_draws_the_service_graph_from_metrics(self):
        for metric in ("request_total", "request_server_seconds_sum", "request_server_seconds_bucket",
                       "request_client_seconds_sum", "request_failed_total"):
            query = f"sum by (client, server) (rate(traces_service_graph_{metric}[300s]))"
            edges = self.form("/api/v1/query", query=query, time=time.time())["result"]
            self.assertIn({"client": "shop", "server": "pay"}, [one["metric"] for one in edges], metric)

    # Jaeger

    def jaeger(self, path, **parameters):
        _, body = self.fetch(f"/jaeger{path}?{urllib.parse.urlencode(parameters)}", Accept="application/json")
        return json.loads(body)["data"]

    def test_jaeger_searches_and_opens_traces(self):
        self.assertIn("shop", self.jaeger("/api/services"))
        self.assertIn("GET /cart", self.jaeger("/api/services/shop/operations"))
        end = int(time.time() * 1e6)
        found = self.jaeger("/api/traces", service="shop", operation="GET /cart", start=end - 3_600_000_000, end=end,
                            lookback="custom", limit=20)
        self.assertTrue(found)
        [trace] = self.jaeger(f"/api/traces/{TRACE}")
        self.assertEqual(len(trace["spans"]), 3)
        span = trace["spans"][0]
        for key in ("traceID", "spanID", "operationName", "references", "startTime", "duration", "tags", "logs", "processID"):
            self.assertIn(key, span)
        self.assertIn(trace["processes"][span["processID"]]["serviceName"], ("shop", "pay"))
        edges = self.jaeger("/api/dependencies", endTs=end // 1000, lookback=3_600_000)
        self.assertIn(("shop", "pay"), [(one["parent"], one["child"]) for one in edges])

    # What we ship

    def command(self, *arguments):
        done = subprocess.run([TARSIER, *arguments], capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, done.stdout + done.stderr

    def test_dashboards_show_something_of_everything(self):
        files = sorted(str(path) for path in (GRAFANA / "dashboards").glob("*.json"))
        self.assertEqual(len(files), 7)
        code, text = self.command("check", "dashboards", f"--url={self.server.url}", "--lint-fatal", *files)
        self.assertEqual(code, 0, text)
        print(f"\n{sum(map(int, re.findall(r'SUCCESS: ([0-9]+) queries', text)))} queries of {len(files)} dashboards have "
              f"{sum(map(int, re.findall(r'([0-9]+) series found', text)))} series", file=sys.stderr)

    def test_dashboards_are_as_generated(self):
        done = subprocess.run([sys.executable, str(GRAFANA / "generate.py"), "--check"], capture_output=True, text=True,
                              timeout=30, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_rules_are_valid_for_us_and_for_promtool(self):
        rules = str(GRAFANA / "rules/tarsier.yml")
        code, text = self.command("check", "rules", rules)
        self.assertEqual(code, 0, text)
        done = subprocess.run([self.need("promtool"), "check", "rules", rules], capture_output=True, text=True,
                              timeout=30, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == "__main__":
    unittest.main()
