#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/result.h"

namespace tarsier::server {

class Flags;

/// The whole server: owns every room and every thread, and carries values between rooms. Threads:
/// two for the network, one for our own requests, one that syncs the log, one that starts scrapes
/// and expires deadlines, one that maintains storage, and a pool each for queries and for the parts
/// of one task. Made and ended on the program's main thread.
class Tarsier final {
 public:
  /// Reads the configuration, listens, opens and replays the database (answering 503 meanwhile),
  /// and begins to work. `quit` is called, on some thread, when a client asks the server to end.
  /// The error is kInvalid or kNotFound when the configuration is at fault, anything else when the
  /// machine is.
  static Result<std::unique_ptr<Tarsier>> start(const Flags& flags, Logger& log,
                                                std::function<void()> quit);
  /// Stops in order: no new requests, running ones end, everything is written and synced.
  ~Tarsier();

  /// Reads the configuration again and waits until it is in force. After an error the old one goes
  /// on.
  Status reload();
  const std::vector<std::string>& addresses() const;

 private:
  struct Impl;
  explicit Tarsier(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tarsier::server
