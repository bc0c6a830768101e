#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"

namespace tarsier {

enum class DnsType : unsigned char { kA, kAaaa, kSrv, kMx, kNs };

/// One record of an answer.
struct DnsRecord {
  std::string target;      ///< The address of A and AAAA, else the host name as it is written.
  std::uint16_t port = 0;  ///< Of SRV.
};

/// Part of the network seam: questions to the name servers the machine is configured with. The
/// answer comes on a thread of the resolver, or at once on the caller's. kNotFound when the name
/// does not exist under any search domain, kUnavailable when nobody could say. Any number of
/// threads.
class DnsResolver {
 public:
  virtual ~DnsResolver() = default;
  virtual void lookup(std::string name, DnsType type,
                      std::function<void(Result<std::vector<DnsRecord>>)> done) = 0;
};

}  // namespace tarsier
