"""Random expressions over the same samples: Tarsier and a Prometheus 3 give the same answers.

Runs when TARSIER_PROMETHEUS3 names such a program (Debian's speaks the language of 2.42, whose
ranges are closed on both sides). TARSIER_PEER_EXPRESSIONS is how many, TARSIER_SEED which; with even
seeds names are removed late. Differences that are meant are listed in
docs/decisions/0014-where-answers-differ.md.
"""

import json
import math
import os
import random
import re
import unittest
import urllib.parse

from peer_expressions import (BASE, MINUTES, ExperimentalExpressions, Expressions, make_odd_series,
                              make_series)
from peer_queries import broken_queries, sound_queries
from processes import EndToEndTest, Server, free_port, http
from remote_write import send

EXPERIMENTAL = ("promql-experimental-functions,promql-extended-range-selectors,"
                "promql-binop-fill-modifiers")

# What differs and is meant (docs/decisions/0014-where-answers-differ.md), or depends on rounding.
NOT_COMPARED = re.compile(
    r"timestamp\(.*@.*offset|timestamp\(.*offset.*@|std(dev|var).*timestamp\(|"
    r"exp\(.*%|(rate|increase|resets|changes)\(.*(histogram_(quantile|stddev|stdvar)|smoothed).*\)\[")

SUMS_OF_ALL = re.compile(r'(sum|avg).*\{(job="a"|__name__=)')


def number(text):
    return float(text)


def is_close(a, b):
    if a == b or (math.isnan(a) and math.isnan(b)):
        return True
    return math.isfinite(a) and math.isfinite(b) and abs(a - b) <= 1e-9 * max(abs(a), abs(b), 1e-3)


def points(answer):
    """{labels: {time: number or histogram}}"""
    if answer["resultType"] in ("scalar", "string"):
        t, v = answer["result"]
        return {"": {t: number(v) if answer["resultType"] == "scalar" else {"count": 0, "sum": 0, "text": v}}}
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
    if a.get("text") != b.get("text"):
        return False
    left, right = a.get("buckets", []), b.get("buckets", [])
    return len(left) == len(right) and all(
        x[0] == y[0] and all(is_close(number(p), number(q)) for p, q in zip(x[1:], y[1:]))
        for x, y in zip(left, right))


def annotations(answer):
    """What is told beside the data, without what depends on the order of series and on what was read:
    numbers of samples, the last of several pairs of types."""
    told = answer.get("warnings", []) + answer.get("infos", [])
    return {re.sub(r"(, from buckets .*|: (float|histogram) \S+ (float|histogram))", "", text) for text in told
            if "annotations omitted" not in text}


def error_difference(ours, theirs):
    """Words and place; which of several equal series are named depends on their order."""
    a, b = ({"errorType": e["errorType"], "error": re.sub(r"(the match group ).*\];", r"\1", e["error"])}
            for e in (json.loads(ours), json.loads(theirs)))
    return "" if a == b else f"refused with {a} instead of {b}"


def difference(ours, theirs):
    if ours[0] != theirs[0] and "unexpected error: runtime error" in theirs[1]:
        return ""  # It stumbled.
    if ours[0] != theirs[0]:
        return f"status {ours[0]} {ours[1][:200]} instead of {theirs[0]} {theirs[1][:200]}"
    if ours[0] != 200:
        return error_difference(ours[1], theirs[1])
    our_answer, their_answer = json.loads(ours[1]), json.loads(theirs[1])
    a, b = our_answer["data"], their_answer["data"]
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
    invented = annotations(our_answer) - annotations(their_answer)
    if invented and "omitted" not in theirs[1]:
        return f"told only here: {sorted(invented)[:3]}; there: {sorted(annotations(their_answer))[:4]}"
    return ""


@unittest.skipUnless(os.environ.get("TARSIER_PROMETHEUS3"), "TARSIER_PROMETHEUS3 names no program")
class PeerAnswers(EndToEndTest):
    def pair(self, seed, features=""):
        """Both servers, with the same samples."""
        features = [f"--enable-feature={features}"] if features else []
        ours = self.tarsier(arguments=features).start()
        port = free_port()
        theirs = self.add(Server("prometheus3", [
            os.environ["TARSIER_PROMETHEUS3"], f"--config.file={self.write('p.yml', 'global: {}')}",
            f"--storage.tsdb.path={self.path('theirs')}", f"--web.listen-address=127.0.0.1:{port}",
            "--web.enable-remote-write-receiver", "--log.level=warn", *features], port,
            self.directory)).start()
        series = make_series(random.Random(seed))
        if features:
            series += make_odd_series(random.Random(seed + 2))
        for labels, samples, histograms in series:
            # Each in order of time, series of both kinds too.
            parts = [(labels, [s], []) for s in samples] + [(labels, [], [h]) for h in histograms] \
                if samples and histograms else [(labels, samples, histograms)]
            parts.sort(key=lambda part: (part[1] + part[2])[0][0] if part[1] or part[2] else 0)
            for server in (ours, theirs):
                for part in parts:
                    status, text = send(server.url, [part])
                    self.assertLess(status, 300, f"{server.name}: {labels} {text}")
        return ours, theirs

    def compare_list(self, queries, what):
        """Each as an instant and, if it is sound, as a range query."""
        seed = int(os.environ.get("TARSIER_SEED", "1"))
        ours, theirs = self.pair(seed, EXPERIMENTAL)
        r = random.Random(seed)
        different, count = [], 0
        for query in queries:
            for is_range in (False, True) if what == "sound" else (False,):
                start = BASE + 300 + r.randrange(MINUTES * 60 - 300)
                parameters = {"query": query, "time": start}
                if is_range:
                    parameters = {"query": query, "start": start, "step": r.choice((15, 60, 37, 7)),
                                  "end": start + r.randrange(900)}
                asked = f"/api/v1/query{'_range' if is_range else ''}?{urllib.parse.urlencode(parameters)}"
                count += 1
                found = difference(http(ours.url + asked), http(theirs.url + asked))
                # Of sums over different kinds the last pair that does not go together is told.
                if found and not (found.startswith("told only here") and SUMS_OF_ALL.search(query)):
                    different.append(f"{query!r}\n    {parameters}\n    {found}")
        print(f"{count} {what} expressions against Prometheus 3, seed {seed}: {len(different)} different")
        self.assertFalse(different, "\n".join(different[:40]))

    def test_every_function_and_operator(self):
        self.compare_list(sound_queries(), "sound")

    def test_malformed_expressions(self):
        self.compare_list(broken_queries(), "malformed")

    def compare(self, ours, theirs, make_query, r, seed):
        count = int(os.environ.get("TARSIER_PEER_EXPRESSIONS", "2000"))
        different, refused, empty = [], 0, 0
        for _ in range(count):
            query = make_query()
            while NOT_COMPARED.search(query):
                query = make_query()
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

    def test_random_expressions(self):
        seed = int(os.environ.get("TARSIER_SEED", "1"))
        ours, theirs = self.pair(seed)
        r = random.Random(seed + 1)
        expressions = Expressions(r)
        self.compare(ours, theirs, lambda: expressions.vector(1 + r.randrange(3)), r, seed)

    def test_random_experimental_expressions(self):
        seed = int(os.environ.get("TARSIER_SEED", "1"))
        late = "" if seed % 2 else ",promql-delayed-name-removal"
        ours, theirs = self.pair(seed, EXPERIMENTAL + late)
        r = random.Random(seed + 3)
        expressions = ExperimentalExpressions(r)
        self.compare(ours, theirs, lambda: expressions.vector(1 + r.randrange(3)), r, seed)


if __name__ == "__main__":
    unittest.main()
