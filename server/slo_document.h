#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "alerting/slo.h"
#include "base/file.h"
#include "server/config_reader.h"
#include "server/slo_file.h"
#include "server/yaml.h"

namespace tarsier::server {

/// What the readers of one file share: its name, what it has so far, and what is wrong with it.
class SloDocuments final {
 public:
  SloDocuments(std::string path, FileSystem& files) : path_(std::move(path)), files_(files) {}

  /// Where the fields of a definition stand in the document that is read.
  using Places = std::map<std::string, const YamlNode*, std::less<>>;

  void error(const YamlNode& at, std::string_view text);
  /// Checks the objective and keeps it; what is wrong is told at its place, or at `node`.
  void add(const YamlNode& node, alerting::SloDefinition slo, const Places& places);
  alerting::SloDefinition begin(alerting::SloFormat format) const;

  Problems& problems() { return problems_; }
  SloFileContents& contents() { return contents_; }
  FileSystem& files() { return files_; }
  /// kInvalid with everything that is wrong.
  Status status() const;

 private:
  const std::string path_;
  FileSystem& files_;
  Problems problems_;
  std::vector<std::string> errors_;
  SloFileContents contents_;
};

/// A number with or without a fraction. False: the field is not there, or a problem was added.
bool read_number(MapReader& map, std::string_view name, double& out);
/// A map of texts, sorted by name.
alerting::LabelMap read_label_map(MapReader& map, std::string_view name);
/// The same, kept beside what is there already; `more` wins.
void merge_labels(alerting::LabelMap& into, const alerting::LabelMap& more);
std::string text_at(const YamlNode& node, std::string_view name);
const YamlNode* node_at(const YamlNode& node, std::string_view name);

// One document each.
void read_own_slos(const YamlNode& root, SloDocuments& out);
void read_sloth(const YamlNode& root, SloDocuments& out);
void read_pyrra(const YamlNode& root, SloDocuments& out);
/// All of OpenSLO's documents of a file: they refer to each other.
void read_openslo(const std::vector<const YamlNode*>& roots, SloDocuments& out);

}  // namespace tarsier::server
