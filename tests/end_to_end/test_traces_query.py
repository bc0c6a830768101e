"""Traces come in by OTLP, are decided, and are found by the APIs of Tempo and Jaeger, also after a kill."""

import base64
import json
import time
import unittest
import urllib.parse

from processes import EndToEndTest, http, wait_until

CONFIG = """
traces:
  sampling:
    decision_wait: 1s
    policies:
      - {name: everything, type: always_sample}
"""


def span(trace_id, span_id, parent, name, start_ns, duration_ns, kind=2, error=False, **attributes):
    out = {"traceId": trace_id, "spanId": span_id, "name": name, "kind": kind,
           "startTimeUnixNano": str(start_ns), "endTimeUnixNano": str(start_ns + duration_ns),
           "attributes": [{"key": k.replace("__", "."), "value": v} for k, v in attributes.items()]}
    if parent:
        out["parentSpanId"] = parent
    if error:
        out["status"] = {"code": 2, "message": "boom"}
    return out


def request(service, spans):
    return {"resourceSpans": [{
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]},
        "scopeSpans": [{"scope": {"name": "test"}, "spans": spans}]}]}


class TraceQueries(EndToEndTest):
    TRACE = "0af7651916cd43dd8448eb211c80319c"
    OTHER = "00000000000000000000000000000abc"

    def setUp(self):
        super().setUp()
        self.server = self.tarsier(CONFIG, arguments=["--otlp.http-address=", "--otlp.grpc-address="])
        self.server.start()
        self.now_ns = time.time_ns()

    def post(self, body):
        status, text = http(self.server.url + "/v1/traces", json.dumps(body).encode(),
                            {"Content-Type": "application/json"})
        self.assertEqual((status, text), (200, "{}"))

    def send(self):
        t = self.now_ns
        self.post(request("shop", [
            span(self.TRACE, "b7ad6b7169203331", None, "GET /cart", t, 50_000_000,
                 http__status_code={"intValue": "500"})]))
        self.post(request("db", [
            span(self.TRACE, "00f067aa0ba902b7", "b7ad6b7169203331", "SELECT", t + 1_000_000,
                 20_000_000, kind=3, error=True, db__system={"stringValue": "postgresql"})]))
        self.post(request("shop", [span(self.OTHER, "1111111111111111", None, "GET /", t, 1000)]))

    def get(self, path, **parameters):
        query = urllib.parse.urlencode(parameters)
        return http(f"{self.server.url}{path}?{query}")

    def json(self, path, **parameters):
        status, text = self.get(path, **parameters)
        self.assertEqual(status, 200, text)
        return json.loads(text)

    def search(self, query):
        answer = self.json("/tempo/api/search", q=query)
        return sorted(trace["traceID"] for trace in answer.get("traces", []))

    def check(self):
        self.assertEqual(self.search("{ status = error }"), [self.TRACE])
        self.assertEqual(self.search('{ resource.service.name = "shop" } >> { .db.system = "postgresql" }'),
                         [self.TRACE])
        self.assertEqual(self.search('{ resource.service.name = "shop" }'), [self.OTHER, self.TRACE])
        self.assertEqual(self.search("{ span.http.status_code = 404 }"), [])
        status, text = self.get("/tempo/api/search", q="{ oops }")
        self.assertEqual(status, 400)
        self.assertIn("parse error at position 2", text)

        whole = self.json("/tempo/api/v2/traces/" + self.TRACE.upper())
        spans = [s for r in whole["trace"]["resourceSpans"] for c in r["scopeSpans"] for s in c["spans"]]
        self.assertEqual([s["name"] for s in spans], ["GET /cart", "SELECT"])
        self.assertEqual(base64.b64decode(spans[0]["traceId"]).hex(), self.TRACE)
        self.assertEqual(spans[1]["status"], {"message": "boom", "code": "STATUS_CODE_ERROR"})
        self.assertIn("batches", self.json("/tempo/api/traces/abc"))
        self.assertEqual(self.get("/tempo/api/traces/1234")[0], 404)
        self.assertEqual(self.get("/tempo/api/traces/xyz")[0], 400)

        scopes = {s["name"]: s["tags"] for s in self.json("/tempo/api/v2/search/tags")["scopes"]}
        self.assertEqual(scopes["resource"], ["service.name"])
        self.assertEqual(scopes["span"], ["db.system", "http.status_code"])
        values = self.json("/tempo/api/v2/search/tag/resource.service.name/values")["tagValues"]
        self.assertEqual(values, [{"type": "string", "value": "db"}, {"type": "string", "value": "shop"}])
        series = self.json("/tempo/api/metrics/query_range", q="{} | count_over_time() by(name)",
                           start=self.now_ns // 10**9 - 60, end=self.now_ns // 10**9 + 60, step="60s")["series"]
        self.assertEqual(len(series), 3)

        self.assertEqual(self.json("/jaeger/api/services")["data"], ["db", "shop"])
        self.assertEqual(self.json("/jaeger/api/services/shop/operations")["data"], ["GET /", "GET /cart"])
        found = self.json("/jaeger/api/traces", service="db", tags='{"db.system":"postgresql"}')["data"]
        self.assertEqual([t["traceID"] for t in found], [self.TRACE])
        self.assertEqual(len(found[0]["spans"]), 2)
        self.assertEqual(self.json("/jaeger/api/dependencies")["data"],
                         [{"parent": "shop", "child": "db", "callCount": 1}])
        self.assertEqual(self.get("/jaeger/api/traces/" + "1" * 32)[0], 404)
        ours = self.json("/api/tarsier/v1/traces/search", q="{ status = error }")["data"]
        self.assertEqual([t["undecided"] for t in ours["traces"]], [False])

    def test_reads_what_was_posted_also_after_a_kill(self):
        self.send()
        wait_until(lambda: all(not t["undecided"] for t in self.json(
            "/api/tarsier/v1/traces/search", q="{}")["data"]["traces"]) and
                   len(self.search("{}")) == 2, "traces decided", 30)
        self.check()
        self.server.kill()
        self.server.start()
        self.check()
        self.assertEqual(self.server.stop(), 0)


if __name__ == "__main__":
    unittest.main()
