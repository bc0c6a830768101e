// Runs Tarsier beside Debian's Prometheus and VictoriaMetrics on this machine, in the same run,
// with the same input, and prints a Markdown table:
//
//   cmake --preset bench && cmake --build --preset bench --target tarsier compare
//   build/bench/tests/bench/compare --tarsier build/bench/tarsier --series 100000 --hours 1
//   --rounds 3
//
// Every server runs alone, on a fresh directory; rounds begin with another one each time.

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "tests/bench/compare_floor.h"
#include "tests/bench/compare_peer.h"
#include "tests/bench/compare_process.h"
#include "tests/bench/compare_round.h"
#include "tests/bench/compare_table.h"
#include "tests/support/temporary_directory.h"

namespace tarsier::bench {
namespace {

std::string value_in(const std::string& path, const std::string& key) {
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with(key)) continue;
    const std::size_t begin = line.find_first_not_of(" \t:", key.size());
    return begin == std::string::npos ? "" : line.substr(begin);
  }
  return "?";
}

/// The median time of an append and a sync in `directory`: what an acknowledgement waits for.
double sync_milliseconds(const std::string& directory) {
  const std::string path = directory + "/sync";
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  const std::string block(16 * 1024, 'x');
  std::vector<double> times;
  for (int i = 0; i < 51 && fd >= 0; ++i) {
    const double begin = monotonic_seconds();
    if (::write(fd, block.data(), block.size()) < 0 || ::fdatasync(fd) != 0) break;
    times.push_back((monotonic_seconds() - begin) * 1000);
  }
  if (fd >= 0) ::close(fd);
  ::unlink(path.c_str());
  if (times.empty()) return -1;
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

std::string describe_machine(const std::string& scratch) {
  return fmt::format("{}, {} cores, {} memory; append and fdatasync {:.2f} ms",
                     value_in("/proc/cpuinfo", "model name"), std::thread::hardware_concurrency(),
                     value_in("/proc/meminfo", "MemTotal"), sync_milliseconds(scratch));
}

int run(int argc, char** argv) {
  Workload workload;
  std::string tarsier_path = "build/release/tarsier";
  std::string scratch;
  std::string only;
  std::string output;
  int round_count = 3;
  int connections = 4;
  int tarsier_connections = 16;
  bool no_queries = false;
  bool no_crash = false;
  CLI::App app("Tarsier beside its peers");
  app.add_option("--tarsier", tarsier_path, "The program to compare; left out if it is not there");
  app.add_option("--series", workload.series_count, "Series of the fleet")->capture_default_str();
  app.add_option("--hours", workload.hours, "Hours of data, ending now; long queries need 6")
      ->capture_default_str();
  app.add_option("--rounds", round_count, "Rounds; medians are printed")->capture_default_str();
  app.add_option("--connections", connections, "Connections to each peer")->capture_default_str();
  app.add_option("--tarsier-connections", tarsier_connections,
                 "Connections to Tarsier: as many as hide the disk")
      ->capture_default_str();
  app.add_option("--repeats", workload.query_repeats, "Times each query is asked")
      ->capture_default_str();
  app.add_option("--seconds-max", workload.ingest_seconds_max, "Longest time to send to one server")
      ->capture_default_str();
  app.add_option("--only", only, "One server: Tarsier, Prometheus or VictoriaMetrics");
  app.add_option("--scratch", scratch,
                 "Directory for the data, on a real disk; kept for a server that failed");
  app.add_option("--output", output, "File for the table, beside standard output");
  app.add_flag("--no-queries", no_queries, "Ingest only");
  app.add_flag("--no-crash", no_crash, "Leave kill -9 out");
  CLI11_PARSE(app, argc, argv);
  workload.with_queries = !no_queries;
  workload.with_crash = !no_crash;

  std::vector<Peer> peers = find_peers(tarsier_path);
  std::erase_if(peers, [&](const Peer& peer) { return !only.empty() && peer.name() != only; });
  if (peers.empty()) {
    fmt::print(stderr, "no server found\n");
    return 1;
  }
  for (Peer& peer : peers) {
    peer.connections = peer.kind == Peer::Kind::kTarsier ? tarsier_connections : connections;
  }
  const testing::TemporaryDirectory temporary;
  if (scratch.empty()) scratch = temporary.path();

  const std::string machine = describe_machine(scratch);
  const double floor = measure_floor(std::min<std::size_t>(workload.series_count, 200'000));
  std::vector<std::vector<Figures>> rounds;
  for (int round = 0; round < round_count; ++round) {
    fmt::print(stderr, "round {} of {}\n", round + 1, round_count);
    std::vector<Figures> figures(peers.size());
    for (std::size_t i = 0; i < peers.size(); ++i) {
      const std::size_t p = (i + static_cast<std::size_t>(round)) % peers.size();
      figures[p] = run_round(peers[p], workload, scratch);
    }
    rounds.push_back(std::move(figures));
  }
  const std::string table = comparison_table(peers, workload, rounds, floor, machine);
  std::cout << table;
  if (!output.empty()) std::ofstream(output) << table;
  const bool failed =
      std::any_of(rounds.begin(), rounds.end(), [](const std::vector<Figures>& round) {
        return std::any_of(round.begin(), round.end(),
                           [](const Figures& f) { return !f.error.empty(); });
      });
  return failed ? 1 : 0;
}

}  // namespace
}  // namespace tarsier::bench

int main(int argc, char** argv) { return tarsier::bench::run(argc, argv); }
