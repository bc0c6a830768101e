"""Spans from senders over OTLP, and the metrics every span is counted in before any is sampled."""

import gzip
import json
import random
import time
import unittest

from otlp import Span, json_request, protobuf_request
from processes import EndToEndTest, free_port, http, wait_until

CONFIG = """
traces:
  span_metrics: {interval: 1s}
  service_graph: {interval: 1s, wait: 2s}
"""


class TracesTest(EndToEndTest):
    def server(self):
        self.otlp_port = free_port()
        return self.tarsier(
            config=CONFIG,
            arguments=[f"--otlp.http-address=127.0.0.1:{self.otlp_port}"]).start()

    def send(self, url, body, content_type="application/x-protobuf", encoding=None):
        headers = {"Content-Type": content_type}
        if encoding:
            headers["Content-Encoding"] = encoding
        return http(url, body, headers)

    def test_red_metrics_equal_what_was_sent_whatever_the_encoding(self):
        tarsier = self.server()
        own_port = f"http://127.0.0.1:{self.otlp_port}/v1/traces"
        below_base = f"{tarsier.url}/api/v1/otlp/v1/traces"
        main_port = f"{tarsier.url}/v1/traces"
        chance = random.Random(11)
        expected_calls, expected_edges = {}, 0
        now = time.time_ns()
        for i in range(120):
            trace = f"{chance.getrandbits(128) | 1:032x}"
            client, server = f"{chance.getrandbits(64) | 1:016x}", f"{chance.getrandbits(64) | 1:016x}"
            status = chance.choice([0, 0, 1, 2])
            state, weight = chance.choice([("", 1), ("ot=th:8", 2), ("ot=th:c", 4)])
            spans = [
                Span("front", "call cart", trace, client, now, 30_000_000, kind=3,
                     trace_state=state),
                Span("cart", f"op{chance.randrange(3)}", trace, server, now, 20_000_000,
                     parent_id=client, status=status, trace_state=state)]
            for span in spans:
                key = (span.service, span.name, span.status)
                expected_calls[key] = expected_calls.get(key, 0) + weight
            expected_edges += weight
            form = i % 4
            if form == 0:
                answer = self.send(own_port, protobuf_request(spans))
            elif form == 1:
                answer = self.send(main_port, gzip.compress(protobuf_request(spans)), encoding="gzip")
            elif form == 2:
                answer = self.send(below_base, json.dumps(json_request(spans)).encode(),
                                   "application/json")
            else:
                answer = self.send(own_port, gzip.compress(json.dumps(json_request(spans)).encode()),
                                   "application/json; charset=utf-8", "gzip")
            self.assertEqual(answer, (200, "" if form < 2 else "{}"))

        names = {"STATUS_CODE_UNSET": 0, "STATUS_CODE_OK": 1, "STATUS_CODE_ERROR": 2}

        def calls():
            found = {}
            for series in tarsier.query("traces_spanmetrics_calls_total"):
                labels = series["metric"]
                key = (labels["service"], labels["span_name"], names[labels["status_code"]])
                found[key] = float(series["value"][1])
            return found

        wait_until(lambda: calls() == expected_calls, "every span is counted", 20)
        edges = wait_until(
            lambda: [float(s["value"][1]) for s in tarsier.query(
                'traces_service_graph_request_total{client="front",server="cart"}')],
            "the edge is there", 20)
        self.assertEqual(edges, [expected_edges])
        total = sum(expected_calls.values())
        self.assertEqual(
            float(tarsier.query("sum(traces_spanmetrics_latency_count)")[0]["value"][1]), total)
        self.assertEqual(float(tarsier.query(
            "histogram_count(sum(traces_spanmetrics_latency))")[0]["value"][1]), total)
        # Each series shows one of its traces.
        exemplars = tarsier.get("/api/v1/query_exemplars", query="traces_spanmetrics_latency_bucket",
                                start=time.time() - 600, end=time.time() + 60)
        self.assertGreater(len(exemplars), 0)
        self.assertRegex(exemplars[0]["exemplars"][0]["labels"]["trace_id"], "^[0-9a-f]{32}$")

    def test_answers_are_what_senders_are_told_to_expect(self):
        tarsier = self.server()
        url = f"http://127.0.0.1:{self.otlp_port}/v1"
        good = Span("s", "good", "0" * 31 + "1", "0" * 15 + "1", 1, 1)
        bad = Span("s", "bad", "0" * 32, "0" * 15 + "2", 1, 1)
        status, text = self.send(f"{url}/traces", json.dumps(json_request([good, bad])).encode(),
                                 "application/json")
        self.assertEqual(status, 200)
        self.assertEqual(json.loads(text)["partialSuccess"]["rejectedSpans"], "1")
        self.assertEqual(self.send(f"{url}/traces", b"\x0a\x7f")[0], 400)
        self.assertEqual(self.send(f"{url}/traces", b"{}", "text/plain")[0], 415)
        self.assertEqual(http(f"{url}/traces")[0], 405)
        status, text = self.send(f"{url}/logs", b"{}", "application/json")
        self.assertEqual(status, 404)
        self.assertIn("logs are not stored here", text)
        # The port of OTLP has nothing else.
        self.assertEqual(http(f"http://127.0.0.1:{self.otlp_port}/api/v1/query?query=up")[0], 404)
        self.assertEqual(self.send(f"{url}/metrics", b"{}", "application/json"), (200, "{}"))
        self.assertEqual(self.send(f"{tarsier.url}/v1/metrics", b""), (200, ""))

    def test_grpc_and_http_are_the_same_door(self):
        try:
            import grpc
        except ImportError:
            self.skipTest("python3-grpcio is not installed: script/test --all installs it")
        grpc_port = free_port()
        tarsier = self.tarsier(
            config=CONFIG,
            arguments=[f"--otlp.grpc-address=127.0.0.1:{grpc_port}", "--otlp.http-address="]).start()
        channel = grpc.insecure_channel(f"127.0.0.1:{grpc_port}")
        self.addCleanup(channel.close)

        def export(signal, service, message, compression=None):
            call = channel.unary_unary(
                f"/opentelemetry.proto.collector.{signal}.v1.{service}/Export")
            return call(message, timeout=20, compression=compression)

        now = time.time_ns()
        spans = [Span("shop", "op", "0" * 31 + "1", f"{i + 1:016x}", now, 5_000_000)
                 for i in range(50)]
        request = protobuf_request(spans)
        self.assertEqual(export("trace", "TraceService", request), b"")
        self.assertEqual(
            export("trace", "TraceService", request, grpc.Compression.Gzip), b"")
        self.assertEqual(export("metrics", "MetricsService", b""), b"")
        bad = protobuf_request([Span("shop", "bad", "0" * 32, "0" * 15 + "1", now, 1)])
        partial = export("trace", "TraceService", bad)
        self.assertTrue(partial.startswith(b"\x0a") and b"invalid trace id" in partial, partial)
        with self.assertRaises(grpc.RpcError) as damaged:
            export("trace", "TraceService", b"\x0a\x7f")
        self.assertEqual(damaged.exception.code(), grpc.StatusCode.INVALID_ARGUMENT)
        with self.assertRaises(grpc.RpcError) as logs:
            export("logs", "LogsService", b"")
        self.assertEqual(logs.exception.code(), grpc.StatusCode.UNIMPLEMENTED)
        self.assertIn("logs are not stored here", logs.exception.details())
        counted = wait_until(lambda: tarsier.query("traces_spanmetrics_calls_total"), "counted")
        self.assertIn(counted[0]["value"][1], ("50", "100"))  # 50 where retries are recognised.
        self.assertIn('tarsier_otlp_grpc_requests_total{signal="logs",code="UNIMPLEMENTED"} 1',
                      http(f"{tarsier.url}/metrics")[1])

    def test_zipkin_spans_are_counted_as_others_are(self):
        tarsier = self.server()
        now = time.time_ns() // 1000
        trace = "80f1da5e10147517"
        body = json.dumps([
            {"traceId": trace, "id": "1", "kind": "CLIENT", "name": "call", "timestamp": now,
             "duration": 30000, "localEndpoint": {"serviceName": "front"}},
            {"traceId": trace, "id": "1", "kind": "SERVER", "name": "get", "timestamp": now,
             "duration": 20000, "shared": True, "localEndpoint": {"serviceName": "cart"},
             "tags": {"error": "boom"}}]).encode()
        self.assertEqual(self.send(f"{tarsier.url}/api/v2/spans", body, "application/json"),
                         (202, ""))
        self.assertEqual(self.send(f"{tarsier.url}/api/v2/spans", b"{", "application/json")[0], 400)
        wait_until(lambda: tarsier.query(
            'traces_spanmetrics_calls_total{service="cart",span_name="get",'
            'span_kind="SPAN_KIND_SERVER",status_code="STATUS_CODE_ERROR"} == 1'), "it is counted")
        wait_until(lambda: tarsier.query(
            'traces_service_graph_request_failed_total{client="front",server="cart"} == 1'),
            "both halves of the shared span meet")


if __name__ == "__main__":
    unittest.main()
