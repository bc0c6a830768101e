#include "server/config_http_client.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "base/ascii.h"
#include "base/file.h"
#include "base/quote.h"
#include "server/base64.h"
#include "server/config_fields.h"

namespace tarsier::server {
namespace {

constexpr std::size_t kCredentialsBytesMax = 1 << 20;

/// What the file of a secret or a header holds, without blanks around it. Nothing, and a warning at
/// `at`, when it cannot be read: then requests fail, not the configuration.
std::optional<std::string> read_value_file(std::string path, const YamlNode& at,
                                           const ConfigSources& sources, Problems& problems) {
  if (!sources.files) return std::nullopt;
  if (!path.starts_with('/')) path = join_path(parent_path(sources.file), path);
  const Result<std::string> contents = read_file(*sources.files, path, kCredentialsBytesMax);
  if (contents.ok()) return std::string(trimmed(*contents));
  problems.warn(at, contents.status().message());
  return std::nullopt;
}

/// `name` or the contents of the file `name_file`.
std::string read_secret(MapReader& map, const std::string& name, const ConfigSources& sources) {
  std::string secret;
  std::string path;
  map.read(name, secret);
  map.read(name + "_file", path);
  if (path.empty()) return secret;
  return read_value_file(path, *map.find(name + "_file"), sources, map.problems()).value_or(secret);
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
  const std::string lower = ascii_lower(name);
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
    for (const std::string& path : files) {
      auto text = read_value_file(path, key, sources, map.problems());
      if (text) headers.emplace_back(key.text, std::move(*text));
    }
    header.finish();
  }
  reader.finish();
  return {};
}

/// A line break in a header would end it and begin another one.
Status check_line_breaks(const YamlNode& at, const HttpHeaders& headers) {
  for (const auto& [name, value] : headers) {
    if ((name + value).find_first_of("\r\n") != std::string::npos) {
      return invalid_at(at, fmt::format("header {} has a line break", quote(name)));
    }
  }
  return {};
}

/// At most one way to say who we are, as an Authorization header.
Status read_credentials(MapReader& map, const ConfigSources& sources, HttpHeaders& headers) {
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
    headers.emplace_back("Authorization", "Basic " + encode_base64(user + ":" + password));
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
    headers.emplace_back("Authorization", type + " " + credentials);
  }
  if (has_bearer) {
    headers.emplace_back("Authorization", "Bearer " + read_secret(map, "bearer_token", sources));
  }
  return {};
}

}  // namespace

Status read_http_client(MapReader& map, const ConfigSources& sources, HttpHeaders& headers,
                        bool& follow_redirects) {
  TRY(read_credentials(map, sources, headers));
  map.read("follow_redirects", follow_redirects);
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
  TRY(read_http_headers(map, sources, headers));
  const YamlNode* custom = map.find("http_headers");
  return check_line_breaks(custom ? *custom : map.node(), headers);
}

}  // namespace tarsier::server
