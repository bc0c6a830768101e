#include "server/cli_demo.h"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <future>
#include <iterator>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <signal.h>
#include <unistd.h>

#include <fmt/format.h>

#include "base/duration.h"
#include "base/mutex.h"
#include "base/posix_file.h"
#include "server/cli_arguments.h"
#include "server/cli_ask.h"
#include "server/clock.h"
#include "server/demo/demo_files.h"
#include "server/demo/shop.h"
#include "server/flags.h"
#include "server/http_client.h"
#include "server/http_server.h"
#include "server/settings.h"
#include "server/signals.h"
#include "server/stderr_logger.h"
#include "server/tarsier.h"

namespace tarsier::server {
namespace {

constexpr const char* kHelp = R"(usage: tarsier demo [flags] [-- flags of the server]

Starts a server with a directory of its own and a synthetic shop in front of it: six services with
metrics and traces, three objectives, two alerting rules, some hours of history, and an incident:
one of the shop's two banks becomes slow and fails. Ctrl-C stops both.

  --dir=DIR             where configuration and data are kept (tarsier-demo)
  --server=URL          sends the shop's spans there and starts no server; what to scrape is printed
  --shop.listen-address=HOST:PORT  where the shop exposes metrics (127.0.0.1:9464)
  --node-exporter=HOST:PORT  scrapes that, too
  --seed=N              another sequence of visitors (1)
  --rate=N              visitors per second (10)
  --history=D           how much past there is at the first start (6h)
  --incident-after=D    from the start to the first incident (2m)
  --incident-for=D      how long one takes (5m)
  --incident-every=D    from the end of one to the next (30m)

At any time: curl -X POST 'http://127.0.0.1:9464/incident?for=5m'
)";

struct DemoOptions {
  std::string directory;
  std::string server;  ///< Empty: one of our own.
  std::string shop_address;
  std::string node_exporter;
  ShopOptions shop;
  Duration history;
  Duration incident_after;
  Duration incident_for;
  Duration incident_every;
  std::vector<std::string> server_flags;
};

/// Seen at once also where stdout is a file.
void tell(std::string_view text) {
  cli_print(text);
  std::fflush(stdout);
}

Result<double> positive(const CliArguments& given, const std::string& name, const char* otherwise) {
  const std::string text = given.value(name, otherwise);
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (end == text.c_str() || *end != '\0' || !(value > 0) || value > 1e5) {
    return invalid(fmt::format("--{}: expected a number from 0 to 100000, got \"{}\"", name, text));
  }
  return value;
}

Result<Duration> length(const CliArguments& given, const std::string& name, const char* otherwise) {
  Result<Duration> out = parse_duration(given.value(name, otherwise));
  if (!out.ok()) return std::move(out).status().with_prefix("--" + name);
  return out;
}

Result<DemoOptions> read_options(std::span<const std::string> arguments) {
  const auto dashes = std::ranges::find(arguments, "--");
  const CliArguments given = TRY(
      parse_cli(arguments.first(static_cast<std::size_t>(dashes - arguments.begin())),
                {.values = {"dir", "server", "shop.listen-address", "node-exporter", "seed", "rate",
                            "history", "incident-after", "incident-for", "incident-every"}}));
  if (!given.rest.empty()) {
    return invalid(
        fmt::format("unexpected \"{}\"; flags of the server come after --", given.rest[0]));
  }
  DemoOptions out{.directory = given.value("dir", "tarsier-demo"),
                  .server = given.has("server") ? server_url(given.value("server")) : "",
                  .shop_address = given.value("shop.listen-address", "127.0.0.1:9464"),
                  .node_exporter = given.value("node-exporter"),
                  .shop = {.seed = static_cast<std::uint64_t>(TRY(positive(given, "seed", "1"))),
                           .requests_per_second = TRY(positive(given, "rate", "10"))},
                  .history = TRY(length(given, "history", "6h")),
                  .incident_after = TRY(length(given, "incident-after", "2m")),
                  .incident_for = TRY(length(given, "incident-for", "5m")),
                  .incident_every = TRY(length(given, "incident-every", "30m")),
                  .server_flags = {}};
  if (dashes != arguments.end()) out.server_flags.assign(dashes + 1, arguments.end());
  return out;
}

/// The shop behind a lock and a port: scraped on the network's threads, driven on the main one.
class ShopServer final {
 public:
  ShopServer(ShopOptions options, Timestamp start) : shop_(options, start) {
    metrics_ = [this](const HttpRequest& request, const HttpResponder& respond) {
      respond(metrics(request));
    };
    incident_ = [this](const HttpRequest& request, const HttpResponder& respond) {
      respond(incident(request));
    };
  }

  Status listen(const std::string& address, Logger& log) {
    http_ = TRY(HttpServer::listen(
        {.listen_addresses = {address}},
        [this](const HttpRequest& request) { return decide(request); }, log));
    return {};
  }
  const std::string& address() const { return http_->addresses().at(0); }

  /// From here on it can be scraped; before, its counters may be those of the past.
  void open() { is_open_.store(true); }

  template <typename Use>
  auto with_shop(const Use& use) {
    const MutexLock lock(mutex_);
    return use(shop_);
  }

 private:
  HttpDecision decide(const HttpRequest& request) const {
    if (request.path.starts_with("/metrics/") && request.method == "GET") {
      return {.handler = &metrics_};
    }
    if (request.path == "/incident" && request.method == "POST") {
      return {.handler = &incident_, .body_size_max = 4096};
    }
    return {
        .answer = {.status = 404, .content_type = "text/plain", .body = "404 page not found\n"}};
  }

  HttpResponse metrics(const HttpRequest& request) {
    if (!is_open_.load()) {
      return {.status = 503, .content_type = "text/plain", .body = "The shop opens soon.\n"};
    }
    const std::string service = request.path.substr(request.path.rfind('/') + 1);
    if (std::ranges::find(Shop::services(), service) == Shop::services().end()) {
      return {.status = 404, .content_type = "text/plain", .body = "no such service\n"};
    }
    return {.content_type = "text/plain; version=0.0.4; charset=utf-8",
            .body = with_shop([&](const Shop& shop) { return shop.metrics(service); })};
  }

  HttpResponse incident(const HttpRequest& request) {
    const Result<Duration> wanted =
        parse_duration(std::string(request.parameter("for").value_or("5m")));
    if (!wanted.ok()) {
      return {
          .status = 400, .content_type = "text/plain", .body = wanted.status().message() + "\n"};
    }
    with_shop([&](Shop& shop) { shop.plan_incident(now(), now() + *wanted); });
    return {.content_type = "text/plain", .body = "The incident begins.\n"};
  }

  Mutex mutex_;
  Shop shop_ GUARDED_BY(mutex_);
  std::atomic<bool> is_open_{false};
  HttpHandler metrics_;
  HttpHandler incident_;
  std::unique_ptr<HttpServer> http_;  ///< Last: its threads use the rest.
};

class Demo final {
 public:
  explicit Demo(DemoOptions options)
      : options_(std::move(options)), files_(make_posix_file_system()), client_({}) {}

  Status start() {
    sigset_ = block_signals();
    std::vector<std::string> arguments = {
        "--config.file=" + join_path(options_.directory, kDemoConfigName),
        "--storage.tsdb.path=" + data_directory(), "--log.level=warn"};
    const auto is_address = [](const std::string& flag) {
      return flag.starts_with("--web.listen-address");
    };
    if (std::ranges::none_of(options_.server_flags, is_address)) {
      arguments.push_back("--web.listen-address=127.0.0.1:9090");
    }
    arguments.insert(arguments.end(), options_.server_flags.begin(), options_.server_flags.end());
    flags_ = TRY(Flags::parse(arguments));
    const bool has_past = files_->exists(data_directory());
    begin_ = now();
    const Timestamp shop_begin = has_past ? begin_ : begin_ - options_.history;
    shop_ = std::make_unique<ShopServer>(options_.shop, shop_begin);
    TRY(shop_->listen(options_.shop_address, log_).with_prefix("--shop.listen-address"));
    url_ = options_.server;
    if (url_.empty()) {
      TRY(start_server());
      if (!has_past) TRY(write_history(shop_begin));
    }
    shop_->with_shop([&](Shop& shop) {
      static_cast<void>(shop.advance(now(), false));
      plan_incident(shop, begin_ + options_.incident_after);
    });
    shop_->open();
    print_welcome();
    return {};
  }

  /// Until a signal ends it.
  void run() {
    for (;;) {
      constexpr timespec kPause{.tv_sec = 0, .tv_nsec = 500'000'000};
      const int signal = ::sigtimedwait(&sigset_, nullptr, &kPause);
      if (signal == SIGHUP && server_ != nullptr) {
        [[maybe_unused]] const Status told = server_->reload();  // Logged where it happened.
      } else if (signal > 0) {
        break;
      }
      serve_visitors();
    }
    ::pthread_sigmask(SIG_UNBLOCK, &sigset_, nullptr);
  }

 private:
  std::string data_directory() const { return join_path(options_.directory, "data"); }

  Status start_server() {
    const std::string own_address = loopback_of(flags_->list("web.listen-address").at(0));
    TRY(files_->create_directories(options_.directory));
    const auto write = [&](const char* name, const std::string& text) {
      return write_file_atomically(*files_, join_path(options_.directory, name), text);
    };
    TRY(write(kDemoConfigName, demo_config({.server = own_address,
                                            .shop = shop_->address(),
                                            .node_exporter = options_.node_exporter})));
    TRY(write(kDemoRulesName, demo_rules()));
    TRY(write(kDemoObjectivesName, demo_objectives()));
    server_ = TRY(Tarsier::start(*flags_, log_, [] { ::kill(::getpid(), SIGTERM); }));
    url_ = "http://" + loopback_of(server_->addresses().at(0));
    for (int i = 0; i < 600; ++i) {
      const Result<HttpResponse> ready = fetch({.url = url_ + "/-/ready"});
      if (ready.ok() && ready->status == 200) return {};
      ::usleep(100'000);
    }
    return unavailable("the server is not ready after a minute");
  }

  /// What the services would have exposed, every 15 s of the past.
  Status write_history(Timestamp from) {
    constexpr Duration kStep = seconds(15);
    constexpr std::size_t kRequestBytes = std::size_t{4} << 20;
    tell(fmt::format("Writing {} of history ...\n", format_duration(options_.history)));
    std::string lines;
    for (Timestamp t = from + kStep; t < begin_; t = t + kStep) {
      shop_->with_shop([&](Shop& shop) {
        static_cast<void>(shop.advance(t, false));
        for (const std::string& service : Shop::services()) {
          lines += shop.metrics(
              service, fmt::format(R"(job="shop",instance="{0}-0",service="{0}",)", service),
              fmt::format("{}", t.ms));
        }
      });
      if (lines.size() > kRequestBytes || t + kStep >= begin_) {
        TRY(post("/api/v1/import/prometheus", "text/plain", std::exchange(lines, {})));
      }
    }
    return {};
  }

  void serve_visitors() {
    const Timestamp t = now();
    std::string spans;
    const bool is_incident = shop_->with_shop([&](Shop& shop) {
      if (t >= shop.incident_end()) {
        plan_incident(shop, shop.incident_end() + options_.incident_every);
      }
      spans = shop.advance(t, true);
      return shop.has_incident(t);
    });
    if (is_incident != is_incident_) {
      is_incident_ = is_incident;
      tell(is_incident ? "The incident begins: one bank is slow and fails.\n"
                       : "The incident is over.\n");
    }
    if (spans.empty()) return;
    const Status sent = post("/v1/traces", "application/x-protobuf", std::move(spans));
    if (!sent.ok() && sent.message() != last_error_) {
      tell(fmt::format("Spans are lost: {}\n", sent.message()));
    }
    last_error_ = sent.ok() ? "" : sent.message();
  }

  void plan_incident(Shop& shop, Timestamp start) const {
    shop.plan_incident(start, start + options_.incident_for);
  }

  Status post(const char* path, const char* content_type, std::string body) {
    const HttpResponse response = TRY(fetch({.url = url_ + path,
                                             .headers = {{"Content-Type", content_type}},
                                             .method = "POST",
                                             .body = std::move(body),
                                             .timeout = minutes(1)}));
    if (response.status / 100 == 2) return {};
    return unavailable(fmt::format("{} answered {}: {}", path, response.status, response.body));
  }

  Result<HttpResponse> fetch(HttpFetch request) {
    std::promise<Result<HttpResponse>> promise;
    client_.fetch(std::move(request),
                  [&](Result<HttpResponse> outcome) { promise.set_value(std::move(outcome)); });
    return promise.get_future().get();
  }

  void print_welcome() const {
    if (server_ == nullptr) {
      tell(fmt::format("The shop sends spans to {}. Scrape it with:\n\n{}\n", url_,
                       demo_config({.server = url_.substr(url_.find("://") + 3),
                                    .shop = shop_->address(),
                                    .node_exporter = options_.node_exporter})));
      return;
    }
    tell(fmt::format(R"(
The shop is open: {0}/   (files in {1}, Ctrl-C stops it)

  {0}/query?g0.expr=service:http_requests:rate1m
  {0}/alerts    {0}/slos    {0}/traces

In {2} one of its two banks becomes slow and fails, for {3}. Watch the alerts: a minute later
they say why. Or at once:  curl -X POST 'http://{4}/incident?for=5m'

)",
                     url_, options_.directory, format_duration(options_.incident_after),
                     format_duration(options_.incident_for), shop_->address()));
  }

  const DemoOptions options_;
  const std::unique_ptr<FileSystem> files_;
  StderrLogger log_{LogLevel::kWarn, LogFormat::kLogfmt};
  sigset_t sigset_{};
  std::optional<Flags> flags_;
  Timestamp begin_;
  std::string url_;
  bool is_incident_ = false;
  std::string last_error_;  ///< Of sending spans; each is told once.
  std::unique_ptr<ShopServer> shop_;
  std::unique_ptr<Tarsier> server_;
  TcpHttpClient client_;
};

}  // namespace

int run_demo(std::span<const std::string> arguments) {
  if (std::ranges::find(arguments, "--help") != arguments.end()) {
    cli_print(kHelp);
    return kCliOk;
  }
  Result<DemoOptions> options = read_options(arguments);
  if (!options.ok()) {
    return cli_complain("error: " + options.status().message() + ", try tarsier demo --help",
                        kCliUsage);
  }
  Demo demo(std::move(*options));
  if (const Status started = demo.start(); !started.ok()) {
    return cli_complain("error: " + started.message(), kCliFailed);
  }
  demo.run();
  return kCliOk;
}

}  // namespace tarsier::server
