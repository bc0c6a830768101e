"""Remote write from a real agent, through a crash; and what becomes of bad input."""

import http.server
import threading
import time
import unittest

from processes import EndToEndTest, Server, free_port, http as fetch, wait_until
from remote_write import send, send_raw, snappy_literals


class CountingHandler(http.server.BaseHTTPRequestHandler):
    """An exporter whose metric is the number of the scrape."""

    def do_GET(self):
        self.server.scrape_count += 1
        body = "".join(f'scrape_number{{series="{i}"}} {self.server.scrape_count}\n'
                       for i in range(100))
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *arguments):
        pass


class RemoteWriteTest(EndToEndTest):
    def test_prometheus_as_agent_loses_and_doubles_nothing_through_kill_9(self):
        self.through_kills(lambda scrape, url, port: [
            self.need("prometheus"), "--enable-feature=agent", "--config.file=" + self.write("agent.yml", f"""{scrape}
remote_write:
  - url: {url}
    queue_config: {{batch_send_deadline: 300ms, min_backoff: 50ms, max_backoff: 200ms, max_samples_per_send: 150}}
"""), f"--storage.agent.path={self.path('agent')}", "--log.level=error", f"--web.listen-address=127.0.0.1:{port}"])

    def test_vmagent_loses_and_doubles_nothing_through_kill_9(self):
        self.through_kills(lambda scrape, url, port: [
            self.need("vmagent"), "-promscrape.config=" + self.write("agent.yml", scrape), f"-remoteWrite.url={url}",
            "-remoteWrite.flushInterval=300ms", "-remoteWrite.queues=1", f"-remoteWrite.tmpDataPath={self.path('agent')}",
            "-loggerLevel=ERROR", f"-httpListenAddr=127.0.0.1:{port}"], ready_path="/health")

    def through_kills(self, make_command, ready_path="/-/ready"):
        """An agent scrapes and writes to us while we are killed again and again; nothing is lost or there twice."""
        exporter = http.server.ThreadingHTTPServer(("127.0.0.1", 0), CountingHandler)
        exporter.scrape_count = 0
        thread = threading.Thread(target=exporter.serve_forever)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(exporter.server_close)
        self.addCleanup(exporter.shutdown)

        tarsier = self.tarsier().start()
        agent_port = free_port()
        scrape = f"""
global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}
scrape_configs:
  - job_name: counting
    static_configs: [{{targets: ["127.0.0.1:{exporter.server_address[1]}"]}}]
"""
        agent = self.add(Server("agent", make_command(scrape, f"{tarsier.url}/api/v1/write", agent_port), agent_port,
                                self.directory, ready_path=ready_path)).start()

        start = time.time()
        for _ in range(4):
            wait_until(lambda: tarsier.query("count(scrape_number)"), "samples arrive")
            time.sleep(2.5)
            tarsier.kill()
            time.sleep(0.3)
            tarsier.start()
        time.sleep(2)
        scraped = exporter.scrape_count
        now = time.time()
        wait_until(lambda: any(float(r["value"][1]) >= scraped for r in tarsier.query("max(scrape_number)")),
                   "the newest scrape arrives")
        agent.stop()
        result = tarsier.query(f"scrape_number[{int(now - start) + 60}s]")
        self.assertEqual(len(result), 100)
        # On a busy machine the agent may give up on an answer the exporter has counted: it says so.
        (up,) = tarsier.query(f"up[{int(now - start) + 60}s]")
        failed = sum(v == "0" for _, v in up["values"])
        for series in result:
            numbers = [int(float(v)) for _, v in series["values"]]
            self.assertEqual(numbers[0], 1)
            self.assertEqual(numbers, sorted(set(numbers)), series["metric"])
            self.assertGreaterEqual(len(numbers), numbers[-1] - failed, f"{series['metric']} has {numbers}")
            self.assertGreaterEqual(numbers[-1], scraped)
        print(f"{scraped} scrapes of 100 series through 4 kills, {failed} failed", end=" ", flush=True)

    def test_acknowledged_samples_survive_kill_9_directly_after_the_answer(self):
        tarsier = self.tarsier().start()
        base = int(time.time() * 1000) - 60_000
        sent = 0
        for round_number in range(5):
            for _ in range(40):
                t = base + sent * 10
                status, text = send(tarsier.url, [
                    ({"__name__": "acked", "i": str(i)}, [(t, float(sent))]) for i in range(20)])
                self.assertIn(status, (200, 204), text)
                sent += 1
            tarsier.kill()
            tarsier.start()
            for series in tarsier.query("acked[5m]", base / 1000 + 120):
                self.assertEqual([float(v) for _, v in series["values"]],
                                 [float(n) for n in range(sent)])

    def test_bad_bodies_are_refused_and_the_good_stay(self):
        tarsier = self.tarsier().start()
        now = int(time.time() * 1000)
        self.assertIn(send(tarsier.url, [({"__name__": "good"}, [(now, 1.0)])])[0], (200, 204))
        for body in (b"", b"not snappy", snappy_literals(b"\xff\xff\xff"),
                     snappy_literals(b"\x0a\x7f"), b"\xff\xff\xff\xff\x0f"):
            status, text = send_raw(tarsier.url, body)
            if body:
                self.assertEqual(status, 400, text)
        status, text = send(tarsier.url, [
            ({"__name__": "good"}, [(now - 1000, 5.0)]), ({"__name__": "other"}, [(now, 2.0)])])
        self.assertEqual(status, 400)
        self.assertIn("out of order", text)
        self.assertIn("good", text)
        self.assertEqual(fetch(tarsier.url + "/-/healthy")[0], 200)
        self.assertEqual([r["value"][1] for r in tarsier.query("good")], ["1"])
        self.assertEqual([r["value"][1] for r in tarsier.query("other")], ["2"])


if __name__ == "__main__":
    unittest.main()
