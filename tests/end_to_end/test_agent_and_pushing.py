"""--agent with a receiver behind it; and lines pushed by agents that speak Influx, VictoriaMetrics' export and text."""

import json
import os
import subprocess
import time
import unittest
import urllib.error
import urllib.request

from processes import EndToEndTest, Server, free_port, http, wait_until


class AgentTest(EndToEndTest):
    def agent(self, config):
        port = free_port()
        path = self.write("agent.yml", config.replace("OWN", f"127.0.0.1:{port}"))
        return self.add(Server("agent", [
            os.environ["TARSIER"], "--agent", f"--config.file={path}",
            f"--storage.agent.path={self.path('agent')}", f"--web.listen-address=127.0.0.1:{port}"],
            port, self.directory))

    def test_an_agent_scrapes_and_forwards_and_answers_no_queries(self):
        receiver = self.tarsier().start()
        agent = self.agent(f"""
global: {{scrape_interval: 300ms, scrape_timeout: 300ms, external_labels: {{agent: one}}}}
scrape_configs:
  - job_name: self
    static_configs: [{{targets: ["OWN"]}}]
remote_write:
  - url: {receiver.url}/api/v1/write
    queue_config: {{batch_send_deadline: 200ms}}
""").start()
        wait_until(lambda: receiver.query('up{agent="one",job="self"} == 1'), "scrapes arrive", 30)
        wait_until(lambda: receiver.get("/api/v1/metadata", metric="prometheus_build_info") or True, "metadata")
        status, text = http(agent.url + "/api/v1/query?query=up")
        self.assertEqual((status, json.loads(text)["error"]), (422, "unavailable with Prometheus Agent"))
        self.assertEqual(http(agent.url + "/api/v1/targets")[0], 200)
        agent.kill()
        agent.start()
        newest = time.time()
        wait_until(lambda: any(r["value"][0] for r in receiver.query(f"timestamp(up) > {newest}")), "it goes on", 30)
        self.assertEqual(agent.stop(), 0)

    def test_flags_and_sections_of_the_other_mode_are_refused(self):
        binary = os.environ["TARSIER"]
        for arguments, code, text in (
                (["--agent", "--storage.tsdb.path=x"], 3, "can not be used in agent mode"),
                (["--storage.agent.path=x"], 3, "can only be used in agent mode"),
                (["--agent", "--config.file=" + self.write("a.yml", "rule_files: [x.yml]\n")], 2,
                 "field rule_files is not allowed in agent mode")):
            done = subprocess.run([binary, *arguments, "--web.listen-address=127.0.0.1:0"], cwd=self.directory,
                                  capture_output=True, timeout=30, check=False)
            self.assertEqual(done.returncode, code, done.stderr)
            self.assertIn(text, done.stderr.decode())


class PushingTest(EndToEndTest):
    def test_lines_of_influx_text_and_exports_are_stored(self):
        tarsier = self.tarsier().start()
        now = int(time.time())
        self.assertEqual(http(tarsier.url + "/ping")[0], 204)
        self.assertEqual(http(tarsier.url + "/write?db=telegraf&precision=s",
                              f"cpu,host=a usage=1.5,idle=2i {now}\n".encode()), (204, ""))
        self.assertEqual(http(tarsier.url + "/api/v2/write?bucket=b&org=o",
                              f"mem,host=a free=7 {now}000000000\n".encode())[0], 204)
        status, text = http(tarsier.url + "/write", b"nonsense\ndisk free=1\n")
        self.assertEqual(status, 400)
        self.assertIn("missing fields", json.loads(text)["error"])
        self.assertEqual(http(tarsier.url + "/api/v1/import/prometheus/metrics/job/batch/instance/i",
                              b"# TYPE done counter\ndone 3\n")[0], 204)
        values = {json.dumps(r["metric"], sort_keys=True): r["value"][1] for r in tarsier.query(
            '{__name__=~"cpu.*|mem.*|disk.*|done"}', time=time.time() + 1)}
        self.assertEqual(values, {
            '{"__name__": "cpu_idle", "db": "telegraf", "host": "a"}': "2",
            '{"__name__": "cpu_usage", "db": "telegraf", "host": "a"}': "1.5",
            '{"__name__": "disk_free"}': "1",
            '{"__name__": "done", "instance": "i", "job": "batch"}': "3",
            '{"__name__": "mem_free", "host": "a"}': "7"})

    def request(self, method, url, body=None):
        request = urllib.request.Request(url, data=body, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.status
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    def test_groups_stay_until_they_are_deleted_also_over_a_kill(self):
        tarsier = self.tarsier().start()
        group = tarsier.url + "/metrics/job/nightly/instance@base64/YS9i"
        self.assertEqual(self.request("PUT", group, b"# TYPE rows counter\nrows 5\n"), 200)
        self.assertEqual(self.request("POST", group, b"took_seconds 1.5\n"), 200)
        self.assertEqual(self.request("POST", group, b"late 1 1600000000000\n"), 400)
        values = lambda: {r["metric"]["__name__"]: r["value"][1] for r in tarsier.query(
            '{job="nightly",instance="a/b",__name__=~"rows|took_seconds"}', time=time.time() + 0.5)}
        self.assertEqual(values(), {"rows": "5", "took_seconds": "1.5"})
        wait_until(lambda: os.path.exists(self.path("data/tarsier/pushed_groups")), "groups are on disk", 20)
        tarsier.kill()
        before = time.time()
        tarsier.start()
        wait_until(lambda: tarsier.query(f'timestamp(rows) > {before}', time=time.time() + 0.5), "stored again", 30)
        self.assertEqual(values(), {"rows": "5", "took_seconds": "1.5"})
        self.assertEqual(self.request("DELETE", group), 202)
        self.assertEqual(values(), {})

    def test_influx_clients_ask_at_the_address_of_the_page(self):
        tarsier = self.tarsier().start()
        self.assertEqual(json.loads(http(tarsier.url + "/query?q=SHOW+DATABASES")[1])["results"][0]["statement_id"], 0)
        self.assertIn("<html", http(tarsier.url + "/query")[1])

    def test_an_export_of_victoria_metrics_loads(self):
        port = free_port()
        other = self.add(Server("victoria-metrics", [
            self.need("victoria-metrics"), f"-storageDataPath={self.path('vm')}",
            f"-httpListenAddr=127.0.0.1:{port}"], port, self.directory, ready_path="/health")).start()
        now = int(time.time())
        lines = "".join(f'exported{{i="{i}"}} {i}.25 {(now - 60 + s) * 1000}\n' for i in range(5) for s in range(60))
        self.assertEqual(http(other.url + "/api/v1/import/prometheus", lines.encode())[0], 204)
        http(other.url + "/internal/force_flush")
        _, export = http(other.url + "/api/v1/export?match[]=exported")
        self.assertEqual(len(export.splitlines()), 5)
        tarsier = self.tarsier().start()
        self.assertEqual(http(tarsier.url + "/api/v1/import", export.encode()), (204, ""))
        counts = tarsier.query("count_over_time(exported[5m])", time=time.time())
        self.assertEqual([r["value"][1] for r in counts], ["60"] * 5)


if __name__ == "__main__":
    unittest.main()
