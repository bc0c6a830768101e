"""The demo is alive: history, metrics, traces, and an incident that pages with its cause."""

import json
import os
import subprocess
import unittest
import urllib.parse

from processes import EndToEndTest, Server, free_port, http, wait_until

TARSIER = os.environ["TARSIER"]


class DemoTest(EndToEndTest):
    def start_demo(self, *flags):
        port, self.shop_port, otlp = free_port(), free_port(), free_port()
        demo = Server("demo", [
            TARSIER, "demo", f"--dir={self.path('demo')}", "--rate=60",
            f"--shop.listen-address=127.0.0.1:{self.shop_port}", *flags, "--",
            f"--web.listen-address=127.0.0.1:{port}", f"--otlp.http-address=127.0.0.1:{otlp}",
            "--otlp.grpc-address="], port, self.directory)
        self.servers.append(demo)
        return demo.start()

    def test_an_incident_pages_and_its_traces_are_kept(self):
        demo = self.start_demo("--history=2h", "--incident-after=1s", "--incident-for=1h")
        wait_until(lambda: "The shop is open" in demo.log(), "the shop open", 120)
        # The past is there, without a hole before now.
        orders = wait_until(lambda: demo.query('increase(shop_orders_total{outcome="paid"}[1h])'), "orders")
        # 60 visitors a second by day and night, 7 in 100 pay.
        self.assertGreater(float(orders[0]["value"][1]), 60 * 3600 * 0.07 / 4)

        def firing():
            return [alert for alert in demo.get("/api/v1/alerts")["alerts"]
                    if alert["state"] == "firing" and alert["labels"]["alertname"] == "OrdersFail"]
        wait_until(firing, "the page", 180)

        def failed_traces():
            query = '{resource.service.name="payment" && status=error && .payment.provider="northbank"}'
            status, text = http(f"{demo.url}/tempo/api/search?limit=5&q=" + urllib.parse.quote(query))
            self.assertEqual(status, 200, text)
            return json.loads(text)["traces"]
        self.assertEqual(wait_until(failed_traces, "kept traces")[0]["rootServiceName"], "frontend")
        # Spans were counted before they were sampled: the shop's own counters say the same rates.
        self.assertEqual(
            {series["metric"]["service"] for series in
             demo.query('sum by (service) (traces_spanmetrics_calls_total{span_kind="SPAN_KIND_SERVER"})')},
            {"frontend", "catalog", "recommendation", "cart", "checkout", "payment"})
        self.assertEqual(demo.stop(), 0)

    def test_says_what_is_wrong_with_its_flags(self):
        for flags, message in ((["--rate=0"], "--rate"), (["--history=x"], "--history"),
                               (["surplus"], "come after --"), (["--colour=red"], "colour")):
            with self.subTest(flags=flags):
                done = subprocess.run([TARSIER, "demo", *flags], capture_output=True, text=True, timeout=20)
                self.assertEqual(done.returncode, 2)
                self.assertIn(message, done.stderr)
        done = subprocess.run([TARSIER, "demo", "--help"], capture_output=True, text=True, timeout=20)
        self.assertIn("--incident-after", done.stdout)

    def test_a_second_start_goes_on_with_the_same_data(self):
        demo = self.start_demo("--history=30m")
        wait_until(lambda: "The shop is open" in demo.log(), "the shop open", 120)
        self.assertEqual(demo.stop(), 0)
        again = self.start_demo("--history=30m")
        wait_until(lambda: again.log().count("The shop is open") == 2, "the shop open again", 120)
        self.assertEqual(again.log().count("Writing "), 1)
        self.assertTrue(again.query("increase(shop_revenue_euros_total[20m] offset 2m)"))


if __name__ == "__main__":
    unittest.main()
