#include "server/config_limits.h"

#include <set>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "base/quote.h"
#include "server/config_fields.h"
#include "server/yaml.h"

namespace tarsier::server {

Result<std::vector<ingest::WriteLimit>> read_write_limits(MapReader& top) {
  std::vector<ingest::WriteLimit> out;
  const YamlNode* list = top.find_list("write_limits");
  if (!list) return out;
  std::set<std::string> tenants;
  for (std::size_t i = 0; i < list->items.size(); ++i) {
    const YamlNode& item = list->items[i];
    if (item.kind == YamlNode::Kind::kNull) {
      return invalid_at(item, "empty or null section in write_limits");
    }
    MapReader map(item, fmt::format("write_limits[{}]", i), top.problems());
    ingest::WriteLimit limit;
    map.read("tenant", limit.tenant);
    map.read("samples_per_second", limit.samples_per_second);
    map.read("burst", limit.burst);
    map.read("max_series", limit.series_max);
    map.read("max_labels", limit.labels_max);
    map.read("max_label_name_length", limit.label_name_length_max);
    map.read("max_label_value_length", limit.label_value_length_max);
    map.read_bytes("max_body_size", limit.body_bytes_max);
    map.finish();
    if (limit.burst > 0 && limit.samples_per_second == 0) {
      return invalid_at(item, "burst of a write limit needs samples_per_second");
    }
    if (!tenants.insert(limit.tenant).second) {
      return invalid_at(item,
                        fmt::format("more than one write limit of tenant {}", quote(limit.tenant)));
    }
    out.push_back(std::move(limit));
  }
  return out;
}

Result<ingest::HaDedup> read_ha_dedup(MapReader& top) {
  ingest::HaDedup out;
  const YamlNode* node = top.find("ha_dedup");
  if (!node) return out;
  MapReader map(*node, "ha_dedup", top.problems());
  map.read("cluster_label", out.cluster_label);
  map.read("replica_label", out.replica_label);
  map.read("failover", out.failover);
  map.finish();
  if (!out.is_on()) {
    return invalid_at(*node, "ha_dedup needs both cluster_label and replica_label");
  }
  if (out.failover.ms <= 0) return invalid_at(*node, "failover of ha_dedup must be positive");
  return out;
}

void render_write_limits(Emitter& out, const std::vector<ingest::WriteLimit>& limits,
                         const ingest::HaDedup& dedup) {
  if (!limits.empty()) out.line(0, "write_limits:");
  for (const ingest::WriteLimit& limit : limits) {
    out.line(0, "- tenant: " + yaml_scalar(limit.tenant));
    out.limit(1, "samples_per_second", limit.samples_per_second);
    out.limit(1, "burst", limit.burst);
    out.limit(1, "max_series", limit.series_max);
    out.limit(1, "max_labels", limit.labels_max);
    out.limit(1, "max_label_name_length", limit.label_name_length_max);
    out.limit(1, "max_label_value_length", limit.label_value_length_max);
    if (limit.body_bytes_max > 0) {
      out.field(1, "max_body_size", fmt::format("{}B", limit.body_bytes_max));
    }
  }
  if (!dedup.is_on()) return;
  out.line(0, "ha_dedup:");
  out.field(1, "cluster_label", dedup.cluster_label);
  out.field(1, "replica_label", dedup.replica_label);
  out.field(1, "failover", dedup.failover);
}

}  // namespace tarsier::server
