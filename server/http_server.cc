#include "server/http_server.h"

#include <optional>
#include <utility>

#include <fmt/format.h>
#include <boost/asio.hpp>

#include "server/http_worker.h"
#include "server/url.h"

// Listens, accepts, and deals connections out to the workers in turn.

namespace tarsier::server {
namespace {

namespace net = boost::asio;
using Tcp = net::ip::tcp;
using boost::system::error_code;

// Connections over the limit that are being told so.
constexpr std::size_t kRefusalsMax = 64;
// How long requests that were cancelled may take to notice.
constexpr Duration kLastGrace = seconds(10);

}  // namespace

struct HttpServer::Impl {
  std::shared_ptr<HttpServerState> state;
  std::vector<std::shared_ptr<HttpWorker>> workers;
  std::vector<std::unique_ptr<Tcp::acceptor>> acceptors;  // On the first worker's thread.
  std::unique_ptr<net::steady_timer> accept_pause;
  std::vector<std::string> addresses;
  std::size_t next_worker = 0;

  Status bind(const std::string& address);
  void accept_on(Tcp::acceptor& acceptor);
  void accepted(HttpWorker& worker, Tcp::socket socket);
  void close_connections(HttpWorker::Which which);
};

Status HttpServer::Impl::bind(const std::string& address) {
  const auto [host, port] = TRY(parse_address(address));
  error_code error;
  std::vector<Tcp::endpoint> endpoints;
  if (host.empty()) {
    endpoints = {Tcp::endpoint(Tcp::v6(), port), Tcp::endpoint(Tcp::v4(), port)};
  } else {
    Tcp::resolver resolver(workers[0]->context());
    for (const auto& entry : resolver.resolve(host, std::to_string(port), error)) {
      endpoints.push_back(entry.endpoint());
    }
    if (error) return io_error(fmt::format("listen on {}: {}", address, error.message()));
  }
  // The first that works: a machine without IPv6 still listens on everything it has.
  for (const Tcp::endpoint& endpoint : endpoints) {
    auto acceptor = std::make_unique<Tcp::acceptor>(workers[0]->context());
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
  const std::shared_ptr<HttpWorker>& worker = workers[next_worker++ % workers.size()];
  acceptor.async_accept(
      worker->context(), [this, &acceptor, worker](error_code error, Tcp::socket socket) {
        if (!acceptor.is_open() || state->draining.load()) return;
        if (!error) {
          accepted(*worker, std::move(socket));
          return accept_on(acceptor);
        }
        // Out of file descriptors, most likely: others must end before it can work again.
        state->log.warn("Accepting a connection failed", {{"err", error.message()}});
        accept_pause->expires_after(std::chrono::milliseconds(100));
        accept_pause->async_wait([this, &acceptor](error_code stopped) {
          if (!stopped) accept_on(acceptor);
        });
      });
}

void HttpServer::Impl::accepted(HttpWorker& worker, Tcp::socket socket) {
  using Welcome = HttpWorker::Welcome;
  state->accepted.add();
  const std::size_t count = state->add_connection();
  const std::size_t count_max = state->options.connection_count_max;
  const Welcome welcome = count <= count_max                  ? Welcome::kServe
                          : count <= count_max + kRefusalsMax ? Welcome::kRefuse
                                                              : Welcome::kDrop;
  if (welcome != Welcome::kServe) state->refused.add();
  worker.adopt(std::move(socket), welcome);
}

void HttpServer::Impl::close_connections(HttpWorker::Which which) {
  for (const std::shared_ptr<HttpWorker>& worker : workers) worker->close_connections(which);
}

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Result<std::unique_ptr<HttpServer>> HttpServer::listen(HttpServerOptions options,
                                                       HttpDispatch dispatch, Logger& log,
                                                       HttpGuard guard) {
  CHECK(options.thread_count > 0 && dispatch);
  auto impl = std::make_unique<Impl>();
  impl->state = std::make_shared<HttpServerState>(std::move(options), std::move(dispatch),
                                                  std::move(guard), log);
  for (std::size_t i = 0; i < impl->state->options.thread_count; ++i) {
    impl->workers.push_back(std::make_shared<HttpWorker>(impl->state));
  }
  for (const std::string& address : impl->state->options.listen_addresses) {
    TRY(impl->bind(address));
  }
  impl->accept_pause = std::make_unique<net::steady_timer>(impl->workers[0]->context());
  for (const auto& acceptor : impl->acceptors) impl->accept_on(*acceptor);
  for (std::size_t i = 0; i < impl->workers.size(); ++i) impl->workers[i]->start(i);
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

const std::vector<std::string>& HttpServer::addresses() const { return impl_->addresses; }

std::size_t HttpServer::connection_count() const {
  MutexLock lock(impl_->state->mutex);
  return impl_->state->connection_count;
}

void HttpServer::drain(Duration grace) {
  impl_->state->draining.store(true);
  net::post(impl_->workers[0]->context(), [impl = impl_.get()] {
    error_code ignored;
    for (const auto& acceptor : impl->acceptors) acceptor->close(ignored);
  });
  impl_->close_connections(HttpWorker::Which::kIdle);
  impl_->state->wait_until_gone(grace);
}

void HttpServer::cut_off() { impl_->close_connections(HttpWorker::Which::kAll); }

HttpServer::~HttpServer() {
  drain(Duration{0});
  cut_off();
  const bool all_gone = impl_->state->wait_until_gone(kLastGrace);
  if (!all_gone) impl_->state->log.error("Requests were still running when the server ended");
  net::post(impl_->workers[0]->context(), [impl = impl_.get()] { impl->accept_pause->cancel(); });
  const HttpWorker::Stop how = all_gone ? HttpWorker::Stop::kWhenDone : HttpWorker::Stop::kAtOnce;
  for (const auto& worker : impl_->workers) worker->stop(how);
  for (const auto& worker : impl_->workers) worker->join();
  impl_->acceptors.clear();
  impl_->accept_pause.reset();
}

void HttpServer::collect(MetricWriter& out) const {
  const HttpServerState& s = *impl_->state;
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
  out.counter("tarsier_http_bodies_put_off_total",
              "Requests answered 429 because bodies of others took the memory there is for them.",
              static_cast<double>(s.bodies_put_off.value()));
  out.gauge("tarsier_http_body_bytes", "Bodies of requests that are being read or handled.",
            static_cast<double>(s.body_bytes.load(std::memory_order_relaxed)));
}

}  // namespace tarsier::server
