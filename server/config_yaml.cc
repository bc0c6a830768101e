#include <algorithm>
#include <array>
#include <map>

#include <fmt/format.h>
#include <fnmatch.h>

#include "base/quote.h"
#include "base/utf8.h"
#include "server/base64.h"
#include "server/config.h"
#include "server/config_reader.h"
#include "tsdb/labels.h"

// The schema of prometheus.yml. Reading has two kinds of failures, as in Prometheus: what does not
// have the shape of a configuration is collected in `Problems` and told together; what has the
// shape and makes no sense ends the reading with the first error, in the words users search for.

namespace tarsier::server {
namespace {

constexpr std::size_t kCredentialsBytesMax = 1 << 20;
constexpr std::size_t kConfigBytesMax = std::size_t{16} << 20;
constexpr std::string_view kNotYet = "has no effect in this version";

Status invalid_at(const YamlNode& at, std::string_view text) {
  return invalid(fmt::format("{} (line {}, column {})", text, at.line, at.column));
}

/// `$NAME` and `${NAME}` become the variable's value, `$$` a dollar, undefined ones nothing.
std::string expand_variables(const YamlNode& node, const ConfigSources& sources,
                             Problems& problems) {
  const std::string_view text = node.text;
  const auto is_name = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  };
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '$' || i + 1 == text.size()) {
      out += text[i];
      continue;
    }
    if (text[i + 1] == '$') {
      out += '$';
      ++i;
      continue;
    }
    const bool has_braces = text[i + 1] == '{';
    const std::size_t begin = i + (has_braces ? 2 : 1);
    std::size_t end = begin;
    while (end < text.size() && is_name(text[end])) ++end;
    const bool is_closed = !has_braces || (end < text.size() && text[end] == '}');
    if (end == begin || !is_closed) {
      out += text[i];
      continue;
    }
    const std::string name(text.substr(begin, end - begin));
    const auto value = sources.environment ? sources.environment(name) : std::nullopt;
    if (!value) problems.warn(node, fmt::format("environment variable {} is not set", name));
    out += value.value_or("");
    i = has_braces ? end : end - 1;
  }
  return out;
}

using Pairs = std::vector<std::pair<std::string, std::string>>;

/// A map of label names to values, sorted by name.
Result<Pairs> read_labels(MapReader& map, std::string_view name, ingest::NameValidation validation,
                          const std::function<std::string(const YamlNode&)>& value_of) {
  Pairs labels;
  const YamlNode* node = map.find(name);
  if (!node) return labels;
  const std::string path = map.path_of(name);
  MapReader reader(*node, path, map.problems());
  for (const auto& [key, value] : node->entries) {
    if (!ingest::is_valid_label_name(key.text, validation) || key.text == tsdb::kMetricName) {
      return invalid_at(key, fmt::format("{} is not a valid label name", quote(key.text)));
    }
    reader.find(key.text);
    const std::string text_path = fmt::format("{}.{}", path, key.text);
    if (value.kind != YamlNode::Kind::kNull) read_text(value, text_path, map.problems());
    labels.emplace_back(key.text, value_of(value));
    if (!is_valid_utf8(labels.back().second)) {
      return invalid_at(value,
                        fmt::format("{} is not a valid label value", quote(labels.back().second)));
    }
  }
  reader.finish();
  std::sort(labels.begin(), labels.end());
  return labels;
}

std::optional<ingest::ScrapeProtocol> protocol_named(std::string_view name) {
  using P = ingest::ScrapeProtocol;
  for (const P p : {P::kPrometheusProto, P::kOpenMetricsText1_0_0, P::kOpenMetricsText0_0_1,
                    P::kPrometheusText1_0_0, P::kPrometheusText0_0_4}) {
    if (scrape_protocol_name(p) == name) return p;
  }
  return std::nullopt;
}

Status unknown_protocol(const YamlNode& at, std::string_view name) {
  return invalid_at(at, fmt::format("unknown scrape protocol {}, supported: [OpenMetricsText0.0.1 "
                                    "OpenMetricsText1.0.0 PrometheusProto PrometheusText0.0.4 "
                                    "PrometheusText1.0.0]",
                                    name));
}

Result<std::optional<std::vector<ingest::ScrapeProtocol>>> read_protocols(MapReader& map) {
  using Protocols = std::vector<ingest::ScrapeProtocol>;
  std::vector<std::string> names;
  map.read("scrape_protocols", names);
  const YamlNode* node = map.find("scrape_protocols");
  if (!node) return std::optional<Protocols>();
  if (names.empty()) return invalid_at(*node, "scrape_protocols cannot be empty");
  Protocols protocols;
  for (const std::string& name : names) {
    const auto protocol = protocol_named(name);
    if (!protocol) return unknown_protocol(*node, name);
    if (std::find(protocols.begin(), protocols.end(), *protocol) != protocols.end()) {
      return invalid_at(*node, fmt::format("duplicated protocol in scrape_protocols, got [{}]",
                                           fmt::join(names, " ")));
    }
    protocols.push_back(*protocol);
  }
  if (std::erase(protocols, ingest::ScrapeProtocol::kPrometheusProto) > 0) {
    map.problems().warn(*node, "PrometheusProto is not spoken by this version and left out");
  }
  if (protocols.empty()) protocols = ingest::ScrapeConfig().scrape_protocols;
  return std::optional<Protocols>(std::move(protocols));
}

Status read_name_schemes(MapReader& map, ingest::NameValidation& validation,
                         std::optional<ingest::NameEscaping>& escaping) {
  using ingest::NameEscaping;
  using ingest::NameValidation;
  std::string text;
  map.read("metric_name_validation_scheme", text);
  if (!text.empty()) {
    if (text != "utf8" && text != "legacy") {
      return invalid_at(*map.find("metric_name_validation_scheme"),
                        fmt::format("unrecognized ValidationScheme: {}", quote(text)));
    }
    validation = text == "legacy" ? NameValidation::kLegacy : NameValidation::kUtf8;
  }
  text.clear();
  map.read("metric_name_escaping_scheme", text);
  if (text.empty()) return {};
  const YamlNode& at = *map.find("metric_name_escaping_scheme");
  escaping.reset();
  for (const NameEscaping e : {NameEscaping::kAllowUtf8, NameEscaping::kUnderscores,
                               NameEscaping::kDots, NameEscaping::kValues}) {
    if (name_escaping_name(e) == text) escaping = e;
  }
  if (!escaping) {
    return invalid_at(at,
                      "unknown global name escaping method specified, must be one of "
                      "'allow-utf-8', 'underscores', 'dots', or 'values'");
  }
  if (escaping == NameEscaping::kAllowUtf8 && validation == NameValidation::kLegacy) {
    return invalid_at(at, "utf8 metric names requested but validation scheme is not set to UTF8");
  }
  return {};
}

Result<GlobalConfig> read_global(const YamlNode& node, const ConfigSources& sources,
                                 Problems& problems) {
  MapReader map(node, "global", problems);
  GlobalConfig global;
  map.read("scrape_interval", global.scrape_interval);
  if (global.scrape_interval.ms == 0) global.scrape_interval = minutes(1);
  Duration timeout{0};
  map.read("scrape_timeout", timeout);
  if (timeout > global.scrape_interval) {
    return invalid_at(*map.find("scrape_timeout"),
                      "global scrape timeout greater than scrape interval");
  }
  global.scrape_timeout = timeout.ms > 0 ? timeout : std::min(seconds(10), global.scrape_interval);
  map.read("evaluation_interval", global.evaluation_interval);
  if (global.evaluation_interval.ms == 0) global.evaluation_interval = minutes(1);
  map.read("rule_query_offset", global.rule_query_offset);
  map.read("query_log_file", global.query_log_file);
  map.ignore("query_log_file", kNotYet);
  map.ignore("scrape_failure_log_file", kNotYet);
  map.read_bytes("body_size_limit", global.body_size_limit);
  map.read("sample_limit", global.sample_limit);
  map.read("label_limit", global.label_limit);
  map.read("label_name_length_limit", global.label_name_length_limit);
  map.read("label_value_length_limit", global.label_value_length_limit);
  map.read("target_limit", global.target_limit);
  map.read("keep_dropped_targets", global.keep_dropped_targets);
  map.read("extra_scrape_metrics", global.extra_scrape_metrics);
  for (const char* name : {"scrape_native_histograms", "convert_classic_histograms_to_nhcb",
                           "always_scrape_classic_histograms"}) {
    bool is_on = false;
    map.read(name, is_on);
    if (is_on) map.ignore(name, kNotYet);
  }
  global.scrape_protocols = TRY(read_protocols(map));
  TRY(read_name_schemes(map, global.name_validation, global.name_escaping));
  global.external_labels =
      TRY(read_labels(map, "external_labels", global.name_validation, [&](const YamlNode& value) {
        return expand_variables(value, sources, problems);
      }));
  map.finish();
  return global;
}

Result<std::vector<ingest::RelabelRule>> read_relabel(MapReader& map, std::string_view name,
                                                      std::string_view kind,
                                                      ingest::NameValidation validation) {
  std::vector<ingest::RelabelRule> rules;
  const YamlNode* list = map.find_list(name);
  if (!list) return rules;
  for (std::size_t i = 0; i < list->items.size(); ++i) {
    const YamlNode& item = list->items[i];
    if (item.kind == YamlNode::Kind::kNull) {
      return invalid_at(item,
                        fmt::format("empty or null {} relabeling rule in scrape config", kind));
    }
    MapReader rule(item, fmt::format("{}[{}]", map.path_of(name), i), map.problems());
    ingest::RelabelConfig config;
    rule.read("source_labels", config.source_labels);
    rule.read("separator", config.separator);
    rule.read("regex", config.regex);
    rule.read("modulus", config.modulus);
    rule.read("target_label", config.target_label);
    rule.read("replacement", config.replacement);
    rule.read("action", config.action);
    rule.finish();
    Result<ingest::RelabelRule> created =
        ingest::RelabelRule::create(std::move(config), validation);
    if (!created.ok()) return invalid_at(item, created.status().message());
    rules.push_back(std::move(*created));
  }
  return rules;
}

Result<std::vector<ingest::TargetGroup>> read_static_configs(MapReader& map,
                                                             ingest::NameValidation validation) {
  std::vector<ingest::TargetGroup> groups;
  const YamlNode* list = map.find_list("static_configs");
  if (!list) return groups;
  for (std::size_t i = 0; i < list->items.size(); ++i) {
    const YamlNode& item = list->items[i];
    if (item.kind == YamlNode::Kind::kNull) {
      return invalid_at(item, "empty or null section in static_configs");
    }
    MapReader reader(item, fmt::format("{}[{}]", map.path_of("static_configs"), i), map.problems());
    ingest::TargetGroup group;
    reader.read("targets", group.targets);
    for (const std::string& target : group.targets) {
      if (target.find('/') != std::string::npos) {
        return invalid_at(*reader.find("targets"),
                          fmt::format("{} is not a valid hostname", quote(target)));
      }
    }
    group.labels = TRY(read_labels(reader, "labels", validation,
                                   [](const YamlNode& value) { return value.text; }));
    reader.finish();
    groups.push_back(std::move(group));
  }
  return groups;
}

std::string trimmed(std::string text) {
  const char* const blanks = " \t\r\n";
  text.erase(text.find_last_not_of(blanks) + 1);
  return text.erase(0, std::min(text.find_first_not_of(blanks), text.size()));
}

/// `name` or the contents of the file `name_file`.
std::string read_secret(MapReader& map, const std::string& name, const ConfigSources& sources) {
  std::string secret;
  std::string path;
  map.read(name, secret);
  map.read(name + "_file", path);
  if (path.empty()) return secret;
  const YamlNode& at = *map.find(name + "_file");
  if (!path.starts_with('/')) path = join_path(parent_path(sources.file), path);
  if (!sources.files) return secret;
  Result<std::string> contents = read_file(*sources.files, path, kCredentialsBytesMax);
  if (contents.ok()) return trimmed(std::move(*contents));
  // A missing file makes requests fail, not the configuration.
  map.problems().warn(at, contents.status().message());
  return secret;
}

bool is_reserved_header(std::string_view name) {
  static constexpr std::array<std::string_view, 16> kReserved = {
      "authorization",
      "host",
      "content-encoding",
      "content-length",
      "content-type",
      "user-agent",
      "connection",
      "keep-alive",
      "proxy-authenticate",
      "proxy-authorization",
      "www-authenticate",
      "accept-encoding",
      "x-prometheus-remote-write-version",
      "x-prometheus-remote-read-version",
      "x-prometheus-scrape-timeout-seconds",
      "x-amz-date"};
  std::string lower(name);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  }
  return std::find(kReserved.begin(), kReserved.end(), lower) != kReserved.end();
}

Status read_http_headers(MapReader& map, const ConfigSources& sources, HttpHeaders& headers) {
  const YamlNode* node = map.find("http_headers");
  if (!node) return {};
  MapReader reader(*node, map.path_of("http_headers"), map.problems());
  for (const auto& [key, value] : node->entries) {
    reader.find(key.text);
    if (is_reserved_header(key.text)) {
      return invalid_at(key, fmt::format("setting header {} is not allowed", quote(key.text)));
    }
    MapReader header(value, fmt::format("{}.{}", map.path_of("http_headers"), key.text),
                     map.problems());
    std::vector<std::string> values;
    std::vector<std::string> files;
    for (const char* name : {"values", "secrets"}) {
      header.read(name, values);
      for (const std::string& text : values) headers.emplace_back(key.text, text);
      values.clear();
    }
    header.read("files", files);
    for (std::string& path : files) {
      if (!path.starts_with('/')) path = join_path(parent_path(sources.file), path);
      if (!sources.files) continue;
      Result<std::string> contents = read_file(*sources.files, path, kCredentialsBytesMax);
      if (contents.ok()) {
        headers.emplace_back(key.text, trimmed(std::move(*contents)));
      } else {
        map.problems().warn(key, contents.status().message());
      }
    }
    header.finish();
  }
  reader.finish();
  for (const auto& [name, value] : headers) {
    if ((name + value).find_first_of("\r\n") != std::string::npos) {
      return invalid_at(*node, fmt::format("header {} has a line break", quote(name)));
    }
  }
  return {};
}

/// The options of section "HTTP client", as far as they become headers; the rest is refused.
Status read_http_client(MapReader& map, const ConfigSources& sources, ingest::ScrapeConfig& job) {
  const YamlNode* basic = map.find("basic_auth");
  const YamlNode* authorization = map.find("authorization");
  const bool has_bearer = map.has("bearer_token") || map.has("bearer_token_file");
  if (map.has("bearer_token") && map.has("bearer_token_file")) {
    return invalid_at(*map.find("bearer_token"),
                      "at most one of bearer_token & bearer_token_file must be configured");
  }
  if ((basic ? 1 : 0) + (authorization ? 1 : 0) + (has_bearer ? 1 : 0) > 1) {
    return invalid_at(map.node(),
                      "at most one of basic_auth, oauth2 & authorization must be configured");
  }
  if (basic) {
    MapReader reader(*basic, map.path_of("basic_auth"), map.problems());
    const std::string user = read_secret(reader, "username", sources);
    const std::string password = read_secret(reader, "password", sources);
    reader.finish();
    job.headers.emplace_back("Authorization", "Basic " + encode_base64(user + ":" + password));
  }
  if (authorization) {
    MapReader reader(*authorization, map.path_of("authorization"), map.problems());
    std::string type = "Bearer";
    reader.read("type", type);
    if (type == "basic" || type == "Basic") {
      return invalid_at(*authorization,
                        R"(authorization type cannot be set to "basic", use "basic_auth" instead)");
    }
    const std::string credentials = read_secret(reader, "credentials", sources);
    reader.finish();
    job.headers.emplace_back("Authorization", type + " " + credentials);
  }
  if (has_bearer) {
    job.headers.emplace_back("Authorization",
                             "Bearer " + read_secret(map, "bearer_token", sources));
  }
  map.read("follow_redirects", job.follow_redirects);
  bool ignored = true;
  map.read("enable_http2", ignored);  // We speak HTTP/1.1, which every server does.
  // Ignoring these would send requests elsewhere or in the open.
  for (const char* name : {"oauth2", "proxy_url", "no_proxy", "proxy_connect_header"}) {
    if (const YamlNode* node = map.find(name)) {
      return invalid_at(*node, fmt::format("{} is not supported by this version", name));
    }
  }
  bool proxy_from_environment = false;
  map.read("proxy_from_environment", proxy_from_environment);
  if (proxy_from_environment) map.ignore("proxy_from_environment", kNotYet);
  map.ignore("tls_config", "has no effect without https");
  return read_http_headers(map, sources, job.headers);
}

void refuse_discovery(MapReader& map) {
  for (const char* name : {"file_sd_configs", "http_sd_configs", "dns_sd_configs",
                           "kubernetes_sd_configs", "consul_sd_configs", "docker_sd_configs"}) {
    map.ignore(name, "is not supported by this version: its targets are not scraped");
  }
  for (const char* name :
       {"aws_sd_configs",         "azure_sd_configs",     "digitalocean_sd_configs",
        "dockerswarm_sd_configs", "ec2_sd_configs",       "eureka_sd_configs",
        "gce_sd_configs",         "hetzner_sd_configs",   "ionos_sd_configs",
        "kuma_sd_configs",        "lightsail_sd_configs", "linode_sd_configs",
        "marathon_sd_configs",    "nerve_sd_configs",     "nomad_sd_configs",
        "oci_sd_configs",         "openstack_sd_configs", "outscale_sd_configs",
        "ovhcloud_sd_configs",    "puppetdb_sd_configs",  "scaleway_sd_configs",
        "serverset_sd_configs",   "stackit_sd_configs",   "triton_sd_configs",
        "uyuni_sd_configs",       "vultr_sd_configs"}) {
    if (const YamlNode* node = map.find(name)) {
      map.problems().add(*node, fmt::format("{} is not supported", name));
    }
  }
}

/// 0 in a job means the global value.
void read_limit(MapReader& map, std::string_view name, std::uint64_t global, std::uint64_t& out) {
  map.read(name, out);
  if (out == 0) out = global;
}

Status read_timing(MapReader& map, const GlobalConfig& global, ingest::ScrapeConfig& job) {
  job.scrape_interval = {0};
  job.scrape_timeout = {0};
  map.read("scrape_interval", job.scrape_interval);
  map.read("scrape_timeout", job.scrape_timeout);
  if (job.scrape_interval.ms == 0) job.scrape_interval = global.scrape_interval;
  if (job.scrape_timeout > job.scrape_interval) {
    return invalid_at(
        *map.find("scrape_timeout"),
        fmt::format(
            "scrape timeout greater than scrape interval for scrape config with job name {}",
            quote(job.job_name)));
  }
  if (job.scrape_timeout.ms == 0) {
    job.scrape_timeout = std::min(global.scrape_timeout, job.scrape_interval);
  }
  return {};
}

Status read_params(MapReader& map, ingest::ScrapeConfig& job) {
  const YamlNode* node = map.find("params");
  if (!node) return {};
  MapReader reader(*node, map.path_of("params"), map.problems());
  for (const auto& [key, value] : node->entries) {
    std::vector<std::string> values;
    reader.read(key.text, values);
    reader.find(key.text);
    job.params.emplace_back(key.text, std::move(values));
  }
  std::sort(job.params.begin(), job.params.end());
  return {};
}

Result<ingest::ScrapeConfig> read_job(const YamlNode& node, const std::string& path,
                                      const GlobalConfig& global, const ConfigSources& sources,
                                      Problems& problems) {
  MapReader map(node, path, problems);
  ingest::ScrapeConfig job;
  map.read("job_name", job.job_name);
  if (job.job_name.empty() && problems.empty()) return invalid_at(node, "job_name is empty");
  TRY(read_timing(map, global, job));

  map.read("metrics_path", job.metrics_path);
  map.read("scheme", job.scheme);
  if (job.scheme == "https") {
    return invalid_at(*map.find("scheme"), "scheme https is not supported by this version");
  }
  if (job.scheme != "http") {
    return invalid_at(*map.find("scheme"), fmt::format("unsupported scheme {}", quote(job.scheme)));
  }
  TRY(read_params(map, job));
  map.read("honor_labels", job.honor_labels);
  map.read("honor_timestamps", job.honor_timestamps);
  map.read("track_timestamps_staleness", job.track_timestamps_staleness);
  map.read("enable_compression", job.enable_compression);
  job.extra_scrape_metrics = global.extra_scrape_metrics;
  map.read("extra_scrape_metrics", job.extra_scrape_metrics);
  map.ignore("scrape_failure_log_file", kNotYet);

  map.read_bytes("body_size_limit", job.body_size_limit);
  if (job.body_size_limit == 0) job.body_size_limit = global.body_size_limit;
  read_limit(map, "sample_limit", global.sample_limit, job.sample_limit);
  read_limit(map, "label_limit", global.label_limit, job.label_limit);
  read_limit(map, "label_name_length_limit", global.label_name_length_limit,
             job.label_name_length_limit);
  read_limit(map, "label_value_length_limit", global.label_value_length_limit,
             job.label_value_length_limit);
  read_limit(map, "target_limit", global.target_limit, job.target_limit);
  read_limit(map, "keep_dropped_targets", global.keep_dropped_targets, job.keep_dropped_targets);
  for (const char* name : {"native_histogram_bucket_limit", "native_histogram_min_bucket_factor",
                           "scrape_native_histograms", "convert_classic_histograms_to_nhcb",
                           "always_scrape_classic_histograms"}) {
    std::string text;
    map.read(name, text);
    if (!text.empty() && text != "0" && text != "false") map.ignore(name, kNotYet);
  }

  const auto protocols = TRY(read_protocols(map));
  if (global.scrape_protocols) job.scrape_protocols = *global.scrape_protocols;
  if (protocols) job.scrape_protocols = *protocols;
  std::string fallback;
  map.read("fallback_scrape_protocol", fallback);
  if (!fallback.empty()) {
    job.fallback_scrape_protocol = protocol_named(fallback);
    if (!job.fallback_scrape_protocol) {
      return invalid_at(
          *map.find("fallback_scrape_protocol"),
          fmt::format("invalid fallback_scrape_protocol for scrape config with job name {}: "
                      "unknown scrape protocol {}",
                      quote(job.job_name), fallback));
    }
  }
  job.name_validation = global.name_validation;
  std::optional<ingest::NameEscaping> escaping = global.name_escaping;
  TRY(read_name_schemes(map, job.name_validation, escaping));
  job.name_escaping = escaping.value_or(job.name_validation == ingest::NameValidation::kLegacy
                                            ? ingest::NameEscaping::kUnderscores
                                            : ingest::NameEscaping::kAllowUtf8);

  TRY(read_http_client(map, sources, job));
  job.static_configs = TRY(read_static_configs(map, job.name_validation));
  refuse_discovery(map);
  job.relabel_rules = TRY(read_relabel(map, "relabel_configs", "target", job.name_validation));
  job.metric_relabel_rules =
      TRY(read_relabel(map, "metric_relabel_configs", "metric", job.name_validation));
  map.finish();
  return job;
}

bool is_valid_glob(std::string_view path) {
  const std::size_t star = path.find('*');
  return star == std::string_view::npos || path.find('/', star) == std::string_view::npos;
}

/// Job names and the file each was first seen in.
using JobNames = std::map<std::string, std::string>;

Status read_jobs(MapReader& top, const ConfigSources& sources, JobNames& names, Config& config) {
  const YamlNode* list = top.find_list("scrape_configs");
  if (!list) return {};
  for (std::size_t i = 0; i < list->items.size(); ++i) {
    const YamlNode& item = list->items[i];
    if (item.kind == YamlNode::Kind::kNull) {
      return invalid_at(item, "empty or null scrape config section");
    }
    ingest::ScrapeConfig job = TRY(read_job(item, fmt::format("scrape_configs[{}]", i),
                                            config.global, sources, top.problems()));
    const auto [first, is_new] = names.emplace(job.job_name, sources.file);
    if (!is_new && top.problems().empty()) {
      const std::string where =
          first->second == sources.file ? "" : fmt::format(", first found in {}", first->second);
      return invalid_at(item, fmt::format("found multiple scrape configs with job name {}{}",
                                          quote(job.job_name), where));
    }
    config.scrape_configs.push_back(std::move(job));
  }
  return {};
}

/// One file of `scrape_config_files`: a list `scrape_configs` and nothing else.
Status read_job_file(const ConfigSources& sources, JobNames& names, Config& config) {
  const std::string text = TRY(read_file(*sources.files, sources.file, kConfigBytesMax));
  const YamlNode root = TRY(parse_yaml(text));
  Problems problems;
  MapReader map(root, "", problems);
  const Status status = read_jobs(map, sources, names, config);
  map.finish();
  if (!problems.empty()) return invalid(problems.to_string());
  config.warnings.insert(config.warnings.end(), problems.warnings().begin(),
                         problems.warnings().end());
  return status;
}

/// The files a pattern means, sorted; its only `*`s are in the last element. None is fine.
std::vector<std::string> expand_glob(FileSystem& files, const std::string& pattern) {
  if (pattern.find('*') == std::string::npos) return {pattern};
  std::vector<std::string> found;
  const std::string directory = parent_path(pattern);
  const std::string name_pattern = pattern.substr(pattern.rfind('/') + 1);
  const Result<std::vector<DirectoryEntry>> entries = files.list(directory);
  if (!entries.ok()) return found;
  for (const DirectoryEntry& entry : *entries) {
    if (!entry.is_directory && ::fnmatch(name_pattern.c_str(), entry.name.c_str(), 0) == 0) {
      found.push_back(join_path(directory, entry.name));
    }
  }
  return found;
}

Status read_job_files(MapReader& top, const ConfigSources& sources, JobNames& names,
                      Config& config) {
  std::vector<std::string> patterns;
  top.read("scrape_config_files", patterns);
  for (std::string& pattern : patterns) {
    if (!is_valid_glob(pattern)) {
      return invalid_at(*top.find("scrape_config_files"),
                        fmt::format("invalid scrape config file path {}", quote(pattern)));
    }
    if (!sources.files) continue;
    if (!pattern.starts_with('/')) pattern = join_path(parent_path(sources.file), pattern);
    for (const std::string& path : expand_glob(*sources.files, pattern)) {
      ConfigSources inner = sources;
      inner.file = path;
      TRY(read_job_file(inner, names, config).with_prefix(path));
    }
  }
  return {};
}

Status read_storage(const YamlNode& node, Problems& problems, StorageConfig& storage) {
  MapReader map(node, "storage", problems);
  map.ignore("exemplars", kNotYet);
  map.ignore("retention", kNotYet);
  map.ignore("resolutions", kNotYet);
  if (const YamlNode* section = map.find("tsdb")) {
    MapReader tsdb(*section, "storage.tsdb", problems);
    Duration window{0};
    tsdb.read("out_of_order_time_window", window);
    if (window.ms > 0) tsdb.ignore("out_of_order_time_window", kNotYet);
    tsdb.ignore("stale_series_compaction_threshold", kNotYet);
    tsdb.ignore("chunk_encoding", kNotYet);
    if (const YamlNode* part = tsdb.find("retention")) {
      MapReader retention(*part, "storage.tsdb.retention", problems);
      if (retention.has("time")) retention.read("time", storage.retention_time.emplace());
      if (retention.has("size")) retention.read_bytes("size", storage.retention_bytes.emplace());
      retention.ignore("percentage", kNotYet);
      retention.finish();
    }
    tsdb.finish();
  }
  map.finish();
  return {};
}

Status read_rule_files(MapReader& top) {
  std::vector<std::string> paths;
  top.read("rule_files", paths);
  for (const std::string& path : paths) {
    if (!is_valid_glob(path)) {
      return invalid_at(*top.find("rule_files"),
                        fmt::format("invalid rule file path {}", quote(path)));
    }
  }
  if (!paths.empty()) top.ignore("rule_files", "has no effect in this version: rules are not run");
  return {};
}

Result<Config> read_config(const YamlNode& root, const ConfigSources& sources, Problems& problems) {
  static const YamlNode kNothing;
  Config config;
  MapReader top(root, "", problems);
  const YamlNode* global = top.find("global");
  config.global = TRY(read_global(global ? *global : kNothing, sources, problems));
  TRY(read_rule_files(top));
  JobNames names;
  TRY(read_jobs(top, sources, names, config));
  TRY(read_job_files(top, sources, names, config));
  if (const YamlNode* node = top.find("storage"))
    TRY(read_storage(*node, problems, config.storage));
  for (const char* name : {"alerting", "remote_write", "remote_read", "tracing", "otlp", "traces",
                           "slo_files", "notifier", "notifier_config_file", "write_limits"}) {
    top.ignore(name, kNotYet);
  }
  top.find("runtime");  // For a runtime we do not have.
  top.finish();
  return config;
}

}  // namespace

Result<Config> parse_config(std::string_view text, const ConfigSources& sources) {
  const std::string prefix = fmt::format("parsing YAML file {}", sources.file);
  Result<YamlNode> root = parse_yaml(text);
  if (!root.ok()) return std::move(root).status().with_prefix(prefix + ": yaml");
  Problems problems;
  Result<Config> config = read_config(*root, sources, problems);
  if (!problems.empty()) return invalid(prefix + ": " + problems.to_string());
  if (!config.ok()) return std::move(config).status().with_prefix(prefix);
  config->warnings.insert(config->warnings.end(), problems.warnings().begin(),
                          problems.warnings().end());
  return config;
}

}  // namespace tarsier::server
