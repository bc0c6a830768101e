"""Data and random PromQL to ask two servers about."""

import math
import random
import struct

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


def _buckets(counts):
    """Counts as one span of differences."""
    differences = [counts[0]] + [b - a for a, b in zip(counts, counts[1:])]
    return [(0, len(counts))], differences


def make_odd_series(r):
    """Whatever make_series has not: gauge histograms and float ones, layouts that change, custom
    buckets, series of both kinds, series for info(), names beyond ASCII."""
    series = []
    for job in ("a", "b"):
        for instance in ("1", "2", "3"):
            own = {"job": job, "instance": instance}
            times = [BASE * 1000 + r.randrange(15_000) + 15_000 * i for i in range(MINUTES * 4)
                     if r.random() > 0.08]
            gauges, floats, customs, both, plain = [], [], [], [], []
            counts, custom, schema, threshold = [0, 0, 0], [0, 0, 0, 0], 1, 0.001
            bounds = (0.5, 1.0, 5.0) if instance != "3" else (1.0, 2.0, 5.0)
            for i, t in enumerate(times):
                level = [r.randrange(6) for _ in range(4)]
                gauges.append((t, {"count": sum(level), "sum": r.uniform(-9, 9), "schema": 0, "hint": 3,
                                   "zero_threshold": 0.25, "zero_count": level[0],
                                   "positive": _buckets(level[1:3]), "negative": _buckets(level[3:])}))
                # Never empty buckets: whether those are equal to none is decided differently.
                if r.random() < 0.05 or counts == [0, 0, 0]:
                    counts = [1, 1, 1]
                if r.random() < 0.04:
                    schema, threshold = r.choice((0, 1, 2)), r.choice((0.001, 0.1, 0.5))
                counts = [c + r.randrange(4) / 2 for c in counts]
                floats.append((t, {"is_float": True, "count": sum(counts), "sum": sum(counts) * 2.25,
                                   "schema": schema, "zero_threshold": threshold, "zero_count": counts[0],
                                   "positive": ([(1, 1), (1, 1)], counts[1:])}))
                custom = [1] * 4 if r.random() < 0.04 or not all(custom) else [c + r.randrange(3) for c in custom]
                customs.append((t, {"count": sum(custom), "sum": sum(custom) * 0.75, "schema": -53,
                                    "positive": _buckets(custom), "custom": bounds}))
                if i // 25 % 2 == 0:
                    plain.append((t, float(i % 17)))
                else:
                    both.append((t, floats[-1][1]))
            series.append(({"__name__": "level", **own}, [], gauges))
            series.append(({"__name__": "shifty", **own}, [], floats))
            series.append(({"__name__": "custom", **own}, [], customs))
            series.append(({"__name__": "either", **own}, plain, both))
            series.append(({"__name__": "größe.bytes", "label.ünï": "v" + instance, **own},
                           [(t, float(t % 1000)) for t in times], []))
            half = len(times) // 2
            for version, part in (("1", times[:half]), ("2", times[half:])):
                series.append(({"__name__": "target_info", "version": version, **own},
                               [(t, 1.0) for t in part], []))
            series.append(({"__name__": "build_info", "rev": "r" + instance, **own},
                           [(t, 1.0) for t in times], []))
    return series


class ExperimentalExpressions(Expressions):
    """Also what stands behind feature flags, and everything make_odd_series brings."""

    METRICS = Expressions.METRICS + (
        "level", "shifty", "custom", "either", '{"größe.bytes"}', "target_info", "latency", "latency_bucket")
    RANGE = Expressions.RANGE + ("first_over_time", "mad_over_time")
    MATH = Expressions.MATH + (
        "histogram_stdvar", "tan", "asin", "acos", "atan", "sin", "cosh", "tanh", "asinh", "atanh", "rad",
        "sort_desc", "-", "+")

    def selector(self):
        text = super().selector()
        if "}{" in text:  # A quoted name stands inside the braces.
            text = text.replace("}{", ", ")
        return text

    def duration(self):
        return self.r.choice((
            "30s", "1m", "5m", "7m30s", "15m", "90", "step() + 1m", "2 * 3m - 30s", "min_of(5m, range() + 1m)",
            "max_of(step(), 2m)", "5m / 3", "2m ^ 1", "10m % 7m", "(1m + 1m) * 2", "100.5"))

    def range(self, depth):
        r = self.r
        if depth > 0 and r.random() < 0.3:
            step = r.choice(("", "1m", "45s", "7", "step() + 30s", "13s"))
            return f"({self.vector(depth - 1)})[{self.duration()}:{step}]" + self.modifiers()
        return f"{self.selector()}[{self.duration()}]" + self.modifiers()

    def modifiers(self):
        r = self.r
        if r.random() < 0.06:
            return " offset " + r.choice(("(step() + 1m)", "-1m30s", "(2m - 5m)", "step()", "-30"))
        if r.random() < 0.05:
            return r.choice((" @ end() offset 5m", " offset -3m @ start()", f" @ {BASE + 900} offset 1m"))
        return super().modifiers()

    def labels(self):
        return ", ".join(self.r.sample(("job", "instance", "le", '"label.ünï"', "version"),
                                       self.r.randrange(3)))

    def scalar(self, depth):
        if self.r.random() < 0.2:
            return self.r.choice(("start()", "end()", "step()", "range()", "min_of(time(), 1e3)", "0x1F", "5m",
                                  "max_of(NaN, 1)", "1_000", "010", "-0"))
        return super().scalar(depth)

    def extended(self):
        r = self.r
        word = r.choice(("anchored", "smoothed"))
        functions = ("increase", "rate", "delta", "resets", "changes") if word == "anchored" else (
            "increase", "rate", "delta")
        return r.choice((
            f"{r.choice(functions)}({self.selector()}[{r.choice(('1m', '5m', '15m'))}] {word})",
            f"{r.choice(functions)}({self.selector()}[{r.choice(('2m', '3m'))}] {word} offset 1m)",
            f"{self.selector()} {word}"))

    def histograms(self, depth):
        r = self.r
        h = r.choice(("latency", "level", "shifty", "custom", "either"))
        grown = r.choice((h, f"rate({h}[5m])", f"sum by (job) ({h})", f"increase({h}[3m])", f"avg({h})",
                          f"sum_over_time({h}[4m])", f"{h} * {self.scalar(0)}", f"{h} / {self.scalar(0)}",
                          f"-{h}", f"{h} - {h} offset 2m", f"{h} + ignoring (instance) group_left sum by (job) ({h})"))
        return r.choice((
            grown,
            f"histogram_quantile({r.choice(('0.1', '0.5', '0.95', '1', '-1', 'NaN'))}, {grown})",
            f"histogram_fraction({r.choice(('-Inf', '0', '-1', '0.7'))}, {r.choice(('1', '+Inf', '2.5'))}, {grown})",
            f"histogram_{r.choice(('count', 'sum', 'avg', 'stddev', 'stdvar'))}({grown})",
            f'histogram_quantiles({grown}, "q", 0.2, 0.5, 1)',
            f"{grown} {r.choice(('</', '>/'))} {r.choice(('1', '0', '2.5', '-0.3', 'NaN', '+Inf'))}",
            f"{grown} {r.choice(('==', '!=', '+', '-'))} {h}",
            f"{r.choice(('resets', 'changes', 'count_over_time', 'last_over_time', 'idelta', 'irate'))}(({grown})[5m:30s])",
            f'count_values("v", {h})',
            f"{r.choice(('min', 'max', 'stddev', 'count', 'group'))} by (job) ({grown})",
            f"histogram_quantile(0.7, sum by (job, le) ({{__name__=~\"latency|latency_bucket\"}}))",
            f"limit_ratio({r.choice(('0.4', '-0.6', '1', '2'))}, {grown})"))

    def vector(self, depth):
        r = self.r
        if depth <= 0 or r.random() < 0.62:
            return super().vector(depth)
        kind = r.randrange(9)
        if kind <= 1:
            return self.extended()
        if kind <= 3:
            return self.histograms(depth)
        if kind == 4:
            fill = r.choice(("fill(0)", "fill_left(1)", "fill_right(-2.5)", "fill_left(0) fill_right(1)", "fill(NaN)"))
            operator = r.choice(("+", "-", "*", ">", "== bool", "/", "<="))
            matching = r.choice(("on (job, instance)", "ignoring (le, version, rev)", "on (job, instance) group_left",
                                 "on (job, instance) group_right", "on (job, instance) group_left (version)"))
            return f"{self.vector(depth - 1)} {operator} {matching} {fill} {self.vector(depth - 1)}"
        if kind == 5:
            return r.choice((
                f"info({self.selector()}{self.modifiers()})",
                f"info(rate({self.selector()}[5m]))",
                f'info({self.vector(depth - 1)}, {{version=~"{r.choice(("1", "2", ".*", ".+", ""))}"}})',
                f'info({self.selector()}, {{__name__="build_info"}})',
                f'info({self.selector()}, {{__name__=~".+_info", rev=~".+"}})'))
        if kind == 6:
            return r.choice((
                f"count(limitk({r.choice(('2', '1', '0', '100'))}, {self.vector(depth - 1)}))",
                f"limit_ratio({r.choice(('0.5', '-0.5', '0.1', '-1', '0', '1.5'))}, {self.vector(depth - 1)})",
                f"count by (job) (limit_ratio(0.3, {self.vector(depth - 1)}))"))
        if kind == 7:
            return r.choice((
                f'label_replace({self.vector(depth - 1)}, "new.ü", "$1-$name${{2}}$$", "instance", "(.)(?P<name>.*)")',
                f'label_replace({self.vector(depth - 1)}, "job", "$1", "label.ünï", "v(.*)")',
                f'label_replace({self.vector(depth - 1)}, "__name__", "other", "job", "a")',
                f'label_join({self.vector(depth - 1)}, "a.ö", "ß", "job", "label.ünï", "none")',
                f'label_join({self.vector(depth - 1)}, "instance", "")',
                f'sort_by_label({self.vector(depth - 1)}, "instance", "job")'))
        return r.choice((
            f"double_exponential_smoothing({self.range(depth - 1)}, 0.3, {r.choice(('0.6', '0.99'))})",
            f"predict_linear({self.range(depth - 1)}, {self.scalar(depth - 1)})",
            f"quantile_over_time({self.scalar(0)}, {self.range(depth - 1)})",
            f"quantile by ({self.labels()}) ({self.scalar(0)}, {self.vector(depth - 1)})",
            f"round({self.vector(depth - 1)}, {self.scalar(0)})",
            f"clamp_max({self.vector(depth - 1)}, {self.scalar(depth - 1)})",
            f"timestamp({self.selector()}{self.modifiers()})",
            f"{r.choice(('day_of_year', 'day_of_month', 'month'))}(timestamp({self.selector()}) * 1e3)",
            # Of stored samples only: which of equal values is computed first depends on rounding.
            f"ts_of_{r.choice(('first', 'last', 'min', 'max'))}_over_time({self.selector()}[{self.duration()}]) - {BASE}",
            f"absent({self.selector()})", f"absent_over_time({self.selector()}[30s])",
            f"count_values without (instance) (\"v.x\", {self.selector()})",
            f"group by (__name__, job) ({self.vector(depth - 1)})",
            f"{self.scalar(depth - 1)} {r.choice(('+', '> bool', '^', '%'))} {self.scalar(depth - 1)}"))
