#include "tests/server/test_certificates.h"

#include <memory>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "base/check.h"

namespace tarsier::server {
namespace {

template <typename T, void (*kFree)(T*)>
struct Free {
  void operator()(T* object) const { kFree(object); }
};
using Key = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY, EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Free<X509, X509_free>>;

template <typename Write>
std::string to_pem(Write write) {
  BIO* const out = BIO_new(BIO_s_mem());
  CHECK(write(out) == 1);
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(out, &bytes);
  std::string text(bytes, static_cast<std::size_t>(size));
  BIO_free(out);
  return text;
}

Key key_from(const std::string& pem) {
  BIO* const in = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
  Key key(PEM_read_bio_PrivateKey(in, nullptr, nullptr, nullptr));
  BIO_free(in);
  return key;
}

Certificate certificate_from(const std::string& pem) {
  BIO* const in = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
  Certificate certificate(PEM_read_bio_X509(in, nullptr, nullptr, nullptr));
  BIO_free(in);
  return certificate;
}

void add(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  CHECK(extension != nullptr);
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

TestCertificate make(const std::string& name, const TestCertificate* issuer,
                     const std::string& alternative_names) {
  const Key key(EVP_EC_gen("P-256"));
  const Certificate certificate(X509_new());
  X509_set_version(certificate.get(), 2);
  std::uint32_t serial = 0;
  RAND_bytes(reinterpret_cast<unsigned char*>(&serial), sizeof(serial));
  ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), static_cast<long>(serial >> 1));
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -1800);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 1800);
  X509_set_pubkey(certificate.get(), key.get());
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate.get()), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  const Certificate parent = issuer ? certificate_from(issuer->certificate) : nullptr;
  const Key parent_key = issuer ? key_from(issuer->key) : nullptr;
  X509* const signer = parent ? parent.get() : certificate.get();
  X509_set_issuer_name(certificate.get(), X509_get_subject_name(signer));
  if (!issuer) add(certificate.get(), signer, NID_basic_constraints, "critical,CA:TRUE");
  if (!alternative_names.empty()) {
    add(certificate.get(), signer, NID_subject_alt_name, alternative_names);
  }
  CHECK(X509_sign(certificate.get(), parent_key ? parent_key.get() : key.get(), EVP_sha256()) > 0);
  return {to_pem([&](BIO* out) { return PEM_write_bio_X509(out, certificate.get()); }),
          to_pem([&](BIO* out) {
            return PEM_write_bio_PrivateKey(out, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
          })};
}

}  // namespace

TestAuthority::TestAuthority() : self_(make("test authority", nullptr, "")) {}

TestCertificate TestAuthority::issue(const std::string& names) const {
  return make("test", &self_, names);
}

}  // namespace tarsier::server
