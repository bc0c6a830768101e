#include "server/stderr_logger.h"

#include <gtest/gtest.h>

#include "base/json_reader.h"

namespace tarsier::server {
namespace {

TEST(StderrLogger, PutsTheTimeFirst) {
  EXPECT_EQ(render_log_line(LogFormat::kLogfmt, {1'785'585'600'120}, "level=info msg=Hello"),
            "ts=2026-08-01T12:00:00.120Z level=info msg=Hello\n");
}

TEST(StderrLogger, WritesLinesAsJson) {
  const std::string line = render_log_line(LogFormat::kJson, {1'785'585'600'120},
                                           R"(level=warn msg="a \"b\" c" n=5 empty="")");
  EXPECT_EQ(line, R"({"time":"2026-08-01T12:00:00.120Z","level":"warn","msg":"a \"b\" c",)"
                  R"("n":"5","empty":""})"
                  "\n");
  EXPECT_TRUE(parse_json(line).ok());
}

}  // namespace
}  // namespace tarsier::server
