#pragma once

#include <functional>

#include "base/result.h"
#include "server/net_stream.h"
#include "server/tls.h"

namespace tarsier::server {

// An inside of HttpServer.

enum class TlsWelcome : unsigned char {
  kEncrypted,
  kPlainText,  ///< The client speaks without encryption; nothing was read.
  kFailed,
};

/// Encrypts a connection that was just accepted. `done` is called once, on the stream's thread; it
/// keeps the stream alive until then.
void welcome_tls(NetStream& stream, TlsContext context, std::function<void(TlsWelcome)> done);

/// The names in the certificate the client has shown.
std::vector<std::string> client_names(NetStream& stream);

}  // namespace tarsier::server
