// Reads the source tree and fails on structure only: an include against the direction of the house
// or through a back room, a confined header outside its list, an orphan header, a leftover marker.
// It also prints the longest files: places to look, not verdicts.

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

namespace tarsier {
namespace {

namespace fs = std::filesystem;

struct SourceFile {
  std::string path;  // From the root: "tsdb/head/head.cc".
  std::string text;
  std::vector<std::string> quoted_includes;
  std::vector<std::string> angle_includes;
};

const std::vector<std::string> kRooms = {"base",  "proto",    "tsdb",    "ingest",
                                         "query", "alerting", "tracing", "server"};

/// Which rooms a room may include, beside itself.
const std::map<std::string, std::set<std::string>> kMayUse = {
    {"base", {}},
    {"proto", {}},
    {"tsdb", {"base", "proto"}},
    {"ingest", {"base", "proto", "tsdb"}},
    {"query", {"base", "proto", "tsdb"}},
    {"alerting", {"base", "tsdb", "query"}},
    {"tracing", {"base", "proto", "tsdb"}},
    {"server", {"base", "proto", "tsdb", "ingest", "query", "alerting", "tracing"}},
};

/// Third-party headers that cost seconds to compile or leak a dependency, and the product sources
/// that may include them. The list may only shrink; an addition needs its reason here.
const std::map<std::string, std::set<std::string>> kConfined = {
    {"boost/",
     {"server/http_server.cc", "server/http_worker.h", "server/http_worker.cc",
      "server/http_connection.h", "server/http_connection.cc", "server/http_client.cc",
      "server/http_link.h", "server/http_link.cc", "server/net_stream.h", "server/tls.cc",
      "server/tls_welcome.cc"}},
    // 11-24 s a file. A worker makes connections, so it sees what they are made of.
    {"boost/beast/",
     {"server/http_connection.h", "server/http_connection.cc", "server/http_client.cc",
      "server/http_link.h", "server/http_link.cc"}},
    {"grpc", {"server/grpc_server.cc"}},
    {"google/protobuf/", {}},  // Tests only.
    {"re2/", {"base/regex.cc"}},
    {"yaml-cpp/", {"server/yaml.cc"}},
    {"snappy", {"base/compression.cc"}},
    {"zlib.h", {"base/compression.cc", "base/deflate_stream.cc"}},
    {"zstd.h", {"base/compression.cc"}},
    {"openssl/", {"server/tls.cc"}},
};

/// Never in a header (compile time), whoever wants them.
const std::set<std::string> kNotInHeaders = {"chrono", "iostream", "regex", "filesystem"};

bool ends_with_source(const std::string& path) {
  return path.ends_with(".h") || path.ends_with(".cc");
}

std::vector<SourceFile> read_tree() {
  const fs::path root = TARSIER_SOURCE_DIR;
  std::vector<std::string> tops = kRooms;
  tops.push_back("tests");
  std::vector<SourceFile> files;
  for (const std::string& top : tops) {
    if (!fs::exists(root / top)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(root / top)) {
      SourceFile file;
      file.path = fs::relative(entry.path(), root).generic_string();
      if (!entry.is_regular_file() || !ends_with_source(file.path)) continue;
      std::ifstream in(entry.path());
      std::stringstream all;
      all << in.rdbuf();
      file.text = all.str();
      std::istringstream lines(file.text);
      for (std::string line; std::getline(lines, line);) {
        if (!line.starts_with("#include ")) continue;
        const std::string name = line.substr(10, line.find_last_of("\">") - 10);
        (line[9] == '"' ? file.quoted_includes : file.angle_includes).push_back(name);
      }
      files.push_back(std::move(file));
    }
  }
  std::sort(files.begin(), files.end(),
            [](const SourceFile& a, const SourceFile& b) { return a.path < b.path; });
  return files;
}

const std::vector<SourceFile>& tree() {
  static const std::vector<SourceFile> files = read_tree();
  return files;
}

std::string room_of(const std::string& path) { return path.substr(0, path.find('/')); }

bool is_back_room(const std::string& path) { return std::count(path.begin(), path.end(), '/') > 1; }

TEST(House, HasFilesToLookAt) { EXPECT_GT(tree().size(), 20u); }

TEST(House, IncludesFollowTheDirection) {
  for (const SourceFile& file : tree()) {
    const std::string room = room_of(file.path);
    if (room == "tests") continue;
    for (const std::string& include : file.quoted_includes) {
      const std::string target = room_of(include);
      if (target == room) continue;
      EXPECT_TRUE(kMayUse.at(room).contains(target)) << file.path << " includes " << include;
    }
  }
}

TEST(House, BackRoomsAreEnteredOnlyFromTheirOwnRoom) {
  for (const SourceFile& file : tree()) {
    const std::string room = room_of(file.path);
    if (room == "tests") continue;
    for (const std::string& include : file.quoted_includes) {
      if (room_of(include) == room) continue;
      EXPECT_FALSE(is_back_room(include)) << file.path << " includes " << include;
    }
  }
}

TEST(House, QuotedIncludesStartAtTheRoot) {
  for (const SourceFile& file : tree()) {
    for (const std::string& include : file.quoted_includes) {
      const bool generated = include.ends_with(".pb.h");
      EXPECT_TRUE(generated || fs::exists(fs::path(TARSIER_SOURCE_DIR) / include))
          << file.path << " includes " << include;
    }
  }
}

/// The structures and classes a file defines for others: at the left edge, in no unnamed namespace.
std::vector<std::string> types_of(const SourceFile& file) {
  std::vector<std::string> names;
  std::string space;
  bool is_hidden = false;
  std::istringstream lines(file.text);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("namespace tarsier")) space = line.substr(10, line.find(" {") - 10);
    if (line == "namespace {") is_hidden = true;
    if (line == "}  // namespace") is_hidden = false;
    const bool is_struct = line.starts_with("struct ");
    if (is_hidden || !line.ends_with('{') || !(is_struct || line.starts_with("class "))) continue;
    const std::size_t begin = is_struct ? 7 : 6;
    const std::string name = line.substr(begin, line.find_first_of(" :{", begin) - begin);
    // A member of something named elsewhere has its own name there.
    if (line.find("::") == std::string::npos || line.find("::") > line.find(" final")) {
      names.push_back(space + "::" + name);
    }
  }
  return names;
}

// Two types of one name in one namespace are two different things to the compiler and one to the
// linker: memory is freed twice, far from either.
TEST(House, EveryTypeHasOneDefinition) {
  std::map<std::string, std::string> seen;
  for (const SourceFile& file : tree()) {
    if (room_of(file.path) == "tests") continue;
    for (const std::string& name : types_of(file)) {
      const auto [at, is_new] = seen.emplace(name, file.path);
      EXPECT_TRUE(is_new || at->second == file.path)
          << name << " is in " << at->second << " and in " << file.path;
    }
  }
  EXPECT_GT(seen.size(), 100u);
}

TEST(House, ConfinedHeadersStayConfined) {
  for (const SourceFile& file : tree()) {
    if (room_of(file.path) == "tests") continue;
    for (const std::string& include : file.angle_includes) {
      for (const auto& [prefix, allowed] : kConfined) {
        if (!include.starts_with(prefix)) continue;
        EXPECT_TRUE(allowed.contains(file.path)) << file.path << " includes <" << include << ">";
      }
      if (file.path.ends_with(".h")) {
        EXPECT_FALSE(kNotInHeaders.contains(include))
            << file.path << " includes <" << include << ">";
      }
    }
  }
}

TEST(House, EveryHeaderIsIncludedBySomebodyElse) {
  std::set<std::string> included;
  for (const SourceFile& file : tree()) {
    const std::string own = file.path.substr(0, file.path.rfind('.')) + ".h";
    for (const std::string& include : file.quoted_includes) {
      if (include != own) included.insert(include);
    }
  }
  for (const SourceFile& file : tree()) {
    if (!file.path.ends_with(".h")) continue;
    EXPECT_TRUE(included.contains(file.path)) << file.path << " is an orphan";
  }
}

TEST(House, HeadersAreGuardedOnce) {
  for (const SourceFile& file : tree()) {
    if (!file.path.ends_with(".h")) continue;
    EXPECT_TRUE(file.text.find("#pragma once") != std::string::npos) << file.path;
  }
}

TEST(House, NoLeftoverMarkers) {
  // Spelled in pieces, so that this file passes its own test.
  const std::vector<std::string> markers = {std::string("FIX") + "ME", std::string("TO") + "DO",
                                            std::string("XX") + "X:"};
  for (const SourceFile& file : tree()) {
    for (const std::string& marker : markers) {
      EXPECT_EQ(file.text.find(marker), std::string::npos) << file.path << " has a " << marker;
    }
  }
}

TEST(House, PrintsTheLongestFiles) {
  std::vector<std::pair<long, std::string>> sizes;
  for (const SourceFile& file : tree()) {
    sizes.emplace_back(std::count(file.text.begin(), file.text.end(), '\n'), file.path);
  }
  std::sort(sizes.rbegin(), sizes.rend());
  for (std::size_t i = 0; i < 8 && i < sizes.size(); ++i) {
    std::cout << sizes[i].first << " lines  " << sizes[i].second << "\n";
  }
}

}  // namespace
}  // namespace tarsier
