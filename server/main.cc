#include <csignal>
#include <cstdio>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <pthread.h>
#include <unistd.h>

#include "server/agent_mode.h"
#include "server/cli.h"
#include "server/cli_help.h"
#include "server/flags.h"
#include "server/memory_guard.h"
#include "server/signals.h"
#include "server/stderr_logger.h"
#include "server/tarsier.h"

namespace tarsier::server {
namespace {

// Exit codes are Prometheus': scripts and supervisors tell a bad configuration from a bad machine.
constexpr int kStopped = 0;
constexpr int kMachineFault = 1;
constexpr int kUserFault = 2;
constexpr int kWrongMode = 3;  ///< A flag of the server for the agent, or the other way round.

int complain(const std::string& text) {
  std::fprintf(stderr, "tarsier: error: %s\n", text.c_str());
  return kUserFault;
}

LogLevel log_level(const std::string& name) {
  if (name == "debug") return LogLevel::kDebug;
  if (name == "warn") return LogLevel::kWarn;
  return name == "error" ? LogLevel::kError : LogLevel::kInfo;
}

int serve(const Flags& flags) {
  keep_allocator_small();
  const sigset_t signals = block_signals();
  const std::string& format = flags.text("log.format");
  StderrLogger log(log_level(flags.text("log.level")),
                   format == "json" ? LogFormat::kJson : LogFormat::kLogfmt);
  Result<std::unique_ptr<Tarsier>> server =
      Tarsier::start(flags, log, [] { ::kill(::getpid(), SIGTERM); });
  if (!server.ok()) {
    const Status& status = server.status();
    log.error("Tarsier cannot start", {{"err", status.message()}});
    const bool is_configuration =
        status.code() == Code::kInvalid || status.code() == Code::kNotFound;
    return is_configuration ? kUserFault : kMachineFault;
  }
  for (;;) {
    int signal = 0;
    if (::sigwait(&signals, &signal) != 0) continue;
    if (signal != SIGHUP) break;
    [[maybe_unused]] const Status told = (*server)->reload();  // Logged where it happened.
  }
  // A second signal ends a stop that takes too long for somebody's patience.
  ::pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
  server->reset();
  return kStopped;
}

int run(std::vector<std::string> arguments) {
  Result<std::vector<std::string>> expanded = expand_argument_files(arguments);
  if (!expanded.ok()) return complain(expanded.status().message());
  arguments = std::move(*expanded);
  // The demo has flags of its own, and help about them.
  const bool is_demo = !arguments.empty() && arguments[0] == "demo";
  for (const std::string& argument : is_demo ? std::vector<std::string>() : arguments) {
    if (argument == "--help" || argument == "-h") {
      const std::optional<std::string> help = command_help(arguments);
      std::fputs(help.value_or(usage()).c_str(), stdout);
      return kStopped;
    }
    if (argument == "--version") {
      std::fputs(version_text().c_str(), stdout);
      return kStopped;
    }
  }
  if (is_command(arguments)) return run_command(arguments);
  const Result<Flags> flags = Flags::parse(arguments);
  if (!flags.ok()) return complain(flags.status().message() + ", try --help");
  if (const Status mode = check_mode_flags(*flags); !mode.ok()) {
    static_cast<void>(complain(mode.message()));
    return kWrongMode;
  }
  return serve(*flags);
}

}  // namespace
}  // namespace tarsier::server

int main(int argc, char** argv) {
  return tarsier::server::run(std::vector<std::string>(argv + 1, argv + argc));
}
