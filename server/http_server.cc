#include "server/http_server.h"

#include <array>
#include <atomic>
#include <ctime>
#include <optional>
#include <thread>
#include <unordered_set>
#include <utility>

#include <pthread.h>

#include <fmt/format.h>
#include <boost/asio.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

#include "base/compression.h"
#include "base/mutex.h"
#include "server/clock.h"
#include "server/url.h"

// A connection belongs to one worker: a thread with an event loop of its own, so nothing about a
// connection is locked. It moves in a circle: idle, header, body, handling, writing, idle. Beast
// parses headers and chunked bodies; a body of known length is read straight into the request, and
// answers are written as they are: header and body in one gathered write, never copied together.
//
// While a handler works, one read stays pending on the socket. It is how we learn that the client
// has left; bytes it brings instead are the next, pipelined request and wait in the buffer.

namespace tarsier::server {
namespace {

namespace net = boost::asio;
namespace http = boost::beast::http;
using Tcp = net::ip::tcp;
using boost::system::error_code;

// A fresh flat_buffer has no capacity, and Beast would read 512 bytes at a time into it.
constexpr std::size_t kReadBufferBytes = 16 << 10;
// Pipelined bytes we hold while a request is being handled.
constexpr std::size_t kPipelinedBytesMax = 64 << 10;
// A refused request's body is read to its end when it is this small, so that the connection lives
// on.
constexpr std::uint64_t kSkippedBodyBytesMax = 256 << 10;
constexpr std::size_t kBodyStepBytes = std::size_t{1} << 20;
constexpr std::size_t kLingerBytesMax = std::size_t{16} << 20;
constexpr std::size_t kCompressedBytesMax = std::size_t{1} << 30;
// Connections over the limit that are being told so.
constexpr std::size_t kRefusalsMax = 64;
constexpr std::int64_t kNsPerMs = 1'000'000;
constexpr std::int64_t kNoDeadline = INT64_MAX;

std::string_view reason_phrase(int status) {
  switch (status) {
    case 200: return "OK";
    case 204: return "No Content";
    case 301: return "Moved Permanently";
    case 302: return "Found";
    case 304: return "Not Modified";
    case 400: return "Bad Request";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 411: return "Length Required";
    case 413: return "Request Entity Too Large";
    case 415: return "Unsupported Media Type";
    case 422: return "Unprocessable Entity";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 503: return "Service Unavailable";
    default: return "Status";
  }
}

HttpResponse plain_text(int status, std::string text) {
  HttpResponse response;
  response.status = status;
  response.content_type = "text/plain; charset=utf-8";
  response.body = std::move(text);
  return response;
}

std::string http_date() {
  const std::time_t seconds_now = now().ms / 1000;
  std::tm utc{};
  ::gmtime_r(&seconds_now, &utc);
  char text[40];
  return std::string(text, std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &utc));
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

/// From left to right the first of gzip and deflate decides, quality values are ignored: what
/// Prometheus does. We do not speak deflate, so it only takes the others' place.
bool prefers_gzip(std::string_view accept_encoding) {
  while (!accept_encoding.empty()) {
    const std::size_t size = std::min(accept_encoding.find(','), accept_encoding.size());
    std::string_view name = accept_encoding.substr(0, size);
    accept_encoding.remove_prefix(std::min(size + 1, accept_encoding.size()));
    name = trimmed(name.substr(0, name.find(';')));
    if (name == "gzip") return true;
    if (name == "deflate") return false;
  }
  return false;
}

bool has_header(const HttpResponse& response, std::string_view name) {
  for (const auto& [key, value] : response.headers) {
    if (key == name) return true;
  }
  return false;
}

void compress_body(HttpResponse& response) {
  std::string compressed;
  gzip_compress(as_bytes(response.body), compressed);
  response.body = std::move(compressed);
  response.headers.emplace_back("Content-Encoding", "gzip");
  response.headers.emplace_back("Vary", "Accept-Encoding");
}

/// What every worker and connection may look at. Outlives them all.
struct Shared {
  Shared(HttpServerOptions o, HttpDispatch d, Logger& l)
      : options(std::move(o)), dispatch(std::move(d)), log(l) {}

  const HttpServerOptions options;
  const HttpDispatch dispatch;
  Logger& log;
  std::atomic<bool> draining{false};
  Counter accepted;
  Counter refused;
  Counter timed_out;
  Mutex mutex;
  CondVar gone;  ///< Notified when the last connection ends.
  std::size_t connection_count GUARDED_BY(mutex) = 0;

  std::size_t add_connection() {
    MutexLock lock(mutex);
    return ++connection_count;
  }
  void remove_connection() {
    MutexLock lock(mutex);
    if (--connection_count == 0) gone.notify_all();
  }
  /// False when some are left after `timeout_ms`.
  bool wait_until_gone(std::int64_t timeout_ms) {
    const std::int64_t end = monotonic_ns() / kNsPerMs + timeout_ms;
    MutexLock lock(mutex);
    while (connection_count > 0) {
      const std::int64_t left_ms = end - monotonic_ns() / kNsPerMs;
      if (left_ms <= 0) return false;
      gone.wait_for_ms(mutex, static_cast<long>(left_ms));
    }
    return true;
  }
};

class Connection;

/// One network thread with its event loop and the connections that live on it.
struct Worker {
  explicit Worker(std::shared_ptr<Shared> s)
      : shared(std::move(s)), context(1), guard(context.get_executor()), ticker(context) {}

  void start(std::size_t index);
  void tick();

  std::shared_ptr<Shared> shared;
  std::unordered_set<Connection*> connections;  // Touched on this worker's thread only.
  std::string date = http_date();
  bool stopped = false;  // A timer that has fired cannot be cancelled any more.
  net::io_context context;
  net::executor_work_guard<net::io_context::executor_type> guard;
  net::steady_timer ticker;
  std::thread thread;
};

class Connection final : public std::enable_shared_from_this<Connection> {
 public:
  Connection(std::shared_ptr<Worker> worker, Tcp::socket socket)
      : worker_(std::move(worker)), shared_(*worker_->shared), socket_(std::move(socket)) {
    buffer_.reserve(kReadBufferBytes);
  }
  ~Connection() {
    worker_->connections.erase(this);
    shared_.remove_connection();
  }

  // All of these run on the worker's thread.
  void start();
  void refuse();
  void close();
  void close_if_idle();
  void check_deadline(std::int64_t now_ns);
  void answer(HttpResponse response);
  net::io_context::executor_type executor() { return worker_->context.get_executor(); }
  const HttpServerOptions& options() const { return shared_.options; }

 private:
  enum class Phase : unsigned char { kIdle, kHeader, kBody, kHandling, kWriting, kLingering };

  void enter(Phase phase, Duration timeout);
  void read_some();
  void on_bytes(error_code error, std::size_t size);
  void read_header();
  void on_header(error_code error);
  Status fill_request();
  void begin_body();
  void read_body();
  void read_known_body(std::size_t received);
  void read_chunked_body();
  void handle();
  void fail(int status, std::string text);
  std::string render_head(const HttpResponse& response) const;
  void write_some();
  void on_written();
  void next_request();
  void linger();

  std::shared_ptr<Worker> worker_;
  Shared& shared_;
  Tcp::socket socket_;
  boost::beast::flat_buffer buffer_;
  std::optional<http::request_parser<http::string_body>> parser_;
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
  std::shared_ptr<CancelToken> cancel_;
  HttpResponse response_;
  std::string head_;
  std::size_t written_ = 0;
  std::size_t lingered_ = 0;
};

/// The right to answer one request. Whoever drops it unanswered makes the client see a 500.
class Answer final {
 public:
  Answer(std::shared_ptr<Connection> connection, bool compress)
      : connection_(std::move(connection)), compress_(compress) {}
  ~Answer() {
    if (!sent_.load()) send(plain_text(500, "the request was dropped without an answer\n"));
  }
  void send(HttpResponse response) {
    CHECK(!sent_.exchange(true), "a request is answered once");
    const std::size_t size = response.body.size();
    // Here, on the thread that made the answer, not on the one that serves everybody.
    if (compress_ && size >= connection_->options().compress_size_min &&
        size <= kCompressedBytesMax && !has_header(response, "Content-Encoding")) {
      compress_body(response);
    }
    const auto executor = connection_->executor();
    // The connection is handed over whole: its last reference must go on its own thread.
    net::dispatch(executor,
                  [connection = std::move(connection_), answer = std::move(response)]() mutable {
                    connection->answer(std::move(answer));
                  });
  }

 private:
  std::shared_ptr<Connection> connection_;
  const bool compress_;
  std::atomic<bool> sent_{false};
};

void Connection::start() {
  error_code ignored;
  socket_.set_option(Tcp::no_delay(true), ignored);
  const Tcp::endpoint peer = socket_.remote_endpoint(ignored);
  peer_ = fmt::format("{}:{}", peer.address().to_string(), peer.port());
  worker_->connections.insert(this);
  enter(Phase::kIdle, options().idle_timeout);
  read_some();
}

void Connection::refuse() {
  worker_->connections.insert(this);
  keep_alive_ = false;
  body_unread_ = true;
  answer(plain_text(503, "too many connections\n"));
}

void Connection::enter(Phase phase, Duration timeout) {
  phase_ = phase;
  deadline_ns_ = timeout.ms <= 0 ? kNoDeadline : monotonic_ns() + timeout.ms * kNsPerMs;
}

void Connection::close() {
  if (closed_) return;
  closed_ = true;
  if (cancel_) cancel_->cancel();
  error_code ignored;
  socket_.close(ignored);
}

void Connection::close_if_idle() {
  if (phase_ == Phase::kIdle) close();
}

void Connection::check_deadline(std::int64_t now_ns) {
  if (now_ns < deadline_ns_) return;
  if (phase_ != Phase::kIdle) shared_.timed_out.add();
  close();
}

void Connection::read_some() {
  reading_ = true;
  socket_.async_read_some(
      buffer_.prepare(std::max<std::size_t>(buffer_.capacity() - buffer_.size(), 4096)),
      [self = shared_from_this()](error_code error, std::size_t size) {
        self->reading_ = false;
        if (!self->closed_) self->on_bytes(error, size);
      });
}

/// Ends the read of the idle phase, or the one that was pending while a request was handled.
void Connection::on_bytes(error_code error, std::size_t size) {
  buffer_.commit(size);
  if (phase_ == Phase::kIdle) {
    if (buffer_.size() > 0) return read_header();
    return close();
  }
  if (error) {
    if (error != net::error::operation_aborted && cancel_) cancel_->cancel();
    return;
  }
  if (phase_ == Phase::kHandling && buffer_.size() < kPipelinedBytesMax) read_some();
}

void Connection::read_header() {
  enter(Phase::kHeader, options().header_timeout);
  parser_.emplace();
  parser_->header_limit(static_cast<std::uint32_t>(options().header_size_max));
  parser_->body_limit(boost::none);  // Decided once we know what is asked for.
  http::async_read_header(socket_, buffer_, *parser_,
                          [self = shared_from_this()](error_code error, std::size_t) {
                            if (!self->closed_) self->on_header(error);
                          });
}

void Connection::on_header(error_code error) {
  if (error == http::error::header_limit || error == http::error::buffer_overflow) {
    return fail(431, "431 Request Header Fields Too Large\n");
  }
  if (error == http::error::end_of_stream || error == http::error::partial_message) return close();
  if (error && error.category() == http::make_error_code(http::error::bad_method).category()) {
    return fail(400, fmt::format("400 Bad Request: {}\n", error.message()));
  }
  if (error) return close();
  if (Status status = fill_request(); !status.ok()) return fail(400, status.message() + "\n");
  decision_ = shared_.dispatch(request_);
  begin_body();
}

Status Connection::fill_request() {
  const auto& message = parser_->get();
  is_http_1_0_ = message.version() == 10;
  keep_alive_ = message.keep_alive();
  request_ = HttpRequest();
  request_.method = std::string(message.method_string());
  head_only_ = request_.method == "HEAD";
  std::string_view target = message.target();
  if (const std::size_t scheme = target.find("://"); scheme < target.find('/')) {
    const std::size_t slash = target.find('/', scheme + 3);  // Absolute form, as proxies send it.
    target = slash == std::string_view::npos ? "/" : target.substr(slash);
  }
  const std::size_t question = std::min(target.find('?'), target.size());
  request_.raw_path = target.substr(0, question);
  std::optional<std::string> path = percent_decode(request_.raw_path);
  if (!path) return invalid("400 Bad Request: malformed escape in the path");
  request_.path = std::move(*path);
  request_.url_parameters = parse_form(target.substr(std::min(question + 1, target.size())));
  request_.parameters = request_.url_parameters;
  for (const auto& field : message) {
    request_.headers.emplace_back(field.name_string(), field.value());
  }
  request_.peer = peer_;
  cancel_ = std::make_shared<CancelToken>();
  request_.cancel = cancel_;
  return {};
}

/// Decides whether the body will be read, and asks for it if the client waits to be asked.
void Connection::begin_body() {
  if (shared_.draining.load()) {
    decision_ = {.answer = plain_text(503, "the server is stopping\n")};
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
  enter(Phase::kBody, options().body_timeout);
  if (!waits) return read_body();
  static constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
  net::async_write(socket_, net::buffer(kContinue),
                   [self = shared_from_this()](error_code error, std::size_t) {
                     if (self->closed_) return;
                     if (error) return self->close();
                     self->read_body();
                   });
}

void Connection::read_body() {
  if (parser_->chunked()) return read_chunked_body();
  const std::size_t length = static_cast<std::size_t>(body_length_);
  request_.body.reserve(length);  // Address space only: memory is touched as bytes arrive.
  const std::size_t have = std::min(length, buffer_.size());
  request_.body.assign(static_cast<const char*>(buffer_.cdata().data()), have);
  buffer_.consume(have);
  read_known_body(have);
}

void Connection::read_known_body(std::size_t received) {
  const std::size_t length = static_cast<std::size_t>(body_length_);
  if (received == length) return handle();
  const std::size_t step = std::min(length - received, kBodyStepBytes);
  request_.body.resize(received + step);
  net::async_read(socket_, net::buffer(request_.body.data() + received, step),
                  [self = shared_from_this(), received, step](error_code error, std::size_t) {
                    if (self->closed_) return;
                    if (error) return self->close();
                    self->read_known_body(received + step);
                  });
}

void Connection::read_chunked_body() {
  parser_->body_limit(decision_.body_size_max);
  http::async_read(
      socket_, buffer_, *parser_, [self = shared_from_this()](error_code error, std::size_t) {
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

void Connection::handle() {
  enter(Phase::kHandling, Duration{0});  // How long a handler may take is its own affair.
  parser_.reset();
  if (!decision_.handler) return answer(std::move(decision_.answer));
  const bool compress =
      decision_.compress && !head_only_ && prefers_gzip(request_.header("Accept-Encoding"));
  request_.received = now();
  const auto right = std::make_shared<Answer>(shared_from_this(), compress);
  const HttpHandler& handler = *decision_.handler;
  handler(std::move(request_),
          [right](HttpResponse response) { right->send(std::move(response)); });
  if (phase_ == Phase::kHandling && !closed_ && !reading_) read_some();
}

/// Answers what we could not read to its end, then closes.
void Connection::fail(int status, std::string text) {
  keep_alive_ = false;
  body_unread_ = true;
  parser_.reset();
  answer(plain_text(status, std::move(text)));
}

std::string Connection::render_head(const HttpResponse& response) const {
  std::string head = fmt::format("HTTP/1.1 {} {}\r\nDate: {}\r\n", response.status,
                                 reason_phrase(response.status), worker_->date);
  const bool has_body = response.status != 204 && response.status != 304;
  if (has_body && !response.content_type.empty()) {
    head += fmt::format("Content-Type: {}\r\n", response.content_type);
  }
  if (has_body) head += fmt::format("Content-Length: {}\r\n", response.body.size());
  for (const auto& [name, value] : response.headers) head += fmt::format("{}: {}\r\n", name, value);
  if (!keep_alive_) head += "Connection: close\r\n";
  if (keep_alive_ && is_http_1_0_) head += "Connection: keep-alive\r\n";
  return head += "\r\n";
}

void Connection::answer(HttpResponse response) {
  if (closed_) return;
  if (shared_.draining.load()) keep_alive_ = false;
  response_ = std::move(response);
  head_ = render_head(response_);
  if (head_only_ || response_.status == 204 || response_.status == 304) response_.body.clear();
  written_ = 0;
  write_some();
}

void Connection::write_some() {
  enter(Phase::kWriting, options().write_timeout);
  const std::size_t body_begin = written_ < head_.size() ? 0 : written_ - head_.size();
  const std::array<net::const_buffer, 2> parts = {net::buffer(head_) + written_,
                                                  net::buffer(response_.body) + body_begin};
  socket_.async_write_some(parts, [self = shared_from_this()](error_code error, std::size_t size) {
    if (self->closed_) return;
    if (error) return self->close();
    self->written_ += size;
    if (self->written_ < self->head_.size() + self->response_.body.size()) {
      return self->write_some();
    }
    self->on_written();
  });
}

void Connection::on_written() {
  cancel_.reset();
  request_ = HttpRequest();
  response_ = HttpResponse();
  if (keep_alive_ && !shared_.draining.load()) return next_request();
  if (!body_unread_) return close();
  // Closing now would reset the connection and could destroy the answer on its way: let the client
  // finish sending first, within bounds.
  error_code ignored;
  socket_.shutdown(Tcp::socket::shutdown_send, ignored);
  enter(Phase::kLingering, seconds(2));
  buffer_.consume(buffer_.size());
  linger();
}

void Connection::next_request() {
  enter(Phase::kIdle, options().idle_timeout);
  if (!reading_) {
    if (buffer_.size() > 0) return read_header();
    return read_some();
  }
  // The read that watched the client becomes the idle read; if the next request is already here,
  // it is called back first, as it owns the buffer.
  error_code ignored;
  if (buffer_.size() > 0) socket_.cancel(ignored);
}

void Connection::linger() {
  socket_.async_read_some(buffer_.prepare(kReadBufferBytes),
                          [self = shared_from_this()](error_code error, std::size_t size) {
                            if (self->closed_) return;
                            self->lingered_ += size;
                            if (error || self->lingered_ > kLingerBytesMax) return self->close();
                            self->linger();
                          });
}

void Worker::start(std::size_t index) {
  tick();
  thread = std::thread([this, index] {
    const std::string name = fmt::format("http-{}", index);
    ::pthread_setname_np(::pthread_self(), name.c_str());
    context.run();
  });
}

/// One timer for all connections of the worker: deadlines cost a comparison, not a timer each.
void Worker::tick() {
  date = http_date();
  const std::int64_t now_ns = monotonic_ns();
  std::vector<std::shared_ptr<Connection>> held;  // Closing may end a connection.
  held.reserve(connections.size());
  for (Connection* connection : connections) held.push_back(connection->shared_from_this());
  for (const auto& connection : held) connection->check_deadline(now_ns);
  const HttpServerOptions& o = shared->options;
  const std::int64_t shortest_ms =
      std::min({o.header_timeout.ms, o.body_timeout.ms, o.idle_timeout.ms, o.write_timeout.ms});
  const std::int64_t every_ms = std::clamp<std::int64_t>(shortest_ms / 4, 5, 1000);
  ticker.expires_after(std::chrono::milliseconds(every_ms));
  ticker.async_wait([this](error_code error) {
    if (!error && !stopped) tick();
  });
}

}  // namespace

struct HttpServer::Impl {
  std::shared_ptr<Shared> shared;
  std::vector<std::shared_ptr<Worker>> workers;
  std::vector<std::unique_ptr<Tcp::acceptor>> acceptors;  // On the first worker's thread.
  std::unique_ptr<net::steady_timer> accept_pause;
  std::vector<std::string> addresses;
  std::size_t next_worker = 0;

  Status bind(const std::string& address);
  void accept_on(Tcp::acceptor& acceptor);
  void accepted(const std::shared_ptr<Worker>& worker, Tcp::socket socket);
  void close_connections(bool only_idle);
};

Status HttpServer::Impl::bind(const std::string& address) {
  const auto [host, port] = TRY(parse_address(address));
  error_code error;
  std::vector<Tcp::endpoint> endpoints;
  if (host.empty()) {
    endpoints = {Tcp::endpoint(Tcp::v6(), port), Tcp::endpoint(Tcp::v4(), port)};
  } else {
    Tcp::resolver resolver(workers[0]->context);
    for (const auto& entry : resolver.resolve(host, std::to_string(port), error)) {
      endpoints.push_back(entry.endpoint());
    }
    if (error) return io_error(fmt::format("listen on {}: {}", address, error.message()));
  }
  // The first that works: a machine without IPv6 still listens on everything it has.
  for (const Tcp::endpoint& endpoint : endpoints) {
    auto acceptor = std::make_unique<Tcp::acceptor>(workers[0]->context);
    acceptor->open(endpoint.protocol(), error);
    if (!error) acceptor->set_option(Tcp::acceptor::reuse_address(true), error);
    if (!error && host.empty() && endpoint.protocol() == Tcp::v6()) {
      acceptor->set_option(net::ip::v6_only(false), error);
    }
    if (!error) acceptor->bind(endpoint, error);
    if (!error) acceptor->listen(net::socket_base::max_listen_connections, error);
    if (error) continue;
    const Tcp::endpoint bound = acceptor->local_endpoint(error);
    const std::string ip = bound.address().to_string();
    addresses.push_back(bound.address().is_v6() ? fmt::format("[{}]:{}", ip, bound.port())
                                                : fmt::format("{}:{}", ip, bound.port()));
    acceptors.push_back(std::move(acceptor));
    return {};
  }
  return io_error(fmt::format("listen on {}: {}", address, error.message()));
}

void HttpServer::Impl::accept_on(Tcp::acceptor& acceptor) {
  const std::shared_ptr<Worker>& worker = workers[next_worker++ % workers.size()];
  acceptor.async_accept(
      worker->context, [this, &acceptor, worker](error_code error, Tcp::socket socket) {
        if (!acceptor.is_open() || shared->draining.load()) return;
        if (!error) {
          accepted(worker, std::move(socket));
          return accept_on(acceptor);
        }
        // Out of file descriptors, most likely: others must end before it can work again.
        shared->log.warn("Accepting a connection failed", {{"err", error.message()}});
        accept_pause->expires_after(std::chrono::milliseconds(100));
        accept_pause->async_wait([this, &acceptor](error_code stopped) {
          if (!stopped) accept_on(acceptor);
        });
      });
}

void HttpServer::Impl::accepted(const std::shared_ptr<Worker>& worker, Tcp::socket socket) {
  shared->accepted.add();
  const std::size_t count = shared->add_connection();
  const std::size_t count_max = shared->options.connection_count_max;
  auto connection = std::make_shared<Connection>(worker, std::move(socket));
  enum class Fate : unsigned char { kServe, kRefuse, kDrop };
  const Fate fate = count <= count_max                  ? Fate::kServe
                    : count <= count_max + kRefusalsMax ? Fate::kRefuse
                                                        : Fate::kDrop;
  if (fate != Fate::kServe) shared->refused.add();
  net::post(worker->context, [connection = std::move(connection), fate] {
    if (fate == Fate::kServe) connection->start();
    if (fate == Fate::kRefuse) connection->refuse();
  });
}

void HttpServer::Impl::close_connections(bool only_idle) {
  for (const std::shared_ptr<Worker>& worker : workers) {
    net::post(worker->context, [worker, only_idle] {
      std::vector<std::shared_ptr<Connection>> held;
      for (Connection* c : worker->connections) held.push_back(c->shared_from_this());
      for (const auto& c : held) only_idle ? c->close_if_idle() : c->close();
    });
  }
}

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Result<std::unique_ptr<HttpServer>> HttpServer::listen(HttpServerOptions options,
                                                       HttpDispatch dispatch, Logger& log) {
  CHECK(options.thread_count > 0 && dispatch);
  auto impl = std::make_unique<Impl>();
  impl->shared = std::make_shared<Shared>(std::move(options), std::move(dispatch), log);
  for (std::size_t i = 0; i < impl->shared->options.thread_count; ++i) {
    impl->workers.push_back(std::make_shared<Worker>(impl->shared));
  }
  for (const std::string& address : impl->shared->options.listen_addresses) {
    TRY(impl->bind(address));
  }
  impl->accept_pause = std::make_unique<net::steady_timer>(impl->workers[0]->context);
  for (const auto& acceptor : impl->acceptors) impl->accept_on(*acceptor);
  for (std::size_t i = 0; i < impl->workers.size(); ++i) impl->workers[i]->start(i);
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

const std::vector<std::string>& HttpServer::addresses() const { return impl_->addresses; }

std::size_t HttpServer::connection_count() const {
  MutexLock lock(impl_->shared->mutex);
  return impl_->shared->connection_count;
}

void HttpServer::drain(Duration grace) {
  impl_->shared->draining.store(true);
  net::post(impl_->workers[0]->context, [impl = impl_.get()] {
    error_code ignored;
    for (const auto& acceptor : impl->acceptors) acceptor->close(ignored);
  });
  impl_->close_connections(/*only_idle=*/true);
  impl_->shared->wait_until_gone(grace.ms);
}

void HttpServer::cut_off() { impl_->close_connections(/*only_idle=*/false); }

HttpServer::~HttpServer() {
  drain(Duration{0});
  cut_off();
  const bool all_gone = impl_->shared->wait_until_gone(10'000);
  if (!all_gone) impl_->shared->log.error("Requests were still running when the server ended");
  for (const std::shared_ptr<Worker>& worker : impl_->workers) {
    net::post(worker->context, [worker, all_gone, impl = impl_.get()] {
      if (worker == impl->workers[0]) impl->accept_pause->cancel();
      worker->stopped = true;
      worker->ticker.cancel();
      worker->guard.reset();
      if (!all_gone) worker->context.stop();
    });
  }
  for (const std::shared_ptr<Worker>& worker : impl_->workers) worker->thread.join();
  impl_->acceptors.clear();
  impl_->accept_pause.reset();
}

void HttpServer::collect(MetricWriter& out) const {
  const Shared& s = *impl_->shared;
  out.gauge("tarsier_http_connections", "Open HTTP connections.",
            static_cast<double>(connection_count()));
  out.counter("tarsier_http_connections_accepted_total", "HTTP connections accepted.",
              static_cast<double>(s.accepted.value()));
  out.counter("tarsier_http_connections_refused_total",
              "HTTP connections refused because there were too many.",
              static_cast<double>(s.refused.value()));
  out.counter("tarsier_http_timeouts_total",
              "HTTP connections closed because a request or an answer took too long.",
              static_cast<double>(s.timed_out.value()));
}

}  // namespace tarsier::server
