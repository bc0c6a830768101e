#!/usr/bin/env python3
"""How long it takes to find series among a million: counts, label values, series and regular expressions, beside the peers.

  tests/bench/selector_figures.py build/release/tarsier --series 1000000 [--prometheus PATH] [--only Tarsier]

250 metrics of --series / 250 pods each, 4 samples a series, all in the head. Every server runs alone on a fresh directory, loaded by
remote write; each question is asked once to warm up and then --repeats times; medians, milliseconds at the client, answers read whole.
"""

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "end_to_end"))
from processes import Server, free_port  # noqa: E402
from remote_write import encode_series, _message  # noqa: E402
from flood import SERIES, Sender, anonymous_bytes  # noqa: E402

METRICS = 250
SAMPLES = 4


def questions(now):
    def instant(expression):
        return f"instant `{expression}`", "/api/v1/query?" + urllib.parse.urlencode({"query": expression, "time": now})

    def series(matcher):
        parameters = {"match[]": matcher, "start": now - 600, "end": now}
        return f"series `{matcher}`", "/api/v1/series?" + urllib.parse.urlencode(parameters)

    window = urllib.parse.urlencode({"start": now - 600, "end": now})
    return [
        instant('count({__name__!=""})'), instant('count by (job) ({__name__!=""})'),
        instant('count({__name__=~"metric_1.*"})'), instant('count({pod=~"pod-0*1[0-9]{2}"})'),
        instant('count({__name__="metric_007",pod=~".*7"})'), instant('count(metric_007{pod!~"pod-0.*"})'),
        ("values of `pod`", f"/api/v1/label/pod/values?{window}"),
        ("values of `__name__`", f"/api/v1/label/__name__/values?{window}"),
        ("names of labels", f"/api/v1/labels?{window}"),
        series('metric_007'), series('{pod="pod-000123"}'), series('{__name__=~"metric_00.",pod=~"pod-0*12."}'),
    ]


def part_of(metric, pods, first, count, t):
    example = _message(1, encode_series({
        "__name__": f"metric_{metric:03}", "instance": "10.0.0.1:9100", "job": f"job-{metric % 20:02}", "namespace": "shop",
        "pod": "pod-@@@@@@"}, [(t, float(t % 1000))]))
    before, after = example.split(b"@@@@@@")
    return b"".join(before + b"%06d" % n + after for n in range(first, first + min(count, pods - first)))


def load(port, path, series, begin):
    pods = series // METRICS

    def work(i):
        sender = Sender(port, path)
        for sample in range(SAMPLES):
            for metric in range(i, METRICS, 4):
                for first in range(0, pods, SERIES):
                    status, text = sender.post(part_of(metric, pods, first, SERIES, (begin + sample * 15) * 1000))
                    assert status in (200, 204), text

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def ask(url):
    began = time.perf_counter()
    with urllib.request.urlopen(url, timeout=300) as answer:
        size = len(answer.read())
    return (time.perf_counter() - began) * 1000, size


def commands(arguments, directory, port):
    config = os.path.join(directory, "config.yml")
    with open(config, "w", encoding="utf-8") as file:
        file.write("global: {}\n")
    prometheus = [f"--config.file={config}", f"--storage.tsdb.path={directory}/data", f"--web.listen-address=127.0.0.1:{port}",
                  "--log.level=warn"]
    victoria = shutil.which("victoria-metrics")
    return {
        "Tarsier": ([os.path.abspath(arguments.tarsier), *prometheus], "/-/ready"),
        "Prometheus": ([arguments.prometheus or shutil.which("prometheus"), *prometheus, "--web.enable-remote-write-receiver"],
                       "/-/ready"),
        "VictoriaMetrics": ([victoria, f"-httpListenAddr=127.0.0.1:{port}", f"-storageDataPath={directory}/data",
                             "-search.latencyOffset=0s", "-search.disableCache", "-search.maxUniqueTimeseries=5000000",
                             "-search.maxSeries=5000000", "-search.maxTagValues=5000000", "-search.maxQueryDuration=300s",
                             "-loggerLevel=WARN"], "/health"),
    }


def measure(name, arguments):
    directory = tempfile.mkdtemp(prefix="selectors_", dir=arguments.scratch)
    port = free_port()
    command, ready = commands(arguments, directory, port)[name]
    server = Server("server", command, port, directory, ready)
    figures = {}
    try:
        server.start()
        begin = int(time.time()) // 15 * 15 - SAMPLES * 15
        load(port, "/api/v1/write", arguments.series, begin)
        if name == "VictoriaMetrics":
            ask(server.url + "/internal/force_flush")
        time.sleep(5)
        figures["memory after loading, bytes per series"] = (anonymous_bytes(server.process.pid) / arguments.series, 0)
        for title, path in questions(begin + (SAMPLES - 1) * 15):
            try:
                ask(server.url + path)
                asked = [ask(server.url + path) for _ in range(arguments.repeats)]
                figures[title] = (statistics.median(ms for ms, _ in asked), asked[0][1])
            except OSError as error:
                print(name, title, error, file=sys.stderr)
                figures[title] = (float("nan"), 0)
        figures["memory after asking, bytes per series"] = (anonymous_bytes(server.process.pid) / arguments.series, 0)
        return figures
    finally:
        if server.process is not None:
            server.kill()
        shutil.rmtree(directory, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tarsier", help="the program: a release build")
    parser.add_argument("--series", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--prometheus", help="another one than that on the PATH")
    parser.add_argument("--only", help="one server")
    parser.add_argument("--scratch", default=None, help="directory for the data, on a real disk")
    arguments = parser.parse_args()
    names = [n for n in ("Tarsier", "Prometheus", "VictoriaMetrics") if arguments.only in (None, n)]
    all_figures = {}
    for name in names:
        all_figures[name] = measure(name, arguments)
        print(f"{name} done, load {os.getloadavg()[0]:.1f}", file=sys.stderr)
    print(f"| {arguments.series} series | " + " | ".join(names) + " |\n|---|" + "---:|" * len(names))
    for title in all_figures[names[0]]:
        print(f"| {title} | " + " | ".join(f"{all_figures[n][title][0]:.1f}" for n in names) + " |")


if __name__ == "__main__":
    main()
