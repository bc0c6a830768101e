#!/usr/bin/env python3
"""What one cycle of many alerting rules costs, beside Debian's Prometheus.

    tests/bench/rules.py --tarsier build/release/tarsier --series 1000000 --rules 10000

Both servers get the same series over remote write (one sample in two minutes, most of them ahead of the clock, so
that nothing has to be sent while rules run) and the same rule files; one runs after the other. Of each: server CPU seconds
per cycle (one evaluation of every rule), wall seconds as the server itself counts them for its groups, memory, and how
many alerts fire, which must be equal.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "end_to_end"))

from processes import Server, free_port, http  # noqa: E402
from remote_write import _message, encode_series, send_raw, snappy_literals  # noqa: E402

METRICS = ["http_requests_total", "http_errors_total", "queue_length", "cpu_seconds_total", "memory_bytes",
           "disk_bytes_total", "connections", "retries_total", "cache_hits_total", "latency_seconds_sum"]
SERIES_PER_REQUEST = 2000
STEP_MS = 120_000  # Twice in every window of the rules.


def rule_file(jobs, rules_per_job, interval):
    """Groups as people write them: many rules of a job over few metrics. One in a hundred fires."""
    out = ["groups:"]
    for job in range(jobs):
        out.append(f"- name: job-{job}\n  interval: {interval}s\n  rules:")
        for i in range(rules_per_job):
            metric = METRICS[i % len(METRICS)]
            selector = f'{metric}{{job="job-{job}"}}'
            if i % 100 == 37:
                expr = f"sum by (job) (rate({selector}[5m])) > 0"
            else:
                expr = [f"{selector} > 1e15 + {i}",
                        f"rate({selector}[5m]) > 1e15 + {i}",
                        f"sum by (zone) (rate({selector}[5m])) > 1e15 + {i}",
                        f"max by (zone) ({selector}) > 1e15 + {i}",
                        f"avg_over_time({selector}[5m]) > 1e15 + {i}"][(i // len(METRICS)) % 5]
            out.append(f"  - alert: A{i}\n    expr: '{expr}'\n    for: {i % 3}m\n"
                       f"    labels: {{severity: page}}\n"
                       f"    annotations: {{summary: 'job {{{{ $labels.job }}}} is at {{{{ $value }}}}'}}")
    return "\n".join(out) + "\n"


def load(server, series_count, jobs, times):
    """`series_count` series, as many per job and metric as it gives."""
    per_metric = series_count // (jobs * len(METRICS))
    pieces = []
    sent = 0

    def flush():
        nonlocal pieces, sent
        status, text = send_raw(server.url, snappy_literals(b"".join(pieces)), 600)
        if status // 100 != 2:
            raise AssertionError(f"{server.name}: {status} {text}")
        sent += len(pieces)
        pieces = []

    for job in range(jobs):
        for m, metric in enumerate(METRICS):
            for i in range(per_metric):
                labels = {"__name__": metric, "job": f"job-{job}", "instance": f"10.0.{i // 250}.{i % 250}:9100",
                          "zone": f"z{i % 5}"}
                samples = [(t, 1000.0 * m + (k + 1) * (i % 17 + 1)) for k, t in enumerate(times)]
                pieces.append(_message(1, encode_series(labels, samples)))
                if len(pieces) == SERIES_PER_REQUEST:
                    flush()
    if pieces:
        flush()
    return sent


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def anonymous_mib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return sum(int(line.split()[1]) for line in status if line.startswith(("RssAnon", "RssShmem"))) / 1024


def metric_sum(text, name):
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines()
               if line.startswith(name + "{") or line.startswith(name + " "))


def measure(server, options, jobs):
    server.start(120)
    begun = time.time()
    first = int(begun * 1000) // STEP_MS * STEP_MS - STEP_MS
    times = [first + STEP_MS * k for k in range(options.minutes * 60_000 // STEP_MS + 2)]
    sent = load(server, options.series, jobs, times)
    loaded = time.time()
    pid = server.process.pid
    # The rules come now, so that loading is not counted.
    shutil.copy(options.rule_path, options.active_rule_path)
    status, text = http(server.url + "/-/reload", b"", timeout=600)
    if status != 200:
        raise AssertionError(f"{server.name}: {text}")
    deadline = times[-1] / 1000 + 180  # Two samples in every window until then.
    counted = []
    cycles = 0
    while cycles < options.cycles and time.time() < deadline:
        time.sleep(5)
        text = http(server.url + "/metrics", timeout=600)[1]
        done = metric_sum(text, "prometheus_rule_group_iterations_total") - \
            metric_sum(text, "prometheus_rule_group_iterations_missed_total")
        counted.append((time.time(), cpu_seconds(pid), done, text))
        # The first cycle is warm-up: every group once.
        warm = next((c for c in counted if c[2] >= jobs), None)
        cycles = 0 if warm is None else (counted[-1][2] - warm[2]) / jobs
    warm = next((c for c in counted if c[2] >= jobs), counted[0])
    last = counted[-1]
    # A server that is behind takes its time.
    text = http(server.url + "/api/v1/query?query=count(ALERTS)", timeout=600)[1]
    alerts = json.loads(text)["data"]["result"]
    failures = metric_sum(last[3], "prometheus_rule_evaluation_failures_total")
    out = {
        "series": sent,
        "loading, s": loaded - begun,
        "cycles": cycles,
        "CPU s per cycle": (last[1] - warm[1]) / max(cycles, 1e-9),
        "group seconds, sum": metric_sum(last[3], "prometheus_rule_group_last_duration_seconds"),
        "missed iterations": metric_sum(last[3], "prometheus_rule_group_iterations_missed_total"),
        "failed evaluations": failures,
        "anonymous memory, MiB": anonymous_mib(pid),
        "ALERTS series": float(alerts[0]["value"][1]) if alerts else 0.0,
    }
    server.kill()
    return out


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tarsier", required=True)
    parser.add_argument("--prometheus", default=shutil.which("prometheus"))
    parser.add_argument("--series", type=int, default=1_000_000)
    parser.add_argument("--rules", type=int, default=10_000)
    parser.add_argument("--rules-per-group", type=int, default=100)
    parser.add_argument("--interval", type=int, default=60)
    parser.add_argument("--cycles", type=float, default=2)
    parser.add_argument("--minutes", type=int, default=9, help="of data, less than 10 ahead of the clock")
    parser.add_argument("--directory", help="for the data; not a tmpfs")
    options = parser.parse_args()
    jobs = options.rules // options.rules_per_group
    results = {}
    for name in ("tarsier", "prometheus"):
        program = getattr(options, name)
        if not program:
            continue
        directory = tempfile.mkdtemp(prefix=f"rules_{name}_", dir=options.directory)
        options.rule_path = os.path.join(directory, "all.rules")
        options.active_rule_path = os.path.join(directory, "rules.yml")
        with open(options.rule_path, "w", encoding="utf-8") as file:
            file.write(rule_file(jobs, options.rules_per_group, options.interval))
        config = os.path.join(directory, "config.yml")
        with open(config, "w", encoding="utf-8") as file:
            file.write(f"rule_files: [{directory}/*.yml]\n".replace("*.yml", "rules.yml"))
        port = free_port()
        server = Server(name, [
            program, f"--config.file={config}", f"--storage.tsdb.path={directory}/data", "--web.enable-lifecycle",
            "--web.enable-remote-write-receiver", f"--web.listen-address=127.0.0.1:{port}"], port, directory)
        try:
            results[name] = measure(server, options, jobs)
        finally:
            if server.process is not None:
                server.kill()
            shutil.rmtree(directory, ignore_errors=True)
        print(name, results[name], flush=True)
    names = list(results)
    print(f"\n{options.rules} alerting rules in {jobs} groups, one in a hundred fires")
    print("| | " + " | ".join(names) + " |")
    print("|---" * (len(names) + 1) + "|")
    for row in results[names[0]]:
        print(f"| {row} | " + " | ".join(f"{results[name][row]:.2f}" for name in names) + " |")


if __name__ == "__main__":
    main()
