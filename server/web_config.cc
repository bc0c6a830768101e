#include "server/web_config.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include "base/ascii.h"
#include "base/quote.h"
#include "server/config_fields.h"
#include "server/config_http_client.h"
#include "server/config_reader.h"
#include "server/yaml.h"

namespace tarsier::server {
namespace {

/// `name` or `name_file`, not both.
Result<TextOrFile> read_pem(MapReader& map, const std::string& name, const ConfigSources& sources) {
  TextOrFile out;
  map.read(name, out.text);
  map.read(name + "_file", out.file);
  if (!out.text.empty() && !out.file.empty()) {
    return invalid_at(*map.find(name),
                      fmt::format("cannot specify both {} and {}_file", name, name));
  }
  out.file = resolve_path(out.file, sources);
  return out;
}

Result<ClientCertificates> client_certificates(const std::string& type) {
  static constexpr std::pair<std::string_view, ClientCertificates> kTypes[] = {
      {"", ClientCertificates::kNone},
      {"NoClientCert", ClientCertificates::kNone},
      {"RequestClientCert", ClientCertificates::kRequest},
      {"RequireAnyClientCert", ClientCertificates::kRequireAny},
      {"RequireClientCert", ClientCertificates::kRequireAny},
      {"VerifyClientCertIfGiven", ClientCertificates::kVerifyIfGiven},
      {"RequireAndVerifyClientCert", ClientCertificates::kRequireVerified}};
  for (const auto& [name, value] : kTypes) {
    if (name == type) return value;
  }
  return invalid(fmt::format("invalid ClientAuth: {}", type));
}

Status read_tls(const YamlNode& node, const ConfigSources& sources, Problems& problems,
                WebConfig& out) {
  MapReader map(node, "tls_server_config", problems);
  out.certificate = TRY(read_pem(map, "cert", sources));
  out.key = TRY(read_pem(map, "key", sources));
  out.client_ca = TRY(read_pem(map, "client_ca", sources));
  std::string type;
  map.read("client_auth_type", type);
  Result<ClientCertificates> clients = client_certificates(type);
  if (!clients.ok()) {
    return invalid_at(*map.find("client_auth_type"), clients.status().message());
  }
  out.tls.clients = *clients;
  map.read("client_allowed_sans", out.client_allowed_names);
  for (const auto& [field, version] : {std::pair{"min_version", &out.tls.version_min},
                                       std::pair{"max_version", &out.tls.version_max}}) {
    std::string text;
    map.read(field, text);
    if (text.empty()) continue;
    Result<TlsVersion> parsed = parse_tls_version(text);
    if (!parsed.ok()) return invalid_at(*map.find(field), parsed.status().message());
    *version = *parsed;
  }
  map.read("cipher_suites", out.tls.cipher_suites);
  map.read("curve_preferences", out.tls.curves);
  map.read("prefer_server_cipher_suites", out.tls.prefer_server_ciphers);
  map.finish();
  if (out.certificate.is_set() && !out.key.is_set()) return invalid_at(node, "missing key_file");
  if (out.key.is_set() && !out.certificate.is_set()) return invalid_at(node, "missing cert_file");
  const bool verifies = out.tls.clients == ClientCertificates::kVerifyIfGiven ||
                        out.tls.clients == ClientCertificates::kRequireVerified;
  if (out.client_ca.is_set() && out.tls.clients == ClientCertificates::kNone) {
    return invalid_at(node, "Client CA's have been configured without a Client Auth Policy");
  }
  if (verifies && !out.client_ca.is_set()) {
    return invalid_at(node, fmt::format("client_auth_type {} needs client_ca_file", type));
  }
  if (!out.client_allowed_names.empty() && !verifies) {
    return invalid_at(node, "client_allowed_sans needs a client_auth_type that verifies");
  }
  return {};
}

Status read_headers(MapReader& http, Problems& problems, WebConfig& out) {
  const YamlNode* const node = http.find("headers");
  if (!node) return {};
  struct Allowed {
    std::string_view name;
    std::vector<std::string_view> values;  // Empty: any.
  };
  static const std::array<Allowed, 5> kAllowed = {{{"Strict-Transport-Security", {}},
                                                   {"X-Content-Type-Options", {"nosniff"}},
                                                   {"X-Frame-Options", {"deny", "sameorigin"}},
                                                   {"X-XSS-Protection", {}},
                                                   {"Content-Security-Policy", {}}}};
  MapReader map(*node, "http_server_config.headers", problems);
  for (const auto& [key, value] : node->entries) {
    std::string text;
    map.read(key.text, text);
    const auto* const rule =
        std::find_if(kAllowed.begin(), kAllowed.end(),
                     [&](const Allowed& allowed) { return allowed.name == key.text; });
    if (rule == kAllowed.end()) {
      return invalid_at(key, fmt::format("HTTP header {} can not be configured", quote(key.text)));
    }
    const bool is_allowed =
        rule->values.empty() || std::find(rule->values.begin(), rule->values.end(),
                                          ascii_lower(text)) != rule->values.end();
    if (!is_allowed || text.find_first_of("\r\n") != std::string::npos) {
      return invalid_at(value, fmt::format("invalid value for {}: {}", key.text, quote(text)));
    }
    if (!text.empty()) out.headers.emplace_back(key.text, text);
  }
  map.finish();
  return {};
}

Status read_users(const YamlNode& node, Problems& problems, WebConfig& out) {
  MapReader map(node, "basic_auth_users", problems);
  for (const auto& [key, value] : node.entries) {
    std::string hash;
    map.read(key.text, hash);
    // $2y$10$ and 53 characters.
    const bool is_bcrypt = hash.size() == 60 && hash.starts_with("$2") && hash[3] == '$' &&
                           hash[6] == '$' && hash.find(':') == std::string::npos;
    if (!is_bcrypt) {
      return invalid_at(value,
                        fmt::format("the hash of user {} is not a bcrypt hash", quote(key.text)));
    }
    out.users[key.text] = hash;
  }
  map.finish();
  return {};
}

}  // namespace

Result<WebConfig> parse_web_config(std::string_view text, const std::string& path) {
  const auto prefixed = [&](Status status) {
    return std::move(status).with_prefix(fmt::format("web configuration file {}", path));
  };
  Result<YamlNode> root = parse_yaml(text);
  if (!root.ok()) return prefixed(std::move(root).status());
  const ConfigSources sources{.file = path};
  Problems problems;
  WebConfig out;
  MapReader map(*root, "", problems);
  if (const YamlNode* node = map.find("tls_server_config")) {
    if (Status s = read_tls(*node, sources, problems, out); !s.ok()) return prefixed(std::move(s));
  }
  if (const YamlNode* node = map.find("http_server_config")) {
    MapReader http(*node, "http_server_config", problems);
    http.read("http2", out.http2);
    if (Status s = read_headers(http, problems, out); !s.ok()) return prefixed(std::move(s));
    http.finish();
  }
  if (const YamlNode* node = map.find("basic_auth_users")) {
    if (Status s = read_users(*node, problems, out); !s.ok()) return prefixed(std::move(s));
  }
  if (const YamlNode* node = map.find("rate_limit")) {
    MapReader limit(*node, "rate_limit", problems);
    limit.read("interval", out.rate_interval);
    limit.read("burst", out.rate_burst);
    limit.finish();
  }
  map.finish();
  if (!problems.empty()) return prefixed(invalid(problems.to_string()));
  return out;
}

}  // namespace tarsier::server
