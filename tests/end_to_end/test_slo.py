"""Objectives from files of others page real receivers, explain themselves and can be replayed."""

import os
import subprocess
import time
import unittest

from processes import EndToEndTest, wait_until
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

    def command(self, *arguments):
        done = subprocess.run([os.environ["TARSIER"], *arguments], capture_output=True, text=True,
                              timeout=60, check=False)
        return done.returncode, done.stdout + done.stderr

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

    def test_files_are_checked_and_converted(self):
        code, text = self.command("check", "slo", self.slo_file)
        self.assertEqual(code, 0, text)
        self.assertIn("a full outage fires after 51s840ms", text)
        code, rules = self.command("slo", "generate", self.slo_file)
        self.assertEqual(code, 0, rules)
        rule_file = self.write("rules.yml", rules)
        code, text = self.command("check", "rules", rule_file)
        self.assertEqual(code, 0, text)
        own = self.write("own.yml", self.command("slo", "import", self.slo_file)[1])
        code, text = self.command("check", "slo", own)
        self.assertEqual(code, 0, text)
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


if __name__ == "__main__":
    unittest.main()
