"""Limits and listings of queries, on a running server."""

import http.client
import json
import os
import socket
import time
import unittest
import urllib.parse

from processes import EndToEndTest, http as fetch, wait_until

# Minutes of work on one constant: windows of a day at every second of a day.
HEAVY = "quantile_over_time(0.5, vector(1)[1d:1s])"


class QueryTest(EndToEndTest):
    def setUp(self):
        super().setUp()
        self.query_log = os.path.join(self.directory, "queries.log")
        self.server = self.tarsier("""
global: {external_labels: {region: north}}
scrape_configs: []
""", arguments=(f"--query.log-file={self.query_log}", "--query.max-concurrency=2",
                "--enable-feature=promql-per-step-stats,no-such-feature")).start()

    def heavy_socket(self, client=None):
        parameters = urllib.parse.urlencode({
            "query": HEAVY, "start": 1700000000, "end": 1700010000, "step": 1})
        connection = socket.create_connection(("127.0.0.1", self.server.port), 10)
        tenant = f"X-Scope-OrgID: {client}\r\n" if client else ""
        connection.sendall(f"GET /api/v1/query_range?{parameters} HTTP/1.1\r\n"
                           f"Host: x\r\n{tenant}\r\n".encode())
        return connection

    def running(self):
        return self.server.get("/api/tarsier/v1/queries")["running"]

    def test_a_client_that_leaves_frees_its_query_within_100_ms(self):
        connection = self.heavy_socket()
        wait_until(lambda: len(self.running()) == 1, "the query to run")
        time.sleep(0.5)
        connection.close()
        begun = time.monotonic()
        while self.running():
            self.assertLess(time.monotonic() - begun, 2)
        took = time.monotonic() - begun
        print(f"a query ended {took * 1000:.0f} ms after its client had left")
        self.assertLess(took, float(os.environ.get("TARSIER_LEAVE_SECONDS", "0.5")))

    def test_running_queries_are_listed_and_can_be_stopped(self):
        with self.heavy_socket() as connection:
            listed = wait_until(self.running, "the query to run")[0]
            self.assertEqual(listed["query"], HEAVY)
            self.assertEqual(listed["client"], "127.0.0.1")
            status, text = fetch(f"{self.server.url}/api/tarsier/v1/queries/{listed['id']}/cancel",
                                 body=b"")
            self.assertEqual(status, 200, text)
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            self.assertEqual(answer.status, 499)
            self.assertEqual(json.loads(answer.read())["errorType"], "canceled")
        self.assertEqual(self.server.get("/api/tarsier/v1/queries")["recent"][0]["query"], HEAVY)

    def test_the_queue_is_fair_and_waiting_counts_against_the_timeout(self):
        held = [self.heavy_socket("greedy") for _ in range(4)]
        try:
            wait_until(lambda: len(self.running()) == 2, "both threads to be busy")
            status, text = fetch(f"{self.server.url}/api/v1/query?query=1&timeout=300ms")
            self.assertEqual(status, 503, text)
            self.assertEqual(json.loads(text)["error"], "query timed out in query queue")
            # One leaves: the next turn is the other client's, though two were there before.
            parameters = urllib.parse.urlencode({"query": "1", "timeout": "20s"})
            connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=30)
            connection.request("GET", f"/api/v1/query?{parameters}", headers={"X-Scope-OrgID": "other"})
            time.sleep(0.3)
            running = self.running()[0]["id"]
            fetch(f"{self.server.url}/api/tarsier/v1/queries/{running}/cancel", body=b"")
            answer = connection.getresponse()
            self.assertEqual(answer.status, 200, answer.read())
            connection.close()
        finally:
            for connection in held:
                connection.close()

    def test_a_crash_leaves_the_name_of_the_query_that_ran(self):
        connection = self.heavy_socket()
        wait_until(lambda: len(self.running()) == 1, "the query to run")
        self.server.kill()
        connection.close()
        self.server.start()
        self.assertIn("These queries didn't finish", self.server.log())
        self.assertIn("quantile_over_time", self.server.log())

    def test_the_query_log_has_prometheus_fields(self):
        self.server.get("/api/v1/query_range", query="vector(1)", start=1700000000,
                        end=1700000060, step=15)
        with open(self.query_log, encoding="utf-8") as log:
            lines = [json.loads(line) for line in log]
        line = [line for line in lines if line["params"]["query"] == "vector(1)"][0]
        self.assertEqual(line["msg"], "promql query logged")
        self.assertEqual(line["params"]["step"], 15)
        self.assertEqual(line["httpRequest"],
                         {"clientIP": "127.0.0.1", "method": "GET", "path": "/api/v1/query_range"})
        self.assertEqual(set(line["stats"]["timings"]), {
            "evalTotalTime", "resultSortTime", "queryPreparationTime", "innerEvalTime",
            "execQueueTime", "execTotalTime"})

    def test_doors_around_queries(self):
        self.assertIn("no-such-feature", self.server.log())
        stats = self.server.get("/api/v1/query_range", query="vector(1)", start=0, end=30, step=15,
                                stats="all")["stats"]
        self.assertEqual(len(stats["samples"]["totalQueryableSamplesPerStep"]), 3)
        cost = self.server.get("/api/v1/query_cost", query="up")
        self.assertEqual(cost["series"], 0)
        plan = self.server.get("/api/tarsier/v1/explain", query="sum(up)", analyze="true")["plan"]
        self.assertEqual(plan["operator"], "aggregate sum")
        self.assertTrue(self.server.get("/api/v1/features")["promql_functions"]["rate"])
        self.assertEqual(self.server.get("/api/v1/notifications"), [])
        status, text = fetch(self.server.url + "/api/v1/openapi.yaml")
        self.assertEqual((status, text[:8]), (200, "openapi:"))
        self.assertEqual(fetch(self.server.url + "/federate"), (200, ""))
        metrics = fetch(self.server.url + "/metrics")[1]
        self.assertIn("prometheus_engine_queries_concurrent_max 2\n", metrics)
        self.assertIn('prometheus_engine_query_duration_seconds{slice="inner_eval",quantile="0.9"}',
                      metrics)
        # A long answer comes in chunks and is the same.
        parameters = urllib.parse.urlencode({
            "query": "label_replace(vector(1),'a','1','','') or vector(time())",
            "start": 1700000000, "end": 1700011000, "step": 1})
        answer = json.loads(fetch(f"{self.server.url}/api/v1/query_range?{parameters}")[1])
        counts = [len(series["values"]) for series in answer["data"]["result"]]
        self.assertEqual(counts, [11001, 11001])


if __name__ == "__main__":
    unittest.main()
