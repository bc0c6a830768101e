#include "server/junit_report.h"

#include <algorithm>
#include <ctime>
#include <string_view>

#include <fmt/format.h>

namespace tarsier::server {
namespace {

std::string xml_escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '&': out += "&amp;"; break;
      case '"': out += "&#34;"; break;
      case '\'': out += "&#39;"; break;
      case '\t': out += "&#x9;"; break;
      case '\n': out += "&#xA;"; break;
      case '\r': out += "&#xD;"; break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          out += "\xef\xbf\xbd";  // XML has no way to say it.
        } else {
          out += c;
        }
    }
  }
  return out;
}

std::string local_time(Timestamp at) {
  const std::time_t seconds_since_epoch = at.ms / 1000;
  std::tm parts{};
  ::localtime_r(&seconds_since_epoch, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", parts.tm_year + 1900, parts.tm_mon + 1,
                     parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec);
}

std::string test_case(std::string_view name, const std::vector<std::string>& failures,
                      const std::vector<std::string>& errors) {
  std::string out = fmt::format("    <testcase name=\"{}\">\n", xml_escaped(name));
  for (const std::string& failure : failures) {
    out += fmt::format("      <failure>{}</failure>\n", xml_escaped(failure));
  }
  for (const std::string& error : errors) {
    out += fmt::format("      <error>{}</error>\n", xml_escaped(error));
  }
  return out + "    </testcase>\n";
}

}  // namespace

bool RuleTestFileResult::is_good() const {
  return errors.empty() && std::all_of(tests.begin(), tests.end(), [](const RuleTestResult& test) {
           return test.failures.empty();
         });
}

std::string junit_report(const std::vector<RuleTestFileResult>& results, Timestamp at) {
  const std::vector<std::string> none;
  std::string out = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n";
  for (const RuleTestFileResult& file : results) {
    std::vector<RuleTestResult> tests = file.tests;
    if (tests.empty() && !file.errors.empty()) tests.push_back({.name = "unknown", .failures = {}});
    std::size_t failures = 0;
    for (const RuleTestResult& test : tests) failures += test.failures.size();
    out += fmt::format(
        "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"0\" "
        "timestamp=\"{}\">\n",
        xml_escaped(file.path), tests.size(), failures, file.errors.size(), local_time(at));
    for (std::size_t i = 0; i < tests.size(); ++i) {
      out +=
          test_case(tests[i].name, tests[i].failures, i + 1 == tests.size() ? file.errors : none);
    }
    out += "  </testsuite>\n";
  }
  return out + "</testsuites>\n";
}

}  // namespace tarsier::server
