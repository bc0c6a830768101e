"""Floods of new series: refused by name, within memory, and nobody else notices. And what a restart
tells while it reads the log."""

import re
import time
import unittest

from processes import EndToEndTest, http
from remote_write import send


def flood(url, names, t, metric="flood"):
    """One request of new series, one sample each."""
    return send(url, [({"__name__": metric, "id": name, "job": "app"}, [(t, 1.0)]) for name in names])


def metric(tarsier, name):
    """The value of one of the server's own metrics."""
    text = http(tarsier.url + "/metrics")[1]
    return float(re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE).group(1))


def anonymous_bytes(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        fields = dict(line.split(":", 1) for line in status)
    return sum(int(fields[name].split()[0]) * 1024 for name in ("RssAnon", "RssShmem"))


class LimitsTest(EndToEndTest):
    def test_a_flood_is_refused_by_name_and_existing_series_lose_nothing(self):
        tarsier = self.tarsier(arguments=["--storage.head-series-max=500"]).start()
        now = int(time.time() * 1000) - 60_000
        good = [({"__name__": "good", "id": str(i)}, [(now, 0.0)]) for i in range(20)]
        self.assertIn(send(tarsier.url, good)[0], (200, 204))
        status, text = 0, ""
        for batch in range(20):
            t = now + 1000 * (batch + 1)
            status, text = flood(tarsier.url, [f"{batch}-{i}" for i in range(100)], t)
            good = [({"__name__": "good", "id": str(i)}, [(t, 1.0)]) for i in range(20)]
            self.assertIn(send(tarsier.url, good)[0], (200, 204))
        self.assertEqual(status, 400)
        self.assertIn("the head has 500 series, its limit is 500", text)
        self.assertIn('metric "flood" has most series', text)
        self.assertIn('label "id" most values', text)
        counts = tarsier.query("count_over_time(good[5m])")
        self.assertEqual([c["value"][1] for c in counts], ["21"] * 20)
        self.assertEqual(metric(tarsier, "prometheus_tsdb_head_series"), 500)
        self.assertGreater(metric(tarsier, 'tarsier_tsdb_series_refused_total{limit="head"}'), 1000)
        top = tarsier.get("/api/v1/status/tsdb", limit=1)
        self.assertEqual(top["seriesCountByMetricName"][0]["name"], "flood")
        self.assertEqual(top["headStats"]["numSeries"], 500)

    def test_limits_by_metric_and_by_label_hit_only_who_is_to_blame(self):
        tarsier = self.tarsier("storage:\n  series_limits:\n    per_metric: 30\n"
                               "    per_label: [{label: tenant, max: 5}]\n").start()
        now = int(time.time() * 1000)
        status, text = flood(tarsier.url, [str(i) for i in range(40)], now)
        self.assertEqual(status, 400)
        self.assertIn('metric "flood" has 30 series, its limit is 30', text)
        status, text = send(tarsier.url, [
            ({"__name__": f"m{i}", "tenant": "big"}, [(now, 1.0)]) for i in range(9)])
        self.assertEqual(status, 400)
        self.assertIn('tenant="big" has 5 series, its limit is 5', text)
        self.assertIn(send(tarsier.url, [({"__name__": "m0", "tenant": "small"}, [(now, 1.0)])])[0], (200, 204))
        self.assertEqual(tarsier.query("count({tenant='big'})")[0]["value"][1], "5")

    def test_memory_stays_within_its_limit(self):
        limit = 100 << 20
        tarsier = self.tarsier(arguments=[f"--storage.memory-limit={limit >> 20}MB"]).start()
        now = int(time.time() * 1000) - 60_000
        self.assertIn(send(tarsier.url, [({"__name__": "good"}, [(now, 0.0)])])[0], (200, 204))
        filler = "x" * 300
        refused, peak = "", 0
        for batch in range(150):
            status, text = flood(tarsier.url, [f"{filler}{batch}-{i}" for i in range(1000)], now)
            peak = max(peak, anonymous_bytes(tarsier.process.pid))
            if status == 400:
                refused = text
                if batch > 140:
                    break
        self.assertLess(peak, limit * 1.1)
        self.assertRegex(refused, "its share is 70 MiB|memory is used up")
        self.assertIn('metric "flood" has most series', refused)
        self.assertIn(send(tarsier.url, [({"__name__": "good"}, [(now + 1000, 1.0)])])[0], (200, 204))
        self.assertEqual(tarsier.query("count_over_time(good[5m])")[0]["value"][1], "2")
        self.assertEqual(metric(tarsier, "tarsier_memory_limit_bytes"), limit)


class RestartTest(EndToEndTest):
    def test_progress_of_the_replay_is_told(self):
        tarsier = self.tarsier().start()
        now = int(time.time() * 1000)
        self.assertIn(send(tarsier.url, [({"__name__": "kept"}, [(now, 7.0)])])[0], (200, 204))
        tarsier.kill()
        tarsier.start()
        progress = tarsier.get("/api/v1/status/walreplay")
        self.assertEqual(set(progress), {"min", "max", "current"})
        self.assertEqual(progress["current"], progress["max"])
        self.assertEqual(tarsier.query("kept")[0]["value"][1], "7")
        log = tarsier.log()
        self.assertIn("Replaying WAL", log)
        self.assertRegex(log, r"WAL segment loaded\" segment=0 maxSegment=0")
        self.assertIn("WAL replay completed", log)
        self.assertGreater(metric(tarsier, "prometheus_tsdb_data_replay_duration_seconds"), 0)


if __name__ == "__main__":
    unittest.main()
