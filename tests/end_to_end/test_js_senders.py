"""Senders from npm: OpenTelemetry's SDK for JavaScript (OTLP/HTTP, protobuf and JSON) and prom-client."""

import os
import shutil
import subprocess
import tempfile
import time
import unittest

from processes import EndToEndTest, wait_until

HERE = os.path.dirname(os.path.abspath(__file__))


class JavaScriptSendersTest(EndToEndTest):
    @classmethod
    def setUpClass(cls):
        if shutil.which("npm") is None:
            raise unittest.SkipTest("skipped: npm is not installed")
        cls.senders = tempfile.mkdtemp(prefix="tarsier_senders_")
        cls.addClassCleanup(shutil.rmtree, cls.senders, ignore_errors=True)
        for name in ("package.json", "otlp.mjs", "prom.mjs"):
            shutil.copy(os.path.join(HERE, "senders", name), cls.senders)
        try:
            done = subprocess.run(["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"],
                                  cwd=cls.senders, capture_output=True, timeout=120, check=False)
        except subprocess.TimeoutExpired:
            raise unittest.SkipTest("skipped: npm cannot fetch the packages in time") from None
        if done.returncode != 0:
            raise unittest.SkipTest(f"skipped: npm cannot fetch the packages here: {done.stderr[-300:]}")

    def send(self, *arguments):
        done = subprocess.run(["node", "otlp.mjs", *arguments], cwd=self.senders, capture_output=True, timeout=60,
                              check=False)
        self.assertEqual((done.returncode, done.stderr), (0, b""))

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
