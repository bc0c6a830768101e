#include "server/tls_welcome.h"

#include <memory>
#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/asio/ssl.hpp>

namespace tarsier::server {
namespace {

namespace net = boost::asio;
using boost::system::error_code;

// The first byte of every TLS connection: a record of the handshake.
constexpr unsigned char kHandshakeRecord = 0x16;

}  // namespace

void welcome_tls(NetStream& stream, TlsContext context, std::function<void(TlsWelcome)> done) {
  const auto first = std::make_shared<unsigned char>();
  stream.socket().async_receive(net::buffer(first.get(), 1), net::socket_base::message_peek,
                                [&stream, first, context = std::move(context),
                                 done = std::move(done)](error_code error, std::size_t) mutable {
                                  if (error) return done(TlsWelcome::kFailed);
                                  if (*first != kHandshakeRecord)
                                    return done(TlsWelcome::kPlainText);
                                  stream.encrypt(std::move(context));
                                  stream.tls().async_handshake(
                                      net::ssl::stream_base::server,
                                      [done = std::move(done)](error_code failed) {
                                        done(failed ? TlsWelcome::kFailed : TlsWelcome::kEncrypted);
                                      });
                                });
}

std::vector<std::string> client_names(NetStream& stream) {
  return peer_alternative_names(stream.tls().native_handle());
}

}  // namespace tarsier::server
