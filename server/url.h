#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/percent_encoding.h"
#include "base/result.h"

namespace tarsier::server {

/// The parts of an absolute http or https URL that a client needs.
struct Url {
  std::string scheme;  ///< "http" or "https".
  std::string host;    ///< Without brackets, port or user information.
  std::uint16_t port = 80;
  std::string target = "/";  ///< Path and query as they go on the wire.
  std::string user_info;     ///< `user:password`, percent-decoded; empty if absent.
  /// `host:port` with brackets around IPv6, the port left out when it is the scheme's own.
  std::string authority() const;
  /// `scheme://host:port` without target: who shares a connection.
  std::string origin() const;
};

/// kInvalid when it is not an absolute http(s) URL.
Result<Url> parse_url(std::string_view text);
/// The URL that `location` means when it is found at `base`.
Result<Url> resolve_url(const Url& base, std::string_view location);

/// For a form or a query: unreserved characters stay, a blank becomes `+`, the rest `%41`.
std::string form_encoded(std::string_view text);

/// `a=1&b=x+y` in order, decoded; pairs that do not decode are skipped.
std::vector<std::pair<std::string, std::string>> parse_form(std::string_view text);

/// Splits `host:port`, `[v6]:port` or `:port`; the port is required.
Result<std::pair<std::string, std::uint16_t>> parse_address(std::string_view text);

}  // namespace tarsier::server
