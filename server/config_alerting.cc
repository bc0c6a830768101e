#include "server/config_alerting.h"

#include <fmt/format.h>

#include "base/quote.h"
#include "server/config_discovery.h"
#include "server/config_fields.h"
#include "server/config_http_client.h"
#include "server/config_targets.h"

namespace tarsier::server {
namespace {

Result<AlertmanagerConfig> read_alertmanager(const YamlNode& node, const std::string& path,
                                             ingest::NameValidation validation,
                                             const ConfigSources& sources, Problems& problems) {
  MapReader map(node, path, problems);
  AlertmanagerConfig out;
  std::string api_version = "v2";
  map.read("api_version", api_version);
  if (api_version != "v2") {
    return invalid_at(
        *map.find("api_version"),
        fmt::format("expected Alertmanager api version to be one of [v2] but got {}", api_version));
  }
  map.read("scheme", out.scheme);
  if (out.scheme != "http" && out.scheme != "https") {
    return invalid_at(*map.find("scheme"), fmt::format("unsupported scheme {}", quote(out.scheme)));
  }
  map.read("path_prefix", out.path_prefix);
  map.read("timeout", out.timeout);
  if (const YamlNode* sigv4 = map.find("sigv4")) {
    return invalid_at(*sigv4, "sigv4 is not supported by this version");
  }
  out.client = std::make_shared<const HttpClientConfig>(TRY(read_http_client(map, sources)));
  out.static_configs = TRY(read_static_configs(map, validation));
  out.discoveries = TRY(read_discoveries(map, sources));
  out.relabel_rules =
      TRY(read_relabel(map, "relabel_configs", "Alertmanager target relabeling rule", validation));
  out.alert_relabel_rules = TRY(
      read_relabel(map, "alert_relabel_configs", "Alertmanager alert relabeling rule", validation));
  map.finish();
  return out;
}

}  // namespace

Result<AlertingConfig> read_alerting(const YamlNode& node, ingest::NameValidation validation,
                                     const ConfigSources& sources, Problems& problems) {
  MapReader map(node, "alerting", problems);
  AlertingConfig out;
  out.alert_relabel_rules =
      TRY(read_relabel(map, "alert_relabel_configs", "alert relabeling rule", validation));
  if (const YamlNode* list = map.find_list("alertmanagers")) {
    for (std::size_t i = 0; i < list->items.size(); ++i) {
      const YamlNode& item = list->items[i];
      if (item.kind == YamlNode::Kind::kNull) {
        return invalid_at(item, "empty or null Alertmanager config");
      }
      out.alertmanagers.push_back(TRY(read_alertmanager(
          item, fmt::format("alerting.alertmanagers[{}]", i), validation, sources, problems)));
    }
  }
  map.finish();
  return out;
}

}  // namespace tarsier::server
