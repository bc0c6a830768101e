#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace tarsier {

/// A text given in the configuration, or the file that holds it. Files are read anew for each use,
/// without blanks around what they hold, so that a rotated secret needs no reload.
struct TextOrFile {
  std::string text;
  std::string file;  ///< Absolute or relative to the working directory; wins over `text`.
  bool is_set() const { return !text.empty() || !file.empty(); }
  bool operator==(const TextOrFile&) const = default;
};

enum class TlsVersion : unsigned char { k10, k11, k12, k13 };

/// Whom we trust, and who we are, when a connection is encrypted.
struct TlsClientConfig {
  TextOrFile ca;           ///< PEM certificates; unset: those of the operating system.
  TextOrFile certificate;  ///< PEM, ours; with `key`.
  TextOrFile key;
  std::string server_name;  ///< What the certificate must be for; empty: the URL's host.
  bool insecure_skip_verify = false;
  TlsVersion version_min = TlsVersion::k12;
  TlsVersion version_max = TlsVersion::k13;
  bool operator==(const TlsClientConfig&) const = default;
};

/// Which requests go through a proxy.
struct ProxyConfig {
  std::string url;  ///< `http://[user:password@]host:port`; empty: none.
  /// Hosts that are asked directly: addresses, networks, domains and ports, comma separated.
  std::string no_proxy;
  /// The two above come from HTTP_PROXY, HTTPS_PROXY and NO_PROXY.
  bool from_environment = false;
  /// Sent with CONNECT.
  std::vector<std::pair<std::string, std::string>> connect_headers;
  bool operator==(const ProxyConfig&) const = default;
};

/// How a request says who sends it.
struct HttpCredentials {
  enum class Kind : unsigned char { kNone, kBasic, kAuthorization };
  Kind kind = Kind::kNone;
  TextOrFile user;     ///< kBasic.
  std::string scheme;  ///< kAuthorization: the word before the secret.
  TextOrFile secret;   ///< Password or credentials.
  bool operator==(const HttpCredentials&) const = default;
};

/// A token fetched with the client credentials grant (RFC 6749, 4.4) and sent as a bearer.
struct OAuth2Config {
  std::string client_id;
  TextOrFile client_secret;
  std::vector<std::string> scopes;
  std::string token_url;
  std::vector<std::pair<std::string, std::string>> endpoint_parameters;
  TlsClientConfig tls;
  ProxyConfig proxy;
  bool operator==(const OAuth2Config&) const = default;
};

/// A header the configuration adds.
struct ConfiguredHeader {
  std::string name;
  TextOrFile value;
  bool is_secret = false;
  bool operator==(const ConfiguredHeader&) const = default;
};

/// How requests to somebody are sent: the fields a scrape job, a discovery, a remote store and an
/// Alertmanager have in common. Plain data, made by the reader of the configuration.
struct HttpClientConfig {
  HttpCredentials credentials;
  std::optional<OAuth2Config> oauth2;
  TlsClientConfig tls;
  ProxyConfig proxy;
  std::vector<ConfiguredHeader> headers;
  bool follow_redirects = true;
  bool enable_http2 = true;  ///< Shown again; requests are HTTP/1.1, which every server speaks.
  bool operator==(const HttpClientConfig&) const = default;
};

}  // namespace tarsier
