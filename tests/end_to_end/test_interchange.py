"""Prometheus and Tarsier on each other's data directories: same answers to the same queries."""

import os
import shutil
import subprocess
import time
import unittest

from processes import EndToEndTest, wait_until
from remote_write import send

HOUR_MS = 3_600_000

# Sums of integers and single-series expressions, so that both engines must agree to the bit, and
# times 3 ms off the samples: version 2.42 still counts a sample at a range's left end. Counters stay far from zero,
# because that version applies the limit by a counter's zero before the extrapolation threshold.
QUERIES = [
    "counter_total", "gauge", "sum(counter_total)", "sum by (job) (counter_total)",
    "rate(counter_total[7m7s])", "increase(counter_total[11m1s])", "delta(gauge[13m3s])",
    "max_over_time(gauge[7m7s])", "min_over_time(gauge[7m7s])", "count_over_time(gauge[7m7s])",
    "sum_over_time(gauge[7m7s])", "last_over_time(gauge[7m7s])", "quantile_over_time(0.9, gauge[7m7s])",
    "topk(3, counter_total)", "count(gauge > 50)", "counter_total / on(i, job) group_left gauge",
    "gauge offset 1h", "absent(gauge)", "absent(nothing)", "histogram_quantile(0.9, sum by (le) (rate(h_bucket[7m7s])))",
    "changes(gauge[17m1s])", "resets(counter_total[17m1s])", "label_replace(gauge, 'x', '$1', 'i', '(.*)')",
    "max_over_time(rate(counter_total[7m7s])[31m1s:1m])", "gauge and counter_total > 100",
    "stddev_over_time(gauge[7m7s])", "avg_over_time(gauge[7m7s])", "-gauge ^ 2", "irate(counter_total[7m7s])",
]


def dataset(t):
    """The samples of one moment (milliseconds): counters with a reset, gauges, a histogram."""
    n = t // 15_000
    series = []
    for i in range(12):
        labels = {"i": str(i), "job": "ab"[i % 2]}
        series.append(({"__name__": "counter_total", **labels}, [(t, float(1_000_000 + n * (i + 1) % 50_000))]))
        series.append(({"__name__": "gauge", **labels}, [(t, float((n * 7919 + i * 104_729) % 1009) / 8)]))
    for k, le in enumerate(("0.1", "0.5", "1", "+Inf")):
        series.append(({"__name__": "h_bucket", "le": le}, [(t, float(1_000_000 + n * (k + 1)))]))
    return series


class InterchangeTest(EndToEndTest):
    def fill(self, server, start, end):
        for t in range(start, end, 15_000):
            status, text = send(server.url, dataset(t))
            self.assertIn(status, (200, 204), text)

    def wait_for_blocks(self, directory, count):
        def blocks():
            return [d for d in os.listdir(directory)
                    if len(d) == 26 and os.path.exists(os.path.join(directory, d, "meta.json"))]
        return wait_until(lambda: len(blocks()) >= count and blocks(), f"{count} blocks cut", 180)

    def answers(self, server, start, end):
        given = {}
        for expression in QUERIES:
            result = server.query_range(expression, (start + 3) / 1000, end / 1000, 61)
            given[expression] = sorted(
                (sorted(s["metric"].items()), s["values"]) for s in result)
        given["series"] = sorted(
            sorted(s.items()) for s in server.get("/api/v1/series", **{"match[]": '{__name__=~".+"}'}))
        given["labels"] = server.get("/api/v1/labels")
        given["values"] = server.get("/api/v1/label/i/values")
        return given

    def assert_same(self, got, want):
        for expression, value in want.items():
            if got[expression] == value:
                continue
            self.assertEqual([s[0] for s in got[expression]], [s[0] for s in value], expression)
            for mine, theirs in zip(got[expression], value):
                self.assertEqual(len(mine[1]), len(theirs[1]), (expression, mine[0]))
                for (t1, v1), (t2, v2) in zip(mine[1], theirs[1]):
                    self.assertEqual(t1, t2)
                    close = abs(float(v1) - float(v2)) <= 1e-12 * max(abs(float(v1)), abs(float(v2)))
                    self.assertTrue(v1 == v2 or close, f"{expression} {mine[0]} at {t1}: {v1} and {v2}")
        print(f"{len(want)} answers compared", end=" ", flush=True)

    def time_range(self):
        end = int(time.time() * 1000) // 15_000 * 15_000
        return end - 7 * HOUR_MS, end

    def test_prometheus_serves_what_tarsier_wrote(self):
        start, end = self.time_range()
        tarsier = self.tarsier().start()
        self.fill(tarsier, start, end)
        before = self.answers(tarsier, start + HOUR_MS, end)
        blocks = self.wait_for_blocks(self.path("data"), 2)
        self.assert_same(self.answers(tarsier, start + HOUR_MS, end), before)
        self.assertEqual(tarsier.stop(), 0)

        listing = self.promtool("tsdb", "list", self.path("data"))
        for block in blocks:
            self.assertIn(block, listing)
        self.assertIn("Series: 28", self.promtool("tsdb", "analyze", self.path("data"), blocks[0]))
        dump = self.promtool("tsdb", "dump", self.path("data"))
        self.assertEqual(len(dump.splitlines()), 28 * len(range(start, end, 15_000)))

        prometheus = self.prometheus().start()
        self.assert_same(before, self.answers(prometheus, start + HOUR_MS, end))
        # What Prometheus appends and compacts in that directory, Tarsier must take back.
        self.assertEqual(prometheus.stop(), 0)
        self.assert_same(self.answers(self.tarsier().start(), start + HOUR_MS, end), before)

    def test_tarsier_serves_what_prometheus_wrote(self):
        start, end = self.time_range()
        prometheus = self.prometheus(arguments=["--web.enable-remote-write-receiver"]).start()
        self.fill(prometheus, start, end)
        self.wait_for_blocks(self.path("data"), 1)
        want = self.answers(prometheus, start + HOUR_MS, end)
        shutil.copytree(self.path("data"), self.path("killed"))  # As a crash leaves it.
        self.assertEqual(prometheus.stop(), 0)
        for data in ("data", "killed"):
            tarsier = self.tarsier(data=data).start()
            self.assert_same(self.answers(tarsier, start + HOUR_MS, end), want)
            self.assertEqual(tarsier.stop(), 0)

    def test_what_prometheus_adds_behind_an_image_of_the_head_is_there(self):
        step = 10 * 60_000
        begin = int(time.time() * 1000) // 15_000 * 15_000 - 5 * step
        image = self.path("data/tarsier/head_image/image")
        taken = 0
        for n, is_killed in enumerate((False, True)):
            tarsier = self.tarsier().start()
            start = begin + 2 * n * step
            self.fill(tarsier, start, start + step)
            send(tarsier.url, [({"__name__": f"ours_{n}"}, [(start + step, 1.0)])])
            tarsier.kill() if is_killed else self.assertEqual(tarsier.stop(), 0)
            self.assertTrue(os.path.exists(image))

            prometheus = self.prometheus(arguments=["--web.enable-remote-write-receiver"]).start()
            self.fill(prometheus, start + step, start + 2 * step)
            send(prometheus.url, [({"__name__": f"theirs_{n}"}, [(start + 2 * step, 2.0)])])
            end = start + 2 * step
            want = self.answers(prometheus, begin, end)
            prometheus.kill() if is_killed else self.assertEqual(prometheus.stop(), 0)

            tarsier = self.tarsier().start()
            self.assert_same(self.answers(tarsier, begin, end), want)
            log = tarsier.log()
            self.assertRegex(log, "Head image (loaded|discarded)")
            taken += log.count("Head image loaded")
            names = {s["__name__"] for s in tarsier.get("/api/v1/series", **{"match[]": '{__name__=~"ours.*|theirs.*"}'})}
            self.assertEqual(names, {f"{whose}_{i}" for whose in ("ours", "theirs") for i in range(n + 1)})
            self.assertEqual(tarsier.stop(), 0)
        print(f"{taken} starts from an image", end=" ", flush=True)

    def promtool(self, *arguments):
        done = subprocess.run([self.need("promtool"), *arguments], capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout


if __name__ == "__main__":
    unittest.main()
