#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/http_client_config.h"
#include "base/result.h"

namespace boost::asio::ssl {
class context;
}

namespace tarsier::server {

using TlsContext = std::shared_ptr<boost::asio::ssl::context>;

/// What certificates and keys say, read from where they are configured; empty: not configured.
struct TlsMaterial {
  std::string ca;
  std::string certificate;
  std::string key;
  bool operator==(const TlsMaterial&) const = default;
};

/// For connections we open: trusts `material.ca`, or what the operating system trusts if that is
/// empty. kUnavailable with OpenSSL's words when something does not parse.
Result<TlsContext> make_tls_client_context(const TlsClientConfig& config,
                                           const TlsMaterial& material);

enum class ClientCertificates : unsigned char {
  kNone,            ///< Not asked for.
  kRequest,         ///< Asked for, and not looked at.
  kRequireAny,      ///< Must be there, whoever signed it.
  kVerifyIfGiven,   ///< One that is there must be signed by the client CA.
  kRequireVerified  ///< Must be there and signed by the client CA.
};

/// For connections we accept.
struct TlsServerRules {
  ClientCertificates clients = ClientCertificates::kNone;
  TlsVersion version_min = TlsVersion::k12;
  TlsVersion version_max = TlsVersion::k13;
  /// OpenSSL names for TLS 1.2 and older, IANA names are accepted too; empty: OpenSSL's choice.
  std::vector<std::string> cipher_suites;
  std::vector<std::string> curves;
  bool prefer_server_ciphers = true;
};
Result<TlsContext> make_tls_server_context(const TlsServerRules& rules,
                                           const TlsMaterial& material);

/// Sets the name a handshake asks for and checks. `native_handle` is an `SSL*`. Addresses are
/// checked as addresses. Without `verify`, nothing is checked.
void expect_server(void* native_handle, const std::string& name, bool verify);
/// Why a handshake that expect_server() prepared failed, in the words users of Prometheus know
/// ("tls: failed to verify certificate: x509: certificate signed by unknown authority"), or
/// `otherwise` when the certificate was not the reason.
std::string handshake_fault(void* native_handle, std::string otherwise);
/// DNS names, addresses, e-mail addresses and URIs of the peer's certificate.
std::vector<std::string> peer_alternative_names(void* native_handle);

}  // namespace tarsier::server
