#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

#include "base/http.h"
#include "server/http_worker.h"
#include "server/net_stream.h"
#include "server/tls_welcome.h"

namespace tarsier::server {

// An inside of HttpServer; only the worker and the connection itself include this.

/// One client, from its connection to its end. Moves in a circle: idle, header, body, handling,
/// writing, idle. Made by its worker, on whose thread all of its functions run and its last
/// reference is dropped; whoever answers a request holds one, and so does each pending operation.
class HttpConnection final : public std::enable_shared_from_this<HttpConnection> {
 public:
  HttpConnection(std::shared_ptr<HttpWorker> worker, boost::asio::ip::tcp::socket socket);
  ~HttpConnection();

  /// Begins to serve.
  void start();
  /// Answers 503 whatever is asked, and closes.
  void refuse();
  /// Closes at once and cancels the request that is being handled. What is pending ends with an
  /// error that nobody looks at.
  void close();
  void close_if_idle();
  /// Closes if the current phase has lasted too long.
  void check_deadline(std::int64_t now_ns);
  /// Sends the answer to the request that is being handled. Once for each.
  void answer(HttpResponse response);

  HttpWorker& worker() { return *worker_; }
  const HttpServerOptions& options() const { return state_.options; }

 private:
  static constexpr std::int64_t kNoDeadline = INT64_MAX;
  enum class Phase : unsigned char { kIdle, kHeader, kBody, kHandling, kWriting, kLingering };

  void enter(Phase phase, Duration timeout);
  void encrypt();
  void on_welcome(TlsWelcome welcome);
  void read_some();
  void on_bytes(boost::system::error_code error, std::size_t size);
  void read_header();
  void on_header(boost::system::error_code error);
  Status fill_request();
  void admit();
  void on_verdict(std::optional<HttpResponse> refusal);
  void begin_body();
  bool reserve_body(std::uint64_t bytes);
  void release_body();
  void put_off();
  void read_body();
  void read_known_body(std::size_t received);
  void read_chunked_body();
  void handle();
  void fail(int status, std::string text);
  void write_some();
  void write_piece(Result<std::string> piece);
  void ask_for_piece();
  void on_written();
  void next_request();
  void linger();

  const std::shared_ptr<HttpWorker> worker_;
  HttpServerState& state_;
  NetStream net_;
  boost::beast::flat_buffer buffer_;
  std::optional<boost::beast::http::request_parser<boost::beast::http::string_body>> parser_;
  Phase phase_ = Phase::kIdle;
  std::int64_t deadline_ns_ = kNoDeadline;
  bool reading_ = false;  // read_some() is pending: nobody else may touch buffer_.
  bool closed_ = false;
  bool keep_alive_ = false;
  bool is_http_1_0_ = false;
  bool head_only_ = false;
  bool body_unread_ = false;  // The client may still be sending what we will not read.
  std::string peer_;
  HttpRequest request_;
  HttpDecision decision_;
  std::uint64_t body_length_ = 0;
  std::uint64_t reserved_bytes_ = 0;  // Of the server's memory for bodies.
  std::shared_ptr<CancelToken> cancel_;
  HttpResponse response_;
  std::shared_ptr<BodyStream> stream_;  // What follows `response_`, until its end.
  std::string head_;
  std::size_t written_ = 0;
  std::size_t lingered_ = 0;
};

}  // namespace tarsier::server
