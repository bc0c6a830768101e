#include "server/tls.h"

#include <array>

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <fmt/format.h>
#include <boost/asio/ssl/context.hpp>

namespace tarsier::server {
namespace {

namespace ssl = boost::asio::ssl;

int openssl_version(TlsVersion version) {
  switch (version) {
    case TlsVersion::k10: return TLS1_VERSION;
    case TlsVersion::k11: return TLS1_1_VERSION;
    case TlsVersion::k12: return TLS1_2_VERSION;
    case TlsVersion::k13: return TLS1_3_VERSION;
  }
  return TLS1_2_VERSION;
}

/// The oldest error OpenSSL has noted on this thread, and forgets all.
std::string openssl_error() {
  std::array<char, 256> text{};
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  if (code == 0) return "unknown error";
  ERR_error_string_n(code, text.data(), text.size());
  return text.data();
}

boost::asio::const_buffer bytes_of(const std::string& text) {
  return boost::asio::const_buffer(text.data(), text.size());
}

Status use_certificate(ssl::context& context, const TlsMaterial& material) {
  boost::system::error_code error;
  context.use_certificate_chain(bytes_of(material.certificate), error);
  if (error) return unavailable(fmt::format("tls: the certificate: {}", error.message()));
  context.use_private_key(bytes_of(material.key), ssl::context::pem, error);
  if (error) return unavailable(fmt::format("tls: the key: {}", error.message()));
  if (SSL_CTX_check_private_key(context.native_handle()) != 1) {
    return unavailable(
        fmt::format("tls: private key does not match public key: {}", openssl_error()));
  }
  return {};
}

/// Every certificate of a PEM text; one that has none is an error, not an empty trust.
Status trust(ssl::context& context, const std::string& pem) {
  BIO* const in = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
  X509_STORE* const store = SSL_CTX_get_cert_store(context.native_handle());
  int count = 0;
  while (X509* const certificate = PEM_read_bio_X509(in, nullptr, nullptr, nullptr)) {
    X509_STORE_add_cert(store, certificate);
    X509_free(certificate);
    ++count;
  }
  BIO_free(in);
  ERR_clear_error();
  if (count == 0) return unavailable("tls: unable to use the CA: no certificate in it");
  return {};
}

int take_any(int /*preverified*/, X509_STORE_CTX* /*chain*/) { return 1; }

Status choose_ciphers(ssl::context& context, const TlsServerRules& rules) {
  SSL_CTX* const handle = context.native_handle();
  std::string list;
  for (const std::string& name : rules.cipher_suites) {
    // TLS 1.3 has its own few suites, which nobody needs to choose from; as in Go.
    if (name.starts_with("TLS_AES_") || name.starts_with("TLS_CHACHA20_")) continue;
    const char* const known = OPENSSL_cipher_name(name.c_str());
    const std::string spelling =
        known && std::string_view(known) != "(NONE)" ? std::string(known) : name;
    list += (list.empty() ? "" : ":") + spelling;
  }
  if (!list.empty() && SSL_CTX_set_cipher_list(handle, list.c_str()) != 1) {
    ERR_clear_error();
    return invalid(fmt::format("unknown cipher: {}", list));
  }
  std::string curves;
  for (std::string name : rules.curves) {
    if (name == "CurveP256") name = "P-256";
    if (name == "CurveP384") name = "P-384";
    if (name == "CurveP521") name = "P-521";
    curves += (curves.empty() ? "" : ":") + name;
  }
  if (!curves.empty() && SSL_CTX_set1_curves_list(handle, curves.c_str()) != 1) {
    ERR_clear_error();
    return invalid(fmt::format("unknown curve: {}", curves));
  }
  if (rules.prefer_server_ciphers) {
    SSL_CTX_set_options(handle, SSL_OP_CIPHER_SERVER_PREFERENCE);
  }
  return {};
}

void limit_versions(ssl::context& context, TlsVersion min, TlsVersion max) {
  SSL_CTX* const handle = context.native_handle();
  SSL_CTX_set_min_proto_version(handle, openssl_version(min));
  SSL_CTX_set_max_proto_version(handle, openssl_version(max));
  // Debian's default level refuses what a user has asked for explicitly.
  if (min < TlsVersion::k12) SSL_CTX_set_security_level(handle, 0);
}

bool is_address(const std::string& name) {
  std::array<unsigned char, 16> bytes{};
  return ::inet_pton(AF_INET, name.c_str(), bytes.data()) == 1 ||
         ::inet_pton(AF_INET6, name.c_str(), bytes.data()) == 1;
}

std::string name_text(const GENERAL_NAME& name) {
  const auto text = [](const ASN1_STRING* value) {
    return std::string(reinterpret_cast<const char*>(ASN1_STRING_get0_data(value)),
                       static_cast<std::size_t>(ASN1_STRING_length(value)));
  };
  switch (name.type) {
    case GEN_DNS: return text(name.d.dNSName);
    case GEN_EMAIL: return text(name.d.rfc822Name);
    case GEN_URI: return text(name.d.uniformResourceIdentifier);
    case GEN_IPADD: {
      const std::string bytes = text(name.d.iPAddress);
      std::array<char, INET6_ADDRSTRLEN> out{};
      const int family = bytes.size() == 4 ? AF_INET : AF_INET6;
      if (bytes.size() != 4 && bytes.size() != 16) return "";
      ::inet_ntop(family, bytes.data(), out.data(), out.size());
      return out.data();
    }
    default: return "";
  }
}

std::vector<std::string> alternative_names(X509* certificate) {
  std::vector<std::string> out;
  auto* const names = static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  if (!names) return out;
  for (int i = 0; i < sk_GENERAL_NAME_num(names); ++i) {
    std::string text = name_text(*sk_GENERAL_NAME_value(names, i));
    if (!text.empty()) out.push_back(std::move(text));
  }
  GENERAL_NAMES_free(names);
  return out;
}

std::string verification_fault(X509_STORE_CTX* chain, const std::string& name) {
  const int result = X509_STORE_CTX_get_error(chain);
  switch (result) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH: {
      const std::vector<std::string> names = alternative_names(X509_STORE_CTX_get0_cert(chain));
      if (names.empty()) {
        return fmt::format("certificate is not valid for any names, but wanted to match {}", name);
      }
      return fmt::format("certificate is valid for {}, not {}", fmt::join(names, ", "), name);
    }
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID: return "certificate has expired or is not yet valid";
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
      return "certificate signed by unknown authority";
    default: return X509_verify_cert_error_string(result);
  }
}

/// What one handshake expects and what was wrong; belongs to its SSL.
struct Expectation {
  std::string name;
  std::string fault;
};

void drop_expectation(void* /*parent*/, void* expectation, CRYPTO_EX_DATA* /*data*/, int /*index*/,
                      long /*number*/, void* /*pointer*/) {
  delete static_cast<Expectation*>(expectation);
}

int expectation_index() {
  static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, drop_expectation);
  return index;
}

Expectation* expectation_of(SSL* handle) {
  return static_cast<Expectation*>(SSL_get_ex_data(handle, expectation_index()));
}

/// The certificates are gone once the handshake has failed, so the words are found here.
int note_fault(int verified, X509_STORE_CTX* chain) {
  if (verified == 1) return 1;
  auto* const handle =
      static_cast<SSL*>(X509_STORE_CTX_get_ex_data(chain, SSL_get_ex_data_X509_STORE_CTX_idx()));
  Expectation* const expectation = expectation_of(handle);
  if (expectation) expectation->fault = verification_fault(chain, expectation->name);
  return 0;
}

}  // namespace

Result<TlsContext> make_tls_client_context(const TlsClientConfig& config,
                                           const TlsMaterial& material) {
  auto context = std::make_shared<ssl::context>(ssl::context::tls_client);
  limit_versions(*context, config.version_min, config.version_max);
  if (!material.ca.empty()) {
    TRY(trust(*context, material.ca));
  } else {
    boost::system::error_code ignored;  // A machine without CA certificates trusts nobody.
    context->set_default_verify_paths(ignored);
  }
  if (!material.certificate.empty()) TRY(use_certificate(*context, material));
  return context;
}

Result<TlsContext> make_tls_server_context(const TlsServerRules& rules,
                                           const TlsMaterial& material) {
  auto context = std::make_shared<ssl::context>(ssl::context::tls_server);
  limit_versions(*context, rules.version_min, rules.version_max);
  TRY(choose_ciphers(*context, rules));
  TRY(use_certificate(*context, material));
  SSL_CTX* const handle = context->native_handle();
  const unsigned char session_id[] = "tarsier";
  SSL_CTX_set_session_id_context(handle, session_id, sizeof(session_id) - 1);
  if (rules.clients == ClientCertificates::kNone) return context;
  const bool verifies = rules.clients == ClientCertificates::kVerifyIfGiven ||
                        rules.clients == ClientCertificates::kRequireVerified;
  const bool requires_one = rules.clients == ClientCertificates::kRequireAny ||
                            rules.clients == ClientCertificates::kRequireVerified;
  if (verifies) TRY(trust(*context, material.ca));
  SSL_CTX_set_verify(handle, SSL_VERIFY_PEER | (requires_one ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
                     verifies ? nullptr : take_any);
  return context;
}

void expect_server(void* native_handle, const std::string& name, bool verify) {
  SSL* const handle = static_cast<SSL*>(native_handle);
  const bool by_address = is_address(name);
  if (!by_address) SSL_set_tlsext_host_name(handle, name.c_str());
  if (!verify) {
    SSL_set_verify(handle, SSL_VERIFY_NONE, nullptr);
    return;
  }
  SSL_set_ex_data(handle, expectation_index(), new Expectation{name, {}});
  SSL_set_verify(handle, SSL_VERIFY_PEER, note_fault);
  X509_VERIFY_PARAM* const rules = SSL_get0_param(handle);
  // As Go: the common name is nobody's name any more.
  X509_VERIFY_PARAM_set_hostflags(
      rules, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
  if (by_address) {
    X509_VERIFY_PARAM_set1_ip_asc(rules, name.c_str());
  } else {
    X509_VERIFY_PARAM_set1_host(rules, name.data(), name.size());
  }
}

std::string handshake_fault(void* native_handle, std::string otherwise) {
  const Expectation* const expectation = expectation_of(static_cast<SSL*>(native_handle));
  if (!expectation || expectation->fault.empty()) return otherwise;
  return fmt::format("tls: failed to verify certificate: x509: {}", expectation->fault);
}

std::vector<std::string> peer_alternative_names(void* native_handle) {
  X509* const certificate = SSL_get1_peer_certificate(static_cast<SSL*>(native_handle));
  if (!certificate) return {};
  std::vector<std::string> out = alternative_names(certificate);
  X509_free(certificate);
  return out;
}

}  // namespace tarsier::server
