#pragma once

#include <memory>
#include <string>

#include "base/log.h"
#include "base/result.h"
#include "server/http_server.h"
#include "server/router.h"
#include "server/routes.h"

namespace tarsier::server {

class Flags;

/// Where a flag that may say so, or a default port on the host of the first --web.listen-address,
/// has a receiver listen.
struct ReceiverAddress {
  std::string address;       ///< Empty: nowhere.
  bool is_explicit = false;  ///< The flag was given: a port that is taken is then an error.
};
/// A server on a free port (0) is one nobody sends to: there the default is nowhere.
ReceiverAddress receiver_address(const Flags& flags, const std::string& flag, int default_port);

/// OTLP/HTTP's own port (4318): the paths of the specification and nothing else, behind the same
/// guard as the main port. Made and ended by the composition.
class OtlpListener final {
 public:
  /// Null when it is off, or when its default port is taken, which is logged. `doors` must outlive
  /// it.
  static Result<std::unique_ptr<OtlpListener>> listen(const Flags& flags, const Doors& doors,
                                                      Logger& log, HttpGuard guard);

  void set_state(Router::State state) { router_->set_state(state); }
  const std::string& address() const { return http_->addresses()[0]; }
  /// Takes no more requests, lets running ones end, then closes every connection.
  void drain(Duration grace);

 private:
  OtlpListener() = default;
  std::unique_ptr<Router> router_;
  std::unique_ptr<HttpServer> http_;
};

}  // namespace tarsier::server
