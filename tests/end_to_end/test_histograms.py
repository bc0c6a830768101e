"""Native histograms and exemplars: Prometheus and Tarsier on each other's data directories, after kill -9."""

import json
import os
import shutil
import struct
import subprocess
import time
import unittest

from processes import EndToEndTest, http
from remote_write import send

STALE = struct.unpack(">d", bytes.fromhex("7ff0000000000002"))[0]
FEATURES = "--enable-feature=native-histograms,exemplar-storage"

# Float results of version 2.42 and ours must agree to the bit: these do no interpolation.
QUERIES = [
    "histogram_count(h)", "histogram_sum(h)", "histogram_count(hf)", "histogram_sum(hf)",
    "histogram_count(mixed)", "histogram_count(wide)", "mixed", "count(h)", "count(mixed)",
]


def cumulative(n):
    """An integer histogram after n rounds; its buckets move, and every 40 rounds the counter starts anew."""
    k = n % 40 + 1
    first = n // 10 % 3
    spans = [(first, 2), (1, 1)]
    buckets = [3 * k, 2 * k, k]
    deltas = [buckets[0], buckets[1] - buckets[0], buckets[2] - buckets[1]]
    return dict(count=sum(buckets) + k, zero_count=k, sum=k * 1.5, schema=1, zero_threshold=0.001,
                positive=(spans, deltas), negative=([(0, 1)], [0]))


def floats(n):
    k = n % 40 + 1
    return dict(is_float=True, count=6.5 * k, zero_count=0.5 * k, sum=k * 0.25, schema=-2, zero_threshold=0.25,
                positive=([(0, 2), (2, 1)], [1.5 * k, 2.5 * k, 2.0 * k]))


def dataset(t):
    n = t // 15_000
    series = [
        ({"__name__": "h", "i": str(i)}, [], [(t, cumulative(n + i))]) for i in range(3)
    ]
    series.append(({"__name__": "hf"}, [], [(t, floats(n))]))
    wide = dict(count=500 * (n % 30 + 1), sum=1.0, schema=3, zero_threshold=0.0,
                positive=([(-20, 100)], [5 * (n % 30 + 1)] + [0] * 99))
    series.append(({"__name__": "wide"}, [], [(t, wide)]))
    if n // 20 % 2 == 0:
        series.append(({"__name__": "mixed"}, [(t, float(n))]))
    else:
        series.append(({"__name__": "mixed"}, [], [(t, cumulative(n))]))
    series.append(({"__name__": "c_total"}, [(t, float(n))], [],
                   [(t, {"trace_id": f"t{n}"}, float(n % 7))]))
    return series


class HistogramTest(EndToEndTest):
    def fill(self, server, start, end):
        for t in range(start, end, 15_000):
            status, text = send(server.url, dataset(t))
            self.assertIn(status, (200, 204), text)
        self.stale_at = end / 1000
        status, text = send(server.url, [({"__name__": "h", "i": "0"}, [(end, STALE)])])
        self.assertIn(status, (200, 204), text)

    def answers(self, server, start, end):
        given = {}
        for expression in QUERIES:
            result = server.query_range(expression, (start + 3) / 1000, end / 1000, 61)
            given[expression] = sorted((sorted(s["metric"].items()), s.get("values")) for s in result)
        given["buckets"] = sorted(
            (sorted(s["metric"].items()), s["histogram"][1]["count"], s["histogram"][1]["sum"],
             # Version 2.42 computes bounds less exactly.
             [(b[0], round(float(b[1]), 9), round(float(b[2]), 9), b[3])
              for b in s["histogram"][1]["buckets"] if b[3] != "0"])
            for s in server.query('{__name__=~"h|hf|wide"}', time=(end - 60_000) / 1000))
        self.assertEqual(server.query('h{i="0"}', time=self.stale_at), [], "a series that ended")
        given["exemplars"] = server.get("/api/v1/query_exemplars", query="c_total",
                                        start=start / 1000, end=end / 1000)
        return given

    def assert_same(self, got, want):
        for expression, value in want.items():
            self.assertTrue(value, expression)
            self.assertEqual(got[expression], value, expression)

    def time_range(self):
        end = int(time.time() * 1000) // 15_000 * 15_000
        return end - 45 * 60_000, end

    def promtool(self, *arguments):
        done = subprocess.run([self.need("promtool"), *arguments], capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_tarsier_takes_over_from_prometheus_and_back(self):
        start, end = self.time_range()
        prometheus = self.prometheus(arguments=[FEATURES, "--web.enable-remote-write-receiver"]).start()
        self.fill(prometheus, start, end)
        want = self.answers(prometheus, start, end)
        prometheus.kill()
        shutil.copytree(self.path("data"), self.path("killed"))

        tarsier = self.tarsier().start()
        self.assert_same(self.answers(tarsier, start, end), want)
        status, text = send(tarsier.url, dataset(end + 15_000))
        self.assertIn(status, (200, 204), text)
        want = self.answers(tarsier, start, end + 16_000)
        tarsier.kill()

        prometheus = self.prometheus(arguments=[FEATURES]).start()
        self.assert_same(self.answers(prometheus, start, end + 16_000), want)

    def test_prometheus_takes_over_from_tarsier(self):
        start, end = self.time_range()
        tarsier = self.tarsier(arguments=["--web.enable-admin-api"]).start()
        self.fill(tarsier, start, end)
        want = self.answers(tarsier, start, end)
        snapshot = tarsier_snapshot(tarsier)
        directory = os.path.join(self.path("data"), "snapshots", snapshot)
        listing = self.promtool("tsdb", "list", directory)
        self.assertEqual(len(listing.splitlines()), 2, listing)
        # What it dumps it has decoded; this version of promtool says nothing of histograms in text.
        self.promtool("tsdb", "analyze", directory)
        tarsier.kill()
        prometheus = self.prometheus(arguments=[FEATURES]).start()
        self.assert_same(self.answers(prometheus, start, end), want)
        self.assertEqual(prometheus.stop(), 0)
        on_block = self.prometheus(data=f"data/snapshots/{snapshot}", arguments=[FEATURES]).start()
        got = self.answers(on_block, start, end)
        del got["exemplars"], want["exemplars"]  # Blocks have none.
        self.assert_same(got, want)


def tarsier_snapshot(server):
    status, text = http(server.url + "/api/v1/admin/tsdb/snapshot", b"")
    assert status == 200, text
    return json.loads(text)["data"]["name"]


if __name__ == "__main__":
    unittest.main()
