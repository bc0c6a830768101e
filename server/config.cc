#include "server/config.h"

#include <fmt/format.h>

#include "base/duration.h"
#include "server/config_http_client.h"
#include "server/yaml.h"

namespace tarsier::server {
namespace {

constexpr std::string_view kSecret = "<secret>";

/// Writes YAML lines at an indentation.
class Emitter final {
 public:
  void line(int depth, std::string_view text) {
    out_.append(static_cast<std::size_t>(depth) * 2, ' ');
    out_ += text;
    out_ += '\n';
  }
  void field(int depth, std::string_view name, std::string_view value) {
    line(depth, fmt::format("{}: {}", name, yaml_scalar(value)));
  }
  void field(int depth, std::string_view name, bool value) {
    line(depth, fmt::format("{}: {}", name, value));
  }
  void field(int depth, std::string_view name, Duration value) {
    line(depth, fmt::format("{}: {}", name, format_duration(value)));
  }
  void limit(int depth, std::string_view name, std::uint64_t value) {
    if (value > 0) line(depth, fmt::format("{}: {}", name, value));
  }
  void list(int depth, std::string_view name, const std::vector<std::string>& values) {
    line(depth, fmt::format("{}:{}", name, values.empty() ? " []" : ""));
    for (const std::string& value : values) line(depth, "- " + yaml_scalar(value));
  }
  void protocols(int depth, const std::vector<ingest::ScrapeProtocol>& protocols) {
    line(depth, "scrape_protocols:");
    for (const ingest::ScrapeProtocol p : protocols) {
      line(depth, fmt::format("- {}", scrape_protocol_name(p)));
    }
  }
  void labels(int depth, std::string_view name,
              const std::vector<std::pair<std::string, std::string>>& labels) {
    if (labels.empty()) return;
    line(depth, fmt::format("{}:", name));
    for (const auto& [key, value] : labels) field(depth + 1, yaml_scalar(key), value);
  }
  std::string take() { return std::move(out_); }

 private:
  std::string out_;
};

/// The largest unit that divides it: what the file may have said.
std::string format_bytes(std::uint64_t bytes) {
  static constexpr std::string_view kUnits[] = {"B", "KB", "MB", "GB", "TB", "PB"};
  std::size_t unit = 0;
  while (unit + 1 < std::size(kUnits) && bytes > 0 && bytes % 1024 == 0) {
    bytes /= 1024;
    ++unit;
  }
  return fmt::format("{}{}", bytes, kUnits[unit]);
}

void size_limit(Emitter& out, int depth, std::string_view name, std::uint64_t bytes) {
  if (bytes > 0) out.field(depth, name, format_bytes(bytes));
}

void render_global(Emitter& out, const GlobalConfig& global) {
  out.line(0, "global:");
  out.field(1, "scrape_interval", global.scrape_interval);
  out.field(1, "scrape_timeout", global.scrape_timeout);
  out.protocols(1, global.scrape_protocols.value_or(ingest::ScrapeConfig().scrape_protocols));
  out.field(1, "evaluation_interval", global.evaluation_interval);
  if (global.rule_query_offset.ms > 0) {
    out.field(1, "rule_query_offset", global.rule_query_offset);
  }
  out.labels(1, "external_labels", global.external_labels);
  if (!global.query_log_file.empty()) out.field(1, "query_log_file", global.query_log_file);
  size_limit(out, 1, "body_size_limit", global.body_size_limit);
  out.limit(1, "sample_limit", global.sample_limit);
  out.limit(1, "label_limit", global.label_limit);
  out.limit(1, "label_name_length_limit", global.label_name_length_limit);
  out.limit(1, "label_value_length_limit", global.label_value_length_limit);
  out.limit(1, "target_limit", global.target_limit);
  out.limit(1, "keep_dropped_targets", global.keep_dropped_targets);
  if (global.extra_scrape_metrics) out.field(1, "extra_scrape_metrics", true);
  out.field(1, "metric_name_validation_scheme", name_validation_name(global.name_validation));
  if (global.name_escaping) {
    out.field(1, "metric_name_escaping_scheme", name_escaping_name(*global.name_escaping));
  }
}

/// What it holds, masked, or the file it is in.
void render_secret(Emitter& out, int depth, std::string_view name, const TextOrFile& secret) {
  if (!secret.text.empty()) out.field(depth, name, kSecret);
  if (!secret.file.empty()) out.field(depth, fmt::format("{}_file", name), secret.file);
}

void render_text(Emitter& out, int depth, std::string_view name, const std::string& text) {
  if (!text.empty()) out.field(depth, name, text);
}

void render_credentials(Emitter& out, const HttpCredentials& credentials) {
  if (credentials.kind == HttpCredentials::Kind::kBasic) {
    out.line(1, "basic_auth:");
    render_text(out, 2, "username", credentials.user.text);
    render_text(out, 2, "username_file", credentials.user.file);
    render_secret(out, 2, "password", credentials.secret);
  }
  if (credentials.kind == HttpCredentials::Kind::kAuthorization) {
    out.line(1, "authorization:");
    out.field(2, "type", credentials.scheme);
    render_secret(out, 2, "credentials", credentials.secret);
  }
}

void render_tls(Emitter& out, int depth, const TlsClientConfig& tls) {
  if (tls == TlsClientConfig()) return;
  out.line(depth, "tls_config:");
  render_text(out, depth + 1, "ca", tls.ca.text);
  render_text(out, depth + 1, "ca_file", tls.ca.file);
  render_text(out, depth + 1, "cert", tls.certificate.text);
  render_text(out, depth + 1, "cert_file", tls.certificate.file);
  render_secret(out, depth + 1, "key", tls.key);
  render_text(out, depth + 1, "server_name", tls.server_name);
  out.field(depth + 1, "insecure_skip_verify", tls.insecure_skip_verify);
  out.field(depth + 1, "min_version", tls_version_name(tls.version_min));
  out.field(depth + 1, "max_version", tls_version_name(tls.version_max));
}

/// Without a password the URL may hold.
std::string masked_url(const std::string& text) {
  const std::size_t at = text.rfind('@');
  const std::size_t scheme = text.find("://");
  if (at == std::string::npos || scheme == std::string::npos || at < scheme) return text;
  const std::size_t colon = text.find(':', scheme + 3);
  if (colon > at) return text;
  return text.substr(0, colon + 1) + "xxxxx" + text.substr(at);
}

void render_proxy(Emitter& out, int depth, const ProxyConfig& proxy) {
  if (!proxy.url.empty()) out.field(depth, "proxy_url", masked_url(proxy.url));
  render_text(out, depth, "no_proxy", proxy.no_proxy);
  if (proxy.from_environment) out.field(depth, "proxy_from_environment", true);
  if (proxy.connect_headers.empty()) return;
  out.line(depth, "proxy_connect_header:");
  std::string last;
  for (const auto& [name, value] : proxy.connect_headers) {
    if (name != last) out.line(depth + 1, yaml_scalar(name) + ":");
    out.line(depth + 1, "- " + std::string(kSecret));
    last = name;
  }
}

void render_oauth2(Emitter& out, const OAuth2Config& oauth2) {
  out.line(1, "oauth2:");
  out.field(2, "client_id", oauth2.client_id);
  render_secret(out, 2, "client_secret", oauth2.client_secret);
  if (!oauth2.scopes.empty()) out.list(2, "scopes", oauth2.scopes);
  out.field(2, "token_url", masked_url(oauth2.token_url));
  out.labels(2, "endpoint_params", oauth2.endpoint_parameters);
  render_tls(out, 2, oauth2.tls);
  render_proxy(out, 2, oauth2.proxy);
}

void render_http_headers(Emitter& out, const std::vector<ConfiguredHeader>& headers) {
  if (headers.empty()) return;
  out.line(1, "http_headers:");
  // Headers of one name stand together: values, then secrets, then files.
  for (std::size_t i = 0; i < headers.size();) {
    const std::string& name = headers[i].name;
    std::vector<std::string> values;
    std::vector<std::string> secrets;
    std::vector<std::string> files;
    for (; i < headers.size() && headers[i].name == name; ++i) {
      if (!headers[i].value.file.empty()) {
        files.push_back(headers[i].value.file);
      } else if (headers[i].is_secret) {
        secrets.emplace_back(kSecret);
      } else {
        values.push_back(headers[i].value.text);
      }
    }
    out.line(2, yaml_scalar(name) + ":");
    if (!values.empty()) out.list(3, "values", values);
    if (!secrets.empty()) out.list(3, "secrets", secrets);
    if (!files.empty()) out.list(3, "files", files);
  }
}

void render_http_client(Emitter& out, const HttpClientConfig& http) {
  render_credentials(out, http.credentials);
  if (http.oauth2) render_oauth2(out, *http.oauth2);
  render_tls(out, 1, http.tls);
  render_proxy(out, 1, http.proxy);
  render_http_headers(out, http.headers);
  out.field(1, "follow_redirects", http.follow_redirects);
  out.field(1, "enable_http2", http.enable_http2);
}

void render_relabel(Emitter& out, std::string_view name,
                    const std::vector<ingest::RelabelRule>& rules) {
  if (rules.empty()) return;
  out.line(1, fmt::format("{}:", name));
  const ingest::RelabelConfig defaults;
  for (const ingest::RelabelRule& rule : rules) {
    const ingest::RelabelConfig& config = rule.config();
    out.line(1, "- separator: " + yaml_scalar(config.separator));
    if (!config.source_labels.empty()) {
      std::string names;
      for (const std::string& label : config.source_labels) {
        names += (names.empty() ? "" : ", ") + yaml_scalar(label);
      }
      out.line(2, fmt::format("source_labels: [{}]", names));
    }
    out.field(2, "regex", config.regex);
    out.limit(2, "modulus", config.modulus);
    if (!config.target_label.empty()) out.field(2, "target_label", config.target_label);
    out.field(2, "replacement", config.replacement);
    out.field(2, "action", ingest::relabel_action_name(rule.action()));
  }
}

void render_limits(Emitter& out, const ingest::ScrapeConfig& job) {
  size_limit(out, 1, "body_size_limit", job.body_size_limit);
  out.limit(1, "sample_limit", job.sample_limit);
  out.limit(1, "label_limit", job.label_limit);
  out.limit(1, "label_name_length_limit", job.label_name_length_limit);
  out.limit(1, "label_value_length_limit", job.label_value_length_limit);
  out.limit(1, "target_limit", job.target_limit);
  out.limit(1, "keep_dropped_targets", job.keep_dropped_targets);
}

void render_job(Emitter& out, const ingest::ScrapeConfig& job) {
  out.line(0, "- job_name: " + yaml_scalar(job.job_name));
  if (job.honor_labels) out.field(1, "honor_labels", true);
  out.field(1, "honor_timestamps", job.honor_timestamps);
  out.field(1, "track_timestamps_staleness", job.track_timestamps_staleness);
  if (!job.params.empty()) out.line(1, "params:");
  for (const auto& [name, values] : job.params) out.list(2, yaml_scalar(name), values);
  out.field(1, "scrape_interval", job.scrape_interval);
  out.field(1, "scrape_timeout", job.scrape_timeout);
  out.protocols(1, job.scrape_protocols);
  if (job.fallback_scrape_protocol) {
    out.field(1, "fallback_scrape_protocol", scrape_protocol_name(*job.fallback_scrape_protocol));
  }
  out.field(1, "metrics_path", job.metrics_path);
  out.field(1, "scheme", job.scheme);
  out.field(1, "enable_compression", job.enable_compression);
  render_limits(out, job);
  if (job.extra_scrape_metrics) out.field(1, "extra_scrape_metrics", true);
  out.field(1, "metric_name_validation_scheme", name_validation_name(job.name_validation));
  out.field(1, "metric_name_escaping_scheme", name_escaping_name(job.name_escaping));
  render_http_client(out, job.http);
  render_relabel(out, "relabel_configs", job.relabel_rules);
  render_relabel(out, "metric_relabel_configs", job.metric_relabel_rules);
  if (job.static_configs.empty()) return;
  out.line(1, "static_configs:");
  for (const ingest::TargetGroup& group : job.static_configs) {
    out.line(1, fmt::format("- targets:{}", group.targets.empty() ? " []" : ""));
    for (const std::string& target : group.targets) out.line(2, "- " + yaml_scalar(target));
    out.labels(2, "labels", group.labels);
  }
}

void render_storage(Emitter& out, const StorageConfig& storage) {
  if (!storage.retention_time && !storage.retention_bytes) return;
  out.line(0, "storage:");
  out.line(1, "tsdb:");
  out.line(2, "retention:");
  if (storage.retention_time) out.field(3, "time", *storage.retention_time);
  if (storage.retention_bytes) out.field(3, "size", format_bytes(*storage.retention_bytes));
}

}  // namespace

Config default_config(const std::string& own_address) {
  Config config;
  config.global.scrape_interval = seconds(15);
  config.global.evaluation_interval = seconds(15);
  ingest::ScrapeConfig job;
  job.job_name = "tarsier";
  job.scrape_interval = config.global.scrape_interval;
  job.static_configs = {{.targets = {own_address}}};
  config.scrape_configs = {std::move(job)};
  return config;
}

std::string render_config(const Config& config) {
  Emitter out;
  render_global(out, config.global);
  if (!config.scrape_configs.empty()) out.line(0, "scrape_configs:");
  for (const ingest::ScrapeConfig& job : config.scrape_configs) render_job(out, job);
  render_storage(out, config.storage);
  return out.take();
}

std::string_view scrape_protocol_name(ingest::ScrapeProtocol protocol) {
  switch (protocol) {
    case ingest::ScrapeProtocol::kPrometheusProto: return "PrometheusProto";
    case ingest::ScrapeProtocol::kOpenMetricsText1_0_0: return "OpenMetricsText1.0.0";
    case ingest::ScrapeProtocol::kOpenMetricsText0_0_1: return "OpenMetricsText0.0.1";
    case ingest::ScrapeProtocol::kPrometheusText1_0_0: return "PrometheusText1.0.0";
    case ingest::ScrapeProtocol::kPrometheusText0_0_4: return "PrometheusText0.0.4";
  }
  return "";
}

std::string_view name_validation_name(ingest::NameValidation validation) {
  return validation == ingest::NameValidation::kLegacy ? "legacy" : "utf8";
}

std::string_view name_escaping_name(ingest::NameEscaping escaping) {
  switch (escaping) {
    case ingest::NameEscaping::kAllowUtf8: return "allow-utf-8";
    case ingest::NameEscaping::kUnderscores: return "underscores";
    case ingest::NameEscaping::kDots: return "dots";
    case ingest::NameEscaping::kValues: return "values";
  }
  return "";
}

}  // namespace tarsier::server
