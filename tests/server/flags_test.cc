#include "server/flags.h"

#include <gtest/gtest.h>

namespace tarsier::server {
namespace {

Result<Flags> parse(std::vector<std::string> arguments) { return Flags::parse(arguments); }

TEST(Flags, HaveThePrometheusDefaults) {
  const Result<Flags> flags = parse({});
  ASSERT_TRUE(flags.ok());
  EXPECT_EQ(flags->text("config.file"), "prometheus.yml");
  EXPECT_FALSE(flags->is_set("config.file"));
  EXPECT_EQ(flags->list("web.listen-address"), std::vector<std::string>{"0.0.0.0:9090"});
  EXPECT_EQ(flags->duration("query.timeout"), minutes(2));
  EXPECT_EQ(flags->number("query.max-samples"), 50'000'000u);
  EXPECT_FALSE(flags->is_on("web.enable-lifecycle"));
  EXPECT_EQ(flags->all().at("web.enable-lifecycle"), "false");
  EXPECT_TRUE(flags->warnings().empty());
}

TEST(Flags, TakeValuesWithAndWithoutEqualsSign) {
  const Result<Flags> flags = parse(
      {"--config.file=a.yml", "--storage.tsdb.path", "/d", "--web.enable-lifecycle",
       "--no-web.enable-remote-write-receiver", "--web.listen-address=:1", "--web.listen-address",
       ":2", "--storage.tsdb.retention.size=10GB", "--web.enable-admin-api=false"});
  ASSERT_TRUE(flags.ok()) << flags.status().message();
  EXPECT_EQ(flags->text("config.file"), "a.yml");
  EXPECT_TRUE(flags->is_set("config.file"));
  EXPECT_EQ(flags->text("storage.tsdb.path"), "/d");
  EXPECT_TRUE(flags->is_on("web.enable-lifecycle"));
  EXPECT_FALSE(flags->is_on("web.enable-remote-write-receiver"));
  EXPECT_EQ(flags->list("web.listen-address"), (std::vector<std::string>{":1", ":2"}));
  EXPECT_EQ(flags->bytes("storage.tsdb.retention.size"), std::uint64_t{10} << 30);
  EXPECT_TRUE(flags->warnings().empty());
}

TEST(Flags, SayWhatIsWrong) {
  const std::pair<std::vector<std::string>, const char*> cases[] = {
      {{"--nope"}, "unknown long flag '--nope'"},
      {{"--storage.tsdb.retention=1d"}, "unknown long flag '--storage.tsdb.retention'"},
      {{"--no-config.file"}, "unknown long flag '--no-config.file'"},
      {{"--config.file"}, "expected argument for flag '--config.file'"},
      {{"extra"}, "unexpected extra"},
      {{"--query.timeout=5"},
       "invalid value \"5\" for --query.timeout: not a valid duration string: \"5\""},
      {{"--storage.wal-sync=maybe"},
       "invalid value \"maybe\" for --storage.wal-sync: want one of commit|interval|none"},
      {{"--query.max-samples=-1"},
       "invalid value \"-1\" for --query.max-samples: want a whole number"},
  };
  for (const auto& [arguments, expected] : cases) {
    const Result<Flags> flags = parse(arguments);
    ASSERT_FALSE(flags.ok()) << expected;
    EXPECT_EQ(flags.status().message(), expected);
  }
}

TEST(Flags, TakePrometheusFlagsThatMeanNothingHere) {
  const Result<Flags> flags = parse({"--no-auto-gomaxprocs", "--web.user-assets=x"});
  ASSERT_TRUE(flags.ok());
  EXPECT_EQ(flags->warnings(),
            std::vector<std::string>{"--web.user-assets has no effect in this version"});
}

TEST(Flags, HelpFitsATerminal) {
  std::string help = Flags::help();
  while (!help.empty()) {
    const std::size_t end = help.find('\n');
    EXPECT_LE(end, 110u) << help.substr(0, end);
    help.erase(0, end + 1);
  }
}

}  // namespace
}  // namespace tarsier::server
