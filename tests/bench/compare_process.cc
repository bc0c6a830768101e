#include "tests/bench/compare_process.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <csignal>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>

#include <fmt/format.h>

#include "base/check.h"

namespace tarsier::bench {
namespace {

pid_t spawn(const std::vector<std::string>& command, int output) {
  std::vector<char*> arguments;
  for (const std::string& part : command) arguments.push_back(const_cast<char*>(part.c_str()));
  arguments.push_back(nullptr);
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid != 0) return pid;
  // Only what is safe between fork and exec.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(127);
  ::dup2(output, 1);
  ::dup2(output, 2);
  ::execvp(arguments[0], arguments.data());
  ::_exit(127);
}

std::string read_all(const std::string& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

}  // namespace

Result<Process> Process::start(const std::vector<std::string>& command,
                               const std::string& output_path) {
  const int output = ::open(output_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (output < 0) return io_error(fmt::format("{}: {}", output_path, std::strerror(errno)));
  const pid_t pid = spawn(command, output);
  ::close(output);
  if (pid < 0) return io_error(fmt::format("fork: {}", std::strerror(errno)));
  return Process(pid);
}

Process::Process(Process&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}

Process::~Process() { kill(); }

bool Process::is_running() {
  if (pid_ <= 0) return false;
  int status = 0;
  if (::waitpid(pid_, &status, WNOHANG) == 0) return true;
  pid_ = -1;
  return false;
}

void Process::stop() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGTERM);
  for (int i = 0; i < 600 && is_running(); ++i) sleep_ms(100);
  kill();
}

void Process::kill() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

double Process::cpu_seconds() const {
  const std::string stat = read_all(fmt::format("/proc/{}/stat", pid_));
  const std::size_t after_name = stat.rfind(')');
  if (after_name == std::string::npos) return 0;
  std::istringstream fields(stat.substr(after_name + 2));
  std::string skipped;
  for (int i = 0; i < 11; ++i) fields >> skipped;
  double user = 0;
  double system = 0;
  fields >> user >> system;
  return (user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

Process::Memory Process::memory() const {
  std::istringstream status(read_all(fmt::format("/proc/{}/status", pid_)));
  Memory memory;
  for (std::string line; std::getline(status, line);) {
    std::istringstream fields(line);
    std::string name;
    std::uint64_t kib = 0;
    fields >> name >> kib;
    if (name == "RssAnon:" || name == "RssShmem:") memory.anonymous_bytes += kib * 1024;
    if (name == "RssFile:") memory.file_bytes += kib * 1024;
  }
  return memory;
}

bool Process::wait_idle(double seconds_max) const {
  const double deadline = monotonic_seconds() + seconds_max;
  double mark = monotonic_seconds();
  double mark_cpu = cpu_seconds();
  while (monotonic_seconds() < deadline) {
    sleep_ms(200);
    if (cpu_seconds() - mark_cpu > 0.08) {  // 2 % of a core: the servers' own timers.
      mark = monotonic_seconds();
      mark_cpu = cpu_seconds();
    } else if (monotonic_seconds() - mark >= 4) {
      return true;
    }
  }
  return false;
}

std::string first_line_of(const std::vector<std::string>& command) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return "";
  const pid_t pid = spawn(command, ends[1]);
  ::close(ends[1]);
  std::string text;
  char buffer[512];
  for (ssize_t n = 0; (n = ::read(ends[0], buffer, sizeof buffer)) > 0;) {
    text.append(buffer, static_cast<std::size_t>(n));
  }
  ::close(ends[0]);
  ::waitpid(pid, nullptr, 0);
  return text.substr(0, text.find('\n'));
}

int free_port() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  CHECK(::bind(fd, reinterpret_cast<sockaddr*>(&address), size) == 0);
  CHECK(::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  ::close(fd);
  return ntohs(address.sin_port);
}

std::uint64_t directory_bytes(const std::string& directory) {
  std::uint64_t total = 0;
  std::error_code error;
  for (auto it = std::filesystem::recursive_directory_iterator(directory, error);
       it != std::filesystem::recursive_directory_iterator(); it.increment(error)) {
    if (error) break;
    if (!it->is_regular_file(error)) continue;
    const std::uint64_t size = it->file_size(error);
    if (!error) total += size;  // A file may vanish while we look.
  }
  return total;
}

double monotonic_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

void sleep_ms(int ms) { ::usleep(static_cast<useconds_t>(ms) * 1000); }

}  // namespace tarsier::bench
