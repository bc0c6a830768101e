"""write_limits by tenant and ha_dedup, seen from outside."""

import time
import unittest

from processes import EndToEndTest, http
from remote_write import encode_series, snappy_literals, _message


class WriteLimitsTest(EndToEndTest):
    def write_as(self, server, tenant, series):
        body = snappy_literals(b"".join(_message(1, encode_series(*one)) for one in series))
        return http(server.url + "/api/v1/write", body, {
            "Content-Type": "application/x-protobuf", "Content-Encoding": "snappy", "X-Scope-OrgID": tenant})

    def reload(self, server, text):
        with open(next(a for a in server.arguments if a.startswith("--config.file=")).split("=", 1)[1], "w",
                  encoding="utf-8") as file:
            file.write(text)
        self.assertEqual(http(server.url + "/-/reload", b"")[0], 200)

    def test_replicas_become_one_with_a_reload_and_two_again(self):
        server = self.tarsier(arguments=["--web.enable-lifecycle"]).start()
        now = int(time.time() * 1000)

        def replicas_of(cluster):
            for replica in ("r1", "r2"):
                self.assertEqual(self.write_as(server, "", [
                    ({"__name__": "ha", "cluster": cluster, "replica": replica}, [(now, 1.0)])])[0], 204)
            return sorted(r["metric"].get("replica", "") for r in server.query(f'ha{{cluster="{cluster}"}}', now / 1000 + 1))

        self.assertEqual(replicas_of("before"), ["r1", "r2"])
        self.reload(server, "ha_dedup: {cluster_label: cluster, replica_label: replica}\n")
        self.assertEqual(replicas_of("during"), [""])
        self.reload(server, "global: {}\n")
        self.assertEqual(replicas_of("after"), ["r1", "r2"])

    def test_limits_change_with_a_reload(self):
        server = self.tarsier("write_limits: [{tenant: small, max_labels: 2}]\n", arguments=["--web.enable-lifecycle"]).start()
        now = int(time.time() * 1000)
        wide = [({"__name__": "a", "x": "1", "y": "1"}, [(now, 1.0)])]
        self.assertEqual(self.write_as(server, "small", wide)[0], 400)
        self.reload(server, "write_limits: [{tenant: small, max_labels: 3}]\n")
        self.assertEqual(self.write_as(server, "small", wide)[0], 204)

    def test_a_tenant_is_held_to_its_limits_and_replicas_are_one(self):
        server = self.tarsier("""
write_limits:
  - {tenant: small, samples_per_second: 1, burst: 3, max_labels: 3}
ha_dedup: {cluster_label: cluster, replica_label: __replica__, failover: 20s}
""").start()
        now = int(time.time() * 1000)
        three = [({"__name__": "a", "i": str(i)}, [(now, 1.0)]) for i in range(3)]
        self.assertEqual(self.write_as(server, "small", three)[0], 204)
        status, text = self.write_as(server, "small", [({"__name__": "b", "i": str(i)}, [(now, 1.0)]) for i in range(3)])
        self.assertEqual(status, 429)
        self.assertIn("ingestion rate limit (1 samples/s) exceeded", text)
        self.assertEqual(self.write_as(server, "big", [({"__name__": "b", "i": str(i)}, [(now, 1.0)]) for i in range(3)])[0], 204)
        time.sleep(1.2)
        status, text = self.write_as(server, "small", [({"__name__": "c", "x": "1", "y": "1", "z": "1"}, [(now, 1.0)])])
        self.assertEqual(status, 400)
        self.assertIn("series has 4 labels, limit 3", text)
        for replica in ("r1", "r2"):
            self.assertEqual(self.write_as(server, "", [
                ({"__name__": "ha", "cluster": "c", "__replica__": replica}, [(now + (replica == "r2"), 1.0)])])[0], 204)
        result = server.query("count_over_time(ha[1m])", time=now / 1000 + 5)
        self.assertEqual([(r["metric"], r["value"][1]) for r in result], [({"cluster": "c"}, "1")])
        _, metrics = http(server.url + "/metrics")
        self.assertIn('tarsier_write_limits_requests_limited_total{tenant="small"} 1', metrics)
        self.assertIn('tarsier_ha_dedup_samples_total{tenant=""} 1', metrics)


if __name__ == "__main__":
    unittest.main()
