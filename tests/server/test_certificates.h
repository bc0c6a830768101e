#pragma once

#include <string>

namespace tarsier::server {

/// A certificate and its key as PEM.
struct TestCertificate {
  std::string certificate;
  std::string key;
};

/// Signs certificates for tests: fresh EC keys, valid for an hour around now.
class TestAuthority {
 public:
  TestAuthority();
  /// For what `names` says in OpenSSL's spelling: "DNS:localhost,IP:127.0.0.1".
  TestCertificate issue(const std::string& names) const;
  const std::string& certificate() const { return self_.certificate; }

 private:
  TestCertificate self_;
};

}  // namespace tarsier::server
