#include "tests/support/format_page.h"

#include <fstream>

#include "tests/support/log_tools.h"

namespace tarsier::testing {

std::string format_example(const std::string& page_path, const std::string& section) {
  std::ifstream page(page_path);
  std::string hex;
  bool in_section = false;
  bool in_block = false;
  for (std::string line; std::getline(page, line);) {
    if (line.starts_with("## ")) in_section = line == "## " + section;
    if (line.starts_with("```")) {
      in_block = in_section && line == "```hex";
    } else if (in_block) {
      hex += line.substr(0, line.find("   ")) + ' ';
    }
  }
  return from_hex(hex);
}

}  // namespace tarsier::testing
