"""Random expressions over the same samples: Tarsier and a Prometheus 3 give the same answers.

Runs when TARSIER_PROMETHEUS3 names such a program (Debian's speaks the language of 2.42, whose
ranges are closed on both sides). TARSIER_PEER_EXPRESSIONS is how many, TARSIER_SEED which.
Differences that are meant are listed in docs/decisions/0014-where-answers-differ.md.
"""

import json
import math
import os
import random
import struct
import unittest
import urllib.parse

from processes import EndToEndTest, Server, free_port, http
from remote_write import send

STALE = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]
MINUTES = 40
BASE = 1_700_000_000


def make_series(r):
    """Counters with resets, gaps and stale markers, gauges with NaN and infinities, classic and
    native histograms: [(labels, samples, histograms)]."""
    series = []
    for job in ("a", "b"):
        for instance in ("1", "2", "3"):
            own = {"job": job, "instance": instance}
            value, counter, gauge = 0.0, [], []
            t = BASE * 1000 + r.randrange(15_000)
            ends = (BASE + MINUTES * 60) * 1000
            gap_until = 0
            while t < ends:
                value = 0.0 if r.random() < 0.03 else value + r.choice((0, 1, 2.5, 10, 0.1))
                if r.random() < 0.02:
                    gap_until = t + r.randrange(600_000)
                if t >= gap_until:
                    counter.append((t, value))
                    gauge.append((t, STALE if r.random() < 0.02 else r.choice(
                        (r.uniform(-5, 5), r.randrange(10), 0.0, -0.0, math.nan, math.inf))))
                t += r.choice((15_000, 15_000, 15_000, 15_003, 30_000))
            series.append(({"__name__": "requests_total", **own}, counter, []))
            series.append(({"__name__": "temperature", **own}, gauge, []))
            series.append(({"__name__": "plain", **own}, [
                (p[0], float(r.randrange(100))) for p in counter], []))
            series.append(({"__name__": "distinct", **own}, [
                (p[0], r.uniform(-100, 100)) for p in counter], []))
            for i, le in enumerate(("0.1", "1", "10", "+Inf")):
                series.append(({"__name__": "latency_bucket", "le": le, **own}, [
                    (p[0], float(math.floor(p[1] * (i + 1)))) for p in counter], []))
            native, counts = [], [0, 0, 0]
            for p in counter:
                counts = [0, 0, 0] if r.random() < 0.03 else [c + r.randrange(3) for c in counts]
                native.append((p[0], {
                    "count": sum(counts), "sum": float(sum(counts)) * 1.5, "schema": 1,
                    "zero_threshold": 0.001, "zero_count": counts[0],
                    "positive": ([(0, 2)], [counts[1], counts[2] - counts[1]])}))
            series.append(({"__name__": "latency", **own}, [], native))
    for job in ("a", "b"):
        series.append(({"__name__": "info_of_job", "job": job, "team": "t" + job}, [
            ((BASE + 15 * i) * 1000, 1.0) for i in range(MINUTES * 4)], []))
    return series


class Expressions:
    """Random PromQL, mostly well typed."""

    METRICS = ("requests_total", "temperature", "plain", "distinct", "latency_bucket", "latency", "info_of_job")
    RANGE = ("rate", "increase", "irate", "idelta", "delta", "deriv", "changes", "resets",
             "avg_over_time", "sum_over_time", "min_over_time", "max_over_time", "count_over_time",
             "last_over_time", "stddev_over_time", "stdvar_over_time", "present_over_time",
             "absent_over_time")
    MATH = ("abs", "ceil", "floor", "exp", "ln", "log2", "log10", "sqrt", "sgn", "round", "timestamp",
            "sort", "absent", "histogram_count", "histogram_sum", "histogram_avg", "histogram_stddev",
            "deg", "acosh", "sinh", "cos")
    AGGREGATES = ("sum", "min", "max", "avg", "count", "group", "stddev", "stdvar")

    def __init__(self, r):
        self.r = r

    def selector(self):
        r, text = self.r, self.r.choice(self.METRICS)
        matchers = [m for m in ('job="a"', 'instance=~"1|2"', 'job!="b"', 'le="1"', 'instance!~"3"')
                    if r.random() < 0.12]
        return text + ("{" + ",".join(matchers) + "}" if matchers else "")

    def modifiers(self):
        r = self.r
        text = ""
        if r.random() < 0.12:
            text += " offset " + r.choice(("1m", "5m", "-2m", "90s"))
        if r.random() < 0.06:
            text += " @ " + r.choice((str(BASE + 600), "start()", "end()", f"{BASE + 1234}.5"))
        return text

    def range(self, depth):
        length = self.r.choice(("30s", "1m", "5m", "7m30s", "15m"))
        if depth > 0 and self.r.random() < 0.25:
            step = self.r.choice(("", "1m", "45s"))
            return f"({self.vector(depth - 1)})[{length}:{step}]" + self.modifiers()
        return f"{self.selector()}[{length}]" + self.modifiers()

    def labels(self):
        return ", ".join(self.r.sample(("job", "instance", "le"), self.r.randrange(3)))

    def scalar(self, depth):
        if depth > 0 and self.r.random() < 0.2:
            return f"scalar({self.vector(depth - 1)})"
        return self.r.choice(("2", "0.5", "-1", "1e3", "time()", "Inf", "0", "NaN", "pi()"))

    def vector(self, depth):
        r = self.r
        if depth <= 0:
            return self.selector() + self.modifiers()
        kind = r.randrange(13)
        if kind <= 2:
            return f"{r.choice(self.RANGE)}({self.range(depth - 1)})"
        if kind == 3:
            return f"{r.choice(self.MATH)}({self.vector(depth - 1)})"
        if kind <= 5:
            grouping = r.choice(("", f" by ({self.labels()}) ", f" without ({self.labels()}) "))
            return f"{r.choice(self.AGGREGATES)}{grouping}({self.vector(depth - 1)})"
        if kind == 6:
            # Which of equal values topk takes depends on the order storage gives series in.
            return r.choice((
                f"topk by (job) (2, distinct{self.modifiers()})",
                f"bottomk by (job) (1, distinct{self.modifiers()})",
                f"quantile by (job) (0.3, {self.vector(depth - 1)})",
                # Values that are rounded differently would be other series.
                f'count_values by (job) ("v", {self.selector()})'))
        if kind == 7:
            return r.choice((
                f"histogram_quantile({r.choice(('0.5', '0.99', '0', '1', '2'))}, {self.vector(depth - 1)})",
                f"histogram_quantile(0.9, sum by (le, job) (rate({self.selector()}[5m])))",
                f"histogram_fraction(0, 1, {self.vector(depth - 1)})",
                f"histogram_quantile(0.7, rate(latency[5m]))"))
        if kind == 8:
            return r.choice((
                f"quantile_over_time(0.4, {self.range(depth - 1)})",
                f"predict_linear({self.range(depth - 1)}, 60)",
                f"clamp({self.vector(depth - 1)}, -1, {self.scalar(depth - 1)})",
                f"clamp_min({self.vector(depth - 1)}, 1)",
                f'label_replace({self.vector(depth - 1)}, "new", "$1-x", "job", "(.*)")',
                f'label_join({self.vector(depth - 1)}, "job", "/", "job", "instance")',
                f"{r.choice(('day_of_week', 'hour', 'minute', 'days_in_month', 'year'))}(timestamp({self.selector()}) * 1e4)",
                f"vector({self.scalar(depth - 1)})"))
        if kind == 9:
            operator = r.choice(("and", "or", "unless"))
            matching = r.choice(("", " on (job) ", " ignoring (instance) "))
            return f"({self.vector(depth - 1)}) {operator}{matching} ({self.vector(depth - 1)})"
        operator = r.choice(("+", "-", "*", "/", "%", "^", "==", "!=", ">", "<=", "> bool", "atan2"))
        if kind == 10:
            return f"({self.vector(depth - 1)}) {operator} {self.scalar(depth - 1)}"
        if kind == 11:
            return f"({self.vector(depth - 1)}) {operator} on (job) group_left (team) info_of_job"
        matching = r.choice(("", " on (job, instance) ", " ignoring (le) "))
        return f"({self.vector(depth - 1)}) {operator}{matching}({self.vector(depth - 1)})"


def number(text):
    return float(text)


def is_close(a, b):
    if a == b or (math.isnan(a) and math.isnan(b)):
        return True
    return math.isfinite(a) and math.isfinite(b) and abs(a - b) <= 1e-9 * max(abs(a), abs(b), 1e-3)


def points(answer):
    """{labels: {time: number or histogram}}"""
    if answer["resultType"] == "scalar":
        t, v = answer["result"]
        return {"": {t: number(v)}}
    found = {}
    for one in answer["result"]:
        key = json.dumps(one["metric"], sort_keys=True)
        own = found.setdefault(key, {})
        for t, v in one.get("values", []) + ([one["value"]] if "value" in one else []):
            own[t] = number(v)
        for t, h in one.get("histograms", []) + ([one["histogram"]] if "histogram" in one else []):
            own[t] = h
    return found


def is_same_point(a, b):
    if isinstance(a, float) or isinstance(b, float):
        return isinstance(a, float) and isinstance(b, float) and is_close(a, b)
    if not is_close(number(a["count"]), number(b["count"])) or \
            not is_close(number(a["sum"]), number(b["sum"])):
        return False
    left, right = a.get("buckets", []), b.get("buckets", [])
    return len(left) == len(right) and all(
        x[0] == y[0] and all(is_close(number(p), number(q)) for p, q in zip(x[1:], y[1:]))
        for x, y in zip(left, right))


def difference(ours, theirs):
    if ours[0] != theirs[0]:
        return f"status {ours[0]} {ours[1][:200]} instead of {theirs[0]} {theirs[1][:200]}"
    if ours[0] != 200:
        return ""
    a, b = json.loads(ours[1])["data"], json.loads(theirs[1])["data"]
    if a["resultType"] != b["resultType"]:
        return f"type {a['resultType']} instead of {b['resultType']}"
    a, b = points(a), points(b)
    if a.keys() != b.keys():
        return f"series {sorted(a.keys() - b.keys())[:3]} too many, {sorted(b.keys() - a.keys())[:3]} too few"
    for key, own in a.items():
        if own.keys() != b[key].keys():
            return f"{key}: points at other times"
        for t, value in own.items():
            if not is_same_point(value, b[key][t]):
                return f"{key} at {t}: {value} instead of {b[key][t]}"
    return ""


@unittest.skipUnless(os.environ.get("TARSIER_PROMETHEUS3"), "TARSIER_PROMETHEUS3 names no program")
class PeerAnswers(EndToEndTest):
    def test_random_expressions(self):
        seed = int(os.environ.get("TARSIER_SEED", "1"))
        count = int(os.environ.get("TARSIER_PEER_EXPRESSIONS", "2000"))
        ours = self.tarsier().start()
        port = free_port()
        theirs = self.add(Server("prometheus3", [
            os.environ["TARSIER_PROMETHEUS3"], f"--config.file={self.write('p.yml', 'global: {}')}",
            f"--storage.tsdb.path={self.path('theirs')}", f"--web.listen-address=127.0.0.1:{port}",
            "--web.enable-remote-write-receiver", "--log.level=warn"], port, self.directory)).start()
        for one in make_series(random.Random(seed)):
            for server in (ours, theirs):
                status, text = send(server.url, [one])
                self.assertLess(status, 300, f"{server.name}: {text}")
        r = random.Random(seed + 1)
        expressions = Expressions(r)
        different, refused, empty = [], 0, 0
        for _ in range(count):
            query = expressions.vector(1 + r.randrange(3))
            start = BASE + r.randrange(MINUTES * 60)
            if r.random() < 0.5:
                parameters = {"query": query, "start": start, "step": r.choice((15, 60, 37)),
                              "end": start + r.randrange(900)}
                path = "/api/v1/query_range"
            else:
                parameters, path = {"query": query, "time": start}, "/api/v1/query"
            asked = f"{path}?{urllib.parse.urlencode(parameters)}"
            a, b = http(ours.url + asked), http(theirs.url + asked)
            refused += b[0] != 200
            empty += b[0] == 200 and not json.loads(b[1])["data"]["result"]
            found = difference(a, b)
            if found:
                different.append(f"{query}\n    {parameters}\n    {found}")
        print(f"{count} expressions against Prometheus 3, seed {seed}: {refused} refused, {empty} empty, "
              f"{len(different)} different")
        self.assertFalse(different, "\n".join(different[:40]))


if __name__ == "__main__":
    unittest.main()
