"""kill -9 in the middle of everything, and a disk that takes no more: nothing acknowledged is missing."""

import glob
import os
import random
import resource
import threading
import time
import unittest

from processes import EndToEndTest, http, wait_until
from remote_write import send

STEP_MS = 15_000
KILLS = 100
SECONDS_MAX = 90  # Machines with other work to do get as far as they get.


class Writer(threading.Thread):
    """Sends one sample of its series after the other until the server is gone."""

    def __init__(self, url, name, clock, acknowledged):
        super().__init__(daemon=True)
        self.url, self.name_, self.clock, self.acknowledged = url, name, clock, acknowledged

    def run(self):
        while True:
            t = self.clock()
            try:
                status, _ = send(self.url, [({"__name__": "killed", "writer": self.name_}, [(t, float(t % 1000))])])
            except OSError:
                return
            if status in (200, 204):
                self.acknowledged.append(t)


class KillTest(EndToEndTest):
    def stored(self, tarsier, name, end_ms):
        result = tarsier.query(f'killed{{writer="{name}"}}[1y]', end_ms / 1000)
        return {round(t * 1000): float(v) for t, v in result[0]["values"]} if result else {}

    def test_a_hundred_kills_while_writing_cutting_and_compacting_lose_nothing_acknowledged(self):
        seed = int(os.environ.get("TARSIER_KILL_SEED", random.randrange(1 << 30)))
        print(f"TARSIER_KILL_SEED={seed}", end=" ", flush=True)
        rng = random.Random(seed)
        # Ten minutes of samples are a block, and every start cuts and compacts what is due.
        tarsier = self.tarsier(arguments=["--storage.tsdb.min-block-duration=10m",
                                          "--storage.tsdb.max-block-duration=90m"])
        lock = threading.Lock()
        now = [int(time.time() * 1000) - 20 * 86_400_000 // 2]

        def clock():
            with lock:
                now[0] += STEP_MS
                return now[0]

        acknowledged = {name: [] for name in ("a", "b")}
        deadline = time.monotonic() + SECONDS_MAX
        kills = 0
        while kills < KILLS and time.monotonic() < deadline:
            tarsier.start()
            # Time flies here: while somebody writes, a block is due every moment and compaction waits.
            is_busy = kills % 4 != 3
            writers = [Writer(tarsier.url, name, clock, times) for name, times in acknowledged.items() if is_busy]
            for writer in writers:
                writer.start()
            time.sleep(rng.uniform(0.01, 0.2) if is_busy else rng.uniform(0.05, 0.4))
            tarsier.kill()
            kills += 1
            for writer in writers:
                writer.join(30)
                self.assertFalse(writer.is_alive())
        tarsier.start()
        for name, times in acknowledged.items():
            found = self.stored(tarsier, name, now[0] + STEP_MS)
            missing = [t for t in times if found.get(t) != float(t % 1000)]
            self.assertEqual(missing, [], f"seed {seed}: {len(missing)} of {len(times)} lost")
        blocks = tarsier.get("/api/v1/status/tsdb/blocks")["blocks"]
        compacted = sum(block["compaction"]["level"] > 1 for block in blocks)
        print(f"{kills} kills, {sum(map(len, acknowledged.values()))} samples acknowledged, "
              f"{len(blocks)} blocks, {compacted} compacted", end=" ", flush=True)
        self.assertGreater(len(blocks), 0)
        self.assertGreater(compacted, 0)
        self.assertGreater(kills, 10)
        self.assertNotIn("Damaged block", tarsier.log())
        self.assertEqual(tarsier.stop(), 0)


class FullDiskTest(EndToEndTest):
    def limit_files(self, tarsier, size):
        """No file of the server may grow beyond this: for a log the same as a full disk."""
        resource.prlimit(tarsier.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    def push(self, tarsier, t, v):
        return send(tarsier.url, [({"__name__": "full"}, [(t, v)])])

    def test_ingest_is_refused_reads_go_on_and_writing_resumes_by_itself(self):
        now = int(time.time() * 1000)
        tarsier = self.tarsier().start()
        for n in range(10):
            self.assertIn(self.push(tarsier, now - 60_000 + n, float(n))[0], (200, 204))
        # More than the server's own log file has: that goes on growing.
        padding = [({"__name__": "padding", "id": os.urandom(40).hex()}, [(now, random.random())]) for _ in range(3000)]
        self.assertIn(send(tarsier.url, padding)[0], (200, 204))
        self.limit_files(tarsier, max(os.path.getsize(path) for path in glob.glob(self.path("data/wal/0*"))) + 20)
        status, text = self.push(tarsier, now - 50_000, 10.0)
        self.assertEqual(status, 503, text)
        self.assertIn("write-ahead log cannot be written", text)
        self.assertEqual(self.push(tarsier, now - 40_000, 11.0)[0], 503)
        self.assertEqual(tarsier.query("count_over_time(full[1h] @ end())")[0]["value"][1], "11")
        self.assertIn("tarsier_tsdb_wal_refusing 1", http(tarsier.url + "/metrics")[1])
        self.limit_files(tarsier, resource.RLIM_INFINITY)
        wait_until(lambda: self.push(tarsier, now - 30_000, 12.0)[0] in (200, 204), "writing resumed", 20)
        self.assertIn("tarsier_tsdb_wal_refusing 0", http(tarsier.url + "/metrics")[1])
        self.assertEqual(tarsier.log().count("The log cannot be written"), 1)
        tarsier.kill()
        tarsier.start()
        values = [float(v) for _, v in tarsier.query("full[1h]", now / 1000)[0]["values"]]
        self.assertEqual(values, [float(n) for n in range(11)] + [12.0])
        self.assertEqual(tarsier.stop(), 0)


if __name__ == "__main__":
    unittest.main()
