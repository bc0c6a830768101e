#include "server/http_client.h"

#include <array>
#include <deque>
#include <map>
#include <optional>
#include <thread>
#include <unordered_set>
#include <utility>

#include <pthread.h>

#include <fmt/format.h>
#include <boost/asio.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

#include "base/ascii.h"
#include "base/compression.h"
#include "server/base64.h"
#include "server/clock.h"
#include "server/url.h"

// Everything but fetch() itself happens on one thread, so nothing is locked. A Fetch is one request
// on its way: take or make a connection, write, read, maybe go round again for a redirect. It owns
// itself through its pending operation; whatever ends it first (answer, error, timer, shutdown)
// calls finish(), and everything that comes later finds `done_` empty.

namespace tarsier::server {
namespace {

namespace net = boost::asio;
namespace http = boost::beast::http;
using Tcp = net::ip::tcp;
using boost::system::error_code;

constexpr std::size_t kReadBufferBytes = 64 << 10;

struct Link {
  explicit Link(net::io_context& context) : socket(context) { buffer.reserve(kReadBufferBytes); }
  Tcp::socket socket;
  boost::beast::flat_buffer buffer;
  std::int64_t idle_since_ns = 0;
};

std::string error_text(const error_code& error) {
  // Go's words, which users of Prometheus know from the targets page.
  if (error == net::error::connection_refused) return "connect: connection refused";
  if (error == net::error::host_unreachable) return "connect: no route to host";
  if (error == net::error::network_unreachable) return "connect: network is unreachable";
  if (error == net::error::connection_reset) return "read: connection reset by peer";
  if (error == http::error::end_of_stream || error == net::error::eof) return "EOF";
  if (error == http::error::partial_message) return "unexpected EOF";
  return error.message();
}

std::string_view header_of(const http::response<http::string_body>& message, http::field name) {
  const auto found = message.find(name);
  return found == message.end() ? std::string_view() : std::string_view(found->value());
}

bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

}  // namespace

struct TcpHttpClient::Impl {
  class Fetch;

  explicit Impl(HttpClientOptions o)
      : options(std::move(o)), context(1), guard(context.get_executor()), resolver(context) {}

  std::unique_ptr<Link> take_idle(const std::string& origin);
  void keep_idle(const std::string& origin, std::unique_ptr<Link> link);

  const HttpClientOptions options;
  std::unordered_set<Fetch*> running;
  net::io_context context;
  net::executor_work_guard<net::io_context::executor_type> guard;
  Tcp::resolver resolver;
  std::map<std::string, std::deque<std::unique_ptr<Link>>> idle;
  bool stopping = false;
  std::thread thread;
};

class TcpHttpClient::Impl::Fetch final : public std::enable_shared_from_this<Fetch> {
 public:
  using Done = std::function<void(Result<HttpResponse>)>;

  Fetch(Impl& client, HttpFetch request, Done done)
      : client_(client),
        request_(std::move(request)),
        done_(std::move(done)),
        timer_(client.context) {
    client_.running.insert(this);
  }
  ~Fetch() { client_.running.erase(this); }

  void start();
  void cancel() { finish(cancelled("the HTTP client is stopping")); }

 private:
  void go_to(Result<Url> url);
  void connect();
  void connect_to(const Tcp::resolver::results_type& endpoints);
  void write();
  void read();
  void on_answer(error_code error);
  bool send_again(error_code error);
  Result<HttpResponse> take_response(http::response<http::string_body> message) const;
  void fail(const error_code& error, std::string_view doing);
  void finish(Result<HttpResponse> outcome);
  std::string render() const;
  std::string endpoint_name() const { return fmt::format("{}:{}", url_.host, url_.port); }
  std::uint64_t body_size_max() const {
    return request_.body_size_max > 0 ? request_.body_size_max : client_.options.body_size_max;
  }

  Impl& client_;
  HttpFetch request_;
  Done done_;
  net::steady_timer timer_;
  Url url_;
  std::unique_ptr<Link> link_;
  bool link_is_reused_ = false;
  int redirects_ = 0;
  std::string wire_;
  std::optional<http::response_parser<http::string_body>> parser_;
};

void TcpHttpClient::Impl::Fetch::start() {
  timer_.expires_after(std::chrono::milliseconds(request_.timeout.ms));
  timer_.async_wait([self = shared_from_this()](error_code error) {
    if (!error) self->finish(timeout("context deadline exceeded"));
  });
  go_to(parse_url(request_.url));
}

void TcpHttpClient::Impl::Fetch::go_to(Result<Url> url) {
  if (!url.ok()) return finish(std::move(url).status());
  if (url->scheme != "http") {
    return finish(invalid(fmt::format("{}: https is not supported", url->origin())));
  }
  url_ = std::move(*url);
  link_ = client_.take_idle(url_.origin());
  link_is_reused_ = link_ != nullptr;
  link_is_reused_ ? write() : connect();
}

void TcpHttpClient::Impl::Fetch::connect() {
  link_ = std::make_unique<Link>(client_.context);
  error_code not_an_address;
  const net::ip::address address = net::ip::make_address(url_.host, not_an_address);
  if (!not_an_address) {
    const Tcp::endpoint endpoint(address, url_.port);
    return connect_to(Tcp::resolver::results_type::create(endpoint, url_.host, ""));
  }
  client_.resolver.async_resolve(
      url_.host, std::to_string(url_.port),
      [self = shared_from_this()](error_code error, const Tcp::resolver::results_type& found) {
        if (!self->done_) return;
        if (error) {
          return self->finish(unavailable(
              fmt::format("dial tcp: lookup {}: {}", self->url_.host, error.message())));
        }
        self->connect_to(found);
      });
}

void TcpHttpClient::Impl::Fetch::connect_to(const Tcp::resolver::results_type& endpoints) {
  net::async_connect(link_->socket, endpoints,
                     [self = shared_from_this()](error_code error, const Tcp::endpoint&) {
                       if (!self->done_) return;
                       if (error) {
                         return self->fail(error,
                                           fmt::format("dial tcp {}", self->endpoint_name()));
                       }
                       error_code ignored;
                       self->link_->socket.set_option(Tcp::no_delay(true), ignored);
                       self->write();
                     });
}

std::string TcpHttpClient::Impl::Fetch::render() const {
  std::string out =
      fmt::format("{} {} HTTP/1.1\r\nHost: {}\r\n", request_.method, url_.target, url_.authority());
  bool has_agent = false;
  bool has_authorization = false;
  for (const auto& [name, value] : request_.headers) {
    has_agent = has_agent || equal_ignoring_case(name, "User-Agent");
    has_authorization = has_authorization || equal_ignoring_case(name, "Authorization");
    out += fmt::format("{}: {}\r\n", name, value);
  }
  if (!has_agent) out += fmt::format("User-Agent: {}\r\n", client_.options.user_agent);
  if (!has_authorization && !url_.user_info.empty()) {
    out += fmt::format("Authorization: Basic {}\r\n", encode_base64(url_.user_info));
  }
  if (!request_.body.empty() || request_.method != "GET") {
    out += fmt::format("Content-Length: {}\r\n", request_.body.size());
  }
  return out += "\r\n";
}

void TcpHttpClient::Impl::Fetch::write() {
  wire_ = render();
  const std::array<net::const_buffer, 2> parts = {net::buffer(wire_), net::buffer(request_.body)};
  net::async_write(link_->socket, parts,
                   [self = shared_from_this()](error_code error, std::size_t) {
                     if (!self->done_) return;
                     if (!error) return self->read();
                     if (!self->send_again(error))
                       self->fail(error, fmt::format("write to {}", self->endpoint_name()));
                   });
}

void TcpHttpClient::Impl::Fetch::read() {
  parser_.emplace();
  parser_->header_limit(64 << 10);
  // One byte more than allowed is let in, so that "exactly the limit" and "above" can be told
  // apart.
  parser_->body_limit(body_size_max() + 1);
  if (request_.method == "HEAD") parser_->skip(true);
  http::async_read(link_->socket, link_->buffer, *parser_,
                   [self = shared_from_this()](error_code error, std::size_t) {
                     if (self->done_) self->on_answer(error);
                   });
}

/// A kept connection may have been closed by the other side while it was idle: try a new one, once.
bool TcpHttpClient::Impl::Fetch::send_again(error_code error) {
  const bool was_closed = error == http::error::end_of_stream || error == net::error::eof ||
                          error == net::error::connection_reset || error == net::error::broken_pipe;
  if (!link_is_reused_ || !was_closed) return false;
  link_is_reused_ = false;
  connect();
  return true;
}

void TcpHttpClient::Impl::Fetch::on_answer(error_code error) {
  if (error == http::error::body_limit) {
    return finish(limit_exceeded(fmt::format("body exceeds {} bytes", body_size_max())));
  }
  if (error) {
    if (!parser_->got_some() && send_again(error)) return;
    return fail(error, fmt::format("read from {}", endpoint_name()));
  }
  http::response<http::string_body> message = parser_->release();
  if (message.keep_alive() && !message.need_eof()) {
    client_.keep_idle(url_.origin(), std::move(link_));
  }
  link_.reset();
  const bool is_get = request_.method == "GET" || request_.method == "HEAD";
  const std::string_view location = header_of(message, http::field::location);
  if (request_.follow_redirects && is_get && is_redirect(static_cast<int>(message.result_int())) &&
      !location.empty()) {
    if (++redirects_ > client_.options.redirects_max) {
      return finish(
          unavailable(fmt::format("stopped after {} redirects", client_.options.redirects_max)));
    }
    Result<Url> next = resolve_url(url_, location);
    if (next.ok() && next->origin() != url_.origin()) {
      std::erase_if(request_.headers, [](const auto& header) {
        return equal_ignoring_case(header.first, "Authorization") ||
               equal_ignoring_case(header.first, "Cookie");
      });
    }
    return go_to(std::move(next));
  }
  finish(take_response(std::move(message)));
}

Result<HttpResponse> TcpHttpClient::Impl::Fetch::take_response(
    http::response<http::string_body> message) const {
  HttpResponse response;
  response.status = static_cast<int>(message.result_int());
  response.content_type = header_of(message, http::field::content_type);
  const bool is_gzip =
      equal_ignoring_case(header_of(message, http::field::content_encoding), "gzip");
  for (const auto& field : message) {
    response.headers.emplace_back(field.name_string(), field.value());
  }
  if (is_gzip && !message.body().empty()) {
    TRY(gzip_decompress(as_bytes(message.body()), body_size_max(), response.body));
  } else {
    response.body = std::move(message.body());
  }
  if (response.body.size() > body_size_max()) {
    return limit_exceeded(fmt::format("body exceeds {} bytes", body_size_max()));
  }
  return response;
}

void TcpHttpClient::Impl::Fetch::fail(const error_code& error, std::string_view doing) {
  const std::string text = fmt::format("{}: {}", doing, error_text(error));
  const bool is_http =
      error.category() == http::make_error_code(http::error::bad_method).category();
  const bool ended = error == http::error::end_of_stream || error == http::error::partial_message;
  finish(is_http && !ended ? corruption(text) : unavailable(text));
}

void TcpHttpClient::Impl::Fetch::finish(Result<HttpResponse> outcome) {
  if (!done_) return;
  const Done done = std::exchange(done_, nullptr);
  timer_.cancel();
  error_code ignored;
  if (link_) link_->socket.close(ignored);
  done(std::move(outcome));
}

std::unique_ptr<Link> TcpHttpClient::Impl::take_idle(const std::string& origin) {
  const auto found = idle.find(origin);
  if (found == idle.end()) return nullptr;
  const std::int64_t oldest_ns = monotonic_ns() - options.idle_timeout.ms * 1'000'000;
  std::unique_ptr<Link> link;
  while (!link && !found->second.empty()) {
    if (found->second.back()->idle_since_ns >= oldest_ns) link = std::move(found->second.back());
    found->second.pop_back();
  }
  if (found->second.empty()) idle.erase(found);
  return link;
}

void TcpHttpClient::Impl::keep_idle(const std::string& origin, std::unique_ptr<Link> link) {
  if (stopping || link->buffer.size() > 0) return;
  link->idle_since_ns = monotonic_ns();
  std::deque<std::unique_ptr<Link>>& links = idle[origin];
  links.push_back(std::move(link));
  if (links.size() > options.idle_connections_per_host_max) links.pop_front();
}

TcpHttpClient::TcpHttpClient(HttpClientOptions options)
    : impl_(std::make_unique<Impl>(std::move(options))) {
  impl_->thread = std::thread([impl = impl_.get()] {
    ::pthread_setname_np(::pthread_self(), "http-client");
    impl->context.run();
  });
}

TcpHttpClient::~TcpHttpClient() {
  net::post(impl_->context, [impl = impl_.get()] {
    impl->stopping = true;
    std::vector<std::shared_ptr<Impl::Fetch>> held;
    for (Impl::Fetch* fetch : impl->running) held.push_back(fetch->shared_from_this());
    for (const auto& fetch : held) fetch->cancel();
    impl->resolver.cancel();
    impl->idle.clear();
    impl->guard.reset();
  });
  impl_->thread.join();
}

void TcpHttpClient::fetch(HttpFetch request, std::function<void(Result<HttpResponse>)> done) {
  net::post(impl_->context,
            [impl = impl_.get(), request = std::move(request), done = std::move(done)]() mutable {
              if (impl->stopping) return done(cancelled("the HTTP client is stopping"));
              std::make_shared<Impl::Fetch>(*impl, std::move(request), std::move(done))->start();
            });
}

}  // namespace tarsier::server
