"""What is sealed answers as before, and Debian's Prometheus and promtool take it when it is exported."""

import filecmp
import json
import os
import pathlib
import subprocess
import urllib.request

import test_interchange
from processes import http
from test_interchange import HOUR_MS


class SealingTest(test_interchange.InterchangeTest):
    # Only what is below; the tests of the class it borrows from run on their own.
    test_prometheus_serves_what_tarsier_wrote = None
    test_tarsier_serves_what_prometheus_wrote = None

    def tool(self, *arguments):
        done = subprocess.run([os.environ["TARSIER"], "tsdb", *arguments], capture_output=True, text=True,
                              timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr + done.stdout)
        return done.stdout

    def blocks(self, directory):
        return sorted(d for d in os.listdir(self.path(directory))
                      if len(d) == 26 and os.path.exists(os.path.join(self.path(directory), d, "meta.json")))

    def test_sealed_data_answers_and_goes_back_to_prometheus(self):
        start, end = self.time_range()
        tarsier = self.tarsier(arguments=["--web.enable-admin-api"]).start()
        self.fill(tarsier, start, end)
        before = self.answers(tarsier, start + HOUR_MS, end)
        status, text = http(tarsier.url + "/api/v1/admin/tsdb/compact?seal=all", body=b"", timeout=120)
        self.assertEqual(status, 200, text)
        report = json.loads(text)["data"]
        samples = 28 * len(range(start, end, 15_000))
        self.assertEqual(report["samplesAfter"], samples)
        self.assertEqual(report["failures"], 0)
        self.assertEqual(self.blocks("data"), [])
        print(f"{report['bytesBefore'] / samples:.2f} -> {report['bytesAfter'] / samples:.2f} bytes/sample",
              end=" ", flush=True)
        self.assert_same(self.answers(tarsier, start + HOUR_MS, end), before)
        self.check_resolutions(tarsier, start, end)
        self.check_maintenance(tarsier)
        self.assertEqual(tarsier.stop(), 0)
        self.assertIn("all sound", self.tool("verify", self.path("data")))
        self.assertIn("sealed", self.tool("analyze", self.path("data")))
        again = self.tarsier().start()
        self.assert_same(self.answers(again, start + HOUR_MS, end), before)
        self.assertEqual(again.stop(), 0)

        self.tool("export", self.path("data"))
        self.assertGreater(len(self.blocks("data")), 2)
        dump = self.promtool("tsdb", "dump", self.path("data"))
        self.assertEqual(len(dump.splitlines()), samples)
        prometheus = self.prometheus().start()
        self.assert_same(before, self.answers(prometheus, start + HOUR_MS, end))

    def check_resolutions(self, tarsier, start, end):
        """The same sums by samples and by rows, and the answer says which."""
        first, last = start // HOUR_MS * 3600 + 7200, end // HOUR_MS * 3600
        answers = {}
        for wish in ("", "raw", "5m", "1h", "auto"):
            status, text = http(
                f"{tarsier.url}/api/v1/query_range?query=sum({{__name__%3D~%22.%2B%22}})"
                f"&start={first}&end={last}&step=3600&stats=true&max_source_resolution={wish}")
            self.assertEqual(status, 200, text)
            data = json.loads(text)["data"]
            answers[wish] = [round(float(value), 3) for _, value in data["result"][0]["values"]]
            served = data["stats"]["resolutions"]
            self.assertEqual(served, {"": ["1h"], "auto": ["1h"]}.get(wish, [wish]))
        for values in answers.values():
            self.assertEqual(values, answers["raw"])
        for wish, served in (("raw", "raw"), ("1h", "1h")):  # Every answer says it in a header.
            with urllib.request.urlopen(f"{tarsier.url}/api/v1/query_range?query=sum({{__name__%3D~%22.%2B%22}})"
                                        f"&start={first}&end={last}&step=3600&max_source_resolution={wish}") as answer:
                self.assertEqual(answer.headers["X-Tarsier-Source-Resolution"], served)
        status, text = http(f"{tarsier.url}/api/v1/query?query=up&max_source_resolution=often")
        self.assertEqual(status, 400, text)

    def check_maintenance(self, tarsier):
        url = tarsier.url + "/api/v1/admin/tsdb/maintenance"
        for action, paused in (("?action=pause", True), ("", True), ("?action=resume", False)):
            status, text = http(url + action, body=b"")
            self.assertEqual(status, 200, text)
            self.assertEqual(json.loads(text)["data"]["paused"], paused)

    def test_blocks_of_prometheus_come_back_to_the_byte(self):
        start, end = self.time_range()
        prometheus = self.prometheus(arguments=["--web.enable-remote-write-receiver", "--web.enable-admin-api"])
        prometheus.start()
        self.fill(prometheus, start, end)
        self.wait_for_blocks(self.path("data"), 2)
        status, text = http(prometheus.url + "/api/v1/admin/tsdb/snapshot", body=b"")
        self.assertEqual(status, 200, text)
        self.assertEqual(prometheus.stop(), 0)
        taken = os.path.join("data", "snapshots", json.loads(text)["data"]["name"])
        print(self.tool("import", self.path(taken), self.path("other")).splitlines()[-1], end=" ", flush=True)
        self.tool("export", "--output", self.path("back"), self.path("other"))
        self.assertEqual(self.blocks("back"), self.blocks(taken))
        for block in self.blocks(taken):
            for name in os.listdir(os.path.join(self.path(taken), block, "chunks")):
                mine, theirs = (os.path.join(self.path(d), block, "chunks", name) for d in ("back", taken))
                self.assertTrue(filecmp.cmp(mine, theirs, shallow=False), f"{block}/{name}")
            mine, theirs = (pathlib.Path(self.path(d), block, "meta.json").read_text() for d in ("back", taken))
            self.assertEqual(mine, theirs)
        for directory in ("back", taken):  # promtool wants a log, be it empty.
            os.makedirs(os.path.join(self.path(directory), "wal"), exist_ok=True)
        self.assertEqual(self.promtool("tsdb", "dump", self.path("back")),
                         self.promtool("tsdb", "dump", self.path(taken)))
