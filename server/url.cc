#include "server/url.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "base/ascii.h"
#include "base/quote.h"

namespace tarsier::server {
namespace {

std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return port;
}

std::uint16_t default_port(std::string_view scheme) { return scheme == "https" ? 443 : 80; }

bool has_control_or_blank(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) <= ' ' || c == 0x7f; });
}

/// Fills host and port from `host`, `host:port`, `[v6]` or `[v6]:port`.
bool read_authority(std::string_view authority, Url& url) {
  std::string_view port;
  bool has_port = false;
  if (authority.starts_with('[')) {
    const std::size_t close = authority.find(']');
    if (close == std::string_view::npos) return false;
    url.host = authority.substr(1, close - 1);
    authority.remove_prefix(close + 1);
    has_port = authority.starts_with(':');
    if (!has_port && !authority.empty()) return false;
    port = has_port ? authority.substr(1) : "";
  } else {
    const std::size_t colon = authority.find(':');
    url.host = authority.substr(0, colon);
    has_port = colon != std::string_view::npos;
    port = has_port ? authority.substr(colon + 1) : "";
  }
  url.port = default_port(url.scheme);
  if (has_port && !port.empty()) {
    const std::optional<std::uint16_t> number = parse_port(port);
    if (!number) return false;
    url.port = *number;
  }
  return !url.host.empty();
}

}  // namespace

std::string Url::authority() const {
  const bool is_v6 = host.find(':') != std::string::npos;
  std::string out = is_v6 ? "[" + host + "]" : host;
  if (port != default_port(scheme)) out += fmt::format(":{}", port);
  return out;
}

std::string Url::origin() const { return scheme + "://" + authority(); }

Result<Url> parse_url(std::string_view text) {
  const auto malformed = [&] { return invalid(fmt::format("{} is not a valid URL", quote(text))); };
  if (has_control_or_blank(text)) return malformed();
  Url url;
  const std::size_t colon = text.find("://");
  if (colon == std::string_view::npos) return malformed();
  url.scheme = ascii_lower(text.substr(0, colon));
  if (url.scheme != "http" && url.scheme != "https") {
    return invalid(fmt::format("unsupported protocol scheme {}", quote(url.scheme)));
  }
  std::string_view rest = text.substr(colon + 3);
  const std::size_t authority_size = std::min(rest.find_first_of("/?#"), rest.size());
  std::string_view authority = rest.substr(0, authority_size);
  rest.remove_prefix(authority_size);
  if (const std::size_t at = authority.rfind('@'); at != std::string_view::npos) {
    const std::optional<std::string> user_info = percent_decode(authority.substr(0, at));
    if (!user_info) return malformed();
    url.user_info = *user_info;
    authority.remove_prefix(at + 1);
  }
  if (!read_authority(authority, url)) return malformed();
  rest = rest.substr(0, rest.find('#'));
  url.target = rest.starts_with('/') ? std::string(rest) : "/" + std::string(rest);
  return url;
}

Result<Url> resolve_url(const Url& base, std::string_view location) {
  if (location.find("://") < location.find_first_of("/?#")) return parse_url(location);
  if (location.starts_with("//")) return parse_url(base.scheme + ":" + std::string(location));
  if (has_control_or_blank(location)) {
    return invalid(fmt::format("{} is not a valid URL", quote(location)));
  }
  Url url = base;
  location = location.substr(0, location.find('#'));
  const std::string_view path = std::string_view(base.target).substr(0, base.target.find('?'));
  if (location.starts_with('/')) {
    url.target = location;
  } else if (location.starts_with('?')) {
    url.target = std::string(path) + std::string(location);
  } else {
    url.target = std::string(path.substr(0, path.rfind('/') + 1)) + std::string(location);
  }
  return url;
}

std::string form_encoded(std::string_view text) {
  static constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    const bool is_plain =
        is_letter || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.' || c == '~';
    if (is_plain) {
      out += c;
    } else if (c == ' ') {
      out += '+';
    } else {
      out += '%';
      out += kHex[static_cast<unsigned char>(c) >> 4];
      out += kHex[static_cast<unsigned char>(c) & 15];
    }
  }
  return out;
}

std::vector<std::pair<std::string, std::string>> parse_form(std::string_view text) {
  std::vector<std::pair<std::string, std::string>> pairs;
  while (!text.empty()) {
    const std::size_t size = std::min(text.find('&'), text.size());
    const std::string_view pair = text.substr(0, size);
    text.remove_prefix(std::min(size + 1, text.size()));
    if (pair.empty() || pair.find(';') != std::string_view::npos) continue;
    const std::size_t equals = std::min(pair.find('='), pair.size());
    std::optional<std::string> name = form_decode(pair.substr(0, equals));
    std::optional<std::string> value = form_decode(pair.substr(std::min(equals + 1, pair.size())));
    if (name && value) pairs.emplace_back(std::move(*name), std::move(*value));
  }
  return pairs;
}

Result<std::pair<std::string, std::uint16_t>> parse_address(std::string_view text) {
  const auto malformed = [&](std::string_view why) {
    return invalid(fmt::format("address {}: {}", text, why));
  };
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return malformed("missing port in address");
  std::string_view host = text.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return malformed("too many colons in address");
  }
  const std::optional<std::uint16_t> port = parse_port(text.substr(colon + 1));
  if (!port) return malformed("invalid port");
  return std::pair{std::string(host), *port};
}

}  // namespace tarsier::server
