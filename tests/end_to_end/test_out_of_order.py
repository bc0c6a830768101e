"""Late samples and head chunk files: Prometheus and Tarsier on each other's directories, after kill -9."""

import glob
import os
import time
import unittest

from processes import EndToEndTest
from remote_write import send
from test_histograms import FEATURES, cumulative

CONFIG = "storage:\n  tsdb:\n    out_of_order_time_window: 3h\n"
MINUTES = 100
# Single series and sums of integers, so that both must agree to the bit.
QUERIES = ["c", "sum(c)", "late", "count_over_time(c[7m7s])", "sum_over_time(late[7m7s])", "max_over_time(c[13m1s])",
           "count_over_time(late[90m])", "count(c)", "delta(late[11m3s])"]
HISTOGRAMS = ["histogram_count(h)", "histogram_sum(h)", "count(h)"]


class OutOfOrderTest(EndToEndTest):
    def setUp(self):
        super().setUp()
        self.end = int(time.time() * 1000) // 15_000 * 15_000
        self.start = self.end - MINUTES * 60_000

    def put(self, server, series):
        status, text = send(server.url, series)
        self.assertIn(status, (200, 204), text)

    def in_order(self, server, start, end, histograms=True):
        """Four series of floats and one of histograms, every 15 s."""
        for t in range(start, end, 15_000):
            n = t // 15_000
            series = [({"__name__": "c", "i": str(i)}, [(t, float(n * (i + 1) % 9973))]) for i in range(4)]
            if histograms:
                series.append(({"__name__": "h"}, [], [(t, cumulative(n))]))
            self.put(server, series)

    def late(self, server, start, end):
        """Samples between those above, in an order of their own; of one series nothing but them."""
        times = list(range(start + 7_000, end, 30_000))
        for k in range(len(times)):
            t = times[k * 37 % len(times)] if len(times) % 37 else times[-1 - k]
            series = [({"__name__": "c", "i": str(i)}, [(t, float(t // 1000 % 977 + i))]) for i in range(2)]
            series.append(({"__name__": "late"}, [(t - 1_000, float(k))]))
            self.put(server, series)

    def answers(self, server, queries=None):
        given = {}
        for expression in queries or QUERIES + HISTOGRAMS:
            result = server.query_range(expression, self.start / 1000 + 600.003, self.end / 1000, 61)
            given[expression] = sorted((sorted(s["metric"].items()), s["values"]) for s in result)
        return given

    def assert_same(self, got, want):
        for expression, value in want.items():
            self.assertTrue(value, expression)
            self.assertEqual(got[expression], value, expression)
        print(f"{len(want)} answers compared", end=" ", flush=True)

    def live_with(self, make):
        """A life that ends well, so that there are head chunk files, and one that is killed."""
        middle = (self.start + self.end) // 2
        server = make().start()
        self.in_order(server, self.start, middle)
        self.late(server, self.start, middle - 600_000)
        self.assertEqual(server.stop(), 0)
        server = make().start()
        self.in_order(server, middle, self.end)
        self.late(server, middle - 600_000, self.end - 600_000)
        want = self.answers(server)
        server.kill()
        self.assertTrue(glob.glob(self.path("data/chunks_head/0*")))
        self.assertTrue(any(os.path.getsize(f) for f in glob.glob(self.path("data/wbl/0*"))))
        return want

    def of_prometheus(self, features=FEATURES):
        return self.prometheus(CONFIG, arguments=["--web.enable-remote-write-receiver", features])

    def test_prometheus_serves_what_tarsier_left(self):
        want = self.live_with(lambda: self.tarsier(CONFIG))
        prometheus = self.of_prometheus().start()
        self.assert_same(self.answers(prometheus), want)
        log = prometheus.log()
        for trouble in ("corrupt", "repair", "failed", "unknown series"):
            self.assertNotIn(trouble, log.lower(), log)
        prometheus.kill()
        # And back, with what both wrote.
        self.assert_same(self.answers(self.tarsier(CONFIG).start()), want)

    def test_tarsier_serves_what_prometheus_left(self):
        want = self.live_with(self.of_prometheus)
        tarsier = self.tarsier(CONFIG).start()
        self.assert_same(self.answers(tarsier), want)
        tarsier.kill()
        self.assert_same(self.answers(self.of_prometheus().start()), want)

    def test_snapshots_of_the_head_mislead_nobody(self):
        # Version 2.42 makes none while it takes histograms.
        features = "--enable-feature=memory-snapshot-on-shutdown"
        prometheus = self.of_prometheus(features).start()
        middle = (self.start + self.end) // 2
        self.in_order(prometheus, self.start, middle, histograms=False)
        self.assertEqual(prometheus.stop(), 0)
        self.assertTrue(glob.glob(self.path("data/chunk_snapshot.*")))
        tarsier = self.tarsier(CONFIG).start()
        self.assertFalse(glob.glob(self.path("data/chunk_snapshot.*")))
        self.in_order(tarsier, middle, self.end, histograms=False)
        self.late(tarsier, self.start, self.end - 600_000)
        want = self.answers(tarsier, QUERIES)
        tarsier.kill()
        self.assert_same(self.answers(self.of_prometheus(features).start(), QUERIES), want)

    def test_late_histograms_survive_and_trouble_nobody(self):
        tarsier = self.tarsier(CONFIG).start()
        self.in_order(tarsier, self.start, self.end)
        for t in range(self.start + 7_000, self.end - 600_000, 60_000):
            self.put(tarsier, [({"__name__": "h"}, [], [(t, cumulative(t // 1000))])])
        want = self.answers(tarsier)
        tarsier.kill()
        tarsier = self.tarsier(CONFIG).start()
        self.assert_same(self.answers(tarsier), {k: v for k, v in want.items() if "late" not in k})
        self.assertEqual(tarsier.stop(), 0)
        # Version 2.42 takes no late histograms; the rest it has to serve.
        prometheus = self.of_prometheus().start()
        floats = ["c", "sum(c)", "count(c)"]
        self.assert_same(self.answers(prometheus, floats), {k: want[k] for k in floats})


if __name__ == "__main__":
    unittest.main()
