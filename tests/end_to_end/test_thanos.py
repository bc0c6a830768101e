"""What a Thanos sidecar reads from a Prometheus is true here: flags, labels, gauges, remote read, blocks that stay."""

import hashlib
import json
import os
import re
import struct
import subprocess
import urllib.request

import test_interchange
from fake_s3 import FakeS3
from processes import http, wait_until
from remote_write import _message, _varint, snappy_literals
from test_interchange import HOUR_MS

CONFIG = "global: {external_labels: {cluster: eu-1, replica: a}}\n"


def fields(data):
    """(number, value) of a protobuf message; values are ints or bytes."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(data):
        key = varint()
        if key & 7 == 0:
            yield key >> 3, varint()
        elif key & 7 == 1:
            yield key >> 3, struct.unpack_from("<Q", data, at)[0]
            at += 8
        else:
            size = varint()
            yield key >> 3, data[at:at + size]
            at += size


def frames(body):
    """The ChunkedReadResponses of a stream."""
    at = 0
    while at < len(body):
        size = shift = 0
        while True:
            byte = body[at]
            at += 1
            size |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        yield body[at + 4:at + 4 + size]
        at += 4 + size


class ThanosTest(test_interchange.InterchangeTest):
    # Only what is below; the tests of the class it borrows from run on their own.
    test_prometheus_serves_what_tarsier_wrote = None
    test_tarsier_serves_what_prometheus_wrote = None

    def remote_read(self, server, start, end):
        """As a sidecar asks: series in the order of the answer with their chunks (min, max, type, bytes)."""
        matcher = _message(3, b"\x08\x02" + _message(2, b"__name__") + _message(3, b".+"))
        query = b"\x08" + _varint(start) + b"\x10" + _varint(end) + matcher
        request = urllib.request.Request(
            server.url + "/api/v1/read", data=snappy_literals(_message(1, query) + b"\x10\x01\x10\x00"),
            headers={"Content-Encoding": "snappy", "Content-Type": "application/x-stream-protobuf",
                     "X-Prometheus-Remote-Read-Version": "0.1.0", "User-Agent": "thanos/0.43"})
        series = []
        with urllib.request.urlopen(request, timeout=60) as response:
            self.assertEqual(response.headers["Content-Type"],
                             "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse")
            for frame in frames(response.read()):
                in_frame = [value for number, value in fields(frame) if number == 1]
                self.assertEqual(len(in_frame), 1, "one series in a frame")
                labels, chunks = [], []
                for number, value in fields(in_frame[0]):
                    if number == 1:
                        labels.append(tuple(v.decode() for _, v in fields(value)))
                    else:
                        chunk = dict(fields(value))
                        chunks.append((chunk[1], chunk[2], chunk[3], chunk[4]))
                if series and series[-1][0] == labels:
                    series[-1][1].extend(chunks)
                else:
                    series.append((labels, chunks))
        return series

    def check_remote_read(self, server, start, end, count):
        series = self.remote_read(server, start, end)
        self.assertEqual(len(series), count)
        self.assertEqual([s[0] for s in series], sorted(s[0] for s in series))
        samples = 0
        for labels, chunks in series:
            self.assertIn(("replica", "a"), labels)
            for low, high, kind, data in chunks:
                self.assertIn(kind, (1, 2, 3))
                self.assertLessEqual(low, high)
                samples += struct.unpack(">H", data[:2])[0]
        return samples

    def metric(self, server, name):
        found = re.search(rf"^{name} (\S+)$", http(server.url + "/metrics")[1], re.M)
        return float(found.group(1)) if found else None

    def blocks(self):
        return sorted(d for d in os.listdir(self.path("data"))
                      if len(d) == 26 and os.path.exists(os.path.join(self.path("data"), d, "meta.json")))

    def test_what_a_sidecar_reads(self):
        server = self.tarsier(CONFIG, arguments=["--storage.tsdb.min-block-duration=2h",
                                                 "--storage.tsdb.max-block-duration=2h"]).start()
        flags = server.get("/api/v1/status/flags")
        self.assertEqual(flags["storage.tsdb.min-block-duration"], "2h")
        self.assertEqual(flags["storage.tsdb.max-block-duration"], "2h")
        self.assertEqual(flags["storage.tsdb.path"], self.path("data"))
        self.assertEqual(flags["storage.tsdb.delay-compact-file.path"], "")
        self.assertEqual(flags["web.enable-admin-api"], "false")
        self.assertEqual(flags["web.enable-lifecycle"], "false")
        self.assertNotIn("storage.tsdb.retention", flags)
        major, minor, _ = server.get("/api/v1/status/buildinfo")["version"].split(".")
        self.assertGreaterEqual((int(major), int(minor)), (2, 24))
        self.assertTrue(server.get("/api/v1/status/runtimeinfo")["reloadConfigSuccess"])
        yaml = server.get("/api/v1/status/config")["yaml"]
        self.assertIn("  external_labels:\n    cluster: eu-1\n    replica: a\n", yaml)
        lowest = "prometheus_tsdb_lowest_timestamp_seconds"
        self.assertEqual(self.metric(server, lowest), 9.223372036854776e+15)
        self.assertTrue(os.path.isdir(self.path("data/wal")))

        end = self.time_range()[1]
        start = end - 600_000
        self.fill(server, start, end)
        self.assertEqual(self.metric(server, lowest), start / 1000)
        self.assertEqual(self.check_remote_read(server, start, end, 28), 28 * 40)
        self.assertEqual(self.check_remote_read(server, start + 300_000, end, 28), 28 * 20)
        window = {"start": start / 1000, "end": end / 1000}
        self.assertEqual(len(server.get("/api/v1/series", **{"match[]": "gauge", "limit": 100, **window})), 12)
        self.assertIn("job", server.get("/api/v1/labels", **{"match[]": "gauge", **window}))
        self.assertEqual(server.get("/api/v1/label/job/values", **{"match[]": "gauge", **window}), ["a", "b"])
        for path in ("rules", "targets", "alerts", "metadata", "status/tsdb"):
            server.get("/api/v1/" + path)
        server.get("/api/v1/query_exemplars", query="gauge", **window)
        self.assertEqual(server.stop(), 0)

        plain = self.tarsier(CONFIG).start()
        self.assertEqual(plain.get("/api/v1/status/flags")["storage.tsdb.max-block-duration"], "1d12h")

    def test_blocks_stay_until_the_sidecar_has_listed_them(self):
        shipped = self.path("data/thanos.shipper.json")
        server = self.tarsier(CONFIG, arguments=[
            "--web.enable-admin-api", f"--storage.tsdb.delay-compact-file.path={shipped}"]).start()
        self.assertEqual(server.get("/api/v1/status/flags")["storage.tsdb.delay-compact-file.path"], shipped)
        start, end = self.time_range()
        self.fill(server, start, end)
        samples = 28 * len(range(start, end, 15_000))

        def seal():
            status, text = http(server.url + "/api/v1/admin/tsdb/compact?seal=all", body=b"", timeout=120)
            self.assertEqual(status, 200, text)
        seal()
        blocks = self.blocks()
        self.assertGreater(len(blocks), 2)
        self.assertEqual(self.metric(server, "tarsier_tsdb_blocks_waiting_for_upload"), len(blocks))
        for block in blocks:
            with open(os.path.join(self.path("data"), block, "meta.json"), encoding="utf-8") as file:
                meta = json.load(file)
            self.assertEqual((meta["version"], meta["compaction"]["level"], meta["ulid"]), (1, 1, block))
        self.assertEqual(self.check_remote_read(server, start, end, 28), samples)

        self.write("data/thanos.shipper.json", json.dumps({"version": 1, "uploaded": blocks[:-1]}))
        seal()
        self.assertEqual(self.blocks(), blocks[-1:])
        self.assertEqual(self.metric(server, "tarsier_tsdb_blocks_waiting_for_upload"), 1)
        self.write("data/thanos.shipper.json", json.dumps({"version": 1, "uploaded": blocks}))
        seal()
        self.assertEqual(self.blocks(), [])
        # What is sealed is read as before.
        self.assertEqual(self.check_remote_read(server, start, end, 28), samples)
        self.assertEqual(self.metric(server, "prometheus_tsdb_lowest_timestamp_seconds"), start / 1000)

    def ship(self, objstore, arguments=()):
        """A server that ships to `objstore`, with three hours of data, all cut into blocks; and their names."""
        server = self.tarsier(CONFIG + f"thanos: {{hash_func: SHA256, objstore: {objstore}}}\n",
                              arguments=["--web.enable-admin-api", "--storage.tsdb.min-block-duration=1h",
                                         *arguments]).start()
        end = self.time_range()[1]
        self.fill(server, end - 4 * HOUR_MS, end)
        status, text = http(server.url + "/api/v1/admin/tsdb/compact?seal=all", body=b"", timeout=120)
        self.assertEqual(status, 200, text)
        blocks = self.blocks()
        self.assertGreater(len(blocks), 1)
        return server, blocks

    def shipped(self, server):
        return server.get("/api/tarsier/v1/shipper")

    def check_bucket(self, objects, blocks, order):
        """Every block whole in the bucket, meta.json last, with the thanos section."""
        for block in blocks:
            meta = json.loads(objects[f"{block}/meta.json"])
            thanos = meta["thanos"]
            self.assertEqual(thanos["labels"], {"cluster": "eu-1", "replica": "a"})
            self.assertEqual((thanos["version"], thanos["downsample"]["resolution"], thanos["source"]), (1, 0, "sidecar"))
            self.assertGreater(thanos["index_stats"]["series_max_size"], 0)
            self.assertGreater(thanos["index_stats"]["chunk_max_size"], 0)
            names = [file["rel_path"] for file in thanos["files"]]
            self.assertEqual(names, sorted(names))
            self.assertEqual(names, ["chunks/000001", "index", "meta.json"])
            for file in thanos["files"][:-1]:
                data = objects[f"{block}/{file['rel_path']}"]
                self.assertEqual(file["size_bytes"], len(data))
                self.assertEqual(file["hash"], {"hashFunc": "SHA256", "value": hashlib.sha256(data).hexdigest()})
            mine = [name for name in order if name.startswith(block)]
            self.assertEqual(mine[-1], f"{block}/meta.json", mine)
            self.assertNotIn(f"{block}/tombstones", objects)

    def test_ships_to_s3_and_goes_on_after_failures(self):
        s3 = FakeS3("blocks", "who", "S3cret/+")
        self.addCleanup(s3.close)
        s3.fail_next = 2  # Tried again at once.
        server, blocks = self.ship(f"{{type: S3, config: {{bucket: blocks, endpoint: '{s3.endpoint}', insecure: true, "
                                   "access_key: who, secret_key: S3cret/+}}")
        wait_until(lambda: sorted(self.shipped(server)["uploaded"]) == blocks, "the blocks are shipped", 40)
        self.assertEqual(s3.refused, [])
        self.check_bucket(s3.objects, blocks, s3.order)
        with open(self.path("data/thanos.shipper.json"), encoding="utf-8") as file:
            self.assertEqual(sorted(json.load(file)["uploaded"]), blocks)
        self.assertEqual(self.metric(server, "thanos_shipper_uploads_total"), len(blocks))
        self.assertEqual(self.metric(server, "thanos_shipper_upload_failures_total"), 0)
        self.assertNotIn("S3cret", server.get("/api/v1/status/config")["yaml"])
        self.assertEqual(server.stop(), 0)

        # A bucket that lost one block's index, and a list that is lost: only that file is sent.
        lost = blocks[0]
        for name in ("index", "meta.json"):
            del s3.objects[f"{lost}/{name}"]
        os.remove(self.path("data/thanos.shipper.json"))
        s3.order.clear()
        again = server.start()
        wait_until(lambda: sorted(self.shipped(again)["uploaded"]) == blocks, "it is shipped again", 40)
        self.assertEqual(s3.order, [f"{lost}/index", f"{lost}/meta.json"])
        self.assertEqual(again.stop(), 0)

        # With a wrong secret nothing is shipped, and everybody can see why.
        os.remove(self.path("data/thanos.shipper.json"))
        s3.secret_key = "other"
        again.start()
        wait_until(lambda: "AccessDenied" in self.shipped(again)["lastError"], "the refusal is shown", 40)
        self.assertEqual(sorted(self.shipped(again)["waiting"]), blocks)

    def test_ships_to_a_directory_and_seals_behind(self):
        server, blocks = self.ship(f"{{type: FILESYSTEM, config: {{directory: '{self.path('bucket')}'}}}}")
        wait_until(lambda: sorted(self.shipped(server)["uploaded"]) == blocks, "the blocks are shipped", 40)
        objects = {}
        for directory, _, names in os.walk(self.path("bucket")):
            for name in names:
                path = os.path.join(directory, name)
                with open(path, "rb") as file:
                    objects[os.path.relpath(path, self.path("bucket"))] = file.read()
        self.check_bucket(objects, blocks, sorted(objects))
        self.assertEqual(self.blocks(), blocks)
        status, text = http(server.url + "/api/v1/admin/tsdb/compact?seal=all", body=b"", timeout=120)
        self.assertEqual(status, 200, text)
        self.assertEqual(self.blocks(), [])
        os.makedirs(self.path("bucket/wal"))  # promtool wants a log, be it empty.
        dump = self.promtool("tsdb", "dump", self.path("bucket"))
        self.assertEqual(len(dump.splitlines()), 28 * 4 * 240)
        self.assertEqual(server.stop(), 0)
        self.check_export(blocks)

    def check_export(self, blocks):
        """Sealed history leaves as a bucket: every block, and beside it what a compactor makes of it."""
        done = subprocess.run([os.environ["TARSIER"], "tsdb", "export", "--output", self.path("history"),
                               "--thanos-label=cluster=eu-1", "--thanos-label=replica=a", "--downsampled",
                               self.path("data")], capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr)
        found = {}
        for name in os.listdir(self.path("history")):
            with open(os.path.join(self.path("history"), name, "meta.json"), encoding="utf-8") as file:
                meta = json.load(file)
            self.assertEqual(meta["thanos"]["labels"], {"cluster": "eu-1", "replica": "a"})
            found.setdefault(meta["thanos"]["downsample"]["resolution"], []).append(tuple(meta["compaction"]["sources"]))
        self.assertEqual(sorted(block for sources in found[0] for block in sources), blocks)
        for resolution in (300_000, 3_600_000):
            self.assertEqual(sorted(found[resolution]), sorted(found[0]))
        refused = subprocess.run([os.environ["TARSIER"], "tsdb", "export", "--thanos-label=a=b", self.path("data")],
                                 capture_output=True, text=True, timeout=60)
        self.assertEqual(refused.returncode, 2)
        self.assertIn("--output", refused.stderr)


if __name__ == "__main__":
    import unittest
    unittest.main()
