#include <future>

#include <gtest/gtest.h>

#include "base/posix_file.h"
#include "server/config_discovery.h"
#include "server/directory_watcher.h"
#include "server/dns_resolver.h"
#include "tests/support/temporary_directory.h"

namespace tarsier::server {
namespace {

TEST(DirectoryWatcher, TellsOfAFileThatIsReplaced) {
  const testing::TemporaryDirectory directory;
  const std::unique_ptr<FileSystem> files = make_posix_file_system();
  std::promise<void> told;
  std::atomic<bool> is_told{false};
  DirectoryWatcher watcher([&] {
    if (!is_told.exchange(true)) told.set_value();
  });
  watcher.watch({directory.path(), directory.path() + "/missing"});
  ASSERT_TRUE(write_file_atomically(*files, directory.path() + "/x.json", "[]").ok());
  EXPECT_EQ(told.get_future().wait_for(std::chrono::seconds(20)), std::future_status::ready);
  watcher.watch({});
}

TEST(YamlTargets, AreReadStrictly) {
  const auto groups =
      parse_yaml_targets("- targets: ['a:1', b:2]\n  labels: {z: \"1\", k: v}\n- {}\n");
  ASSERT_TRUE(groups.ok()) << groups.status().message();
  ASSERT_EQ(groups->size(), 2U);
  EXPECT_EQ((*groups)[0].targets, (std::vector<std::string>{"a:1", "b:2"}));
  EXPECT_EQ((*groups)[0].labels[0].first, "k");
  EXPECT_TRUE(parse_yaml_targets("")->empty());
  EXPECT_EQ(parse_yaml_targets("- null\n").status().message(),
            "nil target group item found (index 0)");
  EXPECT_NE(
      parse_yaml_targets("- {target: [a]}\n").status().message().find("field target not found"),
      std::string::npos);
  EXPECT_FALSE(parse_yaml_targets("a: b\n").ok());
}

/// An answer to `SRV x.` with an alias, a SRV record 7 8 81 h.x. and an address.
std::string srv_answer() {
  using namespace std::string_literals;
  return "\x00\x01\x81\x80\x00\x01\x00\x03\x00\x00\x00\x00"s  // Header: 1 question, 3 answers.
         "\x01x\x00\x00\x21\x00\x01"s                         // x. SRV IN
         "\xc0\x0c\x00\x05\x00\x01\x00\x00\x00\x3c\x00\x04\x01y\xc0\x0c"s  // CNAME y.x.
         "\xc0\x0c\x00\x21\x00\x01\x00\x00\x00\x3c\x00\x0a\x00\x07\x00\x08\x00\x51\x01h\xc0\x0c"s
         "\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\x0a\x00\x00\x01"s;  // A 10.0.0.1
}

Result<std::vector<DnsRecord>> parse(const std::string& message, DnsType type) {
  return parse_dns_answer(reinterpret_cast<const unsigned char*>(message.data()), message.size(),
                          type);
}

TEST(DnsAnswer, GivesTheRecordsOfTheTypeAsked) {
  const auto srv = parse(srv_answer(), DnsType::kSrv);
  ASSERT_TRUE(srv.ok()) << srv.status().message();
  ASSERT_EQ(srv->size(), 1U);
  EXPECT_EQ((*srv)[0].target, "h.x.");
  EXPECT_EQ((*srv)[0].port, 81);
  const auto a = parse(srv_answer(), DnsType::kA);
  ASSERT_EQ(a->size(), 1U);
  EXPECT_EQ((*a)[0].target, "10.0.0.1");
}

TEST(DnsAnswer, IsRefusedWhereverItBreaksOff) {
  const std::string whole = srv_answer();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(parse(whole.substr(0, size), DnsType::kSrv).ok()) << size;
  }
}

TEST(SystemDnsResolver, EndsWithQuestionsStillOpen) {
  SystemDnsResolver resolver;
  for (int i = 0; i < 10; ++i) {
    resolver.lookup("name.invalid", DnsType::kA, [](const Result<std::vector<DnsRecord>>&) {});
  }
}

}  // namespace
}  // namespace tarsier::server
