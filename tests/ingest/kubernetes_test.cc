#include "ingest/discovery/kubernetes.h"

#include <gtest/gtest.h>

#include "base/posix_file.h"
#include "ingest/discovery/kubernetes/access.h"
#include "ingest/discovery/kubernetes/targets.h"
#include "tests/support/capturing_logger.h"
#include "tests/support/fake_http_client.h"
#include "tests/support/temporary_directory.h"

namespace tarsier::ingest {
namespace {

class NoDns final : public DnsResolver {
 public:
  void lookup(std::string /*name*/, DnsType /*type*/,
              std::function<void(Result<std::vector<DnsRecord>>)> done) override {
    done(unavailable("there is no DNS"));
  }
};

KubeObject object(KubeKind kind, std::string_view json) {
  const Result<JsonValue> parsed = parse_json(json);
  CHECK(parsed.ok(), parsed.status().message());
  Result<KubeObject> out = parse_kube_object(kind, *parsed);
  CHECK(out.ok(), out.status().message());
  return std::move(*out);
}

std::string shown(const std::vector<TargetGroup>& groups) {
  std::string out;
  for (const TargetGroup& group : groups) {
    for (const std::string& target : group.targets) out += target + "\n";
    for (const auto& [name, value] : group.labels) {
      std::string_view rest = name;
      if (rest.starts_with("__meta_kubernetes_")) rest.remove_prefix(18);
      out += "  " + std::string(rest) + "=" + value + "\n";
    }
  }
  return out;
}

constexpr std::string_view kPod = R"({
  "metadata": {"name": "web-1", "namespace": "shop", "uid": "u-1", "resourceVersion": "7",
    "labels": {"app.kubernetes.io/name": "web"}, "annotations": {"scrape": "yes"},
    "ownerReferences": [{"kind": "Other", "name": "x"},
                        {"kind": "ReplicaSet", "name": "web-abc", "controller": true}]},
  "spec": {"nodeName": "n1",
    "containers": [{"name": "web", "image": "web:1", "ports": [
        {"name": "http", "containerPort": 80, "protocol": "TCP"},
        {"name": "metrics", "containerPort": 9090, "protocol": "TCP"}]}],
    "initContainers": [{"name": "init", "image": "busybox"}]},
  "status": {"podIP": "10.0.0.1", "hostIP": "192.168.0.1", "phase": "Running",
    "conditions": [{"type": "Ready", "status": "True"}],
    "containerStatuses": [{"name": "web", "containerID": "containerd://1"}]}})";

/// What a role gives for one object, the store holding `others`.
std::string targets_of(const KubeObject& of, std::vector<KubeObject> others = {},
                       const KubernetesDiscoveryConfig::AttachMetadata& attach = {}) {
  KubeStore store(1 << 20);
  for (KubeObject& other : others) store.put(std::move(other));
  return shown(kube_targets(of, store, attach).groups);
}

// What every target of the pod above carries.
constexpr std::string_view kPodLabels =
    "  pod_annotation_scrape=yes\n"
    "  pod_annotationpresent_scrape=true\n";

TEST(KubernetesTargets, APodIsATargetPerPort) {
  const std::string targets = targets_of(object(KubeKind::kPod, kPod));
  EXPECT_EQ(targets,
            "10.0.0.1:80\n"
            "  namespace=shop\n" +
                std::string(kPodLabels) +
                "  pod_container_id=containerd://1\n"
                "  pod_container_image=web:1\n"
                "  pod_container_init=false\n"
                "  pod_container_name=web\n"
                "  pod_container_port_name=http\n"
                "  pod_container_port_number=80\n"
                "  pod_container_port_protocol=TCP\n"
                "  pod_controller_kind=ReplicaSet\n"
                "  pod_controller_name=web-abc\n"
                "  pod_host_ip=192.168.0.1\n"
                "  pod_ip=10.0.0.1\n"
                "  pod_label_app_kubernetes_io_name=web\n"
                "  pod_labelpresent_app_kubernetes_io_name=true\n"
                "  pod_name=web-1\n"
                "  pod_node_name=n1\n"
                "  pod_phase=Running\n"
                "  pod_ready=true\n"
                "  pod_uid=u-1\n" +
                targets.substr(targets.find("10.0.0.1:9090\n")));
  EXPECT_NE(targets.find("\n10.0.0.1\n"), std::string::npos) << "a container without ports";
  EXPECT_NE(targets.find("pod_container_init=true"), std::string::npos);
  EXPECT_EQ(targets_of(object(KubeKind::kPod, R"({"metadata":{"name":"starting"}})")), "");
}

TEST(KubernetesTargets, OtherObjectsAddTheirLabels) {
  const KubernetesDiscoveryConfig::AttachMetadata attach{
      .node = true, .name_space = true, .deployment = true, .job = true, .cron_job = true};
  const std::string with = targets_of(
      object(KubeKind::kPod, kPod),
      {object(KubeKind::kNode, R"({"metadata":{"name":"n1","labels":{"zone":"z1"}}})"),
       object(KubeKind::kNamespace, R"({"metadata":{"name":"shop","labels":{"team":"t"}}})"),
       object(KubeKind::kReplicaSet, R"({"metadata":{"name":"web-abc","namespace":"shop",
           "ownerReferences":[{"kind":"Deployment","name":"web","controller":true}]}})")},
      attach);
  for (const char* label : {"node_name=n1", "node_label_zone=z1", "node_labelpresent_zone=true",
                            "namespace_label_team=t", "pod_deployment_name=web"}) {
    EXPECT_NE(with.find(std::string("  ") + label + "\n"), std::string::npos) << label;
  }
  EXPECT_EQ(targets_of(object(KubeKind::kPod, kPod), {}, attach), "")
      << "pods of nodes that were not selected are not selected";
  const KubeObject of_job = object(KubeKind::kPod, R"({"metadata":{"name":"p","namespace":"s",
      "ownerReferences":[{"kind":"Job","name":"j","controller":true}]},
      "spec":{"containers":[{"name":"c"}]},"status":{"podIP":"::1"}})");
  const std::string job = targets_of(of_job, {object(KubeKind::kJob, R"({"metadata":{"name":"j",
      "namespace":"s","ownerReferences":[{"kind":"CronJob","name":"nightly","controller":true}]}})")},
                                     {.job = true, .cron_job = true});
  EXPECT_NE(job.find("pod_job_name=j\n"), std::string::npos) << job;
  EXPECT_NE(job.find("pod_cronjob_name=nightly\n"), std::string::npos) << job;
}

TEST(KubernetesTargets, NodesServicesAndIngresses) {
  EXPECT_EQ(targets_of(object(KubeKind::kNode, R"({"metadata":{"name":"n1"},
      "spec":{"providerID":"aws://i-1"},
      "status":{"addresses":[{"type":"Hostname","address":"n1.lan"},
                             {"type":"InternalIP","address":"10.1.0.1"},
                             {"type":"InternalIP","address":"10.1.0.2"}],
        "conditions":[{"type":"Ready","status":"True"}],
        "daemonEndpoints":{"kubeletEndpoint":{"Port":10250}}}})")),
            "10.1.0.1:10250\n"
            "  node_address_Hostname=n1.lan\n"
            "  node_address_InternalIP=10.1.0.1\n"
            "  node_condition_ready=true\n"
            "  node_name=n1\n"
            "  node_provider_id=aws://i-1\n"
            "  instance=n1\n");
  EXPECT_EQ(targets_of(object(KubeKind::kNode, R"({"metadata":{"name":"nowhere"}})")), "");
  EXPECT_EQ(targets_of(object(KubeKind::kService, R"({"metadata":{"name":"db","namespace":"s"},
      "spec":{"type":"LoadBalancer","clusterIP":"10.2.0.1",
              "ports":[{"name":"pg","port":5432,"protocol":"TCP"}]},
      "status":{"loadBalancer":{"ingress":[{"ip":"1.1.1.1"},{"hostname":"h"},{"ip":"2.2.2.2"}]}}})")),
            "db.s.svc:5432\n"
            "  namespace=s\n"
            "  service_cluster_ip=10.2.0.1\n"
            "  service_loadbalancer_ip=1.1.1.1,2.2.2.2\n"
            "  service_name=db\n"
            "  service_port_name=pg\n"
            "  service_port_number=5432\n"
            "  service_port_protocol=TCP\n"
            "  service_type=LoadBalancer\n");
  EXPECT_EQ(targets_of(object(KubeKind::kIngress, R"({"metadata":{"name":"i","namespace":"s"},
      "spec":{"ingressClassName":"nginx","tls":[{"hosts":["*.example.org"]}],
        "rules":[{"host":"a.example.org","http":{"paths":[{"path":"/x"},{}]}},
                 {"host":"a.b.example.org"}]}})")),
            "a.example.org\n  ingress_class_name=nginx\n  ingress_host=a.example.org\n"
            "  ingress_name=i\n  ingress_path=/x\n  ingress_scheme=https\n  namespace=s\n"
            "a.example.org\n  ingress_class_name=nginx\n  ingress_host=a.example.org\n"
            "  ingress_name=i\n  ingress_path=/\n  ingress_scheme=https\n  namespace=s\n"
            "a.b.example.org\n  ingress_class_name=nginx\n  ingress_host=a.b.example.org\n"
            "  ingress_name=i\n  ingress_path=/\n  ingress_scheme=http\n  namespace=s\n");
}

constexpr std::string_view kSlice = R"({
  "metadata": {"name": "web-x", "namespace": "shop", "labels": {"kubernetes.io/service-name": "web"}},
  "addressType": "IPv4",
  "ports": [{"name": "http", "port": 80, "protocol": "TCP", "appProtocol": "h2c"}],
  "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": true, "terminating": false},
     "nodeName": "n1", "zone": "z", "targetRef": {"kind": "Pod", "namespace": "shop", "name": "web-1"}}]})";

TEST(KubernetesTargets, AnEndpointSliceHasItsServiceAndItsPods) {
  const KubeObject service = object(
      KubeKind::kService, R"({"metadata":{"name":"web","namespace":"shop","labels":{"a":"b"}}})");
  const std::string targets =
      targets_of(object(KubeKind::kEndpointSlice, kSlice), {service, object(KubeKind::kPod, kPod)});
  EXPECT_TRUE(targets.starts_with("10.0.0.1:80\n")) << targets;
  for (const char* label :
       {"endpointslice_address_type=IPv4", "endpointslice_port=80", "endpointslice_port_name=http",
        "endpointslice_port_app_protocol=h2c", "endpointslice_endpoint_conditions_ready=true",
        "endpointslice_endpoint_conditions_terminating=false", "endpointslice_endpoint_zone=z",
        "endpointslice_endpoint_node_name=n1", "endpointslice_address_target_kind=Pod",
        "endpointslice_address_target_name=web-1", "endpointslice_name=web-x", "service_name=web",
        "service_label_a=b", "pod_name=web-1", "pod_container_port_name=http",
        "endpointslice_label_kubernetes_io_service_name=web"}) {
    EXPECT_NE(targets.find(std::string("  ") + label + "\n"), std::string::npos) << label;
  }
  EXPECT_NE(targets.find("\n10.0.0.1:9090\n"), std::string::npos)
      << "the other ports of its pods are targets, too";
  const KubeObject dual =
      object(KubeKind::kService, R"({"metadata":{"name":"web","namespace":"shop"},
      "spec":{"ipFamilyPolicy":"PreferDualStack","ipFamilies":["IPv6","IPv4"]}})");
  EXPECT_EQ(targets_of(object(KubeKind::kEndpointSlice, kSlice), {dual}), "")
      << "the second family has the same endpoints once more";
}

TEST(KubernetesTargets, EndpointsAreReadyOrNot) {
  EXPECT_EQ(targets_of(object(KubeKind::kEndpoints, R"({"metadata":{"name":"e","namespace":"s"},
      "subsets":[{"addresses":[{"ip":"10.0.0.1","hostname":"h","nodeName":"n"}],
                  "notReadyAddresses":[{"ip":"10.0.0.2"}],
                  "ports":[{"name":"p","port":1,"protocol":"TCP"}]}]})")),
            "10.0.0.1:1\n  endpoint_hostname=h\n  endpoint_node_name=n\n  endpoint_port_name=p\n"
            "  endpoint_port_protocol=TCP\n  endpoint_ready=true\n  endpoints_name=e\n"
            "  namespace=s\n"
            "10.0.0.2:1\n  endpoint_port_name=p\n  endpoint_port_protocol=TCP\n"
            "  endpoint_ready=false\n  endpoints_name=e\n  namespace=s\n");
}

/// Plays the API: answers when told to, and remembers what was asked.
class KubernetesTest : public ::testing::Test {
 protected:
  void start(const KubernetesDiscoveryConfig& config, KubernetesDiscovery::Limits limits = {}) {
    discovery = std::make_unique<KubernetesDiscovery>(config, door, metrics, limits);
    run();
  }
  void run(std::int64_t seconds_later = 0) {
    now = now + seconds(seconds_later);
    due = discovery->run_due(now);
  }
  /// Answers the oldest request and lets the discovery look.
  void answer(std::string body, int status = 200) {
    http.answer(HttpResponse{.status = status, .body = std::move(body)});
    run();
  }
  /// Lines of the oldest watch; the connection stays.
  bool tell(const std::string& lines) {
    const bool goes_on = http.pending.at(0).request.on_piece(lines);
    run();
    return goes_on;
  }
  std::string asked() const { return http.requests.back().url; }
  std::string targets() const {
    std::string out;
    for (const TargetGroup& group : discovery->groups().all()) {
      for (const std::string& target : group.targets) out += target + " ";
    }
    return out;
  }
  std::uint64_t failures() const { return metrics->of_kind<KubernetesMetrics>()->failures.value(); }
  static std::string service(const std::string& name, const std::string& version,
                             const std::string& port = "80") {
    return R"({"metadata":{"name":")" + name + R"(","namespace":"s","resourceVersion":")" +
           version + R"("},"spec":{"ports":[{"port":)" + port + "}]}}";
  }
  static std::string event(const std::string& type, const std::string& of) {
    return R"({"type":")" + type + R"(","object":)" + of + "}\n";
  }
  static std::string list(const std::string& items, const std::string& version,
                          const std::string& page = "") {
    return R"({"metadata":{"resourceVersion":")" + version + R"(","continue":")" + page +
           R"("},"items":[)" + items + "]}";
  }

  const std::unique_ptr<FileSystem> files = make_posix_file_system();
  testing::FakeHttpClient http;
  NoDns dns;
  testing::CapturingLogger log;
  std::map<std::string, std::string> variables;
  const DiscoveryDoor door{
      .client = http,
      .files = *files,
      .dns = dns,
      .parse_yaml_targets = nullptr,
      .watch_directories = nullptr,
      .wake = nullptr,
      .log = log,
      .user_agent = "Prometheus/3",
      .yaml_to_json = [](std::string_view text) -> Result<std::string> {
        return std::string(text);
      },
      .environment = [this](const std::string& name) -> std::optional<std::string> {
        const auto found = variables.find(name);
        if (found == variables.end()) return std::nullopt;
        return found->second;
      }};
  const DiscoveryMetricsPtr metrics = std::make_shared<DiscoveryMetrics>();
  std::unique_ptr<KubernetesDiscovery> discovery;
  Timestamp now{1'000'000};
  Timestamp due;
  const KubernetesDiscoveryConfig services{.role = KubernetesRole::kService,
                                           .api_server = "https://k/prefix/"};
};

TEST_F(KubernetesTest, ListsByPagesThenWatchesFromThatVersion) {
  KubernetesDiscoveryConfig config = services;
  config.selectors = {{.role = KubernetesRole::kService, .label = "a=b,c", .field = "x!=y"}};
  start(config);
  EXPECT_EQ(asked(),
            "https://k/prefix/api/v1/services?limit=250&labelSelector=a%3Db%2Cc"
            "&fieldSelector=x%21%3Dy");
  answer(list(service("a", "1"), "5", "page 2"));
  EXPECT_EQ(targets(), "") << "half a list is no answer";
  EXPECT_FALSE(discovery->groups().is_ready());
  EXPECT_NE(asked().find("limit=250&continue=page%202&"), std::string::npos) << asked();
  answer(list(service("b", "2"), "5"));
  EXPECT_EQ(targets(), "a.s.svc:80 b.s.svc:80 ");
  EXPECT_TRUE(discovery->groups().is_ready());
  EXPECT_NE(
      asked().find("watch=true&allowWatchBookmarks=true&resourceVersion=5&timeoutSeconds=300"),
      std::string::npos)
      << asked();
  // Pieces end anywhere.
  const std::string added = event("ADDED", service("c", "6"));
  EXPECT_TRUE(tell(added.substr(0, 10)));
  EXPECT_TRUE(tell(added.substr(10) + event("DELETED", service("a", "7"))));
  EXPECT_EQ(targets(), "b.s.svc:80 c.s.svc:80 ");
  EXPECT_TRUE(tell(event("MODIFIED", service("b", "8", "81"))));
  EXPECT_EQ(targets(), "b.s.svc:81 c.s.svc:80 ");
}

TEST_F(KubernetesTest, AWatchThatEndsOrBreaksGoesOnWhereItWas) {
  start(services);
  answer(list(service("a", "1"), "5"));
  tell(event("BOOKMARK", R"({"metadata":{"resourceVersion":"9"}})"));
  answer("");  // The API ended it, as it does after some minutes.
  run(1);
  EXPECT_NE(asked().find("resourceVersion=9&"), std::string::npos) << asked();
  EXPECT_EQ(failures(), 0U);
  tell(event("ADDED", service("b", "10")) + R"({"type":"ADDED","obj)");
  http.answer(unavailable("connection reset by peer"));
  run();
  EXPECT_EQ(failures(), 1U);
  EXPECT_EQ(targets(), "a.s.svc:80 b.s.svc:80 ") << "nothing is lost meanwhile";
  run(1);
  EXPECT_NE(asked().find("resourceVersion=10&"), std::string::npos) << asked();
  // Failures in a row are further and further apart.
  for (const int pause : {2, 4, 8, 16, 30, 30}) {
    http.answer(unavailable("refused"));
    run();
    EXPECT_EQ(due, now + seconds(pause));
    run(pause);
  }
  EXPECT_EQ(targets(), "a.s.svc:80 b.s.svc:80 ");
}

TEST_F(KubernetesTest, AVersionThatIsGoneIsListedAnewAndWhatVanishedGoes) {
  start(services);
  answer(list(service("a", "1") + "," + service("b", "2"), "5"));
  // By an event of the watch.
  EXPECT_FALSE(tell(R"({"type":"ERROR","object":{"code":410,"message":"too old"}})"
                    "\n"));
  http.answer(cancelled("no more of the body is wanted"));
  run();
  EXPECT_EQ(targets(), "a.s.svc:80 b.s.svc:80 ");
  run(2);
  EXPECT_EQ(asked(), "https://k/prefix/api/v1/services?limit=250");
  answer(list(service("b", "2"), "20"));
  EXPECT_EQ(targets(), "b.s.svc:80 ");
  // By the status of the next one.
  answer(R"({"message":"gone"})", 410);
  run(60);
  EXPECT_EQ(asked(), "https://k/prefix/api/v1/services?limit=250");
  // A list whose later page is gone begins anew.
  answer(list(service("x", "3"), "30", "more"));
  answer("{}", 410);
  run(60);
  EXPECT_EQ(asked(), "https://k/prefix/api/v1/services?limit=250");
  answer(list(service("c", "4"), "40"));
  EXPECT_EQ(targets(), "c.s.svc:80 ");
  EXPECT_EQ(failures(), 0U);
}

TEST_F(KubernetesTest, RefusalsAndGarbageAreFailuresThatKeepTheTargets) {
  start(services);
  answer(R"({"message":"services is forbidden"})", 403);
  EXPECT_EQ(failures(), 1U);
  EXPECT_TRUE(log.contains("services is forbidden")) << "why is said";
  EXPECT_TRUE(discovery->groups().is_ready()) << "other discoveries of the job need not wait";
  run(1);
  answer("not JSON");
  EXPECT_EQ(failures(), 2U);
  run(2);
  answer(list(service("a", "1"), "5"));
  EXPECT_EQ(targets(), "a.s.svc:80 ");
  EXPECT_FALSE(tell("garbage\n"));
  http.answer(cancelled("no more of the body is wanted"));
  run();
  EXPECT_EQ(failures(), 3U);
  EXPECT_EQ(targets(), "a.s.svc:80 ");
}

TEST_F(KubernetesTest, WhatNobodyTakesAndWhatDoesNotFitIsBounded) {
  KubernetesDiscovery::Limits limits;
  limits.store_bytes_max = 1500;
  limits.watch.event_bytes_max = 500;
  limits.watch.waiting_bytes_max = 2000;
  start(services, limits);
  answer(list(service("a", "1"), "5"));
  const auto watch = http.pending.at(0).request.on_piece;
  EXPECT_FALSE(watch(std::string(600, 'x'))) << "an event without an end";
  http.answer(cancelled(""));
  run();
  run(60);
  std::string many;
  for (int i = 0; i < 100; ++i) many += event("ADDED", service("s" + std::to_string(i), "6"));
  EXPECT_FALSE(http.pending.at(0).request.on_piece(many)) << "further ahead than may be";
  http.answer(cancelled(""));
  run();
  EXPECT_TRUE(log.contains("more objects than are kept"));
  EXPECT_NE(targets().find("a.s.svc"), std::string::npos);
}

TEST_F(KubernetesTest, ATargetIsBuiltAnewWhenWhatItUsesChanges) {
  start(
      {.role = KubernetesRole::kEndpointSlice, .api_server = "https://k", .namespaces = {"shop"}});
  ASSERT_EQ(http.pending.size(), 3U);
  EXPECT_EQ(http.requests[0].url,
            "https://k/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices?limit=250");
  EXPECT_EQ(http.requests[1].url, "https://k/api/v1/namespaces/shop/services?limit=250");
  EXPECT_EQ(http.requests[2].url, "https://k/api/v1/namespaces/shop/pods?limit=250");
  answer(list(std::string(kSlice), "5"));
  EXPECT_EQ(targets(), "") << "not before services and pods are known";
  answer(list("", "5"));
  answer(list("", "5"));
  EXPECT_EQ(targets(), "10.0.0.1:80 ");
  // The watches wait in the order slices, services, pods.
  std::string pod(kPod);
  std::erase(pod, '\n');  // An event is one line.
  http.pending.at(2).request.on_piece(event("ADDED", pod));
  EXPECT_TRUE(discovery->has_news());
  run();
  EXPECT_EQ(targets(), "10.0.0.1:80 10.0.0.1:9090 ");
  http.pending.at(2).request.on_piece(event("DELETED", pod));
  run();
  EXPECT_EQ(targets(), "10.0.0.1:80 ");
}

TEST_F(KubernetesTest, ThePodsOwnAccountIsReadFromItsFiles) {
  const testing::TemporaryDirectory directory;
  const KubernetesDiscoveryConfig config{.role = KubernetesRole::kPod, .own_namespace = true};
  EXPECT_EQ(kube_access(config, door, directory.path()).status().code(), Code::kUnavailable);
  variables = {{"KUBERNETES_SERVICE_HOST", "fd00::1"}, {"KUBERNETES_SERVICE_PORT", "443"}};
  EXPECT_EQ(kube_access(config, door, directory.path()).status().code(), Code::kUnavailable);
  ASSERT_TRUE(write_file_atomically(*files, directory.path() + "/namespace", "mine\n").ok());
  const auto access = kube_access(config, door, directory.path());
  ASSERT_TRUE(access.ok()) << access.status().message();
  EXPECT_EQ(access->server, "https://[fd00::1]:443");
  EXPECT_EQ(access->own_namespace, "mine");
  EXPECT_EQ(access->http->tls.ca.file, directory.path() + "/ca.crt");
  EXPECT_EQ(access->http->credentials.secret.file, directory.path() + "/token");
}

TEST_F(KubernetesTest, AKubeconfigSaysWhoAndWhere) {
  const testing::TemporaryDirectory directory;
  const std::string path = directory.path() + "/config";
  const auto read = [&](const std::string& user) {
    CHECK(write_file_atomically(*files, path, R"({"current-context": "c",
      "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
      "clusters": [{"name": "k", "cluster": {"server": "https://k:6443/",
          "certificate-authority-data": "Q0E=", "tls-server-name": "kube"}}],
      "users": [{"name": "u", "user": )" + user + "}]}")
              .ok(),
          "written");
    return kube_access({.role = KubernetesRole::kPod, .kubeconfig_file = path}, door);
  };
  const auto by_certificate =
      read(R"({"client-certificate": "me.crt", "client-key-data": "S0VZ"})");
  ASSERT_TRUE(by_certificate.ok()) << by_certificate.status().message();
  EXPECT_EQ(by_certificate->server, "https://k:6443");
  EXPECT_EQ(by_certificate->http->tls.ca.text, "CA");
  EXPECT_EQ(by_certificate->http->tls.server_name, "kube");
  EXPECT_EQ(by_certificate->http->tls.certificate.file, directory.path() + "/me.crt");
  EXPECT_EQ(by_certificate->http->tls.key.text, "KEY");
  EXPECT_EQ(read(R"({"token": "t"})")->http->credentials.secret.text, "t");
  EXPECT_EQ(read(R"({"tokenFile": "t"})")->http->credentials.secret.file, directory.path() + "/t");
  EXPECT_EQ(read(R"({"username": "a", "password": "b"})")->http->credentials.user.text, "a");
  EXPECT_EQ(read(R"({"exec": {"command": "aws"}})").status().message(),
            path +
                ": user \"u\" authenticates by exec, which is not supported; use a token, a token "
                "file or a certificate");
}

}  // namespace
}  // namespace tarsier::ingest
