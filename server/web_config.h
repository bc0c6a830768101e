#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/http.h"
#include "base/http_client_config.h"
#include "base/result.h"
#include "base/time.h"
#include "server/tls.h"

namespace tarsier::server {

/// What `--web.config.file` says: how clients reach every listener, and who may.
struct WebConfig {
  TextOrFile certificate;
  TextOrFile key;
  TextOrFile client_ca;
  TlsServerRules tls;
  /// The peer's certificate must carry one of these; empty: any.
  std::vector<std::string> client_allowed_names;
  bool http2 = true;                         ///< Accepted; we speak HTTP/1.1.
  HttpHeaders headers;                       ///< Added to every answer.
  std::map<std::string, std::string> users;  ///< Name to bcrypt hash; empty: everybody may.
  Duration rate_interval{0};                 ///< One request more each; 0: no limit.
  std::uint64_t rate_burst = 0;

  bool has_tls() const { return certificate.is_set(); }
};

/// Reads the file strictly. `path` is for messages, and relative paths in it start at its
/// directory. kInvalid with line and column.
Result<WebConfig> parse_web_config(std::string_view text, const std::string& path);

}  // namespace tarsier::server
