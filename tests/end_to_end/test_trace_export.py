"""Traces are sent on to another backend, also one that is away while we are killed."""

import json
import os
import time
import unittest

from processes import EndToEndTest, Server, free_port, http, wait_until
from test_traces_query import CONFIG, request, span


class TraceExportTest(EndToEndTest):
    def backend(self, port):
        return Server("backend", [
            os.environ["TARSIER"], f"--config.file={self.write('backend.yml', CONFIG)}",
            f"--storage.tsdb.path={self.path('backend')}", f"--web.listen-address=127.0.0.1:{port}",
            "--otlp.http-address=", "--otlp.grpc-address="], port, self.directory)

    def send(self, server, number):
        trace_id = f"{number:032x}"
        body = request("shop", [span(trace_id, f"{number:016x}", None, "GET /", time.time_ns(), 1_000_000)])
        status, text = http(server.url + "/v1/traces", json.dumps(body).encode(),
                            {"Content-Type": "application/json"})
        self.assertEqual((status, text), (200, "{}"))
        return trace_id

    def test_what_was_kept_reaches_a_backend_that_was_away(self):
        for traces in ("kept", "all"):
            with self.subTest(traces=traces):
                self.check(traces)

    def check(self, traces):
        port = free_port()
        front = self.tarsier(
            CONFIG + f"  export: {{endpoint: 'http://127.0.0.1:{port}', traces: {traces}, compression: zstd}}\n",
            data=f"front-{traces}", arguments=["--otlp.http-address=", "--otlp.grpc-address="])
        front.start()
        ids = [self.send(front, 1000 + i) for i in range(20)]

        def queued():
            text = http(front.url + "/metrics")[1]
            lines = [line for line in text.splitlines() if line.startswith("tarsier_trace_export_queue_requests ")]
            return lines and float(lines[0].split()[1]) > 0
        wait_until(queued, "traces in the queue")
        wait_until(lambda: all(http(f"{front.url}/tempo/api/traces/{i}")[0] == 200 for i in ids), "traces stored")
        time.sleep(2)  # Every trace is decided by now.
        front.kill()
        front.start()
        ids.append(self.send(front, 2000))
        backend = self.backend(port)
        self.servers.append(backend)
        backend.start()
        wait_until(lambda: all(http(f"{backend.url}/tempo/api/traces/{i}")[0] == 200 for i in ids),
                   "every trace at the backend", 90)
        self.assertEqual(front.stop(), 0)
        self.assertEqual(backend.stop(), 0)


if __name__ == "__main__":
    unittest.main()
