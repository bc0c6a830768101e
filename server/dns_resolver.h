#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/dns.h"

namespace tarsier::server {

/// The real DnsResolver: glibc's, so `/etc/resolv.conf` with its servers, search list and retries
/// counts, read anew for each question. A few threads of its own wait for answers; questions beyond
/// the queue's size are answered kUnavailable; those still waiting when it ends are dropped.
class SystemDnsResolver final : public DnsResolver {
 public:
  SystemDnsResolver();
  ~SystemDnsResolver() override;
  void lookup(std::string name, DnsType type,
              std::function<void(Result<std::vector<DnsRecord>>)> done) override;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;  // With its threads.
};

/// Reads a whole answer message for `type`; aliases and other types in it are skipped.
/// kCorruption when it is none.
Result<std::vector<DnsRecord>> parse_dns_answer(const unsigned char* message, std::size_t size,
                                                DnsType type);

}  // namespace tarsier::server
