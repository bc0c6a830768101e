// The `thanos` section takes what Thanos' own objstore files hold.

#include "server/config_thanos.h"

#include <gtest/gtest.h>

#include "base/file.h"
#include "server/config.h"
#include "server/flags.h"
#include "server/settings.h"
#include "server/shipper_wiring.h"
#include "tests/support/faulty_file_system.h"

namespace tarsier::server {
namespace {

constexpr std::string_view kLabels = "global: {external_labels: {cluster: eu}}\n";

Result<Config> parse(std::string_view section, FileSystem* files = nullptr) {
  return parse_config(std::string(kLabels) + std::string(section),
                      {.file = "etc/prometheus.yml",
                       .files = files,
                       .environment = [](const std::string& name) -> std::optional<std::string> {
                         return name == "AWS_SESSION_TOKEN" ? "" : "of " + name;
                       }});
}

TEST(ConfigThanos, ReadsADirectoryRelativeToTheFile) {
  const Config config =
      parse("thanos: {objstore: {type: FILESYSTEM, prefix: /a/b/, config: {directory: bucket}}}")
          .value();
  ASSERT_NE(config.thanos, nullptr);
  EXPECT_EQ(config.thanos->directory, "etc/bucket");
  EXPECT_EQ(config.thanos->prefix, "a/b/");
  EXPECT_FALSE(config.thanos->has_hashes);
  EXPECT_NE(render_config(config).find("thanos:\n  objstore:\n    type: FILESYSTEM\n"),
            std::string::npos);
}

TEST(ConfigThanos, ReadsS3AndHidesItsSecrets) {
  const Config config = parse(R"(
thanos:
  hash_func: SHA256
  objstore:
    type: S3
    config: {bucket: b, endpoint: "minio:9000", access_key: ak, secret_key: sk, insecure: true,
             signature_version2: false, http_config: {idle_conn_timeout: 1m, insecure_skip_verify: true}}
)")
                            .value();
  const S3Config& s3 = config.thanos->s3;
  EXPECT_EQ(s3.secret_key, "sk");
  EXPECT_TRUE(s3.insecure);
  EXPECT_TRUE(s3.in_path);
  EXPECT_TRUE(s3.http->tls.insecure_skip_verify);
  EXPECT_TRUE(config.thanos->has_hashes);
  const std::string shown = render_config(config);
  EXPECT_EQ(shown.find("sk"), std::string::npos) << shown;
  EXPECT_NE(shown.find("secret_key: <secret>"), std::string::npos) << shown;
  EXPECT_TRUE(parse_config(shown, {}).ok()) << shown;
}

TEST(ConfigThanos, TakesCredentialsFromTheEnvironmentAndAFileOfItsOwn) {
  testing::FaultyFileSystem files;
  ASSERT_TRUE(files.create_directories("etc").ok());
  ASSERT_TRUE(write_file_atomically(files, "etc/bucket.yml",
                                    "type: S3\nconfig: {bucket: b, endpoint: "
                                    "s3.eu-west-1.amazonaws.com}\n")
                  .ok());
  const Config config = parse("thanos: {objstore_config_file: bucket.yml}", &files).value();
  EXPECT_EQ(config.thanos->s3.access_key, "of AWS_ACCESS_KEY_ID");
  EXPECT_FALSE(config.thanos->s3.in_path);
  const auto missing = parse("thanos: {objstore_config_file: other.yml}", &files);
  EXPECT_NE(missing.status().message().find("other.yml"), std::string::npos);
}

TEST(ConfigThanos, SaysWhatIsWrong) {
  const auto expect = [](std::string_view section, std::string_view wanted) {
    const auto config = parse(section);
    ASSERT_FALSE(config.ok()) << section;
    EXPECT_NE(config.status().message().find(wanted), std::string::npos)
        << config.status().message();
  };
  expect("thanos: {}", "one of objstore and objstore_config_file");
  expect("thanos: {objstore: {type: GCS}}", "bucket with type GCS is not supported");
  expect("thanos: {objstore: {type: FILESYSTEM}}", "missing directory");
  expect("thanos: {objstore: {type: S3, config: {endpoint: e}}}", "no s3 bucket");
  expect("thanos: {objstore: {type: S3, config: {bucket: b}}}", "no s3 endpoint");
  expect("thanos: {objstore: {type: S3, config: {bucket: b, endpoint: 'http://e'}}}",
         "without a scheme");
  expect("thanos: {objstore: {type: S3, config: {bucket: b, endpoint: e, access_key: a}}}",
         "both or not at all");
  expect("thanos: {objstore: {type: S3, config: {bucket: b, endpoint: e, nonsense: 1}}}",
         "nonsense");
  expect("thanos: {hash_func: MD5, objstore: {type: S3}}", "hash_func");
  const auto nameless =
      parse_config("thanos: {objstore: {type: FILESYSTEM, config: {directory: d}}}", {});
  EXPECT_NE(nameless.status().message().find("no external labels"), std::string::npos);
}

TEST(ConfigThanos, BlocksWaitWhereSomebodyShips) {
  const auto shipping = [](std::vector<std::string> arguments, const Config& config = {}) {
    const Flags flags = Flags::parse(arguments).value();
    tsdb::Options options = storage_options(flags, {});
    ShipperWiring::prepare(config, "d", options);
    EXPECT_EQ(options.ended_series_min == SIZE_MAX, !options.shipping.list_path.empty());
    return options.shipping;
  };
  using Shipping = tsdb::ShippingOptions;
  EXPECT_EQ(shipping({"--storage.tsdb.path=d"}), (Shipping{"", false}));
  EXPECT_EQ(shipping({"--storage.tsdb.path=d", "--storage.tsdb.max-block-duration=2h"}),
            (Shipping{"d/thanos.shipper.json", false}));
  EXPECT_EQ(shipping({"--storage.tsdb.path=d", "--storage.tsdb.delay-compact-file.path=x"}),
            (Shipping{"x", true}));
  const Config ours =
      parse("thanos: {objstore: {type: FILESYSTEM, config: {directory: bucket}}}").value();
  EXPECT_EQ(shipping({"--storage.tsdb.path=d"}, ours), (Shipping{"d/thanos.shipper.json", true}));
  EXPECT_EQ(shipping({"--storage.tsdb.delay-compact-file.path=x"}, ours), (Shipping{"x", true}));
}

}  // namespace
}  // namespace tarsier::server
