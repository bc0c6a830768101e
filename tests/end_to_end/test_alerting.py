"""Rules are evaluated and Alertmanager hears of it, whatever restarts meanwhile."""

import http.server
import json
import os
import subprocess
import threading
import time
import unittest

import remote_write
from processes import EndToEndTest, Server, free_port, http as fetch, wait_until

RULES = """
groups:
- name: fire
  interval: 1s
  rules:
  - record: job:burning:max
    expr: max by (job) (burning)
  - alert: Burning
    expr: job:burning:max == 1
    labels: {severity: page}
    annotations: {summary: '{{ $labels.job }} burns at {{ $value | humanize }}'}
"""


class Exporter(http.server.ThreadingHTTPServer):
    """Serves one gauge that the test sets."""

    def __init__(self):
        self.burning = 0
        super().__init__(("127.0.0.1", 0), ExporterHandler)


class ExporterHandler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        self.end_headers()
        self.wfile.write(f"burning {self.server.burning}\n".encode())

    def log_message(self, *arguments):
        pass


class AlertmanagerTest(EndToEndTest):
    def setUp(self):
        super().setUp()
        self.exporter = Exporter()
        thread = threading.Thread(target=self.exporter.serve_forever)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(self.exporter.server_close)
        self.addCleanup(self.exporter.shutdown)
        am_port = free_port()
        config = self.write("am.yml", "route: {receiver: none}\nreceivers: [{name: none}]\n")
        self.alertmanager = self.add(Server("alertmanager", [
            self.need("prometheus-alertmanager"), f"--config.file={config}",
            f"--storage.path={self.path('am')}", f"--web.listen-address=127.0.0.1:{am_port}",
            "--cluster.listen-address=", "--log.level=warn"], am_port, self.directory))
        self.write("managers.json", json.dumps([{"targets": [f"127.0.0.1:{am_port}", "not-ours:9093"]}]))
        rules = self.write("rules.yml", RULES)
        self.tarsier_server = self.tarsier(f"""
global:
  scrape_interval: 1s
  evaluation_interval: 1s
  external_labels: {{region: eu}}
rule_files: [{rules}]
alerting:
  alert_relabel_configs:
  - {{target_label: relabelled, replacement: 'yes'}}
  alertmanagers:
  - file_sd_configs: [{{files: [{self.path('managers.json')}]}}]
    relabel_configs:
    - {{source_labels: [__address__], regex: 'not-ours.*', action: drop}}
scrape_configs:
- job_name: oven
  static_configs: [{{targets: ["127.0.0.1:{self.exporter.server_address[1]}"]}}]
""", arguments=["--rules.alert.resend-delay=1s"])

    def alerts(self):
        return json.loads(fetch(self.alertmanager.url + "/api/v2/alerts")[1])

    def received(self, status):
        for line in fetch(self.alertmanager.url + "/metrics")[1].splitlines():
            if line.startswith("alertmanager_alerts_received_total") and f'status="{status}"' in line \
                    and 'version="v2"' in line:
                return float(line.split()[-1])
        return 0

    def kept_queues(self):
        path = self.path("data/tarsier/alertmanager")
        return [f for f in os.listdir(path) if f.endswith(".queue")] if os.path.exists(path) else []

    def test_alertmanager_hears_of_the_begin_and_the_end(self):
        self.alertmanager.start()
        self.tarsier_server.start()
        self.exporter.burning = 1
        alert = wait_until(self.alerts, "an alert at Alertmanager")[0]
        self.assertEqual(alert["labels"], {
            "alertname": "Burning", "job": "oven", "severity": "page", "region": "eu",
            "relabelled": "yes"})
        self.assertEqual(alert["annotations"], {"summary": "oven burns at 1"})
        self.assertIn("/graph?g0.expr=job%3Aburning%3Amax+%3D%3D+1&g0.tab=1", alert["generatorURL"])
        shown = self.tarsier_server.get("/api/v1/alerts")["alerts"]
        self.assertEqual([a["state"] for a in shown], ["firing"])
        managers = self.tarsier_server.get("/api/v1/alertmanagers")
        self.assertEqual(managers["activeAlertmanagers"], [{"url": self.alertmanager.url + "/api/v2/alerts"}])
        self.assertEqual(len(managers["droppedAlertmanagers"]), 1)

        # A crash does not end the alert, nor begin a new one.
        self.tarsier_server.kill()
        self.tarsier_server.start()
        again = wait_until(lambda: [a for a in self.alerts() if a["updatedAt"] > alert["updatedAt"]],
                           "a repetition after the restart")[0]
        self.assertEqual(again["startsAt"], alert["startsAt"])
        self.assertEqual(again["fingerprint"], alert["fingerprint"])

        self.exporter.burning = 0
        wait_until(lambda: not self.alerts(), "the end at Alertmanager")
        self.assertGreater(self.received("resolved"), 0)
        self.assertEqual(self.tarsier_server.get("/api/v1/alerts")["alerts"], [])
        history = subprocess.run([os.environ["TARSIER"], "alert", "history", self.tarsier_server.url],
                                 capture_output=True, text=True, timeout=30, check=True).stdout.splitlines()
        self.assertIn(" firing {alertname=\"Burning\"", history[0])
        self.assertTrue(history[-1].endswith(": condition over"), history)
        self.assertEqual(self.tarsier_server.stop(), 0)

    def test_an_alert_has_one_id_everywhere(self):
        """Alertmanager's, with external labels and after relabelling: what a page carries is good for every command."""
        self.alertmanager.start()
        self.tarsier_server.start()
        self.exporter.burning = 1
        wait_until(lambda: self.alerts(), "the alert")
        [told] = self.alerts()
        self.assertEqual((told["labels"]["region"], told["labels"]["relabelled"]), ("eu", "yes"))
        name = told["fingerprint"]
        url = self.tarsier_server.url

        def cli(*arguments):
            done = subprocess.run([os.environ["TARSIER"], "alert", *arguments], capture_output=True, text=True,
                                  timeout=30, check=False)
            return done.returncode, done.stdout + done.stderr

        [ours] = json.loads(fetch(url + "/api/v1/alerts")[1])["data"]["alerts"]
        self.assertEqual(ours["fingerprint"], name)
        self.assertNotIn("region", ours["labels"])  # As Prometheus has it.
        for command in (("list", url), ("history", f"--id={name}", url), ("history", url)):
            code, text = cli(*command)
            self.assertEqual(code, 0, text)
            self.assertIn(name, text, command)
        code, text = cli("explain", url, name)
        self.assertEqual(code, 0, text)
        self.assertIn("Burning", text)
        self.assertEqual(json.loads(fetch(f"{url}/api/tarsier/v1/alerts/{name}/timeline")[1])["data"]["id"], name)
        code, text = cli("history", "--id=0123456789abcdef", url)
        self.assertEqual(code, 1)
        self.assertIn("nothing is known of an alert 0123456789abcdef", text)

    def test_an_end_told_to_nobody_is_told_after_both_restarted(self):
        self.alertmanager.start()
        self.tarsier_server.start()
        self.exporter.burning = 1
        wait_until(self.alerts, "an alert at Alertmanager")
        self.alertmanager.kill()
        self.exporter.burning = 0
        wait_until(lambda: not self.tarsier_server.get("/api/v1/alerts")["alerts"], "the end")
        wait_until(self.kept_queues, "a kept queue")
        self.tarsier_server.kill()
        self.tarsier_server.start()
        self.alertmanager.start()
        wait_until(lambda: self.received("resolved") > 0, "the end after both restarted", 90)
        wait_until(lambda: not self.kept_queues(), "an empty queue")


class ToolTest(EndToEndTest):
    def verdicts(self, command, *files):
        ours = subprocess.run([os.environ["TARSIER"], *command, *files], capture_output=True,
                              text=True, timeout=60, check=False)
        theirs = subprocess.run([self.need("promtool"), *command, *files], capture_output=True,
                                text=True, timeout=60, check=False)
        return ours, theirs

    def test_promtool_and_we_agree(self):
        good = self.write("rules.yml", """
groups:
- name: g
  rules:
  - {record: 'job:up:sum', expr: 'sum by (job) (up)'}
  - alert: Down
    expr: job:up:sum == 0
    for: 2m
    labels: {severity: page}
    annotations: {summary: '{{ $labels.job }}: {{ $value }} {{ printf "%.2f" 1.5 }}'}
""")
        bad = self.write("bad.yml", "groups: [{name: g, rules: [{record: a, expr: 'sum('}]}]\n")
        strange = self.write("strange.yml", "groups: [{name: g, colour: red}]\n")
        twice = self.write("twice.yml", """
groups: [{name: g, rules: [{record: a, expr: b}, {record: a, expr: c}]}]
""")
        cases = []
        for value, summary in (("0x10", "a: 0 1.50"), ("1x10", "a: 0 1.50"), ("0x10", "a: 1 1.50")):
            cases.append(self.write(f"test{len(cases)}.yml", f"""
rule_files: [rules.yml]
tests:
- interval: 1m
  input_series: [{{series: 'up{{job="a"}}', values: '{value}'}}]
  alert_rule_test:
  - eval_time: 5m
    alertname: Down
    exp_alerts: [{{exp_labels: {{job: a, severity: page}}, exp_annotations: {{summary: '{summary}'}}}}]
  promql_expr_test:
  - {{expr: 'job:up:sum', eval_time: 3m, exp_samples: [{{labels: 'job:up:sum{{job="a"}}', value: {value[0]}}}]}}
"""))
        codes = []
        for command, *files in [(["check", "rules"], good), (["check", "rules"], bad),
                                (["check", "rules"], strange), (["check", "rules"], twice),
                                (["check", "rules", "--lint-fatal"], twice),
                                *[(["test", "rules"], case) for case in cases]]:
            ours, theirs = self.verdicts(command, *files)
            self.assertEqual(ours.returncode, theirs.returncode,
                             (command, files, ours.stdout, ours.stderr, theirs.stdout, theirs.stderr))
            codes.append(ours.returncode)
        self.assertEqual(codes, [0, 1, 1, 0, 3, 0, 1, 1])


    def test_what_rules_would_have_recorded_becomes_blocks(self):
        exporter = self.add(Server("exporter", [
            self.need("prometheus-node-exporter"), f"--web.listen-address=127.0.0.1:{(port := free_port())}",
            "--collector.disable-defaults", "--log.level=error"], port, self.directory,
            ready_path="/metrics")).start()
        server = self.tarsier(f"""
scrape_configs:
- job_name: node
  scrape_interval: 1s
  static_configs: [{{targets: ["127.0.0.1:{exporter.port}"]}}]
""").start()
        begin = time.time()
        wait_until(lambda: len(server.query("count_over_time(up[1m]) > 5")) == 1, "samples")
        rules = self.write("rules.yml", """
groups:
- name: g
  interval: 1s
  rules:
  - {record: 'job:up:max', expr: 'max by (job) (up)', labels: {l: v}}
  - {alert: Left, expr: up}
""")
        out = self.path("blocks")
        done = subprocess.run([
            os.environ["TARSIER"], "tsdb", "create-blocks-from", "rules", f"--start={int(begin)}",
            f"--end={int(time.time())}", f"--url={server.url}", f"--output-dir={out}", rules],
            capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(sorted(done.stdout.split()), sorted(os.listdir(out)))
        os.mkdir(os.path.join(out, "wal"))  # promtool's dump asks for one.
        dumped = subprocess.run([self.need("promtool"), "tsdb", "dump", out], capture_output=True,
                                text=True, timeout=60, check=False)
        self.assertEqual(dumped.returncode, 0, dumped.stderr)
        dump = dumped.stdout
        self.assertGreater(len(dump.splitlines()), 2)
        for line in dump.splitlines():
            self.assertTrue(line.startswith(
                '{__name__="job:up:max", job="node", l="v"} 1 '), line)


    def test_rules_of_the_past_read_each_other_and_histograms(self):
        server = self.tarsier("global: {external_labels: {region: eu}}\n",
                              arguments=("--web.enable-remote-write-receiver",)).start()
        begin = int(time.time()) - 1200
        histogram = lambda i: {"count": 3 * i, "zero_count": i, "sum": 2.5 * i, "schema": 0,  # noqa: E731
                               "zero_threshold": 0.001, "positive": ([(0, 2)], [i, 0])}
        status, text = remote_write.send(server.url, [
            ({"__name__": "x", "job": "a"}, [((begin + 15 * i) * 1000, float(i)) for i in range(41)]),
            ({"__name__": "h", "job": "a"}, [], [((begin + 15 * i) * 1000, histogram(i)) for i in range(1, 41)])])
        self.assertEqual(status // 100, 2, text)
        rules = self.write("rules.yml", """
groups:
- name: g
  interval: 1m
  rules:
  - {record: 'x:rate', expr: 'rate(x[2m])'}
  - {record: 'x:rate:sum', expr: 'sum(max_over_time(x:rate[5m]))', labels: {l: v}}
  - {record: 'h:copy', expr: 'sum by (job) (h)'}
  - {record: 'h:count', expr: 'histogram_count(h:copy)'}
""")
        out = self.path("blocks")
        done = subprocess.run([
            os.environ["TARSIER"], "tsdb", "create-blocks-from", "rules", f"--start={begin}",
            f"--end={begin + 600}", f"--url={server.url}", f"--output-dir={out}", rules],
            capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        dumped = subprocess.run([os.environ["TARSIER"], "tsdb", "dump", out], capture_output=True, text=True,
                                timeout=60, check=False)
        self.assertEqual(dumped.returncode, 0, dumped.stderr)
        lines = {}
        for line in dumped.stdout.splitlines():
            labels, _, rest = line.partition("} ")
            lines.setdefault(labels + "}", []).append(rest)
        self.assertEqual(sorted(lines), [
            '{__name__="h:count", job="a"}', '{__name__="x:rate", job="a"}', '{__name__="x:rate:sum", l="v"}'])
        self.assertGreaterEqual(len(lines['{__name__="x:rate:sum", l="v"}']), 9)
        for name in ('{__name__="x:rate", job="a"}', '{__name__="x:rate:sum", l="v"}'):
            self.assertAlmostEqual(float(lines[name][-1].split()[0]), 1 / 15)
        # What the server computes for the same moment.
        value, at = lines['{__name__="h:count", job="a"}'][-1].split()
        self.assertEqual(server.query("histogram_count(sum(h))", int(at) / 1000)[0]["value"][1], value)
        blocks = self.tarsier(data="blocks").start()
        copy = blocks.query("h:copy", int(at) / 1000)
        self.assertEqual(copy[0]["metric"], {"__name__": "h:copy", "job": "a"})
        self.assertEqual(copy[0]["histogram"][1],
                         server.query("sum by (job) (h)", int(at) / 1000)[0]["histogram"][1])


class ApiTest(EndToEndTest):
    MOVING = {"evaluationTime", "lastEvaluation", "activeAt", "file", "keepFiringFor",
              "fingerprint"}  # Ours alone.

    def still(self, value):
        if isinstance(value, dict):
            return {k: self.still(v) for k, v in value.items() if k not in self.MOVING}
        return [self.still(v) for v in value] if isinstance(value, list) else value

    def test_a_reload_takes_all_rules_or_none(self):
        rules = self.write("rules.yml", "groups: [{name: a, rules: [{record: x, expr: '1'}]}]\n")
        server = self.tarsier(f"rule_files: [{rules}]\n",
                              arguments=["--web.enable-lifecycle"]).start()

        def names():
            return [g["name"] for g in server.get("/api/v1/rules")["groups"]]

        wait_until(lambda: names() == ["a"], "the first rules")
        self.write("rules.yml", "groups: [{name: b, rules: [{record: x, expr: 'sum('}]}]\n")
        status, text = fetch(server.url + "/-/reload", body=b"")
        self.assertEqual(status, 500)
        self.assertIn("rules.yml: 1:", text)
        self.assertEqual(names(), ["a"])
        self.write("rules.yml", "groups: [{name: b, rules: [{record: x, expr: '1'}]}]\n")
        self.assertEqual(fetch(server.url + "/-/reload", body=b"")[0], 200)
        self.assertEqual(names(), ["b"])

    def test_rules_look_as_from_prometheus(self):
        rules = self.write("rules.yml", """
groups:
- name: b
  interval: 1s
  rules:
  - {record: one, expr: 'vector(1)', labels: {l: v}}
  - alert: Always
    expr: one > 0
    labels: {severity: page}
    annotations: {summary: 'value {{ $value }}'}
  - {alert: Waiting, expr: 'vector(11)', for: 1h}
  - {alert: Never, expr: 'one > 5'}
- name: a
  interval: 1s
  limit: 3
  rules: [{record: bad, expr: 'label_replace(one, "l", "", "", "") * on() group_left() one or vector(1)'}]
""")
        config = f"rule_files: [{rules}]\n"
        answers = []
        for server in (self.tarsier(config, data="ours"), self.prometheus(config, data="theirs")):
            server.start()
            wait_until(lambda s=server: len(s.get("/api/v1/alerts")["alerts"]) == 2, "alerts")
            wait_until(lambda s=server: all(r["health"] != "unknown"
                                            for g in s.get("/api/v1/rules")["groups"]
                                            for r in g["rules"]), "health")
            answers.append([self.still(server.get("/api/v1/rules")),
                            self.still(server.get("/api/v1/rules", type="alert")),
                            sorted(map(str, self.still(server.get("/api/v1/alerts"))["alerts"]))])
            server.stop()
        # 2.42 keeps groups that a filter left without rules, and leaves empty labels out.
        answers[1][1]["groups"] = [g for g in answers[1][1]["groups"] if g["rules"]]
        for group in answers[0][0]["groups"]:
            for rule in group["rules"]:
                if rule["type"] == "recording" and not rule["labels"]:
                    del rule["labels"]
        self.assertEqual(answers[0], answers[1])


if __name__ == "__main__":
    unittest.main()
