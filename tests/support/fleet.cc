#include "tests/support/fleet.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <utility>

#include <fmt/format.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/compression.h"
#include "base/protobuf_reader.h"

namespace tarsier::testing {
namespace {

using Pairs = std::vector<std::pair<std::string, std::string>>;

/// splitmix64 (Steele, Lea, Flood 2014): small, and the same everywhere.
std::uint64_t next_random(std::uint64_t& state) {
  std::uint64_t z = (state += 0x9E3779B97F4A7C15);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  return z ^ (z >> 31);
}
/// Uniform in [0, 1).
double next_unit(std::uint64_t& state) {
  return static_cast<double>(next_random(state) >> 11) * 0x1.0p-53;
}

constexpr std::array<std::string_view, 8> kModes = {"idle",    "iowait", "irq",    "nice",
                                                    "softirq", "steal",  "system", "user"};
constexpr std::array<std::string_view, 12> kHandlers = {"/",
                                                        "/api/v1/cart",
                                                        "/api/v1/checkout",
                                                        "/api/v1/items",
                                                        "/api/v1/login",
                                                        "/api/v1/logout",
                                                        "/api/v1/orders",
                                                        "/api/v1/payment",
                                                        "/api/v1/profile",
                                                        "/api/v1/search",
                                                        "/healthz",
                                                        "/metrics"};
constexpr std::array<std::string_view, 4> kCodes = {"200", "304", "404", "500"};
constexpr std::array<std::string_view, 12> kBounds = {
    "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf"};
/// Which part of the requests falls between each bound and the one before it.
constexpr std::array<double, 12> kBoundShares = {0.22, 0.24, 0.2,   0.13,  0.09,   0.06,
                                                 0.03, 0.02, 0.006, 0.002, 0.0015, 0.0005};
constexpr std::array<std::string_view, 6> kServices = {"cart",   "checkout", "frontend",
                                                       "orders", "payment",  "search"};
constexpr std::array<std::string_view, 5> kNamespaces = {"default", "monitoring", "platform",
                                                         "shop", "team-data"};
constexpr std::array<std::string_view, 50> kMemoryFields = {
    "Active",         "Active_anon",  "Active_file",  "AnonHugePages", "AnonPages",
    "Bounce",         "Buffers",      "Cached",       "CommitLimit",   "Committed_AS",
    "DirectMap1G",    "DirectMap2M",  "DirectMap4k",  "Dirty",         "FileHugePages",
    "FilePmdMapped",  "Hugepagesize", "Hugetlb",      "Inactive",      "Inactive_anon",
    "Inactive_file",  "KReclaimable", "KernelStack",  "Mapped",        "MemAvailable",
    "MemFree",        "MemTotal",     "Mlocked",      "NFS_Unstable",  "PageTables",
    "Percpu",         "SReclaimable", "SUnreclaim",   "SecPageTables", "ShmemHugePages",
    "ShmemPmdMapped", "Shmem",        "Slab",         "SwapCached",    "SwapFree",
    "SwapTotal",      "Unevictable",  "VmallocChunk", "VmallocTotal",  "VmallocUsed",
    "WritebackTmp",   "Writeback",    "Zswap",        "Zswapped",      "HardwareCorrupted"};
constexpr std::array<std::string_view, 11> kDiskFields = {"io_now",
                                                          "io_time_seconds_total",
                                                          "io_time_weighted_seconds_total",
                                                          "read_bytes_total",
                                                          "read_time_seconds_total",
                                                          "reads_completed_total",
                                                          "reads_merged_total",
                                                          "write_time_seconds_total",
                                                          "writes_completed_total",
                                                          "writes_merged_total",
                                                          "written_bytes_total"};
constexpr std::array<std::string_view, 16> kNetworkFields = {
    "receive_bytes_total",     "receive_compressed_total", "receive_drop_total",
    "receive_errs_total",      "receive_fifo_total",       "receive_frame_total",
    "receive_multicast_total", "receive_packets_total",    "transmit_bytes_total",
    "transmit_carrier_total",  "transmit_colls_total",     "transmit_compressed_total",
    "transmit_drop_total",     "transmit_errs_total",      "transmit_fifo_total",
    "transmit_packets_total"};
constexpr std::array<std::string_view, 20> kCollectors = {
    "arp",    "bonding",    "conntrack", "cpu",      "diskstats", "edac",    "entropy",
    "filefd", "filesystem", "hwmon",     "loadavg",  "mdadm",     "meminfo", "netclass",
    "netdev", "netstat",    "pressure",  "sockstat", "stat",      "vmstat"};

}  // namespace

/// Writes down the series of one target after another until the fleet is as large as it should be.
class FleetBuilder final {
 public:
  using Shape = Fleet::Shape;

  FleetBuilder(Fleet& fleet, std::size_t part, std::size_t part_count)
      : fleet_(fleet), part_(part), part_count_(part_count) {}

  void build() {
    for (std::size_t unit = 0; !full(); ++unit) {
      node(unit);
      cadvisor(unit);
      kube_state(unit);
      for (std::size_t pod = 0; pod < 8; ++pod) service(unit, pod);
    }
  }

 private:
  bool full() const { return series_count_ >= fleet_.options_.series_count; }

  /// Everything added until the next call belongs to this target.
  void target(Pairs labels) {
    common_ = std::move(labels);
    is_ours_ = target_count_ % part_count_ == part_;
    random_ = fleet_.options_.seed * 0x9E3779B97F4A7C15 + target_count_;
    ++target_count_;
    if (!is_ours_ || full()) return;
    const auto offset = static_cast<std::int64_t>(
        next_random(random_) % static_cast<std::uint64_t>(fleet_.options_.interval.ms));
    fleet_.targets_.push_back({fleet_.series_.size(), offset, next_random(random_)});
  }

  void add(std::string_view name, Pairs labels, Shape shape, double value, double rate) {
    if (full()) return;
    ++series_count_;
    if (!is_ours_) return;
    labels.insert(labels.end(), common_.begin(), common_.end());
    labels.emplace_back("__name__", name);
    std::sort(labels.begin(), labels.end());
    fleet_.label_begins_.push_back(fleet_.wire_labels_.size());
    for (const auto& [label, text] : labels) {
      std::string field;
      put_u8(field, 0x0A);
      put_string(field, label);
      put_u8(field, 0x12);
      put_string(field, text);
      put_u8(fleet_.wire_labels_, 0x0A);
      put_string(fleet_.wire_labels_, field);
    }
    fleet_.series_.push_back({shape, value, rate});
  }

  double unit() { return next_unit(random_); }

  void node(std::size_t n) {
    const std::string name = fmt::format("node-{:04}", n);
    target({{"instance", fmt::format("10.{}.{}.10:9100", 1 + n / 250, n % 250)},
            {"job", "node-exporter"},
            {"node", name}});
    for (int cpu = 0; cpu < 16; ++cpu) {
      for (const std::string_view mode : kModes) {
        const double rate = mode == "idle"     ? 0.8
                            : mode == "user"   ? 0.12
                            : mode == "system" ? 0.05
                                               : 0.001;
        add("node_cpu_seconds_total", {{"cpu", std::to_string(cpu)}, {"mode", std::string(mode)}},
            mode == "steal" || mode == "nice" ? Shape::kConstant : Shape::kHundredths,
            std::floor(unit() * 1e7) / 100, rate);
      }
    }
    for (const std::string_view field : kMemoryFields) {
      const bool fixed = field.find("Total") != std::string_view::npos ||
                         field.starts_with("Direct") || field.starts_with("Vmalloc") ||
                         field.starts_with("Huge") || field.starts_with("Zswap");
      add(fmt::format("node_memory_{}_bytes", field), {}, fixed ? Shape::kConstant : Shape::kPages,
          4096 * std::floor(unit() * 4e6), 0.01);
    }
    for (int i = 0; i < 6; ++i) {
      const Pairs labels = {{"device", fmt::format("/dev/nvme{}n1p{}", i / 2, i % 2 + 1)},
                            {"fstype", i == 5 ? "tmpfs" : "ext4"},
                            {"mountpoint", i == 0 ? "/" : fmt::format("/var/lib/volume-{}", i)}};
      const double size = 4096 * std::floor(unit() * 2e8);
      add("node_filesystem_size_bytes", labels, Shape::kConstant, size, 0);
      add("node_filesystem_free_bytes", labels, Shape::kPages, 4096 * std::floor(size / 8192),
          0.001);
      add("node_filesystem_avail_bytes", labels, Shape::kPages, 4096 * std::floor(size / 9000),
          0.001);
      add("node_filesystem_files", labels, Shape::kConstant, std::floor(size / 16384), 0);
      add("node_filesystem_files_free", labels, Shape::kCounter, std::floor(size / 20000), 0.05);
      add("node_filesystem_readonly", labels, Shape::kConstant, 0, 0);
      add("node_filesystem_device_error", labels, Shape::kConstant, 0, 0);
      add("node_filesystem_purgeable_bytes", labels, Shape::kConstant, 0, 0);
    }
    for (int i = 0; i < 4; ++i) {
      for (const std::string_view field : kDiskFields) {
        const bool time = field.find("seconds") != std::string_view::npos;
        const bool bytes = field.find("bytes") != std::string_view::npos;
        add(fmt::format("node_disk_{}", field), {{"device", fmt::format("nvme{}n1", i)}},
            field == "io_now" ? Shape::kConstant
            : time            ? Shape::kHundredths
                              : Shape::kCounter,
            std::floor(unit() * 1e6),
            time    ? 0.02
            : bytes ? 250'000
                    : 30);
      }
    }
    for (int i = 0; i < 5; ++i) {
      for (const std::string_view field : kNetworkFields) {
        const bool busy = field.find("bytes") != std::string_view::npos ||
                          field.find("packets") != std::string_view::npos;
        add(fmt::format("node_network_{}", field),
            {{"device", i == 0 ? "lo" : fmt::format("eth{}", i - 1)}},
            busy ? Shape::kCounter : Shape::kConstant, busy ? std::floor(unit() * 1e9) : 0,
            field.find("bytes") != std::string_view::npos ? 90'000 : 120);
      }
    }
    for (const std::string_view collector : kCollectors) {
      add("node_scrape_collector_duration_seconds", {{"collector", std::string(collector)}},
          Shape::kNoise, 0.0008, 0);
      add("node_scrape_collector_success", {{"collector", std::string(collector)}},
          Shape::kConstant, 1, 0);
    }
    for (const std::string_view load : {"node_load1", "node_load15", "node_load5"}) {
      add(load, {}, Shape::kTwoDecimals, 2 + unit() * 6, 0.05);
    }
    add("node_boot_time_seconds", {}, Shape::kConstant, 1'690'000'000 + std::floor(unit() * 1e6),
        0);
    add("node_context_switches_total", {}, Shape::kCounter, std::floor(unit() * 1e10), 20'000);
    add("node_intr_total", {}, Shape::kCounter, std::floor(unit() * 1e10), 11'000);
    add("node_forks_total", {}, Shape::kCounter, std::floor(unit() * 1e7), 4);
    add("node_procs_running", {}, Shape::kConstant, 3, 0);
    add("node_procs_blocked", {}, Shape::kConstant, 0, 0);
    add("node_entropy_available_bits", {}, Shape::kConstant, 256, 0);
    add("node_filefd_allocated", {}, Shape::kPages, 8192, 0.02);
    add("node_time_seconds", {}, Shape::kNoisySum, 1'700'000'000, 1);
    add("node_nf_conntrack_entries", {}, Shape::kPages, 8192, 0.05);
    add("node_uname_info",
        {{"release", "6.1.0-18-amd64"}, {"sysname", "Linux"}, {"nodename", name}}, Shape::kConstant,
        1, 0);
    add("up", {}, Shape::kConstant, 1, 0);
  }

  /// What identifies pod `i` of machine `n`, everywhere the same.
  struct Pod {
    std::string space, name, uid, ip;
  };
  static Pod pod(std::size_t n, std::size_t i) {
    std::uint64_t id = n * 8 + i + 77;
    const std::uint64_t a = next_random(id);
    const std::uint64_t b = next_random(id);
    return {std::string(kNamespaces[a % kNamespaces.size()]),
            fmt::format("{}-{:08x}-{:05x}", kServices[(n + i) % kServices.size()], b >> 40,
                        a & 0xFFFFF),
            fmt::format("{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}", a >> 32, (a >> 16) & 0xFFFF,
                        a & 0xFFF, b & 0xFFF, b >> 16),
            fmt::format("10.200.{}.{}", n % 250, 10 + i)};
  }

  void cadvisor(std::size_t n) {
    target({{"instance", fmt::format("10.{}.{}.10:10250", 1 + n / 250, n % 250)},
            {"job", "cadvisor"},
            {"node", fmt::format("node-{:04}", n)}});
    for (std::size_t i = 0; i < 8; ++i) {
      const Pod p = pod(n, i);
      std::string path = p.uid;
      std::replace(path.begin(), path.end(), '-', '_');
      const Pairs labels = {
          {"container", std::string(kServices[(n + i) % kServices.size()])},
          {"id", fmt::format(
                     "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{}.slice/cri",
                     path)},
          {"image", fmt::format("registry.example.org/shop/{}:v1.{}.0",
                                kServices[(n + i) % kServices.size()], i)},
          {"namespace", p.space},
          {"pod", p.name}};
      add("container_cpu_usage_seconds_total", labels, Shape::kNanoseconds, unit() * 1e5, 0.3);
      add("container_cpu_user_seconds_total", labels, Shape::kHundredths,
          std::floor(unit() * 1e6) / 100, 0.2);
      add("container_cpu_system_seconds_total", labels, Shape::kHundredths,
          std::floor(unit() * 1e6) / 100, 0.1);
      add("container_cpu_cfs_periods_total", labels, Shape::kCounter, std::floor(unit() * 1e6), 10);
      add("container_cpu_cfs_throttled_periods_total", labels, Shape::kCounter,
          std::floor(unit() * 1e4), 0.1);
      add("container_cpu_cfs_throttled_seconds_total", labels, Shape::kNanoseconds, unit() * 1e3,
          0.01);
      for (const std::string_view field :
           {"working_set_bytes", "usage_bytes", "rss", "cache", "mapped_file", "swap"}) {
        add(fmt::format("container_memory_{}", field), labels,
            field == "swap" ? Shape::kConstant : Shape::kPages,
            field == "swap" ? 0 : 4096 * std::floor(2e4 + unit() * 1e5), 0.02);
      }
      add("container_memory_failcnt", labels, Shape::kConstant, 0, 0);
      add("container_spec_memory_limit_bytes", labels, Shape::kConstant, 536'870'912, 0);
      add("container_spec_cpu_quota", labels, Shape::kConstant, 100'000, 0);
      add("container_start_time_seconds", labels, Shape::kConstant, 1'699'000'000, 0);
      add("container_fs_reads_bytes_total", labels, Shape::kCounter, std::floor(unit() * 1e8), 900);
      add("container_fs_writes_bytes_total", labels, Shape::kCounter, std::floor(unit() * 1e8),
          4000);
      add("container_network_receive_bytes_total", labels, Shape::kCounter,
          std::floor(unit() * 1e9), 20'000);
      add("container_network_transmit_bytes_total", labels, Shape::kCounter,
          std::floor(unit() * 1e9), 30'000);
    }
  }

  void kube_state(std::size_t n) {
    target({{"instance", "kube-state-metrics.monitoring:8080"}, {"job", "kube-state-metrics"}});
    for (std::size_t i = 0; i < 8; ++i) {
      const Pod p = pod(n, i);
      const Pairs labels = {{"namespace", p.space}, {"pod", p.name}, {"uid", p.uid}};
      const auto with = [&](Pairs more) {
        more.insert(more.end(), labels.begin(), labels.end());
        return more;
      };
      add("kube_pod_info",
          with({{"created_by_kind", "ReplicaSet"},
                {"host_ip", fmt::format("10.{}.{}.10", 1 + n / 250, n % 250)},
                {"pod_ip", p.ip}}),
          Shape::kConstant, 1, 0);
      for (const std::string_view phase :
           {"Failed", "Pending", "Running", "Succeeded", "Unknown"}) {
        add("kube_pod_status_phase", with({{"phase", std::string(phase)}}), Shape::kConstant,
            phase == "Running" ? 1 : 0, 0);
      }
      add("kube_pod_start_time", labels, Shape::kConstant, 1'699'000'000, 0);
      add("kube_pod_container_status_restarts_total", with({{"container", "main"}}),
          Shape::kCounter, 2, 0.0001);
      add("kube_pod_container_status_ready", with({{"container", "main"}}), Shape::kConstant, 1, 0);
      add("kube_pod_container_resource_requests",
          with({{"container", "main"}, {"resource", "cpu"}, {"unit", "core"}}), Shape::kConstant,
          0.25, 0);
    }
  }

  void service(std::size_t n, std::size_t i) {
    const Pod p = pod(n, i);
    const std::string service(kServices[(n + i) % kServices.size()]);
    target(
        {{"instance", p.ip + ":8080"}, {"job", service}, {"namespace", p.space}, {"pod", p.name}});
    for (const std::string_view handler : kHandlers) {
      const bool idle = unit() < 0.3;
      const double rate = idle ? 0 : 0.2 + 20 * unit() * unit();
      const std::string method =
          handler.find("checkout") != std::string_view::npos ? "POST" : "GET";
      for (const std::string_view code : kCodes) {
        const double share = code == "200"   ? 0.95
                             : code == "304" ? 0.03
                             : code == "404" ? 0.015
                                             : 0.005;
        add("http_requests_total",
            {{"code", std::string(code)}, {"handler", std::string(handler)}, {"method", method}},
            rate == 0 ? Shape::kConstant : Shape::kCounter, std::floor(unit() * 1e6 * share),
            rate * share);
      }
      const Pairs labels = {{"handler", std::string(handler)}, {"method", method}};
      const double total = std::floor(unit() * 1e6);
      for (std::size_t b = 0; b < kBounds.size(); ++b) {
        Pairs bucket = labels;
        bucket.emplace_back("le", kBounds[b]);
        add("http_request_duration_seconds_bucket", bucket,
            b == 0 ? Shape::kBucketFirst : Shape::kBucket, std::floor(total * kBoundShares[b]),
            rate * kBoundShares[b]);
      }
      add("http_request_duration_seconds_sum", labels,
          rate == 0 ? Shape::kConstant : Shape::kNoisySum, total * 0.04 + unit(), rate * 0.04);
      add("http_request_duration_seconds_count", labels,
          rate == 0 ? Shape::kConstant : Shape::kCounter, total, rate);
    }
    for (const std::string_view name :
         {"go_goroutines", "go_threads", "process_open_fds", "go_memstats_heap_objects"}) {
      add(name, {}, Shape::kPages, 8192, 0.05);
    }
    for (const std::string_view name :
         {"go_memstats_alloc_bytes", "go_memstats_heap_alloc_bytes", "go_memstats_heap_idle_bytes",
          "go_memstats_heap_inuse_bytes", "go_memstats_heap_released_bytes",
          "go_memstats_heap_sys_bytes", "go_memstats_stack_inuse_bytes", "go_memstats_sys_bytes",
          "go_memstats_next_gc_bytes", "process_resident_memory_bytes",
          "process_virtual_memory_bytes"}) {
      add(name, {}, Shape::kPages, 4096 * std::floor(2000 + unit() * 20'000), 0.03);
    }
    for (const std::string_view name :
         {"go_memstats_mallocs_total", "go_memstats_frees_total", "go_memstats_alloc_bytes_total",
          "process_network_receive_bytes_total"}) {
      add(name, {}, Shape::kCounter, std::floor(unit() * 1e9), 40'000);
    }
    for (const std::string_view quantile : {"0", "0.25", "0.5", "0.75", "1"}) {
      add("go_gc_duration_seconds", {{"quantile", std::string(quantile)}}, Shape::kNoise, 0.0003,
          0);
    }
    add("process_cpu_seconds_total", {}, Shape::kHundredths, std::floor(unit() * 1e6) / 100, 0.15);
    add("process_start_time_seconds", {}, Shape::kConstant, 1'699'000'123.45, 0);
    add("process_max_fds", {}, Shape::kConstant, 1'048'576, 0);
    add("go_info", {{"version", "go1.22.1"}}, Shape::kConstant, 1, 0);
    add("build_info", {{"revision", "8f3c2ab"}, {"version", "1.14.2"}}, Shape::kConstant, 1, 0);
    add("up", {}, Shape::kConstant, 1, 0);
  }

  Fleet& fleet_;
  const std::size_t part_;
  const std::size_t part_count_;
  std::size_t series_count_ = 0;  // Of all parts.
  std::size_t target_count_ = 0;
  bool is_ours_ = false;
  std::uint64_t random_ = 0;
  Pairs common_;
};

Fleet::Fleet(const FleetOptions& options, std::size_t part, std::size_t part_count)
    : options_(options) {
  CHECK(part < part_count);
  FleetBuilder(*this, part, part_count).build();
  label_begins_.push_back(wire_labels_.size());
  samples_.resize(series_.size());
}

tsdb::Labels Fleet::labels(std::size_t i) const {
  const std::string_view run =
      std::string_view(wire_labels_)
          .substr(label_begins_[i], label_begins_[i + 1] - label_begins_[i]);
  std::vector<tsdb::LabelView> views;
  for (ProtobufReader fields(run); fields.next();) {
    tsdb::LabelView view;
    for (ProtobufReader label(fields.bytes()); label.next();) {
      (label.field() == 1 ? view.name : view.value) = label.bytes();
    }
    views.push_back(view);
  }
  return tsdb::Labels::from_sorted(views);
}

void Fleet::step() {
  for (std::size_t i = 0; i < targets_.size(); ++i) {
    const std::size_t end = i + 1 < targets_.size() ? targets_[i + 1].first : series_.size();
    step_target(targets_[i], end, targets_[i].random);
  }
  ++scrape_count_;
}

void Fleet::step_target(const Target& target, std::size_t end, std::uint64_t& random) {
  Timestamp t =
      options_.start + milliseconds(target.offset_ms + static_cast<std::int64_t>(scrape_count_) *
                                                           options_.interval.ms);
  if (next_random(random) % 10 == 0)
    t = t + milliseconds(static_cast<std::int64_t>(next_random(random) % 6));
  const double elapsed = static_cast<double>(options_.interval.ms) / 1000;
  double cumulative = 0;
  for (std::size_t i = target.first; i < end; ++i) {
    Series& s = series_[i];
    const double u = s.shape == Shape::kConstant ? 0 : next_unit(random);
    double v = s.value;
    switch (s.shape) {
      case Shape::kConstant: break;
      case Shape::kCounter:
        v = s.value += std::floor(s.rate * elapsed * (0.5 + u) + next_unit(random));
        break;
      case Shape::kHundredths: {
        // Kept in hundredths of a second, so that the value is always the nearest double.
        const double hundredths =
            std::round(s.value * 100) + std::floor(s.rate * elapsed * 100 * (0.8 + 0.4 * u) + 0.5);
        v = s.value = hundredths / 100;
        break;
      }
      case Shape::kNanoseconds: {
        const double nanoseconds =
            std::round(s.value * 1e9) + std::floor(s.rate * elapsed * 1e9 * (0.5 + u));
        v = s.value = nanoseconds / 1e9;
        break;
      }
      case Shape::kPages: {
        if (u < 0.4) break;  // Often nothing moves.
        const double moved = s.value + s.value * s.rate * (u - 0.7);
        v = s.value = std::max(4096.0, std::round(moved / 4096) * 4096);
        break;
      }
      case Shape::kTwoDecimals:
        v = s.value = std::round(std::max(0.0, s.value + (u - 0.5) * 0.4) * 100) / 100;
        break;
      case Shape::kNoise: v = std::round(s.value * (0.5 + u) * 1e9) / 1e9; break;
      case Shape::kBucketFirst: cumulative = 0; [[fallthrough]];
      case Shape::kBucket:
        if (s.rate != 0) s.value += std::floor(s.rate * elapsed * (0.5 + u) + next_unit(random));
        v = cumulative += s.value;
        break;
      case Shape::kNoisySum: v = s.value += s.rate * elapsed * (0.5 + u); break;
    }
    samples_[i] = {t, v};
  }
}

void Fleet::write_request(std::size_t first, std::size_t count, std::string& out) const {
  out.clear();
  std::string sample;
  for (std::size_t i = first; i < first + count; ++i) {
    const std::uint64_t bits = std::bit_cast<std::uint64_t>(samples_[i].v);
    sample.assign("\x12\x00", 2);
    if (bits != 0) {  // As proto3 has it: zero is not written.
      put_u8(sample, 0x09);
      sample.append(reinterpret_cast<const char*>(&bits), sizeof bits);
    }
    put_u8(sample, 0x10);
    put_uvarint(sample, static_cast<std::uint64_t>(samples_[i].t.ms));
    sample[1] = static_cast<char>(sample.size() - 2);
    const std::size_t label_bytes = label_begins_[i + 1] - label_begins_[i];
    put_u8(out, 0x0A);
    put_uvarint(out, label_bytes + sample.size());
    out.append(wire_labels_, label_begins_[i], label_bytes);
    out += sample;
  }
}

std::string Fleet::write_body(std::size_t first, std::size_t count) const {
  std::string message;
  write_request(first, count, message);
  std::string body;
  snappy_compress(as_bytes(message), body);
  return body;
}

}  // namespace tarsier::testing
