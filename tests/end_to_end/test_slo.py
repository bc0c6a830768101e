"""Objectives from files of others page real receivers, explain themselves and can be replayed."""

import json
import os
import subprocess
import time
import unittest

from otlp import Span, json_request
from processes import EndToEndTest, http, wait_until
from remote_write import send
from test_notifier import Receiver

SLOTH = """
version: prometheus/v1
service: shop
slos:
- name: availability
  objective: 99.9
  sli:
    events:
      error_query: sum(rate(http_requests_total{code="500"}[{{.window}}]))
      total_query: sum(rate(http_requests_total[{{.window}}]))
  alerting:
    name: ShopBurns
    page_alert: {labels: {severity: page}}
    ticket_alert: {labels: {severity: ticket}}
"""


class SloTest(EndToEndTest):
    def setUp(self):
        super().setUp()
        self.receiver = Receiver()
        self.addCleanup(self.receiver.server_close)
        self.addCleanup(self.receiver.shutdown)
        self.slo_file = self.write("slos.yml", SLOTH)
        self.config = f"""
global: {{scrape_interval: 15s, evaluation_interval: 15s}}
slo_files: [slos.yml]
notifier:
  route: {{receiver: team, group_by: [alertname], group_wait: 0s, group_interval: 1s}}
  receivers:
  - name: team
    webhook_configs: [{{url: '{self.receiver.url}'}}]
"""

    def history(self, minutes, now):
        """Samples every 15 s, with 10 % of errors in the last hour."""
        good, bad, all_good, all_bad = 0, 0, [], []
        for i in range(minutes * 4 + 1):
            t = now - (minutes * 4 - i) * 15
            is_fault = t > now - 3600
            good, bad = good + (90 if is_fault else 100), bad + (10 if is_fault else 0)
            all_good.append((int(t * 1000), good))
            all_bad.append((int(t * 1000), bad))
        name = "http_requests_total"
        return [({"__name__": name, "code": "200", "job": "shop"}, all_good),
                ({"__name__": name, "code": "500", "job": "shop"}, all_bad)]

    def command(self, *arguments, is_merged=True):
        done = subprocess.run([os.environ["TARSIER"], *arguments], capture_output=True, text=True,
                              timeout=60, check=False)
        return done.returncode, done.stdout + (done.stderr if is_merged else "")

    def test_a_sloth_file_and_written_history_page_within_seconds(self):
        server = self.tarsier(self.config).start()
        self.assertEqual(server.get("/api/tarsier/v1/slos")["slos"][0]["id"], "shop-availability")
        written = time.time()
        self.assertEqual(send(server.url, self.history(100, written - 1))[0] // 100, 2)
        wait_until(lambda: ("firing", ["ShopBurns"]) in self.receiver.alerts(), "the page", 40)
        print(f"\nfrom write to webhook: {time.time() - written:.1f} s")

        slo = server.get("/api/tarsier/v1/slos/shop-availability")
        page = next(a for a in slo["alerts"] if a["labels"]["sloth_severity"] == "page")
        self.assertEqual(page["labels"]["severity"], "page")
        self.assertIn("14.4 times the budget", page["annotations"]["cause"])
        hour = next(w for w in slo["groups"][0]["windows"] if w["window"] == "1h")
        self.assertAlmostEqual(hour["errorRatio"], 0.1, delta=0.01)

        # The series that Sloth's dashboards read.
        ratio = wait_until(lambda: server.query('slo:sli_error:ratio_rate1h{sloth_slo="availability"}'),
                           "the series", 90)
        self.assertAlmostEqual(float(ratio[0]["value"][1]), 0.1, delta=0.01)

        # Whoever knows Prometheus finds the alert where those of rules are.
        alerts = server.get("/api/v1/alerts")["alerts"]
        self.assertIn("ShopBurns", [a["labels"]["alertname"] for a in alerts])
        group = server.get("/api/v1/rules")["groups"][0]
        self.assertEqual((group["name"], os.path.basename(group["file"])),
                         ("shop-availability", "slos.yml"))
        self.assertEqual(group["rules"][0]["state"], "firing")
        wait_until(lambda: server.query('ALERTS{alertname="ShopBurns",alertstate="firing"}'),
                   "ALERTS", 20)

        timeline = server.get(f"/api/tarsier/v1/alerts/{page['id']}/timeline")
        self.assertIn("page: errors are", timeline["cause"])
        self.assertIn("firing", [e["event"] for e in timeline["events"]])
        self.assertIn("started", [e["event"] for e in timeline["events"]])
        self.assertTrue(any(t["active"] for t in timeline["ticks"]))
        self.assertEqual(timeline["notifications"][0]["state"], "delivered")

        backtest = server.get("/api/tarsier/v1/slos/shop-availability/backtest",
                              start=written - 7200, end=written)
        self.assertEqual(backtest["alerts"][0]["severity"], "page")
        self.assertGreater(backtest["budgets"][0]["consumed"], 1)

        code, text = self.command("slo", "list", server.url)
        self.assertEqual(code, 0, text)
        self.assertIn("shop-availability 99.9 % over 30d", text)
        code, text = self.command("alert", "explain", server.url, page["id"])
        self.assertEqual(code, 0, text)
        self.assertIn("-> firing", text)
        code, text = self.command("slo", "backtest", server.url, f"--start={written - 7200:.0f}",
                                  f"--file={self.slo_file}")
        self.assertEqual(code, 0, text)
        self.assertIn(" page until ", text)
        self.assertIn("page 1h/5m above 1.44 %: 100 %: after 52s, over 4m56s after its end", text)
        code, text = self.command("alert", "explain", server.url, "shop-availability")
        self.assertEqual(code, 0, text)
        self.assertIn("-> firing", text)

        # A crash loses neither the page nor the counts, and tells nobody twice.
        told = len([a for a in self.receiver.alerts() if a[0] == "firing"])
        server.kill()
        server.start()
        wait_until(lambda: server.get("/api/tarsier/v1/slos/shop-availability")["groups"],
                   "counts after the crash", 40)
        after = server.get("/api/tarsier/v1/slos/shop-availability")
        self.assertEqual([a["id"] for a in after["alerts"] if a["labels"]["sloth_severity"] == "page"],
                         [page["id"]])
        self.assertEqual(len([a for a in self.receiver.alerts() if a[0] == "firing"]), told)
        server.stop()

    def test_files_of_every_kind_page_within_seconds(self):
        self.write("slos.yml", """
slos:
- name: per-cluster
  objective: 99.9
  period: {calendar: month, time_zone: Europe/Paris}
  group_by: [cluster]
  sli: {errors: 'http_requests_total{code="500"}', total: http_requests_total}
- name: fast
  objective: 99.9
  definition: promql
  sli: {latency: {histogram: 'latency_seconds{job="shop"}', below: 1s}}
- name: no-bucket
  objective: 99
  sli: {latency: {histogram: latency_seconds, below: 700ms}}
""")
        openslo = """
apiVersion: openslo/v1
kind: SLO
metadata: {name: open}
spec:
  service: shop
  indicator:
    metadata: {name: i}
    spec:
      ratioMetric:
        counter: true
        bad: {metricSource: {type: Prometheus, spec: {query: 'http_requests_total{code="500"}'}}}
        total: {metricSource: {type: Prometheus, spec: {query: http_requests_total}}}
  timeWindow: [{duration: 28d, isRolling: true}]
  budgetingMethod: Occurrences
  objectives: [{target: 0.999}]
  alertPolicies:
  - kind: AlertPolicy
    metadata: {name: p}
    spec:
      alertWhenBreaching: true
      conditions:
      - kind: AlertCondition
        metadata: {name: c}
        spec: {severity: page, condition: {kind: burnrate, op: gt, threshold: 14, lookbackWindow: 1h, alertAfter: 0m}}
      notificationTargets: [{kind: AlertNotificationTarget, metadata: {name: t}, spec: {target: x}}]
"""
        self.write("openslo.yml", openslo)
        alertmanager = Receiver()
        self.addCleanup(alertmanager.server_close)
        self.addCleanup(alertmanager.shutdown)
        config = self.config.replace("[slos.yml]", "[slos.yml, openslo.yml]") + f"""
alerting:
  alertmanagers: [{{static_configs: [{{targets: ['127.0.0.1:{alertmanager.server_address[1]}']}}]}}]
"""
        server = self.tarsier(config).start()
        written = time.time()
        series = []
        for labels, samples in self.history(100, written - 1):
            series.append(({**labels, "cluster": "bad"}, samples))
            if labels["code"] == "200":
                series.append(({**labels, "cluster": "good"}, samples))
                name = {"job": "shop", "__name__": "latency_seconds_bucket"}
                series.append(({**name, "le": "1.0"}, samples))
                all_samples = [(t, (i + 1) * 100) for i, (t, _) in enumerate(samples)]
                series.append(({**name, "le": "+Inf"}, all_samples))
                series.append(({**name, "__name__": "latency_seconds_count"}, all_samples))
        self.assertEqual(send(server.url, series)[0] // 100, 2)
        paged = {}

        def pages():
            with self.receiver.lock:
                bodies = [json.loads(body) for _, body, _ in self.receiver.delivered]
            for body in bodies:
                for alert in body["alerts"]:
                    if alert["status"] == "firing" and alert["labels"].get("severity") == "page":
                        paged.setdefault((alert["labels"]["slo"], alert["labels"].get("cluster")),
                                         time.time() - written)
            return {("per-cluster", "bad"), ("fast", None), ("shop-open", None)} <= set(paged)

        wait_until(pages, "the pages", 60)
        print(f"\nfrom write to webhook: { {k: round(v, 1) for k, v in paged.items()} }")
        self.assertNotIn(("per-cluster", "good"), paged)
        broken = server.get("/api/tarsier/v1/slos/no-bucket")
        self.assertIn("there is no bucket latency_seconds_bucket", broken["lastError"])

        def explained():
            code, text = self.command("alert", "explain", server.url, "fast")
            self.assertEqual(code, 0, text)
            return text if "/api/v2/alerts: delivered firing: HTTP 200" in text else None

        text = wait_until(explained, "the answer of the Alertmanager", 20)
        self.assertIn("both above 1.44 % (14.4 times the budget of 0.1 %)", text)
        server.stop()

    def test_a_burning_objective_keeps_the_traces_of_its_service(self):
        config = self.config + """
traces:
  sampling:
    decision_wait: 2s
    policies:
      - {name: none, type: probabilistic, probabilistic: {sampling_percentage: 0}}
"""
        server = self.tarsier(config, arguments=["--web.enable-lifecycle"]).start()

        def decided(service, trace_id):
            span = Span(service, "GET /", trace_id, "b7ad6b7169203331", time.time_ns(), 1_000_000)
            http(server.url + "/v1/traces", json.dumps(json_request([span])).encode(),
                 {"Content-Type": "application/json"})
            address = f"{server.url}/api/tarsier/v1/sampling/decisions/{trace_id}"

            def outcome():
                status, text = http(address)
                found = json.loads(text)["data"] if status == 200 else {"state": "unknown"}
                known = found["state"] in ("kept", "dropped")
                return (found.get("policy") or "dropped") if known else ""

            return wait_until(outcome, "the decision", 20)

        decided("shop", "f" * 32)  # The first of all has an exemplar.
        self.assertEqual(decided("shop", "a" * 32), "dropped")
        send(server.url, self.history(100, time.time() - 1))
        wait_until(lambda: server.get("/api/tarsier/v1/slos/shop-availability")["alerts"],
                   "the page", 40)
        began = time.time()
        while (policy := decided("shop", f"{int(time.time() * 1000):032x}")) != "boost":
            self.assertLess(time.time() - began, 20)
        print(f"\nfrom the page to a kept trace, with its wait of 2 s: {time.time() - began:.1f} s")
        decided("another", "e" * 32)
        self.assertEqual(decided("another", "b" * 32), "dropped")
        # It ends with the objective.
        self.write("slos.yml", "")
        self.assertEqual(http(server.url + "/-/reload", b"")[0], 200)
        self.assertEqual(decided("shop", "c" * 32), "dropped")
        server.stop()

    def test_what_has_no_data_says_so(self):
        self.write("slos.yml", """
slos:
- {name: typo, objective: 99, sli: {errors: 'nothing_total{code="500"}', total: nothing_total},
   alerts: {no_data: {for: 10s}}}
""")
        server = self.tarsier(self.config).start()
        wait_until(lambda: ("firing", ["SLONoData"]) in self.receiver.alerts(), "the alert", 60)
        code, text = self.command("slo", "list", server.url)
        self.assertIn("no_data", text)
        self.assertIn("there is no data: nothing_total has no sample in the last 30d", text)
        self.assertIn("SLONoData", [a["labels"]["alertname"]
                                    for a in server.get("/api/v1/alerts")["alerts"]])
        status, metrics = http(server.url + "/metrics")
        self.assertIn('tarsier_slo_objectives_by_state{state="no_data"} 1', metrics)
        server.stop()

    def test_any_rule_can_be_replayed(self):
        self.write("slos.yml", """
slos:
- {name: a, objective: 99.9, sli: {errors: 'http_requests_total{code="500"}', total: http_requests_total}}
- {name: b, objective: 90, sli: {errors: 'http_requests_total{code="500"}', total: http_requests_total}}
""")
        self.write("rules.yml", """
groups:
- name: g
  interval: 15s
  rules:
  - {alert: Errors, expr: 'rate(http_requests_total{code="500"}[5m]) > 0.1', for: 2m}
""")
        server = self.tarsier("rule_files: [rules.yml]\n" + self.config).start()
        now = time.time()
        send(server.url, self.history(100, now - 1))
        for kind in (["--rule=Errors"],
                     ["--expr", 'rate(http_requests_total{code="500"}[5m]) > 0.1', "--for=2m"]):
            code, text = self.command("slo", "backtest", server.url, f"--start={now - 7200:.0f}", *kind)
            self.assertEqual(code, 0, text)
            self.assertIn("until the end", text)
        code, text = self.command("slo", "backtest", server.url, "--file", self.slo_file)
        self.assertEqual(code, 0, text)
        self.assertIn("WARNING: the page tier 1h/5m can never fire", text)
        self.assertIn("a: 20", text)
        self.assertIn("b: 20", text)
        code, text = self.command("slo", "backtest", server.url, "--file", self.slo_file, "b")
        self.assertNotIn("a: 20", text)
        code, text = self.command("alert", "explain", server.url, "Errors")
        self.assertEqual(code, 0, text)
        self.assertIn("for 2m", text)
        server.stop()

    def test_files_are_checked_and_converted(self):
        code, text = self.command("check", "slo", self.slo_file)
        self.assertEqual(code, 0, text)
        self.assertIn("a full outage fires after 51s840ms", text)
        code, rules = self.command("slo", "generate", self.slo_file, is_merged=False)
        self.assertEqual(code, 0, rules)
        rule_file = self.write("rules.yml", rules)
        code, text = self.command("check", "rules", rule_file)
        self.assertEqual(code, 0, text)
        own = self.write("own.yml", self.command("slo", "import", self.slo_file, is_merged=False)[1])
        code, text = self.command("check", "slo", own)
        self.assertEqual(code, 0, text)
        self.assertIn("shop-availability: 99.9 % over 30d, events", text)
        broken = self.write("broken.yml", "slos:\n- name: a\n  objective: 120\n  sli: {gauge: up}\n")
        code, text = self.command("check", "slo", broken)
        self.assertEqual(code, 1)
        self.assertIn("broken.yml: 3:14:", text)
        test = self.write("test.yml", """
slo_files: [slos.yml]
tests:
- name: an outage pages
  input_series:
  - {series: 'http_requests_total{code="200"}', values: '0+100x480 48000+0x40'}
  - {series: 'http_requests_total{code="500"}', values: '0+0x480 0+100x40'}
  alerts:
  - {slo: shop-availability, severity: page}
""")
        code, text = self.command("test", "slo", test)
        self.assertEqual(code, 0, text)

    def test_generated_rules_of_every_kind_please_promtool(self):
        pyrra = """
apiVersion: pyrra.dev/v1alpha1
kind: ServiceLevelObjective
metadata: {{name: {name}, namespace: m, labels: {{pyrra.dev/team: ops}}}}
spec:
  target: "95"
  window: {window}
  indicator: {indicator}
"""
        files = [
            self.slo_file,
            # Alerts of two objectives may have the same labels, as Sloth's: promtool would wonder.
            self.write("a.yml", "slos:\n- {name: a, objective: 99, sli: {latency: {histogram: d_seconds, below: 300ms}}, group_by: [job]}\n"),
            self.write("b.yml", "slos:\n- {name: b, objective: 99, period: 7d, sli: {gauge: up}}\n"),
            self.write("pyrra.yml", "---".join(
                pyrra.format(name=name, window=window, indicator=json.dumps(indicator))
                for name, window, indicator in [
                    ("ratio", "2w", {"ratio": {"errors": {"metric": 'r_total{code=~"5.."}'}, "total": {"metric": "r_total"},
                                               "grouping": ["handler"]}}),
                    ("latency", "4w", {"latency": {"success": {"metric": 'd_bucket{le="0.1"}'}, "total": {"metric": "d_count"}}}),
                    ("native", "30d", {"latencyNative": {"latency": "100ms", "total": {"metric": "n"}}}),
                    ("gauge", "7d", {"bool_gauge": {"metric": "up"}})]))]
        for file in files:
            code, rules = self.command("slo", "generate", file, is_merged=False)
            self.assertEqual(code, 0, rules)
            for program in (self.need("promtool"), os.environ["TARSIER"]):
                done = subprocess.run([program, "check", "rules", self.write("generated.yml", rules)], capture_output=True,
                                      text=True, timeout=60, check=False)
                self.assertEqual((done.returncode, "FAILED" in done.stdout + done.stderr), (0, False), done.stdout + done.stderr)


if __name__ == "__main__":
    unittest.main()
