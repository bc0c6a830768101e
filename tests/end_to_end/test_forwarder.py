"""Remote write out: to Debian's Prometheus, VictoriaMetrics and ourselves, through receivers that are down and kill -9."""

import json
import time
import unittest

from processes import EndToEndTest, Server, free_port, http, wait_until
from remote_write import send


class ForwarderTest(EndToEndTest):
    def sender(self, url, extra="", data="sender"):
        return self.tarsier(f"""
global:
  external_labels: {{zone: eu}}
remote_write:
  - url: {url}
    queue_config: {{batch_send_deadline: 200ms, min_backoff: 30ms, max_backoff: 300ms, max_samples_per_send: 300}}
    metadata_config: {{send: false}}
{extra}
""", data=data)

    def feed(self, sender, base, begin, end):
        """One sample a second of ten series, a request each second."""
        for s in range(begin, end):
            status, text = send(sender.url, [
                ({"__name__": "fed", "i": str(i)}, [(base + s * 1000, float(s))]) for i in range(10)])
            self.assertEqual(status, 204, text)

    def check(self, query, base, end):
        """Every series has every sample once, in order, with the external label."""
        result = query()
        self.assertEqual(len(result), 10, result[:1])
        for series in result:
            self.assertEqual(series["metric"]["zone"], "eu")
            self.assertEqual([(round(float(t) * 1000), float(v)) for t, v in series["values"]],
                             [(base + s * 1000, float(s)) for s in range(end)])

    def last(self, server, end):
        return lambda: [1 for r in server.query("fed", time=time.time()) if float(r["value"][1]) == end - 1]

    def through_outage_and_kill(self, receiver, write_url, query, newest, restart, extra="", stop=None):
        base = int(time.time() * 1000) - 200_000
        sender = self.sender(write_url, extra).start()
        self.feed(sender, base, 0, 20)
        wait_until(lambda: newest(20), "the first samples arrive", 30)
        # The receiver is down: nothing is lost, neither when we are killed meanwhile.
        (stop or receiver.kill)()
        self.feed(sender, base, 20, 60)
        sender.kill()
        sender.start()
        self.feed(sender, base, 60, 80)
        time.sleep(0.5)
        restart()
        wait_until(lambda: newest(80), "it catches up", 60)
        # Killed while it sends.
        self.feed(sender, base, 80, 110)
        sender.kill()
        sender.start()
        self.feed(sender, base, 110, 120)
        wait_until(lambda: newest(120), "the last samples arrive", 60)
        self.check(query, base, 120)
        _, metrics = http(sender.url + "/metrics")
        self.assertIn("prometheus_remote_storage_samples_total{", metrics)
        wait_until(lambda: "_samples_pending" in http(sender.url + "/metrics")[1], "metrics")
        self.assertEqual(sender.stop(), 0)

    def test_to_prometheus_without_loss_or_duplicate(self):
        receiver = self.prometheus(data="receiver",
                                   arguments=["--enable-feature=remote-write-receiver",
                                              "--web.enable-remote-write-receiver"]).start()
        self.through_outage_and_kill(
            receiver, f"{receiver.url}/api/v1/write", lambda: receiver.query("fed[10m]"),
            lambda end: len(self.last(receiver, end)()) == 10, receiver.start, stop=receiver.stop)

    def test_to_ourselves_with_version_2(self):
        receiver = self.tarsier(data="receiver").start()
        self.through_outage_and_kill(
            receiver, f"{receiver.url}/api/v1/write", lambda: receiver.query("fed[10m]"),
            lambda end: len(self.last(receiver, end)()) == 10, receiver.start,
            extra="    protobuf_message: io.prometheus.write.v2.Request")

    def test_an_hour_of_data_for_a_receiver_that_is_down(self):
        base = (int(time.time()) - 3700) * 1000
        receiver = self.tarsier(data="receiver")
        sender = self.sender(f"{receiver.url}/api/v1/write").start()
        for minute in range(60):
            status, text = send(sender.url, [
                ({"__name__": "fed", "i": str(i)}, [(base + s * 1000, float(s)) for s in range(60 * minute, 60 * minute + 60)])
                for i in range(10)])
            self.assertEqual(status, 204, text)
        sender.kill()
        sender.start()
        receiver.start()
        start = time.monotonic()
        end = base / 1000 + 3700
        wait_until(lambda: sum(float(r["value"][1]) for r in receiver.query("count_over_time(fed[2h])", end)) >= 36_000,
                   "it catches up", 60)
        print(f"an hour of 10 series caught up in {time.monotonic() - start:.1f} s", end=" ", flush=True)
        self.check(lambda: receiver.query("fed[2h]", end), base, 3600)

        def sent():
            _, metrics = http(sender.url + "/metrics")
            return sum(float(line.split()[-1]) for line in metrics.splitlines()
                       if line.startswith("prometheus_remote_storage_samples_total{"))
        wait_until(lambda: sent() >= 36_000, "the sender has its answers")
        self.assertEqual(sent(), 36_000)  # None was sent twice.

    def test_to_victoria_metrics(self):
        port = free_port()
        receiver = self.add(Server("victoria-metrics", [
            self.need("victoria-metrics"), f"-storageDataPath={self.path('vm')}",
            f"-httpListenAddr=127.0.0.1:{port}", "-search.latencyOffset=0s",
            # What is sent twice around a kill is one sample to it only when told so.
            "-dedup.minScrapeInterval=1ms"],
            port, self.directory, ready_path="/health")).start()

        def export():
            http(receiver.url + "/internal/force_flush")
            _, text = http(receiver.url + "/api/v1/export?match[]=fed")
            return [json.loads(line) for line in text.splitlines()]

        def query():
            return [{"metric": one["metric"],
                     "values": sorted((t / 1000, v) for t, v in zip(one["timestamps"], one["values"]))}
                    for one in export()]

        self.through_outage_and_kill(
            receiver, f"{receiver.url}/api/v1/write", query,
            lambda end: sum(1 for one in export() if max(one["values"]) == end - 1) == 10,
            receiver.start, stop=receiver.stop)


if __name__ == "__main__":
    unittest.main()
