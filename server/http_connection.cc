#include "server/http_connection.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <optional>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <boost/asio.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

#include "server/clock.h"
#include "server/http_answer.h"
#include "server/url.h"

// Beast parses headers and chunked bodies; a body of known length is read straight into the
// request, and answers are written as they are: header and body in one gathered write, never copied
// together.
//
// While a handler works, one read stays pending on the socket. It is how we learn that the client
// has left; bytes it brings instead are the next, pipelined request and wait in the buffer.

namespace tarsier::server {

namespace net = boost::asio;
namespace http = boost::beast::http;
using Tcp = net::ip::tcp;
using boost::system::error_code;

namespace {

// A fresh flat_buffer has no capacity, and Beast would read 512 bytes at a time into it.
constexpr std::size_t kReadBufferBytes = 16 << 10;
// Pipelined bytes we hold while a request is being handled.
constexpr std::size_t kPipelinedBytesMax = 64 << 10;
// A refused request's body is read to its end when it is this small, so that the connection lives
// on.
constexpr std::uint64_t kSkippedBodyBytesMax = 256 << 10;
constexpr std::size_t kBodyStepBytes = std::size_t{1} << 20;
constexpr std::size_t kLingerBytesMax = std::size_t{16} << 20;
constexpr std::int64_t kNsPerMs = 1'000'000;

/// Fills paths and parameters from what stands between method and version.
Status read_target(std::string_view target, HttpRequest& request) {
  if (const std::size_t scheme = target.find("://"); scheme < target.find('/')) {
    const std::size_t slash = target.find('/', scheme + 3);  // Absolute form, as proxies send it.
    target = slash == std::string_view::npos ? "/" : target.substr(slash);
  }
  const std::size_t question = std::min(target.find('?'), target.size());
  request.raw_path = target.substr(0, question);
  std::optional<std::string> path = percent_decode(request.raw_path);
  if (!path) return invalid("400 Bad Request: malformed escape in the path");
  request.path = std::move(*path);
  request.url_parameters = parse_form(target.substr(std::min(question + 1, target.size())));
  request.parameters = request.url_parameters;
  return {};
}

/// The right to answer one request. Whoever drops it unanswered makes the client see a 500.
class Answer final {
 public:
  Answer(std::shared_ptr<HttpConnection> connection, ContentCoding coding)
      : connection_(std::move(connection)), coding_(coding) {}
  ~Answer() {
    if (!sent_.load()) send(text_response(500, "the request was dropped without an answer\n"));
  }
  void send(HttpResponse response) {
    CHECK(!sent_.exchange(true), "a request is answered once");
    // Here, on the thread that made the answer, not on the one that serves everybody.
    if (coding_ != ContentCoding::kNone &&
        (response.stream || response.body.size() >= connection_->options().compress_size_min)) {
      compress_body(response, coding_);
    }
    const auto executor = connection_->worker().context().get_executor();
    // The connection is handed over whole: its last reference must go on its own thread.
    net::dispatch(executor,
                  [connection = std::move(connection_), answer = std::move(response)]() mutable {
                    connection->answer(std::move(answer));
                  });
  }

 private:
  std::shared_ptr<HttpConnection> connection_;
  const ContentCoding coding_;
  std::atomic<bool> sent_{false};
};

/// Carries what somebody else found (a piece of a streamed body, a verdict) to its connection's
/// thread. The connection's last reference must go there too, also when nothing ever comes.
template <typename Load>
class Carrier final {
 public:
  using Deliver = void (HttpConnection::*)(Load);
  Carrier(std::shared_ptr<HttpConnection> connection, Deliver deliver)
      : connection_(std::move(connection)), deliver_(deliver) {}
  ~Carrier() {
    if (!connection_) return;
    const auto executor = connection_->worker().context().get_executor();
    net::post(executor, [connection = std::move(connection_)] {});
  }
  void carry(Load load) {
    CHECK(connection_ != nullptr, "a load is delivered once");
    const auto executor = connection_->worker().context().get_executor();
    net::post(executor, [connection = std::move(connection_), deliver = deliver_,
                         carried = std::move(load)]() mutable {
      (connection.get()->*deliver)(std::move(carried));
    });
  }

 private:
  std::shared_ptr<HttpConnection> connection_;
  const Deliver deliver_;
};

}  // namespace

HttpConnection::HttpConnection(std::shared_ptr<HttpWorker> worker, Tcp::socket socket)
    : worker_(std::move(worker)), state_(worker_->state()), net_(std::move(socket)) {
  buffer_.reserve(kReadBufferBytes);
}

HttpConnection::~HttpConnection() {
  release_body();
  worker_->remove(this);
  state_.remove_connection();
}

void HttpConnection::start() {
  error_code ignored;
  net_.socket().set_option(Tcp::no_delay(true), ignored);
  const Tcp::endpoint peer = net_.socket().remote_endpoint(ignored);
  peer_ = fmt::format("{}:{}", peer.address().to_string(), peer.port());
  worker_->add(this);
  if (state_.guard.tls_context) return encrypt();
  enter(Phase::kIdle, options().idle_timeout);
  read_some();
}

void HttpConnection::encrypt() {
  enter(Phase::kHeader, options().header_timeout);
  Result<TlsContext> context = state_.guard.tls_context();
  if (!context.ok()) {
    state_.log.error("TLS handshake error", {{"peer", peer_}, {"err", context.status().message()}});
    return close();
  }
  welcome_tls(net_, std::move(*context), [self = shared_from_this()](TlsWelcome welcome) {
    if (!self->closed_) self->on_welcome(welcome);
  });
}

void HttpConnection::on_welcome(TlsWelcome welcome) {
  if (welcome == TlsWelcome::kPlainText) {
    return fail(400, "Client sent an HTTP request to an HTTPS server.\n");
  }
  const auto& allows_names = state_.guard.allows_names;
  if (welcome == TlsWelcome::kFailed || (allows_names && !allows_names(client_names(net_)))) {
    return close();
  }
  enter(Phase::kIdle, options().idle_timeout);
  read_some();
}

void HttpConnection::refuse() {
  worker_->add(this);
  keep_alive_ = false;
  body_unread_ = true;
  answer(text_response(503, "too many connections\n"));
}

void HttpConnection::enter(Phase phase, Duration timeout) {
  phase_ = phase;
  deadline_ns_ = timeout.ms <= 0 ? kNoDeadline : monotonic_ns() + timeout.ms * kNsPerMs;
}

void HttpConnection::close() {
  if (closed_) return;
  closed_ = true;
  if (cancel_) cancel_->cancel();
  stream_.reset();
  error_code ignored;
  net_.socket().close(ignored);
}

void HttpConnection::close_if_idle() {
  if (phase_ == Phase::kIdle) close();
}

void HttpConnection::check_deadline(std::int64_t now_ns) {
  if (now_ns < deadline_ns_) return;
  if (phase_ != Phase::kIdle) state_.timed_out.add();
  close();
}

void HttpConnection::read_some() {
  reading_ = true;
  net_.async_read_some(
      buffer_.prepare(std::max<std::size_t>(buffer_.capacity() - buffer_.size(), 4096)),
      [self = shared_from_this()](error_code error, std::size_t size) {
        self->reading_ = false;
        if (!self->closed_) self->on_bytes(error, size);
      });
}

/// Ends the read of the idle phase, or the one that was pending while a request was handled.
void HttpConnection::on_bytes(error_code error, std::size_t size) {
  buffer_.commit(size);
  if (phase_ == Phase::kIdle) {
    if (buffer_.size() > 0) return read_header();
    return close();
  }
  if (error) {
    if (error == net::error::operation_aborted) return;
    if (stream_) return close();  // Nobody takes the pieces any more.
    if (cancel_) cancel_->cancel();
    return;
  }
  if (phase_ == Phase::kHandling && buffer_.size() < kPipelinedBytesMax) read_some();
}

void HttpConnection::read_header() {
  enter(Phase::kHeader, options().header_timeout);
  parser_.emplace();
  parser_->header_limit(static_cast<std::uint32_t>(options().header_size_max));
  parser_->body_limit(boost::none);  // Decided once we know what is asked for.
  http::async_read_header(net_, buffer_, *parser_,
                          [self = shared_from_this()](error_code error, std::size_t) {
                            if (!self->closed_) self->on_header(error);
                          });
}

void HttpConnection::on_header(error_code error) {
  if (error == http::error::header_limit || error == http::error::buffer_overflow) {
    return fail(431, "431 Request Header Fields Too Large\n");
  }
  if (error == http::error::end_of_stream || error == http::error::partial_message) return close();
  if (error && error.category() == http::make_error_code(http::error::bad_method).category()) {
    return fail(400, fmt::format("400 Bad Request: {}\n", error.message()));
  }
  if (error) return close();
  if (Status status = fill_request(); !status.ok()) return fail(400, status.message() + "\n");
  admit();
}

/// Before anything of the body is read.
void HttpConnection::admit() {
  if (!state_.guard.admit) return on_verdict(std::nullopt);
  enter(Phase::kHandling, Duration{0});
  // The verdict may come on any thread; the connection's last reference must go on its own.
  const auto carrier = std::make_shared<Carrier<std::optional<HttpResponse>>>(
      shared_from_this(), &HttpConnection::on_verdict);
  state_.guard.admit(request_, [carrier](std::optional<HttpResponse> refusal) {
    carrier->carry(std::move(refusal));
  });
}

void HttpConnection::on_verdict(std::optional<HttpResponse> refusal) {
  if (closed_) return;
  decision_ = refusal ? HttpDecision{.answer = std::move(*refusal)} : state_.dispatch(request_);
  begin_body();
}

Status HttpConnection::fill_request() {
  const auto& message = parser_->get();
  is_http_1_0_ = message.version() == 10;
  keep_alive_ = message.keep_alive();
  request_ = HttpRequest();
  request_.method = std::string(message.method_string());
  head_only_ = request_.method == "HEAD";
  TRY(read_target(message.target(), request_));
  for (const auto& field : message) {
    request_.headers.emplace_back(field.name_string(), field.value());
  }
  request_.peer = peer_;
  cancel_ = std::make_shared<CancelToken>();
  request_.cancel = cancel_;
  return {};
}

/// Decides whether the body will be read, and asks for it if the client waits to be asked.
void HttpConnection::begin_body() {
  if (state_.draining.load()) {
    decision_ = {.answer = text_response(503, "the server is stopping\n")};
    keep_alive_ = false;
  }
  const bool chunked = parser_->chunked();
  body_length_ = parser_->content_length().value_or(0);
  if (body_length_ == 0 && !chunked) return handle();

  const std::string_view expectation = request_.header("Expect");
  const bool waits = expectation.starts_with("100-") && buffer_.size() == 0;
  if (!decision_.handler) {
    if (chunked || waits || body_length_ > kSkippedBodyBytesMax) {
      keep_alive_ = false;
      body_unread_ = true;
      return handle();
    }
    decision_.body_size_max = kSkippedBodyBytesMax;
  }
  if (body_length_ > decision_.body_size_max) {
    return fail(413, fmt::format("the body has {} bytes, the limit is {}\n", body_length_,
                                 decision_.body_size_max));
  }
  if (!reserve_body(chunked ? decision_.body_size_max : body_length_)) {
    state_.bodies_put_off.add();
    return put_off();
  }
  enter(Phase::kBody, options().body_timeout);
  if (!waits) return read_body();
  static constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
  net::async_write(net_, net::buffer(kContinue),
                   [self = shared_from_this()](error_code error, std::size_t) {
                     if (self->closed_) return;
                     if (error) return self->close();
                     self->read_body();
                   });
}

void HttpConnection::read_body() {
  if (parser_->chunked()) return read_chunked_body();
  const std::size_t length = static_cast<std::size_t>(body_length_);
  request_.body.reserve(length);  // Address space only: memory is touched as bytes arrive.
  const std::size_t have = std::min(length, buffer_.size());
  request_.body.assign(static_cast<const char*>(buffer_.cdata().data()), have);
  buffer_.consume(have);
  read_known_body(have);
}

void HttpConnection::read_known_body(std::size_t received) {
  const std::size_t length = static_cast<std::size_t>(body_length_);
  if (received == length) return handle();
  const std::size_t step = std::min(length - received, kBodyStepBytes);
  request_.body.resize(received + step);
  net::async_read(net_, net::buffer(request_.body.data() + received, step),
                  [self = shared_from_this(), received, step](error_code error, std::size_t) {
                    if (self->closed_) return;
                    if (error) return self->close();
                    self->read_known_body(received + step);
                  });
}

void HttpConnection::read_chunked_body() {
  parser_->body_limit(decision_.body_size_max);
  http::async_read(
      net_, buffer_, *parser_, [self = shared_from_this()](error_code error, std::size_t) {
        if (self->closed_) return;
        if (error == http::error::body_limit) {
          return self->fail(413, fmt::format("the body is above the limit of {} bytes\n",
                                             self->decision_.body_size_max));
        }
        if (error) return self->close();
        self->request_.body = std::move(self->parser_->get().body());
        self->handle();
      });
}

void HttpConnection::handle() {
  enter(Phase::kHandling, Duration{0});  // How long a handler may take is its own affair.
  parser_.reset();
  if (!decision_.handler) return answer(std::move(decision_.answer));
  const ContentCoding coding = decision_.compress && !head_only_
                                   ? preferred_coding(request_.header("Accept-Encoding"))
                                   : ContentCoding::kNone;
  request_.received = now();
  const auto right = std::make_shared<Answer>(shared_from_this(), coding);
  const HttpHandler& handler = *decision_.handler;
  handler(std::move(request_),
          [right](HttpResponse response) { right->send(std::move(response)); });
  if (phase_ == Phase::kHandling && !closed_ && !reading_) read_some();
}

/// Sets memory for a body aside. False: there is none left. Small bodies always pass, or nobody
/// could ask what is going on.
bool HttpConnection::reserve_body(std::uint64_t bytes) {
  constexpr std::uint64_t kSmallBodyBytes = std::uint64_t{64} << 10;
  constexpr std::uint64_t kChunkedBytes = std::uint64_t{4} << 20;  // As much as they mostly have.
  bytes = parser_->chunked() ? std::min(bytes, kChunkedBytes) : bytes;
  const std::uint64_t before = state_.body_bytes.fetch_add(bytes, std::memory_order_relaxed);
  reserved_bytes_ = bytes;
  if (before == 0 || bytes <= kSmallBodyBytes ||
      before + bytes <= options().body_bytes_in_flight_max) {
    return true;
  }
  release_body();
  return false;
}

void HttpConnection::release_body() {
  state_.body_bytes.fetch_sub(std::exchange(reserved_bytes_, 0), std::memory_order_relaxed);
}

/// The sender may try again soon; its body is not read.
void HttpConnection::put_off() {
  keep_alive_ = false;
  body_unread_ = true;
  parser_.reset();
  HttpResponse response = text_response(429, "too many bytes of requests at once, try again\n");
  response.headers.emplace_back("Retry-After", "1");
  answer(std::move(response));
}

/// Answers what we could not read to its end, then closes.
void HttpConnection::fail(int status, std::string text) {
  keep_alive_ = false;
  body_unread_ = true;
  parser_.reset();
  answer(text_response(status, std::move(text)));
}

void HttpConnection::answer(HttpResponse response) {
  release_body();
  if (closed_) return;
  if (state_.draining.load()) keep_alive_ = false;
  response_ = std::move(response);
  if (state_.guard.decorate) state_.guard.decorate(response_);
  const Persistence persistence = !keep_alive_   ? Persistence::kClose
                                  : is_http_1_0_ ? Persistence::kKeepAnnounced
                                                 : Persistence::kKeep;
  stream_ = std::move(response_.stream);
  if (stream_ && is_http_1_0_) keep_alive_ = false;
  const BodyFraming framing = !stream_       ? BodyFraming::kLength
                              : is_http_1_0_ ? BodyFraming::kNone
                                             : BodyFraming::kChunked;
  head_ = render_head(response_, worker_->date(),
                      framing == BodyFraming::kNone ? Persistence::kClose : persistence, framing);
  if (head_only_ || !status_has_body(response_.status)) {
    response_.body.clear();
    stream_.reset();
  }
  if (stream_ && framing == BodyFraming::kChunked && !response_.body.empty()) {
    head_ += fmt::format("{:x}\r\n", response_.body.size());
    response_.body += "\r\n";
  }
  written_ = 0;
  write_some();
}

void HttpConnection::write_some() {
  enter(Phase::kWriting, options().write_timeout);
  const std::size_t body_begin = written_ < head_.size() ? 0 : written_ - head_.size();
  const std::array<net::const_buffer, 2> parts = {net::buffer(head_) + written_,
                                                  net::buffer(response_.body) + body_begin};
  net_.async_write_some(parts, [self = shared_from_this()](error_code error, std::size_t size) {
    if (self->closed_) return;
    if (error) return self->close();
    self->written_ += size;
    if (self->written_ < self->head_.size() + self->response_.body.size()) {
      return self->write_some();
    }
    self->on_written();
  });
}

void HttpConnection::ask_for_piece() {
  enter(Phase::kHandling, Duration{0});
  const auto carrier = std::make_shared<Carrier<Result<std::string>>>(shared_from_this(),
                                                                      &HttpConnection::write_piece);
  // A copy: the stream must outlive its own call, whatever becomes of the connection meanwhile.
  const std::shared_ptr<BodyStream> stream = stream_;
  stream->next([carrier](Result<std::string> piece) { carrier->carry(std::move(piece)); });
  if (!closed_ && !reading_ && buffer_.size() < kPipelinedBytesMax) read_some();
}

void HttpConnection::write_piece(Result<std::string> piece) {
  if (closed_) return;
  if (!piece.ok()) return close();
  response_.body = std::move(*piece);
  const bool is_last = response_.body.empty();
  if (is_last) stream_.reset();
  head_.clear();
  if (!is_http_1_0_) {
    head_ = fmt::format("{:x}\r\n", response_.body.size());
    response_.body += "\r\n";
  }
  written_ = 0;
  if (head_.empty() && is_last) return on_written();
  write_some();
}

void HttpConnection::on_written() {
  if (stream_) return ask_for_piece();
  cancel_.reset();
  request_ = HttpRequest();
  response_ = HttpResponse();
  if (keep_alive_ && !state_.draining.load()) return next_request();
  if (!body_unread_) return close();
  // Closing now would reset the connection and could destroy the answer on its way: let the client
  // finish sending first, within bounds.
  error_code ignored;
  net_.socket().shutdown(Tcp::socket::shutdown_send, ignored);
  enter(Phase::kLingering, seconds(2));
  buffer_.consume(buffer_.size());
  linger();
}

void HttpConnection::next_request() {
  enter(Phase::kIdle, options().idle_timeout);
  if (!reading_) {
    if (buffer_.size() > 0) return read_header();
    return read_some();
  }
  // The read that watched the client becomes the idle read; if the next request is already here,
  // it is called back first, as it owns the buffer.
  error_code ignored;
  if (buffer_.size() > 0) net_.socket().cancel(ignored);
}

void HttpConnection::linger() {
  net_.async_read_some(buffer_.prepare(kReadBufferBytes),
                       [self = shared_from_this()](error_code error, std::size_t size) {
                         if (self->closed_) return;
                         self->lingered_ += size;
                         if (error || self->lingered_ > kLingerBytesMax) return self->close();
                         self->linger();
                       });
}

}  // namespace tarsier::server
