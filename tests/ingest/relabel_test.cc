#include "ingest/relabel.h"

#include <functional>
#include <optional>

#include <gtest/gtest.h>

#include "ingest/scrape_config.h"

namespace tarsier::ingest {
namespace {

using tsdb::Labels;

RelabelConfig config(const std::function<void(RelabelConfig&)>& fill) {
  RelabelConfig result;
  fill(result);
  return result;
}

/// The labels after the rules; nothing if they were dropped.
std::optional<Labels> relabelled(const Labels& labels, const std::vector<RelabelConfig>& configs,
                                 NameValidation validation = NameValidation::kUtf8) {
  std::vector<RelabelRule> rules;
  for (const RelabelConfig& c : configs) {
    auto rule = RelabelRule::create(c, validation);
    EXPECT_TRUE(rule.ok()) << rule.status().message();
    if (!rule.ok()) return std::nullopt;
    rules.push_back(*rule);
  }
  tsdb::LabelsBuilder builder(labels);
  if (!apply_relabel_rules(rules, builder)) return std::nullopt;
  return builder.build();
}

RelabelConfig replace(std::vector<std::string> sources, std::string regex, std::string target,
                      std::string replacement) {
  return {.source_labels = std::move(sources),
          .regex = std::move(regex),
          .target_label = std::move(target),
          .replacement = std::move(replacement)};
}

RelabelConfig action(std::string name, std::vector<std::string> sources, std::string regex) {
  return {
      .source_labels = std::move(sources), .regex = std::move(regex), .action = std::move(name)};
}

const Labels kThree{{"a", "foo"}, {"b", "bar"}, {"c", "baz"}};

TEST(Relabel, ReplaceExpandsGroupsIntoTargetAndValue) {
  struct Case {
    RelabelConfig rule;
    Labels want;
  };
  const std::vector<Case> cases = {
      {replace({"a"}, "f(.*)", "d", "ch${1}-ch${1}"),
       {{"a", "foo"}, {"b", "bar"}, {"c", "baz"}, {"d", "choo-choo"}}},
      {replace({"a", "b"}, "(.*);(.*)", "d", "$2-$1"),
       {{"a", "foo"}, {"b", "bar"}, {"c", "baz"}, {"d", "bar-foo"}}},
      {replace({"a"}, "(?P<x>f).*", "${x}_label", "$x"),
       {{"a", "foo"}, {"b", "bar"}, {"c", "baz"}, {"f_label", "f"}}},
      // Anchored: no match, nothing done.
      {replace({"a"}, "o", "d", "x"), kThree},
      // "$1x" names the group "1x", which does not exist.
      {replace({"a"}, "(f).*", "d", "a$1x"),
       {{"a", "foo"}, {"b", "bar"}, {"c", "baz"}, {"d", "a"}}},
      {replace({"a"}, "(f).*", "d", "$$${1}x"),
       {{"a", "foo"}, {"b", "bar"}, {"c", "baz"}, {"d", "$fx"}}},
      // An empty result removes the label, also when spelled out.
      {replace({"a"}, "(x)?foo", "b", "$1"), {{"a", "foo"}, {"c", "baz"}}},
      {replace({}, "(.*)", "b", ""), {{"a", "foo"}, {"c", "baz"}}},
      {replace({}, "(.*)", "d", "set"), {{"a", "foo"}, {"b", "bar"}, {"c", "baz"}, {"d", "set"}}},
      // The default: copies the joined value.
      {{.source_labels = {"a", "missing", "c"}, .target_label = "d"},
       {{"a", "foo"}, {"b", "bar"}, {"c", "baz"}, {"d", "foo;;baz"}}},
      // A target that expands to no name does nothing.
      {replace({"a"}, "(x)?foo", "$1", "v"), kThree},
      {replace({"a"}, ".*", "my.label", "v"),
       {{"a", "foo"}, {"b", "bar"}, {"c", "baz"}, {"my.label", "v"}}},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.rule.regex + " -> " + c.rule.target_label + "=" + c.rule.replacement);
    EXPECT_EQ(relabelled(kThree, {c.rule}), c.want);
  }
}

TEST(Relabel, DotMatchesNewlines) {
  EXPECT_EQ(relabelled(Labels{{"a", "x\ny"}}, {action("drop", {"a"}, "x.y")}), std::nullopt);
}

TEST(Relabel, LegacyNamesRefuseWhatExpandsToSomethingElse) {
  EXPECT_EQ(relabelled(kThree, {replace({"a"}, "(.*)", "${1}.x", "v")}, NameValidation::kUtf8),
            (Labels{{"a", "foo"}, {"b", "bar"}, {"c", "baz"}, {"foo.x", "v"}}));
  EXPECT_EQ(relabelled(Labels{{"a", "1-2"}}, {replace({"a"}, "(.*)", "${1}", "v")},
                       NameValidation::kLegacy),
            (Labels{{"a", "1-2"}}));
}

TEST(Relabel, KeepAndDropAreDecidedByTheJoinedValue) {
  EXPECT_EQ(relabelled(kThree, {action("keep", {"a"}, "f.*")}), kThree);
  EXPECT_EQ(relabelled(kThree, {action("keep", {"a"}, "no")}), std::nullopt);
  EXPECT_EQ(relabelled(kThree, {action("drop", {"a", "b"}, "foo;bar")}), std::nullopt);
  EXPECT_EQ(relabelled(kThree, {action("Drop", {"a", "b"}, "foobar")}), kThree);
  EXPECT_EQ(relabelled(kThree, {action("keep", {}, "x")}), std::nullopt);
}

TEST(Relabel, KeepEqualAndDropEqualCompareWithTheTarget) {
  const Labels equal{{"a", "1"}, {"b", "1"}};
  const Labels other{{"a", "1"}, {"b", "2"}};
  const RelabelConfig keep{.source_labels = {"a"}, .target_label = "b", .action = "keepequal"};
  const RelabelConfig drop{.source_labels = {"a"}, .target_label = "b", .action = "DropEqual"};
  EXPECT_EQ(relabelled(equal, {keep}), equal);
  EXPECT_EQ(relabelled(other, {keep}), std::nullopt);
  EXPECT_EQ(relabelled(equal, {drop}), std::nullopt);
  EXPECT_EQ(relabelled(other, {drop}), other);
}

TEST(Relabel, HashModIsTheEndOfMd5) {
  // `printf foo | md5sum` gives acbd18db4cc2f85c edef654fccc4a4d8.
  const RelabelConfig rule{
      .source_labels = {"a"}, .modulus = 1000, .target_label = "d", .action = "hashmod"};
  const auto labels = relabelled(kThree, {rule});
  ASSERT_TRUE(labels.has_value());
  EXPECT_EQ(labels->get("d"), std::to_string(0xedef654fccc4a4d8 % 1000));
}

TEST(Relabel, LowercaseAndUppercaseMapUnicode) {
  const Labels labels{{"a", "StraßeÄ"}};
  const RelabelConfig lower{.source_labels = {"a"}, .target_label = "l", .action = "lowercase"};
  const RelabelConfig upper{.source_labels = {"a"}, .target_label = "u", .action = "uppercase"};
  EXPECT_EQ(relabelled(labels, {lower, upper}),
            (Labels{{"a", "StraßeÄ"}, {"l", "straßeä"}, {"u", "STRAßEÄ"}}));
}

TEST(Relabel, LabelMapReadsTheStateBeforeTheRule) {
  const RelabelConfig rule{.regex = "__meta_(.+)", .action = "labelmap"};
  EXPECT_EQ(relabelled(Labels{{"__meta_a", "1"}, {"a", "0"}, {"b", "2"}}, {rule}),
            (Labels{{"__meta_a", "1"}, {"a", "1"}, {"b", "2"}}));
  const RelabelConfig chain{.regex = "(x+)", .replacement = "x$1", .action = "labelmap"};
  EXPECT_EQ(relabelled(Labels{{"x", "1"}, {"xx", "2"}}, {chain}),
            (Labels{{"x", "1"}, {"xx", "1"}, {"xxx", "2"}}));
}

TEST(Relabel, LabelDropAndLabelKeepFilterNames) {
  EXPECT_EQ(relabelled(kThree, {action("labeldrop", {}, "[ab]")}), (Labels{{"c", "baz"}}));
  EXPECT_EQ(relabelled(kThree, {action("labelkeep", {}, "[ab]")}),
            (Labels{{"a", "foo"}, {"b", "bar"}}));
}

TEST(Relabel, RulesThatMakeNoSenseAreRefusedWithTheKnownText) {
  struct Case {
    RelabelConfig rule;
    std::string want;
    NameValidation validation = NameValidation::kUtf8;
  };
  const auto legacy = NameValidation::kLegacy;
  const std::vector<Case> cases = {
      {config([](auto& c) { c.action = ""; }), "relabel action cannot be empty"},
      {config([](auto& c) { c.action = "Explode"; }), "unknown relabel action \"Explode\""},
      {config([](auto& c) { c.action = "hashmod", c.target_label = "x"; }),
       "relabel configuration for hashmod requires non-zero modulus"},
      {config([](auto& c) { c.action = "hashmod", c.modulus = 8; }),
       "relabel configuration for hashmod action requires 'target_label' value"},
      {config([](auto&) {}),
       "relabel configuration for replace action requires 'target_label' value"},
      {config([](auto& c) { c.action = "keepequal"; }),
       "relabel configuration for keepequal action requires 'target_label' value"},
      {config([](auto& c) { c.target_label = "a-b"; }),
       "\"a-b\" is invalid 'target_label' for replace action", legacy},
      {config([](auto& c) { c.target_label = "${1}-b"; }),
       "\"${1}-b\" is invalid 'target_label' for replace action", legacy},
      {config([](auto& c) { c.target_label = "${1"; }),
       "\"${1\" is invalid 'target_label' for replace action", legacy},
      {config([](auto& c) { c.action = "lowercase", c.target_label = "${1}"; }),
       "\"${1}\" is invalid 'target_label' for lowercase action", legacy},
      {config([](auto& c) { c.action = "uppercase", c.target_label = "a", c.replacement = "x"; }),
       "'replacement' can not be set for uppercase action"},
      {config([](auto& c) { c.action = "dropequal", c.target_label = "a", c.replacement = "x"; }),
       "'replacement' can not be set for dropequal action"},
      {config([](auto& c) { c.action = "dropequal", c.target_label = "a", c.regex = "x"; }),
       "dropequal action requires only 'source_labels' and 'target_label', and no other fields"},
      {config([](auto& c) { c.action = "labeldrop", c.source_labels = {"a"}; }),
       "labeldrop action requires only 'regex', and no other fields"},
      {config([](auto& c) { c.action = "labelkeep", c.modulus = 2; }),
       "labelkeep action requires only 'regex', and no other fields"},
      {config([](auto& c) { c.action = "labelmap", c.replacement = ""; }),
       "\"\" is invalid 'replacement' for labelmap action"},
      {config([](auto& c) { c.target_label = "a", c.regex = "(x"; }),
       "error parsing regexp: missing closing ): `(x`"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.want);
    const auto rule = RelabelRule::create(c.rule, c.validation);
    ASSERT_FALSE(rule.ok());
    EXPECT_EQ(rule.status().code(), Code::kInvalid);
    EXPECT_EQ(rule.status().message(), c.want);
  }
}

TEST(Relabel, LegacyTemplatesMayHoldReferences) {
  for (const std::string target : {"${1}_x", "$1", "a${1}b$name", "_$1"}) {
    EXPECT_TRUE(RelabelRule::create({.target_label = target}, NameValidation::kLegacy).ok())
        << target;
  }
}

TEST(ScrapeConfig, ComparesRulesByWhatWasWritten) {
  ScrapeConfig a;
  ScrapeConfig b;
  EXPECT_EQ(a, b);
  a.relabel_rules.push_back(*RelabelRule::create({.target_label = "x"}, NameValidation::kUtf8));
  EXPECT_NE(a, b);
  b.relabel_rules.push_back(*RelabelRule::create({.target_label = "x"}, NameValidation::kUtf8));
  EXPECT_EQ(a, b);
}

}  // namespace
}  // namespace tarsier::ingest
