#include "server/dns_resolver.h"
#include "tests/fuzz/fuzz.h"

namespace tarsier {

void fuzz_one(Bytes input) {
  const auto* const message = reinterpret_cast<const unsigned char*>(input.data());
  for (const DnsType type :
       {DnsType::kA, DnsType::kAaaa, DnsType::kSrv, DnsType::kMx, DnsType::kNs}) {
    (void)server::parse_dns_answer(message, input.size(), type);
  }
}

}  // namespace tarsier
