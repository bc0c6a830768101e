"""Senders from npm: OpenTelemetry's SDK for JavaScript (metrics and traces), Zipkin's tracer, prom-client."""

import json
import os
import shutil
import subprocess
import tempfile
import time
import unittest

from processes import EndToEndTest, free_port, http, wait_until

HERE = os.path.dirname(os.path.abspath(__file__))


class JavaScriptSendersTest(EndToEndTest):
    @classmethod
    def setUpClass(cls):
        if shutil.which("npm") is None:
            raise unittest.SkipTest("skipped: npm is not installed")
        cls.senders = tempfile.mkdtemp(prefix="tarsier_senders_")
        cls.addClassCleanup(shutil.rmtree, cls.senders, ignore_errors=True)
        for name in ("package.json", "otlp.mjs", "prom.mjs", "traces.mjs", "zipkin.mjs"):
            shutil.copy(os.path.join(HERE, "senders", name), cls.senders)
        try:
            done = subprocess.run(["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"],
                                  cwd=cls.senders, capture_output=True, timeout=120, check=False)
        except subprocess.TimeoutExpired:
            raise unittest.SkipTest("skipped: npm cannot fetch the packages in time") from None
        if done.returncode != 0:
            raise unittest.SkipTest(f"skipped: npm cannot fetch the packages here: {done.stderr[-300:]}")

    def run_node(self, *arguments):
        """What the program wrote."""
        done = subprocess.run(["node", *arguments], cwd=self.senders, capture_output=True, timeout=60, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        return done.stdout

    def send(self, *arguments):
        self.run_node("otlp.mjs", *arguments)

    def newest(self, server, selector):
        """{name with suffix: value} of the newest samples; histograms as their counts."""
        found = {}
        for result in server.query(selector, time=time.time() + 1):
            labels = {k: v for k, v in result["metric"].items() if k not in ("job", "instance", "__name__")}
            key = result["metric"].get("__name__", "") + "".join(f";{k}={v}" for k, v in sorted(labels.items()))
            found[key] = result["histogram"][1]["count"] if "histogram" in result else result["value"][1]
        return found

    EXPECTED = {
        "requests_total;http_method=GET": "6",
        "queue_length": "4",
        "latency_seconds_count": "6", "latency_seconds_sum": "11.1",
        "latency_seconds_bucket;le=0.1": "2", "latency_seconds_bucket;le=1": "4", "latency_seconds_bucket;le=+Inf": "6",
        "latency_exponential_seconds": "6",
        "temperature_celsius;room=a": "21.5",
    }

    def test_the_sdk_sends_every_instrument_in_both_forms(self):
        tarsier = self.tarsier().start()
        for form in ("proto", "json"):
            with self.subTest(form=form):
                self.send(form, "cumulative", tarsier.url + "/api/v1/otlp/v1/metrics")
                job = f"js-{form}-cumulative"
                self.assertEqual(self.newest(tarsier, f'{{job="{job}",__name__!="target_info"}}'), self.EXPECTED)
                self.assertEqual(self.newest(tarsier, f'target_info{{job="{job}"}}'), {"target_info;host_name=here": "1"})

    def test_deltas_are_added_up_where_that_is_asked_for(self):
        tarsier = self.tarsier(arguments=["--enable-feature=otlp-deltatocumulative"]).start()
        self.send("proto", "delta", tarsier.url + "/api/v1/otlp/v1/metrics")
        self.assertEqual(self.newest(tarsier, '{job="js-proto-delta",__name__!="target_info"}'), self.EXPECTED)

    def trace(self, server, trace_id):
        """[(service, span)] of a stored trace."""
        status, text = http(f"{server.url}/tempo/api/traces/{trace_id}", headers={"Accept": "application/json"})
        if status == 404:
            return []
        return [(service["value"]["stringValue"], span)
                for batch in json.loads(text)["batches"]
                for service in batch["resource"]["attributes"] if service["key"] == "service.name"
                for scope in batch["scopeSpans"] for span in scope["spans"]]

    def test_a_shop_is_traced_in_every_form(self):
        http_port, grpc_port = free_port(), free_port()
        tarsier = self.tarsier("""
traces:
  span_metrics: {interval: 500ms}
  service_graph: {interval: 500ms, wait: 1s}
  sampling: {decision_wait: 1s}
""", arguments=[f"--otlp.http-address=127.0.0.1:{http_port}", f"--otlp.grpc-address=127.0.0.1:{grpc_port}"]).start()
        doors = {"grpc": f"http://127.0.0.1:{grpc_port}", "proto": f"http://127.0.0.1:{http_port}/v1/traces",
                 "json": f"{tarsier.url}/v1/traces", "zipkin": f"{tarsier.url}/api/v2/spans"}
        orders, failures = 20, 4
        for form, url in doors.items():
            with self.subTest(form=form):
                sent = json.loads(self.run_node("traces.mjs", form, url, str(orders)))
                failed = [order["id"] for order in sent if order["failed"]]
                self.assertEqual((len(sent), len(failed)), (orders, failures))
                spans = {"front": 2, "cart": 2, "bank": 1}
                expected = {f"{form}-{service}": (n * (orders - failures), n * failures) for service, n in spans.items()}

                def counted():
                    found = {}
                    for row in tarsier.query(f'sum by (service, status_code) (traces_spanmetrics_calls_total{{service=~"{form}-.*"}})'):
                        has_error = row["metric"]["status_code"] == "STATUS_CODE_ERROR"
                        found.setdefault(row["metric"]["service"], [0, 0])[has_error] = int(row["value"][1])
                    return {service: tuple(counts) for service, counts in found.items()}
                wait_until(lambda: counted() == expected, "every span is counted", 10)
                edges = 'traces_service_graph_request_total{client=~"%s-.*"}' % form
                wait_until(lambda: {(r["metric"]["client"], r["metric"]["server"], r["value"][1]) for r in tarsier.query(edges)} ==
                           {(f"{form}-front", f"{form}-cart", str(orders)), (f"{form}-cart", f"{form}-bank", str(orders))},
                           "every call is an edge", 10)
                for trace_id in failed:
                    wait_until(lambda: len(self.trace(tarsier, trace_id)) == 5, "a trace with an error is kept whole", 10)
                kept = self.trace(tarsier, failed[0])
                by_id = {span["spanId"]: (service, span) for service, span in kept}
                bank = next(span for service, span in kept if service == f"{form}-bank")
                self.assertEqual([event["name"] for event in bank["events"]], ["exception"])
                self.assertEqual(by_id[bank["parentSpanId"]][0], f"{form}-cart")
                attributes = {a["key"]: a["value"] for a in bank["attributes"]}
                # Zipkin's tags are text.
                code = {"stringValue": "502"} if form == "zipkin" else {"intValue": "502"}
                self.assertEqual(attributes["http.response.status_code"], code)
                self.assertEqual(bank["status"], {"code": "STATUS_CODE_ERROR", "message": "answered 502"})

    def test_zipkins_tracer_shares_span_ids_between_two_sides(self):
        tarsier = self.tarsier("traces: {span_metrics: {interval: 500ms}, sampling: {decision_wait: 1s}}").start()
        sent = json.loads(self.run_node("zipkin.mjs", f"{tarsier.url}/api/v2/spans"))
        failed = next(call["id"] for call in sent if call["failed"])
        wait_until(lambda: len(self.trace(tarsier, failed)) == 2, "both sides are kept", 10)
        sides = {service: span for service, span in self.trace(tarsier, failed)}
        self.assertEqual(sides["zipkin-front"]["spanId"], sides["zipkin-bank"]["spanId"])
        self.assertEqual({span["kind"] for span in sides.values()}, {"SPAN_KIND_CLIENT", "SPAN_KIND_SERVER"})
        calls = "sum by (service) (traces_spanmetrics_calls_total)"
        wait_until(lambda: {r["metric"]["service"]: r["value"][1] for r in tarsier.query(calls)} ==
                   {"zipkin-front": "3", "zipkin-bank": "3"}, "no side is taken for a repetition", 10)

    def test_prom_client_is_scraped_with_exemplars_and_pushes(self):
        gateway = self.tarsier(data="gateway").start()
        client = subprocess.Popen(["node", "prom.mjs", gateway.url], cwd=self.senders, stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, text=True)
        self.addCleanup(client.stdout.close)
        self.addCleanup(client.wait, 30)
        self.addCleanup(client.stdin.close)
        port = client.stdout.readline().strip()
        tarsier = self.tarsier(f"""
scrape_configs:
  - job_name: prom-client
    scrape_interval: 500ms
    scrape_timeout: 500ms
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
""").start()
        wait_until(lambda: tarsier.query('up{job="prom-client"} == 1'), "prom-client is scraped", 30)
        self.assertEqual(self.newest(tarsier, '{job="prom-client",__name__=~"requests.*|latency.*|size.*"}'), {
            "requests_total;code=200": "3",
            "latency_count": "3", "latency_sum": "5.55",
            "latency_bucket;le=0.1": "1", "latency_bucket;le=1.0": "2", "latency_bucket;le=+Inf": "3",
            "size;quantile=0.5": "7", "size_count": "1", "size_sum": "7"})
        exemplars = tarsier.get("/api/v1/query_exemplars", query="requests_total", start=str(time.time() - 60),
                                end=str(time.time() + 1))
        self.assertEqual(exemplars[0]["exemplars"][0]["labels"], {"trace_id": "0123456789abcdef0123456789abcdef"})
        self.assertEqual({r["metric"]["instance"] for r in gateway.query('batch_done{job="batch",step="a"} == 1')},
                         {"one/two"})
        wait_until(lambda: gateway.query("push_time_seconds > 0"), "its time is known", 10)


if __name__ == "__main__":
    unittest.main()
