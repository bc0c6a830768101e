"""Damaged files, bad configurations and bad requests: told clearly, and the rest goes on."""

import glob
import http.client
import json
import os
import signal
import subprocess
import time
import unittest
import urllib.parse

from processes import EndToEndTest, free_port, http as fetch, wait_until
from remote_write import send

HOUR_MS = 3_600_000


def flip(path, offset, mask=0xFF):
    """Inverts one byte; a negative offset counts from the end."""
    with open(path, "r+b") as file:
        file.seek(offset, os.SEEK_END if offset < 0 else os.SEEK_SET)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ mask]))


class DamagedStorageTest(EndToEndTest):
    def send_counted(self, tarsier, name, times):
        for n, t in enumerate(times):
            status, text = send(tarsier.url, [({"__name__": name}, [(t, float(n))])])
            self.assertIn(status, (200, 204), text)

    def values(self, tarsier, name, now_ms, window="10m"):
        result = tarsier.query(f"{name}[{window}]", now_ms / 1000)
        return [float(v) for _, v in result[0]["values"]] if result else []

    def last_segment(self):
        """The newest segment with something in it."""
        return [path for path in sorted(glob.glob(self.path("data/wal/0*"))) if os.path.getsize(path)][-1]

    def test_a_torn_log_tail_is_cut_reported_and_costs_only_itself(self):
        now = int(time.time() * 1000)
        tarsier = self.tarsier().start()
        self.send_counted(tarsier, "counted", range(now - 50_000, now, 1000))
        tarsier.kill()
        segment = self.last_segment()
        whole = os.path.getsize(segment)
        with open(segment, "r+b") as file:
            file.truncate(whole - 3)  # The last record lost its end.

        tarsier.start()
        self.assertEqual(self.values(tarsier, "counted", now), [float(n) for n in range(49)])
        log = tarsier.log()
        self.assertIn("Cut the torn tail of the log", log)
        line = next(line for line in log.splitlines() if "Cut the torn tail" in line)
        self.assertIn("level=warn", line)
        self.assertIn(os.path.basename(segment), line)
        for field in ("kept_bytes=", "saved_to=", "reason="):
            self.assertIn(field, line)
        self.assertEqual(len(os.listdir(self.path("data/tarsier/lost"))), 1)
        # What was cut off is free again, and the repair is not repeated.
        self.send_counted(tarsier, "counted", [])
        self.assertIn(send(tarsier.url, [({"__name__": "counted"}, [(now, 49.0)])])[0], (200, 204))
        tarsier.kill()
        tarsier.start()
        self.assertEqual(self.values(tarsier, "counted", now), [float(n) for n in range(50)])
        self.assertEqual(tarsier.log().count("Cut the torn tail"), 1)

    def test_a_damaged_log_record_is_reported_and_what_came_before_is_served(self):
        now = int(time.time() * 1000)
        tarsier = self.tarsier().start()
        self.send_counted(tarsier, "before", range(now - 50_000, now, 1000))
        self.assertEqual(tarsier.stop(), 0)
        damage_at = os.path.getsize(self.last_segment())
        damaged = self.last_segment()
        tarsier.start()
        self.send_counted(tarsier, "after", range(now - 50_000, now, 1000))
        self.assertEqual(tarsier.stop(), 0)
        # Each start begins a segment; the first one is damaged near its end.
        flip(damaged, damage_at - 10)

        tarsier.start()
        before = self.values(tarsier, "before", now)
        self.assertEqual(before, [float(n) for n in range(len(before))])
        self.assertEqual(len(before), 49)
        log = tarsier.log()
        line = next(line for line in log.splitlines() if "Cut a damaged log segment" in line)
        self.assertIn("level=error", line)
        self.assertIn(os.path.basename(damaged), line)
        self.assertIn("Set aside a log segment behind a damaged one", log)
        lost = os.listdir(self.path("data/tarsier/lost"))
        self.assertGreaterEqual(len(lost), 2, lost)
        self.assertEqual(fetch(tarsier.url + "/-/healthy")[0], 200)
        self.assertIn(send(tarsier.url, [({"__name__": "new"}, [(now, 1.0)])])[0], (200, 204))
        self.assertEqual(tarsier.stop(), 0)

    def read_meta(self, block):
        with open(os.path.join(block, "meta.json"), encoding="utf-8") as file:
            return json.load(file)

    def cut_blocks(self, count):
        """Waits for this many finished blocks; their directories in the order of their time."""
        def blocks():
            return [os.path.dirname(meta) for meta in glob.glob(self.path(f"data/{'?' * 26}/meta.json"))]
        found = wait_until(lambda: len(blocks()) >= count and blocks(), f"{count} blocks cut", 180)
        return sorted(found, key=lambda block: self.read_meta(block)["minTime"])

    def test_a_damaged_block_is_set_aside_and_the_rest_serves(self):
        now = int(time.time() * 1000) // 60_000 * 60_000
        start = now - 9 * HOUR_MS
        tarsier = self.tarsier(arguments=["--storage.tsdb.max-block-duration=2h"]).start()  # No compaction.
        for t in range(start, now, 60_000):
            self.assertIn(send(tarsier.url, [({"__name__": "kept"}, [(t, 1.0)])])[0], (200, 204))
        total = len(self.values(tarsier, "kept", now, "10h"))
        blocks = self.cut_blocks(3)
        self.assertEqual(tarsier.stop(), 0)
        # The oldest: what is newer than every whole block comes back from the log.
        victims = {"index": blocks[0], "meta.json": blocks[1]}
        missing = sum(self.read_meta(block)["stats"]["numSamples"] for block in victims.values())
        flip(os.path.join(blocks[0], "index"), 0)
        with open(os.path.join(blocks[1], "meta.json"), "r+b") as file:
            file.truncate(20)

        tarsier.start()
        self.assertEqual(len(self.values(tarsier, "kept", now, "10h")), total - missing)
        lines = [line for line in tarsier.log().splitlines() if "Damaged block set aside" in line]
        self.assertEqual(len(lines), 2, tarsier.log())
        for name, block in victims.items():
            ulid = os.path.basename(block)
            line = next(line for line in lines if ulid in line)
            self.assertIn("level=error", line)
            self.assertIn(name, line)
            self.assertTrue(os.path.isdir(self.path(f"data/tarsier/damaged/{ulid}")), ulid)
            self.assertFalse(os.path.exists(block))
        self.assertEqual(fetch(tarsier.url + "/-/ready")[0], 200)
        self.assertEqual(tarsier.stop(), 0)


class BadConfigurationTest(EndToEndTest):
    def run_until_it_ends(self, *arguments):
        done = subprocess.run([os.environ["TARSIER"], *arguments], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=30, cwd=self.directory)
        return done.returncode, done.stdout + done.stderr

    def serve(self, **flags):
        flags = {"config.file": self.write("good.yml", "global: {}\n"), "storage.tsdb.path": self.path("data"),
                 "web.listen-address": "127.0.0.1:0", **flags}
        return self.run_until_it_ends(*[f"--{name}={value}" for name, value in flags.items()])

    def test_a_bad_configuration_is_refused_on_reload_and_the_old_one_goes_on(self):
        tarsier = self.tarsier("global: {external_labels: {zone: a}}\n",
                               arguments=["--web.enable-lifecycle"]).start()
        config = next(a for a in tarsier.arguments if a.startswith("--config.file=")).split("=", 1)[1]
        self.write(os.path.basename(config), "global: {}\nscrape_configs:\n  - job_name: x\n    nope: 1\n")
        status, text = fetch(tarsier.url + "/-/reload", b"")
        self.assertEqual(status, 500)
        self.assertIn(config, text)
        self.assertIn("line 4: field nope not found in scrape_configs[0] (column 5)", text)
        tarsier.process.send_signal(signal.SIGHUP)
        wait_until(lambda: tarsier.log().count("Reloading the configuration failed") == 2, "refused again")
        self.assertIn("zone: a", tarsier.get("/api/v1/status/config")["yaml"])
        self.assertIn("prometheus_config_last_reload_successful 0", fetch(tarsier.url + "/metrics")[1])
        self.assertEqual(fetch(tarsier.url + "/-/healthy")[0], 200)
        self.write(os.path.basename(config), "global: {external_labels: {zone: b}}\n")
        self.assertEqual(fetch(tarsier.url + "/-/reload", b"")[0], 200)
        self.assertIn("zone: b", tarsier.get("/api/v1/status/config")["yaml"])
        self.assertIn("prometheus_config_last_reload_successful 1", fetch(tarsier.url + "/metrics")[1])

    def test_what_keeps_it_from_starting_is_said_with_the_exit_code_that_fits(self):
        user_fault, machine_fault = 2, 1
        bad = self.write("bad.yml", "global:\n  scrape_interval: [5s\n")
        code, text = self.serve(**{"config.file": bad})
        self.assertEqual((code, "bad.yml: yaml: line 3:" in text), (user_fault, True), text)
        code, text = self.serve(**{"config.file": self.path("absent.yml")})
        self.assertEqual((code, "absent.yml: No such file" in text), (user_fault, True), text)
        code, text = self.serve(**{"web.listen-address": "nowhere"})
        self.assertEqual((code, "--web.listen-address: address nowhere: missing port" in text),
                         (user_fault, True), text)
        code, text = self.serve(**{"storage.tsdb.retention.time": "soon"})
        self.assertEqual((code, "--storage.tsdb.retention.time" in text), (user_fault, True), text)
        code, text = self.serve(nope=1)
        self.assertEqual((code, "--nope" in text), (user_fault, True), text)
        # Also root cannot make a directory below a file.
        code, text = self.serve(**{"storage.tsdb.path": self.path("good.yml/data")})
        self.assertEqual((code, "--storage.tsdb.path" in text, "Not a directory" in text),
                         (machine_fault, True, True), text)
        self.assertNotIn("ready to receive", text)

    def test_a_port_or_a_directory_in_use_is_left_to_its_owner(self):
        tarsier = self.tarsier().start()
        code, text = self.serve(**{"web.listen-address": f"127.0.0.1:{tarsier.port}",
                                   "storage.tsdb.path": self.path("other")})
        self.assertEqual(code, 1, text)
        self.assertIn(f"listen on 127.0.0.1:{tarsier.port}: Address already in use", text)
        code, text = self.serve()
        self.assertEqual(code, 1, text)
        self.assertIn("lock: held by another process", text)
        self.assertEqual(tarsier.query("vector(1)")[0]["value"][1], "1")
        self.assertEqual(tarsier.stop(), 0)

    def test_check_config_tells_good_from_bad(self):
        self.assertEqual(self.run_until_it_ends("check", "config", self.write("good.yml", "global: {}\n"))[0], 0)
        code, text = self.run_until_it_ends(
            "check", "config", self.write("bad.yml", "scrape_configs:\n  - job_name: a\n    scheme: gopher\n"))
        self.assertEqual(code, 1)
        self.assertIn('bad.yml: unsupported scheme "gopher" (line 3, column 13)', text)


class BadRequestTest(EndToEndTest):
    def ask(self, tarsier, path, **parameters):
        status, text = fetch(f"{tarsier.url}{path}?{urllib.parse.urlencode(parameters)}")
        return status, json.loads(text)

    def test_bad_queries_and_times_are_answered_with_the_documented_errors(self):
        tarsier = self.tarsier().start()
        grid = {"query": "up", "start": "0", "end": "60", "step": "15"}
        cases = [
            ("/api/v1/query", {"query": "sum("}, 'invalid parameter "query": 1:5: parse error'),
            ("/api/v1/query", {"query": ""}, 'invalid parameter "query"'),
            ("/api/v1/query", {"query": "up", "time": "later"},
             'invalid parameter "time": invalid time value for \'time\': cannot parse "later" to a valid timestamp'),
            ("/api/v1/query", {"query": "up", "timeout": "x"}, 'invalid parameter "timeout"'),
            ("/api/v1/query_range", {**grid, "start": "x"}, 'invalid parameter "start"'),
            ("/api/v1/query_range", {**grid, "end": "-60"}, "end timestamp must not be before start time"),
            ("/api/v1/query_range", {**grid, "step": "0"}, "zero or negative query resolution step"),
            ("/api/v1/query_range", {**grid, "end": "1e9", "step": "1"}, "exceeded maximum resolution of 11,000"),
            ("/api/v1/series", {}, "no match[] parameter provided"),
            ("/api/v1/series", {"match[]": "{"}, 'invalid parameter "match[]"'),
        ]
        for path, parameters, message in cases:
            status, answer = self.ask(tarsier, path, **parameters)
            self.assertEqual((status, answer["status"], answer["errorType"]), (400, "error", "bad_data"),
                             (path, parameters, answer))
            self.assertIn(message, answer["error"], (path, parameters))
        status, answer = self.ask(tarsier, "/api/v1/query", query="up * on(a) group_left(a) vector(1) + {a=~'('}")
        self.assertEqual((status, answer["errorType"]), (400, "bad_data"), answer)
        self.assertEqual(fetch(tarsier.url + "/-/healthy")[0], 200)

    def test_bodies_above_the_limit_are_refused_before_they_are_read(self):
        tarsier = self.tarsier().start()
        for path, limit in (("/api/v1/write", 32 << 20), ("/api/v1/query", 10 << 20)):
            # Only the header is sent: whoever waited for the body would wait for ever.
            connection = http.client.HTTPConnection("127.0.0.1", tarsier.port, timeout=30)
            self.addCleanup(connection.close)
            connection.putrequest("POST", path)
            connection.putheader("Content-Length", str(limit + 1))
            connection.endheaders()
            answer = connection.getresponse()
            self.assertEqual(answer.status, 413, path)
            self.assertIn(f"the body has {limit + 1} bytes, the limit is {limit}", answer.read().decode())
        self.assertEqual(fetch(tarsier.url + "/-/healthy")[0], 200)
        self.assertEqual(tarsier.query("1 + 1")[1], "2")


if __name__ == "__main__":
    unittest.main()
