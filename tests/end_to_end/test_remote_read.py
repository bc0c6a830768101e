"""Remote read: a Tarsier with others behind it, Debian's Prometheus and another Tarsier, and what happens when they fail."""

import json
import time
import unittest
import urllib.parse

from processes import EndToEndTest, http, wait_until
from remote_write import send


class RemoteReadTest(EndToEndTest):
    def feed(self, server, base, begin, end):
        for k in range(begin, end):
            status, text = send(server.url, [({"__name__": "m", "i": str(i)}, [(base + k * 60_000, float(k * (i + 1)))])
                                             for i in range(3)])
            self.assertEqual(status, 204, text)

    def near(self, url, more=""):
        return self.tarsier(f"""
global: {{external_labels: {{region: eu}}}}
remote_read:
  - url: {url}/api/v1/read
    name: far
    read_recent: true
    remote_timeout: 5s
    filter_external_labels: false
{more}
""", data="near", arguments=["--web.enable-lifecycle"]).start()

    def check(self, far):
        """The far one has the first 40 minutes, ours the last 40 of an hour."""
        base = (int(time.time()) // 60 * 60 - 3600) * 1000
        self.feed(far, base, 0, 40)
        near = self.near(far.url)
        self.feed(near, base, 20, 60)
        start, end = base / 1000, base / 1000 + 59 * 60
        result = near.query_range("m", start, end, 60)
        self.assertEqual(len(result), 3)
        for series in result:
            factor = int(series["metric"]["i"]) + 1
            self.assertEqual([float(v) for _, v in series["values"]], [k * factor for k in range(60)])
        self.assertEqual(near.query("count_over_time(m{i='0'}[2h])", time=end)[0]["value"][1], "60")
        self.assertEqual(len(near.get("/api/v1/series", **{"match[]": "m", "start": start, "end": start + 600})), 3)
        # Down: what we have, and a warning.
        far.kill()
        query = urllib.parse.urlencode({"query": "count_over_time(m{i='0'}[2h])", "time": end})
        answer = json.loads(http(f"{near.url}/api/v1/query?{query}")[1])
        self.assertEqual(answer["data"]["result"][0]["value"][1], "40")
        self.assertEqual(len(answer["warnings"]), 1, answer)
        self.assertTrue(answer["warnings"][0].startswith("remote_read: error sending request: "), answer["warnings"])
        self.assertIn('prometheus_remote_read_client_queries_total{code="error",remote_name="far"',
                      http(near.url + "/metrics")[1])
        # A reload takes it away.
        self.write(f"tarsier-{near.port}.yml", "global: {}\n")
        self.assertEqual(http(near.url + "/-/reload", b"")[0], 200)
        self.assertNotIn("warnings", json.loads(http(f"{near.url}/api/v1/query?{query}")[1]))

    def test_another_tarsier(self):
        self.check(self.tarsier(data="far").start())

    def test_prometheus(self):
        self.check(self.prometheus(data="far", arguments=["--web.enable-remote-write-receiver"]).start())

    def test_prometheus_reads_us(self):
        ours = self.tarsier(data="far").start()
        base = (int(time.time()) // 60 * 60 - 3600) * 1000
        self.feed(ours, base, 0, 40)
        prometheus = self.prometheus(f"remote_read: [{{url: '{ours.url}/api/v1/read', read_recent: true}}]\n").start()
        result = wait_until(lambda: prometheus.query("sum(count_over_time(m[2h]))", time=base / 1000 + 3600), "it asks us")
        self.assertEqual(result[0]["value"][1], "120")

    def test_rules_read_what_is_elsewhere(self):
        far = self.tarsier(data="far").start()
        now = int(time.time() * 1000)
        send(far.url, [({"__name__": "m", "i": "0"}, [(now, 7.0)])])
        self.write("rules.yml", "groups: [{name: g, interval: 1s, rules: [{record: copied, expr: m}]}]\n")
        near = self.near(far.url, f"rule_files: ['{self.path('rules.yml')}']")
        wait_until(lambda: near.query("copied == 7"), "the rule records it", 30)


if __name__ == "__main__":
    unittest.main()
