"""A forwarder whose receiver is down for an hour of data catches up without loss or duplicate.

With more series than the default: TARSIER_OUTAGE_SERIES=20000 tests/end_to_end/run PATH -k hour
"""

import os
import time
import unittest

from processes import EndToEndTest, http, wait_until
from remote_write import send

SERIES = int(os.environ.get("TARSIER_OUTAGE_SERIES", "500"))
STEP = 15
SAMPLES = 3600 // STEP


class OutageTest(EndToEndTest):
    def counter(self, server, name):
        return sum(float(line.rsplit(" ", 1)[1]) for line in http(server.url + "/metrics")[1].splitlines()
                   if line.startswith(name + "{"))

    def test_an_hour_of_data_is_caught_up(self):
        receiver = self.tarsier(data="receiver").start()
        sender = self.tarsier(f"""
remote_write:
  - url: {receiver.url}/api/v1/write
    queue_config: {{batch_send_deadline: 200ms, max_backoff: 1s}}
    metadata_config: {{send: false}}
""", data="sender").start()
        base = (int(time.time()) // STEP * STEP - 3600) * 1000
        receiver.kill()
        for k in range(SAMPLES):  # Every series has one sample in each request, as from an agent.
            t = base + k * STEP * 1000
            status, text = send(sender.url, [
                ({"__name__": "fed", "i": str(i)}, [(t, float(k))]) for i in range(SERIES)])
            self.assertEqual(status, 204, text)
        self.assertLess(self.counter(sender, "prometheus_remote_storage_samples_pending"), SERIES * SAMPLES / 2 + 600_000,
                        "what waits is in the log, not in memory")
        begun = time.monotonic()
        receiver.start()

        def is_there():
            result = receiver.query("sum(count_over_time(fed[2h]))", time=base / 1000 + 3700)
            return result and float(result[0]["value"][1]) >= SERIES * SAMPLES

        wait_until(is_there, "all samples arrive", 120)
        took = time.monotonic() - begun
        at = base / 1000 + 3700
        whole = f"count(count_over_time(fed[2h]) == {SAMPLES} and sum_over_time(fed[2h]) == {sum(range(SAMPLES))})"
        self.assertEqual(receiver.query(whole, time=at)[0]["value"][1], str(SERIES))
        self.assertEqual(self.counter(sender, "prometheus_remote_storage_samples_failed_total"), 0)
        lines = sum("retrying" in line for line in sender.log().splitlines())
        self.assertLess(lines, 60, "an outage does not flood the log")
        print(f"\n{SERIES * SAMPLES} samples of an hour caught up in {took:.1f} s", flush=True)
        self.assertEqual(sender.stop(), 0)


if __name__ == "__main__":
    unittest.main()
