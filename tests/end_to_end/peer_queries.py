"""Queries over every function and operator, and malformed ones, to ask two servers about.

The samples are those of peer_expressions."""

from peer_expressions import BASE

FLOATS = ("requests_total", "temperature", "plain", "latency_bucket")
HISTOGRAMS = ("latency", "level", "shifty", "custom", "either")
SIMPLE = ("abs", "absent", "ceil", "floor", "exp", "ln", "log2", "log10", "sqrt", "sgn", "round", "sort", "sort_desc",
          "timestamp", "histogram_count", "histogram_sum", "histogram_avg", "histogram_stddev", "histogram_stdvar",
          "deg", "rad", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh",
          "atanh", "scalar")
DATES = ("day_of_month", "day_of_week", "day_of_year", "days_in_month", "hour", "minute", "month", "year")
RANGE = ("absent_over_time", "avg_over_time", "changes", "count_over_time", "delta", "deriv", "idelta", "increase",
         "irate", "last_over_time", "max_over_time", "min_over_time", "present_over_time", "rate", "resets",
         "stddev_over_time", "stdvar_over_time", "sum_over_time")
RANGE_EXPERIMENTAL = ("first_over_time", "mad_over_time", "ts_of_first_over_time", "ts_of_last_over_time",
                      "ts_of_max_over_time", "ts_of_min_over_time")
AGGREGATES = ("sum", "avg", "min", "max", "count", "group", "stddev", "stdvar")
ARITHMETIC = ("+", "-", "*", "/", "%", "^", "atan2")
COMPARISON = ("==", "!=", ">", "<", ">=", "<=")
SETS = ("and", "or", "unless")
GROUPINGS = ("", " by ()", " by (job)", " by (job, instance)", " without ()", " without (instance)",
             " by (nonexistent)", " without (le)", " by (__name__)", ' by ("label.ünï")')
SCALARS = ("1", "-1.5", "0", "Inf", "-Inf", "NaN", "1e-300", "1e300", "0x1f", "1h", "time()", "vector(3)", "scalar(plain{job=\"a\",instance=\"1\"})")
MODIFIERS = ("", " offset 1m", " offset -1m", " offset 0s", f" @ {BASE + 600}", f" @ {BASE + 600}.999", " @ start()",
             " @ end()", " @ end() offset -1m", " offset -5m @ start()", f" @ {BASE} offset -10m", " @ 0", " @ -1",
             " offset 1y", " offset -1y")
RANGES = ("1ms", "1s", "15s", "59s", "1m", "5m", "15m", "1h", "1d", "1y")
SELECTORS = (
    "requests_total", '{__name__="requests_total"}', '{"requests_total"}', '{__name__=~"requests.*"}',
    'requests_total{job="a"}', 'requests_total{job!="a"}', 'requests_total{job=~"a|b"}', 'requests_total{job!~"a"}',
    'requests_total{nonexistent=""}', 'requests_total{nonexistent!=""}', 'requests_total{job=""}',
    'requests_total{job=~".*"}', 'requests_total{job=~".+"}', 'requests_total{job!~".+"}', 'requests_total{job=~""}',
    'requests_total{instance=~"[1-2]"}', 'requests_total{instance=~"(?i)1|2"}', 'requests_total{instance=~"1|2|"}',
    'requests_total{job="a",instance!="1"}', 'requests_total{job="a",job="b"}', 'requests_total{job="a",job=~"a"}',
    'nonexistent', '{job="a",__name__!="latency"}', '{__name__=~"plain|distinct",job="b"}', '{"größe.bytes"}',
    '{"größe.bytes", "label.ünï"="v1"}', '{"label.ünï"=~"v[12]"}', '{__name__=~".*total"}',
    'requests_total{}', 'requests_total{job="a",}', '{job=~"^a$",__name__="plain"}', '{__name__="plain",instance=~"1|3"}',
    '{__name__=~"pl.in", instance=~"\\\\d"}', '{__name__="plain", instance=~"1|1|2"}', '{instance=~"(1|2)", __name__="plain"}',
    '{instance!~"1|2", __name__="plain"}', '{instance!~"", __name__="plain"}', '{instance=~"1?", __name__="plain"}',
)


def sound_queries():
    """What must be understood and give the same numbers."""
    yield from SELECTORS
    for s in SELECTORS[:6]:
        for m in MODIFIERS:
            yield s + m
    for f in SIMPLE:
        for m in FLOATS + HISTOGRAMS:
            yield f"{f}({m})"
        yield f"{f}(-{FLOATS[1]})"
        yield f"{f}(requests_total @ {BASE + 700})"
    for f in DATES:
        yield f"{f}()"
        yield f"{f}(requests_total * 1e5)"
        yield f"{f}(vector({BASE}))"
        yield f"{f}(vector(-1))"
        yield f"{f}(vector(1e11))"
        yield f"{f}(latency)"
    for f in RANGE + RANGE_EXPERIMENTAL:
        for m in FLOATS + HISTOGRAMS:
            yield f"{f}({m}[5m])"
        for r in RANGES:
            yield f"{f}(requests_total[{r}])"
        for mod in MODIFIERS:
            yield f"{f}(plain[3m]{mod})"
        yield f"{f}(plain[5m:])"
        yield f"{f}(plain[5m:30s])"
        yield f"{f}(rate(requests_total[1m])[5m:20s] offset 1m)"
        yield f"{f}(latency[5m:1m])"
        yield f"{f}((plain or latency)[5m:10s])"
        yield f'{f}({{__name__=~"latency|level"}}[5m])'
        yield f'{f}({{__name__=~"plain|distinct"}}[5m])'
        yield f"{f}(nonexistent[5m])"
        yield f'{f}({{"größe.bytes"}}[5m])'
    for word, functions in (("anchored", ("increase", "rate", "delta", "resets", "changes")),
                            ("smoothed", ("increase", "rate", "delta"))):
        for f in functions:
            for m in FLOATS + HISTOGRAMS:
                for r in ("20s", "1m", "5m"):
                    yield f"{f}({m}[{r}] {word})"
            for mod in MODIFIERS:
                yield f"{f}(requests_total[2m] {word}{mod})"
        for m in FLOATS + HISTOGRAMS:
            yield f"{m} {word}"
        yield f"requests_total[1m] {word}"
    for phi in ("-0.1", "0", "0.1", "0.5", "0.99", "1", "1.01", "NaN", "Inf", "-Inf", "scalar(plain{job='a',instance='1'}) / 100"):
        for m in FLOATS + HISTOGRAMS:
            yield f"quantile_over_time({phi}, {m}[5m])"
            yield f"quantile by (job) ({phi}, {m})"
            yield f"histogram_quantile({phi}, {m})"
        yield f"histogram_quantile({phi}, rate(latency_bucket[5m]))"
        yield f"histogram_quantile({phi}, sum by (le) (rate(latency_bucket[5m])))"
        yield f'histogram_quantiles(latency, "q", {phi}, 0.5)'
        yield f'histogram_quantiles(latency_bucket, "q", {phi})'
        for m in HISTOGRAMS + ("latency_bucket",):
            yield f"histogram_fraction({phi}, 1, {m})"
            yield f"histogram_fraction(-1, {phi}, {m})"
            yield f"{m} </ {phi}"
            yield f"{m} >/ {phi}"
    for k in ("-1", "0", "1", "2", "1.9", "100", "scalar(count(plain)) - 3"):
        for f in ("topk", "bottomk"):
            yield f"{f}({k}, distinct)"
            yield f"{f} by (job) ({k}, distinct)"
            yield f"{f} without (instance) ({k}, distinct)"
            yield f"sum({f}({k}, latency))"
            yield f"{f}({k}, distinct > 1e9)"
        yield f"count(limitk({k}, distinct))"
        yield f"count by (job) (limitk by (job) ({k}, distinct))"
    for r in ("-1.1", "-1", "-0.5", "0", "0.3", "0.7", "1", "1.5"):
        yield f"limit_ratio({r}, plain)"
        yield f"limit_ratio({r}, latency)"
        yield f"count(limit_ratio({r}, requests_total) or limit_ratio({r} - 1, requests_total))"
    for a in AGGREGATES:
        for g in GROUPINGS:
            for m in ("requests_total", "temperature", "latency", '{job="a"}', "nonexistent"):
                yield f"{a}{g} ({m})"
        for m in HISTOGRAMS:
            yield f"{a}({m})"
            yield f"{a} by (job) (rate({m}[5m]))"
        yield f"{a}(plain) by (job)"
        yield f"{a} ({{__name__=~'plain|latency'}})"
        yield f"{a}(plain @ end())"
        yield f"{a}({a} by (job) (plain))"
    for g in GROUPINGS:
        yield f'count_values{g} ("v", plain)'
        yield f'count_values{g} ("job", plain)'
        yield f'count_values{g} ("v", latency)'
        yield f'count_values{g} ("v.ü", level)'
        yield f"quantile{g} (0.5, plain)"
    for op in ARITHMETIC + COMPARISON:
        b = " bool" if op in COMPARISON else ""
        for s in SCALARS:
            for m in ("temperature", "latency", "either"):
                yield f"{m} {op} {s}"
                yield f"{s} {op} {m}"
                if b and "vector" not in s:
                    yield f"{m} {op}{b} {s}"
        for x in ("2", "-0", "NaN", "Inf", "1e308"):
            for y in ("3", "0", "-Inf", "0.5", "NaN"):
                yield f"{x} {op}{b} {y}"
        for x in FLOATS[:2] + HISTOGRAMS:
            for y in ("temperature", "latency", "custom", "either"):
                yield f"{x} {op} ignoring (le) {y}"
                if b:
                    yield f"{x} {op}{b} {y}"
        for match in ("", " on (job, instance)", " ignoring ()", " ignoring (nonexistent)", " on (job, instance, nonexistent)"):
            yield f"requests_total {op}{match} plain"
            yield f"requests_total {op}{match} (plain > 30)"
            yield f"requests_total {op}{match} nonexistent"
            yield f"nonexistent {op}{match} plain"
        yield f"requests_total {op} on (job) group_left sum by (job) (plain)"
        yield f"requests_total {op} on (job) group_left (team) info_of_job"
        yield f"requests_total {op} on (job) group_left (team, nonexistent) info_of_job"
        yield f"info_of_job {op} on (job) group_right (team) requests_total"
        yield f"info_of_job {op} on (job) group_right () requests_total"
        yield f"requests_total {op} on (job) group_left (instance) info_of_job"
        yield f"requests_total {op} ignoring (instance, team) group_left info_of_job"
        yield f"requests_total {op} on (job) info_of_job"
        yield f"requests_total {op} on () plain"
        yield f"sum(requests_total) {op} on () sum(plain)"
        for fill in ("fill (0)", "fill_left (5)", "fill_right (-1)", "fill_left (1) fill_right (2)",
                     "fill_right (NaN) fill_left (Inf)"):
            yield f"(requests_total > 50) {op} {fill} (plain < 50)"
            yield f"(requests_total > 50) {op} on (job, instance) {fill} plain{{job='a'}}"
            yield f"requests_total {op} on (job) group_left () {fill} info_of_job{{job='a'}}"
            yield f"requests_total{{job='a'}} {op} on (job) group_left () {fill} info_of_job"
            yield f"info_of_job {op} on (job) group_right (team) {fill} requests_total{{job='a'}}"
            yield f"nonexistent {op} {fill} plain"
            if b:
                yield f"(requests_total > 50) {op}{b} {fill} (plain < 50)"
    for op in SETS:
        for match in ("", " on (job)", " on (job, instance)", " ignoring (instance)", " on ()", " ignoring (le, job)"):
            yield f"requests_total {op}{match} plain"
            yield f"requests_total {op}{match} (plain > 50)"
            yield f"(requests_total > 50) {op}{match} (plain > 50)"
            yield f"latency {op}{match} plain"
            yield f"plain {op}{match} latency_bucket"
            yield f"nonexistent {op}{match} plain"
            yield f"plain {op}{match} nonexistent"
            yield f"vector(1) {op}{match} plain"
    for q in (
        "vector(1)", "vector(NaN)", "vector(time())", "time()", "1", "'a string'", '"\\u00e9"', "`raw\\n`", "-1", "+1",
        "--1", "1 + 2 * 3 ^ 2 ^ 0.5 - -4 % 3", "-2 ^ 2", "2 ^ -1", "1 - 1 - 1", "2 ^ 3 ^ 2", "-(plain)", "+plain",
        "- - plain", "pi()", "pi() * plain", "start()", "end()", "step()", "range()", "end() - start()", "min_of(1, 2)",
        "max_of(NaN, 1)", "max_of(time(), 3)", "plain[5m]", "plain[5m] offset 1m", "plain[5m:1m]", "plain[5m:]",
        "plain[5m:1s]", "rate(plain[1m])[5m:1m]", "latency[2m]", "latency[2m:30s]", "either[20m]", "temperature[30m]",
        '{__name__=~"plain|latency"}[2m]', "plain[5m:10m]", "plain[10s:1h]", "plain[1h] @ start()", "scalar(plain)",
        "scalar(sum(plain))", "scalar(latency)", "scalar(nonexistent)", "absent(plain)", "absent(nonexistent)",
        'absent(nonexistent{a="b",c!="d",e=~"f"})', 'absent(nonexistent{a="b",a="c"})', "absent(sum(nonexistent))",
        'absent_over_time(nonexistent{a="b"}[5m])', 'absent_over_time(nonexistent{a="b"}[5m:])',
        'absent({__name__="nonexistent", x="y"})', 'absent({"nonexi.stent", "x.y"="z"})', "absent(-nonexistent)",
        'label_replace(plain, "x", "$1", "instance", "(.*)")', 'label_replace(plain, "instance", "", "", "")',
        'label_replace(plain, "instance", "same", "", "")', 'label_replace(plain, "job", "${1}x$$", "job", "(a)|b")',
        'label_replace(plain, "x", "$name-$1-$2", "instance", "(?P<name>.)")',
        'label_replace(plain, "__name__", "other", "", "")', 'label_replace(plain, "__name__", "", "", "")',
        'label_replace(plain, "x", "$0", "instance", ".*")', 'label_replace(plain, "x", "$10", "instance", "(.)")',
        'label_replace(plain, "x", "$1a", "instance", "(.)")', 'label_replace(plain, "x", "${1}a", "instance", "(.)")',
        'label_replace(latency, "x", "y", "job", "a")', 'label_replace(plain, "x.y", "z", "instance", "1")',
        'label_join(plain, "x", "-", "job", "instance")', 'label_join(plain, "x", "")', 'label_join(plain, "job", "", "nothing")',
        'label_join(plain, "x", ", ", "job", "nothing", "instance", "job")', 'label_join(plain, "__name__", "_", "job", "instance")',
        'sort_by_label(plain, "instance")', 'sort_by_label_desc(plain, "job", "instance")', 'sort_by_label(plain)',
        "clamp(temperature, -1, 1)", "clamp(temperature, 1, -1)", "clamp(temperature, NaN, 1)", "clamp(temperature, -Inf, Inf)",
        "clamp_min(temperature, 0)", "clamp_max(temperature, 0)", "clamp_max(temperature, scalar(nonexistent))",
        "clamp(latency, 0, 1)", "round(temperature, 0.1)", "round(temperature, 0)", "round(temperature, -5)", "round(temperature, NaN)",
        "round(requests_total, 1e-9)", "round(latency)", "deriv(temperature[10m])", "predict_linear(plain[10m], 3600)",
        "predict_linear(plain[10m], -3600)", "predict_linear(plain[10m] offset 5m, 60)", f"predict_linear(plain[10m] @ {BASE + 900}, 60)",
        "predict_linear(plain[10m:1m], time() - 1.7e9)", "predict_linear(latency[10m], 1)",
        "double_exponential_smoothing(plain[10m], 0.5, 0.5)", "double_exponential_smoothing(plain[10m], 0.01, 0.99)",
        "double_exponential_smoothing(latency[10m], 0.5, 0.5)", "timestamp(plain)", "timestamp(plain offset 1m)",
        "timestamp(timestamp(plain))", "timestamp(plain + 1)", "timestamp((plain))", "timestamp(latency)", "timestamp(vector(1))",
        "info(plain)", "info(requests_total)", 'info(requests_total, {version=~".+"})', 'info(requests_total, {version="1"})',
        'info(requests_total, {version=""})', 'info(requests_total, {__name__="build_info"})', 'info(requests_total, {__name__=~".*_info"})',
        'info(rate(requests_total[5m]), {version=~".+"})', 'info(sum by (job, instance) (requests_total))', "info(latency)", "info(vector(1))",
        'info(requests_total, {nothing="here"})', 'info(target_info)', 'info({job="a"}, {version=~".+"})',
        "start_timestamp(plain)", "start_timestamp(latency)", "count(plain) or vector(0)", "sum(nonexistent) or vector(0)",
        "plain and on () vector(1)", "plain > scalar(avg(plain))", "plain == max(plain)", "plain == on () group_left max(plain)",
        "max_over_time(sum(rate(requests_total[1m]))[10m:30s])", "sum_over_time((plain > bool 50)[10m:15s])",
        "max_over_time(max_over_time(plain[2m])[10m:1m])", "avg_over_time(avg_over_time(avg_over_time(plain[1m])[5m:30s])[10m:1m])",
        "rate(sum(requests_total)[5m:15s])", "quantile_over_time(0.5, rate(requests_total[1m])[10m:30s] @ end())",
        "sum(rate(requests_total[step() + 1m]))", "rate(requests_total[min_of(range() + 1m, 10m)])", "rate(requests_total[5m * 2 - 1m])",
        "plain offset (step() * 2)", "plain offset -(1m)", "plain offset (1m - 2m)", "plain offset 30", "plain[300]", "plain[1.5]",
        "sum by (job) (plain) / on (job) group_left count by (job) (plain)", "sum by (job) (plain) > bool on (job) count by (job) (plain)",
        "(requests_total + plain) / ignoring (x) (requests_total - plain)", "requests_total / 0", "requests_total % 0", "0 / 0 * requests_total",
        "histogram_quantile(0.5, {__name__=~'latency|latency_bucket'})", "histogram_quantile(0.9, latency_bucket{le!='1'})",
        "histogram_quantile(0.9, latency_bucket{le!='+Inf'})", "histogram_quantile(0.9, plain)", "histogram_quantile(0.9, nonexistent)",
        "histogram_fraction(0, 1, sum by (le) (rate(latency_bucket[5m])))", "histogram_fraction(NaN, 1, latency)",
        "histogram_fraction(1, 0, latency)", "histogram_fraction(-Inf, +Inf, latency)", "sum(latency) + sum(level)", "latency - latency",
        "latency == latency", "latency != latency offset 1m", "latency == custom", "sum(custom)", "avg(custom)", "custom + on (job) group_left sum by (job) (custom)",
        "sum_over_time(custom[5m])", "avg_over_time(custom[5m])", "rate(custom[5m])", "-latency", "latency * 2", "2 * latency", "latency / 2",
        "latency * -1", "latency / 0", "latency * latency", "latency ^ 2", "latency and latency", "latency or plain", "latency > 1",
        "max(latency)", "quantile(0.5, latency)", "topk(1, latency)", "stddev(latency)", "group(latency)", "count(latency)",
        "sum({__name__=~'latency|custom'})", "sum({__name__=~'latency|plain'})", "avg({__name__=~'latency|plain'})",
        "# a comment\nplain # and more", "sum(\n  plain\n)", "SUM(plain)", "Sum BY (job) (plain)", "plain OFFSET 1m", "plain oFfSeT 1m",
        "plain AND plain", "1 == BOOL 1", "inf", "+Inf", "-iNf", "nan", "0b11", "0o17", "017", "1_000_000", "1e3", "1E-3", ".5", "5.", "0xFF", "0X1F",
        "sum(sum)", "by", "offset", "{offset='x'} or plain", "min_of", "plain{job='a'} @ 1.7e9", "plain @ 1_700_000_600", "plain @ 1h",
        "count({__name__!=''})", "count by (__name__) ({__name__!=''})", "count(topk(3, count by (__name__) ({__name__=~'.+'})))",
        "group by (instance) ({job='a'})", "absent(absent(plain))", "vector(scalar(vector(1)))", "sgn(-latency_bucket)", "((((plain))))",
        "sum without (instance, job) (rate(requests_total[5m])) or vector(0)", "count_over_time({job='a'}[1m])",
        "last_over_time({job='a'}[1m])", "first_over_time({__name__=~'plain|latency'}[1m])", "rate({job='a'}[5m])", "sum(rate({job='a'}[5m]))",
        "plain + on (job, instance) distinct + on (job, instance) requests_total", "plain unless on (instance) plain{job='a'}",
        "plain or on (instance) distinct", "(plain or distinct) and on (job) info_of_job{job='a'}", "plain * on (job) group_left (team) info_of_job unless plain",
        "1 + plain + 1 > 40 < 60", "plain > 40 > bool 60", "(plain > 40) * 2", "sum(plain > 40)", "plain != plain", "NaN == bool NaN",
        "count(plain == NaN)", "max(temperature)", "min(temperature)", "sum(temperature)", "avg(temperature)", "stddev(temperature)", "quantile(0.5, temperature)",
        "count(topk(2, temperature))", "count(bottomk(2, temperature))", "sort(temperature) * 0", "max_over_time(temperature[5m])", "min_over_time(temperature[5m])",
        "rate(requests_total[1h] offset -30m)", "increase(requests_total[40m])", "increase(requests_total[1s])", "deriv(requests_total[15s])",
        "irate(requests_total[30s])", "resets(requests_total[40m])", "changes(temperature[40m])", "stdvar_over_time(temperature[10m])",
        "rate(latency[5m] offset 30s)", "histogram_count(rate(latency[5m]))", "histogram_sum(rate(latency[5m]))", "histogram_avg(increase(shifty[5m]))",
        "histogram_quantile(0.5, sum by (job) (rate(shifty[5m])))", "histogram_count(sum(latency)) - histogram_count(sum(shifty))",
        "resets(latency[20m])", "changes(latency[20m])", "delta(level[5m])", "idelta(level[5m])", "irate(latency[5m])", "idelta(latency[5m])",
        "sum(rate(either[10m]))", "max_over_time(either[20m])", "count_over_time(either[20m])", "last_over_time(either[20m])",
    ):
        yield q


def broken_queries():
    """What must be refused, with the same words at the same place where parsing finds it."""
    texts = """
|sum(|sum(plain|sum plain|sum()|sum(1)|sum("a")|sum(plain, plain)|sum(plain,)|sum by (job)|sum by job (plain)|sum by (job plain)|sum by (1) (plain)
plain[|plain[]|plain[5m|plain[5]m]|plain[5m:|plain[:1m]|plain[5m:1m|plain[-5m]|plain[0]|plain[0s]|plain[5m:0s]|plain[5m:-1s]|plain[1.5h]|plain[5mm]|plain[m]
plain[5m][5m]|plain[5m] offset|plain offset|plain offset x|plain offset 1m offset 1m|plain @|plain @ x|plain @ 1 @ 2|plain @ start|plain @ start(|plain @ Inf|plain @ NaN|plain @ 1e300
(plain[5m])[5m]|1[5m]|"a"[5m]|sum(plain)[5m]|(plain)[5m]|rate(plain)|rate(plain[5m], 1)|rate()|rate(1)|rate("a")|rate(sum(plain))|rate(plain[5m] and plain)
plain offset 1m[5m]|plain @ 1[5m]|abs(plain[5m])|abs(1)|abs()|abs(plain, 1)|abs(plain,)|nofunction(plain)|nofunction()|RATE(plain[5m])|plain plain|plain 1|1 plain|1 2
plain +|+ +|* plain|plain *|plain * * plain|plain ** 2|plain && plain|plain || plain|!plain|plain = 1|plain =~ 1|plain == |plain === 1|plain <> 1|plain => 1
1 == 1|1 > 2|1 and 1|plain and 1|1 or plain|plain unless 1|1 == bool plain[5m]|plain + plain[5m]|plain[5m] + 1|"a" + "b"|"a" + 1|plain + "a"|-"a"|-plain[5m]|+"a"
plain + bool plain|plain and bool plain|plain * on plain|plain * on( plain|plain * on() 1|plain * on(job) 1|1 * on(job) plain|plain * group_left plain|plain * on(job) group_left(job) plain
plain and on(job) group_left plain|plain and group_left plain|plain * on(job) ignoring(job) plain|plain * bool on(job) plain|plain * on(job) group_left group_right plain
plain{|plain}|plain{job}|plain{job=}|plain{job="a"|plain{job="a" instance="b"}|plain{="a"}|plain{job='a}|plain{job=a}|plain{job=~"("}|plain{job=~"a{99999}"}|plain{job=~"[z-a]"}|plain{job!~"\\\\"}
{}|{job=""}|{job=~".*"}|{job!="a"}|{__name__=~".*"}|{__name__=""}|plain{__name__="x"}|plain{"x"}|{"a","b"}|{"a" "b"}|{"a"="b"="c"}|{1="a"}|{job:x="a"}|{job=="a"}|{job=~~"a"}|{,}|{job="a",,}|plain{,}
"unterminated|'unterminated|`unterminated|"bad \\q escape"|"\\x1"|"\\u12"|"\\ud800"|"\\777"|'\\"'|"new
line"
1e|1e+|0x|0xg|1_|_1_|1__0|1._5|08|09.5|1.2.3|..5|1m2|5m5m|5m1h|1h1h|1y1y|999999999999h|300y|1e400|-1e400|5minutes|1mo
(|)|()|((plain)|(plain))|[|]|[5m]|{|}|,|;|:|:a|a:b:c:|@|#|$|$1|%|^|&|\\|~|?|é|metric.name|metric-name{|plain{jöb="a"}|ümetric|"|'|`|0|
topk(plain)|topk(plain, plain)|topk("a", plain)|topk(1)|topk()|topk(1, 2)|topk(1, plain[5m])|quantile(plain)|quantile("a", plain)|count_values(plain)|count_values(1, plain)|count_values("", plain)|count_values("a\\xffb", plain)
limitk(plain)|limit_ratio(NaN, plain)|topk(NaN, plain)|topk(Inf, plain)|topk(-Inf, plain)|topk(1e300, plain)|limitk(NaN, plain)|bottomk(1e19, plain)
label_replace(plain)|label_replace(plain, "a", "b", "c", "(")|label_replace(plain, "", "b", "c", "d")|label_replace(plain, "a", "b", "c", "d", "e")|label_replace(plain, 1, "b", "c", "d")|label_replace(plain, "a\\xff", "b", "c", "d")|label_replace(plain, "instance", "same", "", "") * 1
label_replace(plain, "instance", "", "instance", ".*")|label_join(plain)|label_join(plain, "", "-", "job")|label_join(plain, "a", "-", "")|label_join(plain, "instance", "-", "job")|label_join(plain, "a", 1)
clamp(plain)|clamp(plain, 1)|clamp(plain, 1, 2, 3)|clamp("a", 1, 2)|round(plain, plain)|histogram_quantile(latency)|histogram_quantile("a", latency)|histogram_quantile(0.5, latency[5m])|histogram_quantiles(latency)|histogram_quantiles(latency, "q")|histogram_quantiles(latency, "", 0.5)|histogram_quantiles(latency, 0.5)
histogram_fraction(1, latency)|predict_linear(plain, 1)|predict_linear(plain[5m])|double_exponential_smoothing(plain[5m], 2, 0.5)|double_exponential_smoothing(plain[5m], 0.5, 0)|double_exponential_smoothing(plain[5m], 0, 0.5)|double_exponential_smoothing(plain[5m], 0.5, 1)|double_exponential_smoothing(plain[5m], NaN, 0.5)|holt_winters(plain[5m], 0.5, 0.5)
time(1)|pi(1)|vector()|vector(plain)|vector("a")|scalar()|scalar(1)|scalar(plain[5m])|day_of_week(1)|day_of_week(plain, plain)|sort()|sort_by_label()|sort_by_label(plain, job)|sort_by_label("a")|timestamp(1)|absent()|absent(1)|absent_over_time(plain)
info()|info(plain, plain)|info(plain, {x="y"}, 1)|info(plain, sum(plain))|info(1)|info(plain[5m])|info(plain, {})|info(plain, {__name__="plain"})|info(plain, "x")
plain and fill(0) plain|1 + fill(0) plain|plain + fill plain|plain + fill() plain|plain + fill(plain) plain|plain + fill("a") plain|plain + fill(1) fill(2) plain|plain + fill_left(1) fill_left(2) plain|plain + fill(1) on(job) plain
plain anchored smoothed|plain[5m] anchored smoothed|plain[5m:1m] anchored|sum(plain) smoothed|deriv(plain[5m] anchored)|changes(plain[5m] smoothed)|rate(plain[5m:1m] smoothed)|1 anchored|avg_over_time(plain[5m] smoothed)|anchored plain
plain[5m offset 1m]|plain[5m @ 1]|plain[5m + ]|plain[(5m]|plain[5m)]|plain[min_of(1m)]|plain[min_of(1m, 2m, 3m)]|plain[step]|plain[foo()]|plain[1m / 0]|plain[1m % 0]|plain[1m - 1m]|plain[1m - 2m]|plain[1e300 * 1e300]|plain[2 ^ 100]|plain[NaN]|plain[Inf]|plain[step()]|plain[range()]|plain offset (1m|plain offset ()|plain offset (1 / 0)|plain[5m:step()]|plain[5m:1m - 1m]|plain[1m + "a"]|plain[time()]|plain[start()]
plain </ plain|1 </ 2|"a" </ 1|plain </ bool 1|latency </ latency|plain + on(job) plain|plain + on(job) group_left plain|plain * on(instance) group_left plain|plain * on() plain|sum by (job) (plain) + plain|latency_bucket + on (job, instance) plain|plain + on(job, instance) latency_bucket|plain + on (job, instance) group_right(le) latency_bucket|info_of_job * on(job) group_left plain
{__name__=~"plain|distinct"} + {__name__=~"plain|distinct"}|rate({__name__=~"plain|distinct"}[5m])|abs({__name__=~"plain|distinct"})|-{__name__=~"plain|distinct"}|{__name__=~"plain|distinct"} * 2|{__name__=~"plain|distinct"} > bool 2|timestamp({__name__=~"plain|distinct"})|sum_over_time({__name__=~"plain|distinct"}[5m])|clamp_min({__name__=~"plain|distinct"}, 1)|histogram_count({__name__=~"latency|level"})
start(1)|step(1)|range(plain)|min_of(1)|max_of(plain, 1)|min_of("a", 1)|end()()|start_timestamp()|start_timestamp(1)|absent_over_time(1)|ts_of_max_over_time(plain)|mad_over_time(1)|first_over_time(plain)
sum by (job, (plain)|sum by ("")(plain)|sum by ("job",)(plain)|sum by (job,,)(plain)|sum by (,)(plain)|sum by (without) (plain)|sum by (inf) (plain)|sum by (a.b) (plain)|sum(plain) by (job) by (job)|sum by (job) (plain) by (job)|sum without by (plain)
bool|on|ignoring|group_left|atan2|nan{}|inf{job="a"}|on{job="a"}|bool(plain)|and|or plain|unless|plain and and plain|plain or|not plain|plain not plain
sum(plain))|sum((plain)|rate(plain[5m)|rate(plain[5m]]|rate(plain{job="a"[5m])|rate(plain{job="a"}[5m]|{job="a"}}|{{job="a"}|plain{job="a"}{instance="b"}|plain(job="a")|plain["5m"]|plain['5m']|plain[5m]{job="a"}
"""
    for line in texts.strip("\n").split("\n"):
        yield from line.split("|")
    yield "line1 +\nline2 +\n  )"
    yield "sum(plain)\n\n\n by"
    yield "plain{job=\"ä\"} )"
    yield "plain\x00"
    yield "plain\xa0+ 1"
    yield "plain\u200b"
    yield "\ufeffplain"
    yield '{"\ufffd"}'
    yield "a" * 5000 + " b"
    yield "(" * 50 + "plain"
    yield "1" * 400
    yield "0." + "1" * 400 + "x"
