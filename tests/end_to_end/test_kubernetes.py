"""Kubernetes discovery against an API over HTTPS whose watches break, whose versions are forgotten, and which goes down."""

import json
import unittest

from fake_kubernetes import FakeKubernetes
from processes import EndToEndTest, http, wait_until


def pod(ip, node="n1"):
    return {"spec": {"nodeName": node, "containers": [
        {"name": "web", "image": "web:1", "ports": [{"name": "metrics", "containerPort": 9, "protocol": "TCP"}]}]},
        "status": {"podIP": ip, "phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}


class KubernetesTest(EndToEndTest):
    def setUp(self):
        super().setUp()
        self.api = FakeKubernetes(self.directory, "first-token")
        self.addCleanup(self.api.close)
        self.token = self.write("token", "first-token\n")

    def serve(self, discovery):
        return self.tarsier(f"""
global: {{scrape_interval: 1s, scrape_timeout: 500ms}}
scrape_configs:
  - job_name: kubernetes
    kubernetes_sd_configs: [{discovery}]
    relabel_configs:
      - {{source_labels: [__meta_kubernetes_pod_name], target_label: pod}}
      - {{source_labels: [__meta_kubernetes_namespace_label_team], target_label: team}}
      - {{source_labels: [__meta_kubernetes_node_label_zone], target_label: zone}}
""", arguments=["--web.enable-lifecycle"]).start()

    def direct(self, role="pod", more=""):
        return (f"{{role: {role}, api_server: '{self.api.url}', bearer_token_file: '{self.token}', "
                f"tls_config: {{ca_file: '{self.api.crt}'}}{more}}}")

    @staticmethod
    def targets(server):
        found = server.get("/api/v1/targets", scrapePool="kubernetes")["activeTargets"]
        return sorted(t["labels"]["instance"] for t in found)

    def expect(self, server, wanted, what):
        wait_until(lambda: self.targets(server) == sorted(wanted), f"{what}: {wanted}", 40)

    def counter(self, server, name):
        lines = [l for l in http(server.url + "/metrics")[1].splitlines() if l.startswith(name + " ")]
        return float(lines[0].split()[1])

    def test_pods_come_change_and_go_through_broken_watches_and_forgotten_versions(self):
        for i in range(5):  # Several pages.
            self.api.put("pods", f"p{i}", pod(f"127.0.0.{i + 10}"))
        self.api.put("nodes", "n1", {"status": {}}, namespace="", labels={"zone": "z1"})
        self.api.put("namespaces", "shop", {}, namespace="", labels={"team": "blue"})
        server = self.serve(self.direct(more=", attach_metadata: {node: true, namespace: true}"))
        self.expect(server, [f"127.0.0.{i + 10}:9" for i in range(5)], "the first list")
        labels = server.get("/api/v1/targets")["activeTargets"][0]
        self.assertEqual(labels["labels"]["team"], "blue")
        self.assertEqual(labels["labels"]["zone"], "z1")
        self.assertEqual(labels["discoveredLabels"]["__meta_kubernetes_pod_container_port_name"], "metrics")
        self.api.delete("pods", "p0")
        self.api.put("pods", "p1", pod("127.0.0.99"))
        self.expect(server, ["127.0.0.99:9", "127.0.0.12:9", "127.0.0.13:9", "127.0.0.14:9"], "events")

        # The connection breaks; what happens meanwhile is told by the watch that resumes.
        self.assertGreater(self.api.break_watches(), 0)
        self.api.delete("pods", "p2")
        self.expect(server, ["127.0.0.99:9", "127.0.0.13:9", "127.0.0.14:9"], "after a broken watch")

        # It breaks and the version is gone: only a list can tell that a pod vanished.
        lists = sum("limit=" in r for r in self.api.requests)
        self.api.delete("pods", "p3", silently=True)
        self.api.forget()
        self.api.break_watches()
        self.expect(server, ["127.0.0.99:9", "127.0.0.14:9"], "after 410 Gone")
        self.assertGreater(sum("limit=" in r for r in self.api.requests), lists)

        # The API is down: targets stay, failures are counted, and it goes on by itself.
        before = self.counter(server, "prometheus_sd_kubernetes_failures_total")
        self.api.is_down = True
        self.api.break_watches()
        wait_until(lambda: self.counter(server, "prometheus_sd_kubernetes_failures_total") > before, "failures", 30)
        self.assertEqual(self.targets(server), ["127.0.0.14:9", "127.0.0.99:9"])
        # A new token is read from its file without a reload.
        self.api.token = "second-token"
        self.write("token", "second-token")
        self.api.is_down = False
        self.api.put("pods", "p9", pod("127.0.0.9"))
        self.expect(server, ["127.0.0.14:9", "127.0.0.9:9", "127.0.0.99:9"], "after the API came back")

        # A reload that takes the job away ends the watches.
        self.write(f"tarsier-{server.port}.yml", "scrape_configs: []\n")
        self.assertEqual(http(server.url + "/-/reload", b"")[0], 200)
        self.assertEqual(server.get("/api/v1/targets")["activeTargets"], [])
        self.assertEqual(server.stop(), 0)

    def test_a_kubeconfig_file_and_endpoint_slices(self):
        self.api.put("pods", "web-1", pod("127.0.0.7"))
        self.api.put("services", "web", {"spec": {"ports": [{"port": 80}]}})
        self.api.put("endpointslices", "web-x", {
            "addressType": "IPv4", "ports": [{"name": "metrics", "port": 9, "protocol": "TCP"}],
            "endpoints": [{"addresses": ["127.0.0.7"], "conditions": {"ready": True},
                           "targetRef": {"kind": "Pod", "namespace": "shop", "name": "web-1"}}]},
            labels={"kubernetes.io/service-name": "web"})
        path = self.write("kubeconfig", f"""
apiVersion: v1
kind: Config
current-context: test
contexts: [{{name: test, context: {{cluster: fake, user: me}}}}]
clusters:
- name: fake
  cluster: {{server: "{self.api.url}", certificate-authority: api.crt}}
users:
- name: me
  user: {{tokenFile: token}}
""")
        server = self.serve(f"{{role: endpointslice, kubeconfig_file: '{path}'}}")
        self.expect(server, ["127.0.0.7:9"], "the slice")
        labels = server.get("/api/v1/targets")["activeTargets"][0]["discoveredLabels"]
        self.assertEqual(labels["__meta_kubernetes_service_name"], "web")
        self.assertEqual(labels["__meta_kubernetes_pod_name"], "web-1")
        self.assertEqual(labels["__meta_kubernetes_endpointslice_endpoint_conditions_ready"], "true")
        self.assertEqual(self.api.refused, 0)

    def test_an_untrusted_api_is_not_asked(self):
        server = self.serve(self.direct().replace(self.api.crt, "/etc/ssl/certs/ca-certificates.crt"))
        wait_until(lambda: "certificate" in server.log(), "the reason is logged", 30)
        self.assertEqual(self.api.requests, [])
        self.assertEqual(self.targets(server), [])
        self.assertIn("prometheus_sd_kubernetes_events_total", http(server.url + "/metrics")[1])
        config = json.loads(http(server.url + "/api/v1/status/config")[1])["data"]["yaml"]
        self.assertIn("role: pod", config)


if __name__ == "__main__":
    unittest.main()
