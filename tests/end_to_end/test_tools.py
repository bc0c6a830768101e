"""`tarsier tsdb ...` beside promtool's: each reads what the other wrote, and both say the same of it."""

import glob
import json
import os
import subprocess
import time
import unittest
import urllib.parse

from processes import EndToEndTest, http
from remote_write import send

START = 1_700_000_000


class ToolsTest(EndToEndTest):
    def run_tool(self, *arguments, code=0):
        done = subprocess.run(arguments, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
                              cwd=self.directory)
        self.assertEqual(done.returncode, code, (arguments, done.stdout[-2000:], done.stderr[-2000:]))
        return done.stdout

    def tool(self, *arguments, code=0):
        return self.run_tool(os.environ["TARSIER"], "tsdb", *arguments, code=code)

    def promtool(self, *arguments):
        return self.run_tool(self.need("promtool"), "tsdb", *arguments)

    def openmetrics(self):
        lines = ["# HELP http_requests Requests.", "# TYPE http_requests counter"]
        for host in range(20):
            for n in range(400):
                lines.append(f'http_requests_total{{host="h{host}",path="/a\\"b\\\\c"}} {n * host} {START + n * 30}')
        lines.append("# TYPE temp gauge")
        for n, v in enumerate(("NaN", "+Inf", "-0.0", "1e300", "12345678", "0.1")):
            lines.append(f"temp {v} {START + n * 30}.5")
        return self.write("in.om", "\n".join(lines) + "\n# EOF\n")

    def make(self, who, data, *more):
        make = self.promtool if who == "promtool" else self.tool
        text = make("create-blocks-from", "openmetrics", *more, self.openmetrics(), self.path(data))
        os.makedirs(self.path(data) + "/wal", exist_ok=True)  # promtool wants one.
        return text

    def test_blocks_of_either_are_dumped_and_listed_alike_by_both(self):
        theirs, ours = self.make("promtool", "theirs"), self.make("tarsier", "ours")
        # Names, sizes and the length of chunks differ; times and numbers do not.
        columns = lambda text: [line.split()[1:5] + line.split()[6:7] for line in text.splitlines()[1:]]
        self.assertEqual(columns(ours), columns(theirs))
        self.assertEqual(len(columns(ours)), 2)
        dumps = {(tool, data): run("dump", self.path(data))
                 for tool, run in (("promtool", self.promtool), ("tarsier", self.tool))
                 for data in ("theirs", "ours")}
        self.assertEqual(dumps["promtool", "theirs"].count("\n"), 8006)
        for key, text in dumps.items():
            self.assertTrue(text == dumps["promtool", "theirs"], key)
        for data in ("theirs", "ours"):
            for flag in ((), ("-r",)):
                self.assertEqual(self.tool("list", *flag, self.path(data)),
                                 self.promtool("list", *flag, self.path(data)))
            self.assertIn("all sound", self.tool("verify", self.path(data)))

    def test_dumps_are_cut_by_time_and_selector(self):
        self.make("promtool", "data")
        for selector in ("temp", '{host=~"h1."}', '{host="h3",__name__=~"http.*"}'):
            arguments = ["dump", f"--min-time={START * 1000 + 30_000}", f"--max-time={START * 1000 + 90_500}",
                         f"--match={selector}", self.path("data")]
            self.assertEqual(self.tool(*arguments), self.promtool(*arguments))
        self.assertEqual(self.tool("dump", "--match=nothing", self.path("data")), "")
        self.assertEqual(self.tool("dump", "--match=temp", "--match=temp", self.path("data")).count("\n"), 6)

    def test_an_openmetrics_dump_makes_the_same_blocks_again(self):
        self.make("tarsier", "data")
        self.write("again.om", self.tool("dump-openmetrics", self.path("data")))
        self.tool("create-blocks-from", "openmetrics", "-q", self.path("again.om"), self.path("copy"))
        self.assertEqual(self.tool("dump", self.path("copy")), self.tool("dump", self.path("data")))
        text = self.make("tarsier", "long", "--max-block-duration=54h", "--label=zone=z")
        self.assertEqual(text.count("\n"), 2)
        self.assertEqual(self.tool("dump", "--match={zone='z'}", self.path("long")).count("\n"), 8006)

    def test_analysis_says_what_promtool_says(self):
        self.make("promtool", "data")
        section = lambda text, name: sorted(
            line for line in text.split(name + ":\n")[1].split("\n\n")[0].splitlines() if line)
        ours = self.tool("analyze", "--limit=100", "--extended", self.path("data"))
        theirs = self.promtool("analyze", "--limit=100", "--extended", self.path("data"))
        for name in ("Label pairs most involved in churning", "Label names most involved in churning",
                     "Most common label pairs", "Label names with highest cumulative label value length",
                     "Highest cardinality labels", "Highest cardinality metric names"):
            self.assertEqual(section(ours, name), section(theirs, name), name)
        for line in ("Block ID: ", "Duration: ", "Label names: ", "Postings (unique label pairs): ",
                     "Postings entries (total label pairs): "):
            found = [[one for one in text.splitlines() if one.startswith(line)] for text in (ours, theirs)]
            self.assertEqual(found[0], found[1])
        self.assertIn("Bytes per sample: ", ours)
        self.assertIn("samples per float chunk (min/avg/max): ", ours)

    def test_damage_is_named_and_repaired(self):
        self.make("tarsier", "data")
        block = sorted(glob.glob(self.path("data/0*")))[0]
        with open(block + "/chunks/000001", "r+b") as file:
            file.seek(200)
            byte = file.read(1)
            file.seek(200)
            file.write(bytes([byte[0] ^ 1]))
        text = self.tool("verify", self.path("data"), code=1)
        self.assertIn("chunks/000001", text)
        self.assertIn("checksum", text)
        self.assertIn("repairs", self.tool("repair", self.path("data")))
        self.assertIn("all sound", self.tool("verify", self.path("data")))
        self.assertEqual(os.listdir(self.path("data/tarsier/damaged")), [os.path.basename(block)])
        self.assertGreater(self.promtool("dump", self.path("data")).count("\n"), 7000)

    def test_snapshots_are_read_by_promtool_and_prometheus_and_deletions_hold(self):
        now = int(time.time() * 1000)
        tarsier = self.tarsier(arguments=["--web.enable-admin-api"]).start()
        for n in range(200):
            t = now - 7 * 3_600_000 + n * 120_000
            self.assertIn(send(tarsier.url, [({"__name__": "kept"}, [(t, float(n))]),
                                             ({"__name__": "gone"}, [(t, float(n))])])[0], (200, 204))
        admin = tarsier.url + "/api/v1/admin/tsdb/"
        self.assertEqual(http(admin + "delete_series?" + urllib.parse.urlencode({"match[]": "gone"}), b"")[0], 204)
        self.assertEqual(tarsier.query("count_over_time(gone[1d])"), [])
        tarsier.kill()
        tarsier.start()
        self.assertEqual(tarsier.query("count_over_time(gone[1d])"), [])
        self.assertEqual(http(admin + "clean_tombstones", b"")[0], 204)
        name = json.loads(http(admin + "snapshot", b"")[1])["data"]["name"]
        self.assertEqual(tarsier.stop(), 0)
        copy = self.path(f"data/snapshots/{name}")
        lines = self.tool("dump", copy).splitlines()
        self.assertEqual(lines, [f'{{__name__="kept"}} {n} {now - 7 * 3_600_000 + n * 120_000}' for n in range(200)])
        os.makedirs(copy + "/wal", exist_ok=True)
        self.assertEqual(self.promtool("dump", copy).splitlines(), lines)
        prometheus = self.prometheus(data=f"data/snapshots/{name}").start()
        self.assertEqual(prometheus.query("count_over_time(kept[1d])")[0]["value"][1], "200")
        self.assertEqual(prometheus.query("count_over_time(gone[1d])"), [])
        self.assertEqual(prometheus.stop(), 0)

    def test_unknown_commands_name_the_ones_there_are(self):
        for arguments, word in ((("foo",), "tsdb"), (("tsdb", "foo"), "create-blocks-from"), (("tsdb",), "list")):
            done = subprocess.run([os.environ["TARSIER"], *arguments], capture_output=True, text=True, timeout=30)
            self.assertEqual(done.returncode, 2, arguments)
            self.assertIn(word, done.stderr)


if __name__ == "__main__":
    unittest.main()
