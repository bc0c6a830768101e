#include "alerting/template_text.h"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

namespace tarsier::alerting {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();

struct Given {
  double value = 0;
  tsdb::Labels labels{{"__name__", "m"}, {"instance", "host:80"}, {"job", "api"}};
  std::vector<TemplateSample> samples;
};

TemplateContext context_of(const Given& given) {
  TemplateContext context;
  context.now = Timestamp{1353755652000};
  context.external_url = "http://testhost:9090/path/prefix";
  context.external_labels = tsdb::Labels{{"region", "eu"}};
  context.query = [&given](std::string_view expression,
                           Timestamp) -> Result<std::vector<TemplateSample>> {
    if (expression == "bad(") return invalid("1:4: parse error: unclosed left parenthesis");
    return given.samples;
  };
  return context;
}

std::string expand(std::string_view text, const Given& given = {}) {
  Result<TemplateText> parsed = TemplateText::parse("test", text);
  if (!parsed.ok()) return "parse: " + parsed.status().message();
  TemplateSample sample{given.labels, given.value, {}};
  Result<std::string> out = parsed->expand(sample, context_of(given));
  return out.ok() ? *out : "error: " + out.status().message();
}

std::vector<TemplateSample> two_samples() {
  return {{tsdb::Labels{{"__name__", "metric"}, {"instance", "b"}, {"__value__", "x"}}, 11, {}},
          {tsdb::Labels{{"__name__", "metric"}, {"instance", "a"}}, 21, {}}};
}

struct Case {
  std::string_view text;
  std::string_view want;
};

void check(std::initializer_list<Case> cases, const Given& given = {}) {
  for (const Case& c : cases) EXPECT_EQ(expand(c.text, given), c.want) << c.text;
}

TEST(TemplateText, PlainTextIsLeftAlone) {
  check({{"", ""}, {"plain {text} }}", "plain {text} }}"}});
  EXPECT_TRUE(TemplateText::parse("x", "a")->is_literal());
  EXPECT_FALSE(TemplateText::parse("x", "{{ 1 }}")->is_literal());
}

TEST(TemplateText, VariablesAndFields) {
  check({{"{{ $labels.instance }} {{ .Labels.job }}", "host:80 api"},
         {"{{ $labels.missing }}|", "|"},
         {"{{ $labels.__name__ }}", "m"},
         {"{{ index $labels \"job\" }}", "api"},
         {"{{ $externalLabels.region }} {{ .ExternalLabels.region }}", "eu eu"},
         {"{{ $externalURL }} {{ externalURL }}",
          "http://testhost:9090/path/prefix http://testhost:9090/path/prefix"},
         {"{{ pathPrefix }}", "/path/prefix"},
         {"{{ with $labels }}{{ .job }}{{ $.Labels.job }}{{ end }}", "apiapi"},
         {"{{ $x := \"a\" }}{{ if true }}{{ $x = \"b\" }}{{ end }}{{ $x }}", "b"},
         {"{{ $x := \"a\" }}{{ if true }}{{ $x := \"b\" }}{{ end }}{{ $x }}", "a"}});
}

TEST(TemplateText, RawFloatsPrintAsGoDoes) {
  const std::initializer_list<std::pair<double, std::string_view>> cases = {
      {0.0001, "0.0001"},    {0.00001, "1e-05"},
      {100000, "100000"},    {123456.7, "123456.7"},
      {1000000, "1e+06"},    {1234567, "1.234567e+06"},
      {kInf, "+Inf"},        {-kInf, "-Inf"},
      {std::nan(""), "NaN"}, {1, "1"},
      {0.1, "0.1"},          {-2.5, "-2.5"}};
  for (const auto& [value, want] : cases) {
    EXPECT_EQ(expand("{{ $value }}", {.value = value}), want);
    EXPECT_EQ(expand("{{ .Value }}", {.value = value}), want);
  }
}

TEST(TemplateText, PrintfFollowsGo) {
  check({{"{{ printf \"%.2f\" $value }}", "1.50"},
         {"{{ $value | printf \"%.0f\" }}", "2"},
         {"{{ printf \"%d\" $value }}", "%!d(float64=1.5)"},
         {"{{ printf \"%s\" $value }}", "%!s(float64=1.5)"},
         {"{{ printf \"%s %q\" \"a\" \"b\" }}", "a \"b\""},
         {"{{ printf \"%5.1f|%-6s|%06.2f\" $value \"x\" $value }}", "  1.5|x     |001.50"},
         {"{{ printf \"%.4g %e %g\" 1234567.0 1.5 100000000.0 }}", "1.235e+06 1.500000e+00 1e+08"},
         {"{{ printf \"%v %v %t\" 1 \"x\" true }}", "1 x true"},
         {"{{ printf \"%d %x %X %o %b %c %U\" 10 255 255 8 5 65 65 }}", "10 ff FF 10 101 A U+0041"},
         {"{{ printf \"%s\" }}", "%!s(MISSING)"},
         {"{{ printf \"a\" 1 \"b\" }}", "a%!(EXTRA int=1, string=b)"},
         {"{{ printf \"%\" }}", "%!(NOVERB)"},
         {"{{ printf \"%z\" 1 }}", "%!z(int=1)"},
         {"{{ printf \"100%%\" }}", "100%"},
         {"{{ printf \"%[2]s %[1]s\" \"a\" \"b\" }}", "b a"},
         {"{{ printf \"%*d\" 5 42 }}", "   42"},
         {"{{ printf \"%+d % d %+.1f\" 3 4 5.0 }}", "+3  4 +5.0"},
         {"{{ printf \"%x %T %T\" \"hi\" 1 $labels }}", "6869 int map[string]string"},
         {"{{ print \"a\" 1 2 \"b\" 3 }}", "a1 2b3"},
         {"{{ println \"a\" 1 }}", "a 1\n"}},
        {.value = 1.5});
}

TEST(TemplateText, Humanize) {
  check({{"{{ range . }}{{ end }}",
          "error: error executing template test: template: test:1:121: "
          "executing \"test\" at <.>: range can't iterate over "
          "{map[__name__:m instance:host:80 job:api] map[region:eu] "
          "http://testhost:9090/path/prefix 0}"},
         {"{{ humanize 0.0 }}:{{ humanize 1.0 }}:{{ humanize 1234567.0 }}:{{ humanize .12 }}:",
          "0:1:1.235M:120m:"},
         {"{{ 1435065584.128 | humanize1024 }} {{ humanize1024 1048576 }} {{ humanize1024 .12 }}",
          "1.337Gi 1Mi 0.12"},
         {"{{ humanize \"1234567\" }} {{ humanize 999 }} {{ humanize -1000 }} {{ humanize -0.0 }}",
          "1.235M 999 -1k -0"},
         {"{{ humanizeDuration 0 }} {{ humanizeDuration 1 }} {{ humanizeDuration 60 }} "
          "{{ humanizeDuration 3600 }} {{ humanizeDuration 86400 }} {{ humanizeDuration 86400 }}",
          "0s 1s 1m 0s 1h 0m 0s 1d 0h 0m 0s 1d 0h 0m 0s"},
         {"{{ humanizeDuration -92845 }} {{ humanizeDuration .1 }} {{ humanizeDuration .12345 }} "
          "{{ humanizeDuration 12.345 }} {{ humanizeDuration 60.1 }} {{ humanizeDuration .0001 }}",
          "-1d 1h 47m 25s 100ms 123.5ms 12.35s 1m 0s 100us"},
         {"{{ humanizePercentage 0.1234567 }} {{ 1234567.0 | humanizePercentage }} "
          "{{ humanizePercentage 0.959 }}",
          "12.35% 1.235e+08% 95.9%"},
         {"{{ humanizeTimestamp 1435065584.128 }}", "2015-06-23 13:19:44.128 +0000 UTC"},
         {"{{ 1643114203 | humanizeTimestamp }}", "2022-01-25 12:36:43 +0000 UTC"},
         {"{{ humanize \"x\" }}",
          "error: error executing template test: template: test:1:115: executing \"test\" at "
          "<humanize \"x\">: error calling humanize: strconv.ParseFloat: parsing \"x\": invalid "
          "syntax"}});
  for (const std::string_view function :
       {"humanize", "humanize1024", "humanizeDuration", "humanizeTimestamp"}) {
    const std::string text = "{{ " + std::string(function) + " .Value }}";
    EXPECT_EQ(expand(text, {.value = kInf}), "+Inf");
    EXPECT_EQ(expand(text, {.value = -kInf}), "-Inf");
    EXPECT_EQ(expand(text, {.value = std::nan("")}), "NaN");
  }
  EXPECT_EQ(expand("{{ humanizeTimestamp $value }}", {.value = 1e18}),
            "error: error executing template test: template: test:1:115: executing \"test\" at "
            "<humanizeTimestamp $value>: error calling humanizeTimestamp: 1e+18 cannot be "
            "represented as a nanoseconds timestamp since it overflows int64");
}

TEST(TemplateText, TextFunctions) {
  check({{"{{ \"aa bb CC\" | title }} {{ \"aa bb CC\" | toUpper }} {{ \"aa bb CC\" | toLower }}",
          "Aa Bb CC AA BB CC aa bb cc"},
         {"{{ match \"a+\" \"aa\" }} {{ match \"^b\" \"aa\" }} {{ match \"a.c\" \"xa\\ncx\" }}",
          "true false false"},
         {"{{ reReplaceAll \"(a)b\" \"x$1\" \"ab\" }}", "xa"},
         {"{{ \"ab\" | reReplaceAll \"(?P<n>a)\" \"${n}x$$\" }}", "ax$b"},
         {"{{ reReplaceAll \"b*\" \"-\" \"abc\" }}", "-a-c-"},
         {"{{ \"host:80\" | stripPort }} {{ \"[::1]:80\" | stripPort }} {{ \"127.0.0.1\" | "
          "stripPort }} "
          "{{ \"not a:host:port\" | stripPort }}",
          "host ::1 127.0.0.1 not a:host:port"},
         {"{{ \"foo.example.com:80\" | stripDomain }} {{ \"192.0.2.1:80\" | stripDomain }} "
          "{{ \"foo.example.com\" | stripDomain }}",
          "foo:80 192.0.2.1:80 foo"},
         {"{{ parseDuration \"2h10m10s\" }} {{ parseDuration \"-90s\" }}", "7810 -90"},
         {"{{ urlQueryEscape \"a b&c=ü\" }}", "a+b%26c%3D%C3%BC"},
         {"{{ tableLink \"up == 0\" }} {{ graphLink \"up\" }}",
          "/graph?g0.expr=up+%3D%3D+0&g0.tab=1 /graph?g0.expr=up&g0.tab=0"},
         {"{{ safeHtml \"<b>\" }} {{ html \"<b>\" }} {{ js \"'x'\" }} {{ urlquery \"a b\" }}",
          "<b> &lt;b&gt; \\'x\\' a+b"},
         {"{{ now }}", "1.353755652e+09"},
         {"{{ (toTime 1435065584.128).Format \"02 Jan 06 15:04\" }} {{ toTime 0 }}",
          "23 Jun 15 13:19 1970-01-01 00:00:00 +0000 UTC"},
         {"{{ toDuration 5400 }} {{ (toDuration 5400).Hours }} {{ toDuration 0.1 | "
          "humanizeDuration }}",
          "1h30m0s 1.5 100ms"}});
}

TEST(TemplateText, QueriesGiveSamples) {
  Given given;
  given.samples = two_samples();
  check({{"{{ query \"metric\" | first | value }}", "11"},
         {"{{ query \"metric\" | first | label \"instance\" }}", "b"},
         {"{{ query \"metric\" | first | strvalue }}", "x"},
         {"{{ (query \"metric\" | sortByLabel \"instance\" | first).Labels.instance }}", "a"},
         {"{{ range query \"metric\" | sortByLabel \"instance\" }}{{ .Labels.instance }}:{{ .Value "
          "}}, {{ end }}",
          "a:21, b:11, "},
         {"{{ with query \"metric\" }}{{ . | len }}{{ end }}", "2"},
         {"{{ query \"metric{instance='a'}\" | len }}", "2"},
         {"{{ $v := query \"metric\" }}{{ index $v 1 | value }}", "21"},
         {"{{ query \"bad(\" }}",
          "error: error executing template test: template: test:1:115: executing \"test\" at "
          "<query \"bad(\">: error calling query: 1:4: parse error: unclosed left parenthesis"}},
        given);
  check({{"{{ query \"missing\" | first | value }}",
          "error: error executing template test: template: test:1:133: executing \"test\" at "
          "<first>: error calling first: first() called on vector with no elements"},
         {"{{ range query \"missing\" }}x{{ else }}none{{ end }}", "none"},
         {"{{ with query \"missing\" }}x{{ else }}none{{ end }}", "none"}});
}

TEST(TemplateText, ControlStructures) {
  check(
      {{"{{ if true }}a{{ else }}b{{ end }}", "a"},
       {"{{ if eq $labels.job \"web\" }}a{{ else if eq .Labels.job \"api\" }}b{{ else }}c{{ end }}",
        "b"},
       {"{{ with $labels.missing }}a{{ else with $labels.job }}{{ . }}{{ end }}", "api"},
       {"{{ range $k, $v := $labels }}{{ $k }}={{ $v }};{{ end }}",
        "__name__=m;instance=host:80;job=api;"},
       {"{{ range $i := 3 }}{{ $i }}{{ end }}", "012"},
       {"{{ range $i, $c := args \"a\" \"b\" \"c\" }}{{ if eq $c \"b\" }}{{ continue }}{{ end }}{{ "
        "$i }}{{ end }}",
        "arg0arg2"},
       {"{{ range args 1 2 3 }}{{ if gt . 1 }}{{ break }}{{ end }}{{ . }}{{ end }}", "1"},
       {"a {{- 1 -}} b {{/* gone */}}c {{- /* gone */ -}} d", "a1b cd"},
       {"{{ define \"x\" }}[{{ .arg0 }}-{{ .arg1 }}]{{ end }}{{ template \"x\" args 1 \"b\" }}",
        "[1-b]"},
       {"{{ block \"y\" $labels.job }}<{{ . }}>{{ end }}", "<api>"},
       {"{{ define \"t\" }}{{ . }}!{{ end }}{{ tmpl \"t\" 5 }}", "5!"},
       {"{{ and 1 0 }} {{ and 1 2 }} {{ or 0 \"x\" }} {{ not 0 }}", "0 2 x true"},
       {"{{ `raw\\n` }} {{ 'a' }} {{ 0x10 }} {{ 1e3 }} {{ 1_000 }} {{ nil | print }}",
        "error: error executing template test: template: test:1:172: executing \"test\" at <nil>: "
        "nil is not a command"},
       {"{{ `raw\\n` }} {{ 'a' }} {{ 0x10 }} {{ 1e3 }} {{ 1_000 }}", "raw\\n 97 16 1000 1000"},
       {"{{ len \"abc\" }} {{ slice \"abcd\" 1 3 }} {{ index \"a\" 0 }} {{ len $labels }}",
        "3 bc 97 3"},
       {"{{ $labels.a.b }}",
        "error: error executing template test: template: test:1:122: executing \"test\" at "
        "<$labels.a.b>: can't evaluate field b in type string"},
       {"{{ (args 1).arg9 }}", "<no value>"},
       {"{{ $labels }}", "map[__name__:m instance:host:80 job:api]"}});
}

TEST(TemplateText, RareVerbsPrintAsGoDoes) {
  check({{R"({{ printf "%x %X" 1.5 -1024.0 }} {{ printf "%x" 1e100 }})",
          "0x1.8p+00 -0X1P+10 0x1.249ad2594c37dp+332"},
         {R"({{ printf "% x|% X|%x" "abc" "\xff" "a" }})", "61 62 63|FF|61"},
         {R"({{ printf "%+v %+d %#v %#x" 5 5 "a" 255 }})", "5 +5 \"a\" 0xff"},
         {R"({{ printf "%+q %#U %U" "ü\n" 252 252 }})", R"("\u00fc\n" U+00FC 'ü' U+00FC)"},
         {R"({{ printf "%#v" .ExternalLabels }})", R"(map[string]string{"region":"eu"})"},
         {R"({{ title "it's o'clock a.b c-d e_f 3rd" }})", "It's O'clock A.b C-D E_f 3Rd"},
         {R"({{ title "_foo x3y 10-4b 4.e" }})", "_Foo X3y 10-4B 4.E"},
         {R"({{ (toTime 86400).YearDay }})", "2"}});
}

TEST(TemplateText, Comparisons) {
  check({{"{{ eq 1 1 }} {{ eq 1 2 1 }} {{ ne \"a\" \"b\" }} {{ lt 1 2 }} {{ ge 2 2 }} {{ le \"a\" "
          "\"b\" }}",
          "true true true true true true"},
         {"{{ gt $value 1.0 }}", "true"},
         {"{{ gt $value 1 }}",
          "error: error executing template test: template: test:1:115: executing \"test\" at "
          "<gt $value 1>: error calling gt: incompatible types for comparison: float64 and int"},
         {"{{ lt true false }}",
          "error: error executing template test: template: test:1:115: executing \"test\" at "
          "<lt true false>: error calling lt: invalid type for comparison"}},
        {.value = 2});
  EXPECT_EQ(expand("{{ gt $value 1.0 }} {{ lt $value 1.0 }}", {.value = std::nan("")}),
            "true false");
}

TEST(TemplateText, ParseErrorsSayWhatGoSays) {
  check({{"{{ $label.x }}", "parse: template: test:1: undefined variable \"$label\""},
         {"{{ foo }}", "parse: template: test:1: function \"foo\" not defined"},
         {"{{ if true }}", "parse: template: test:1: unexpected EOF"},
         {"{{ end }}", "parse: template: test:1: unexpected {{end}}"},
         {"{{", "parse: template: test:1: unclosed action"},
         {"{{ }}", "parse: template: test:1: missing value for command"},
         {"a\n{{ \"x }}", "parse: template: test:2: unterminated quoted string"},
         {"{{ /* x }}", "parse: template: test:1: unexpected \"/\" in command"},
         {"{{/* x }}", "parse: template: test:1: unclosed comment"},
         {"{{ (1 }}", "parse: template: test:1: unclosed left paren"},
         {"{{ 1) }}", "parse: template: test:1: unexpected right paren"},
         {"{{ 1x }}", "parse: template: test:1: bad number syntax: \"1x\""},
         {"{{ $labels.a@ }}", "parse: template: test:1: bad character U+0040 '@'"},
         {"{{ 1 | 2 }}", "parse: template: test:1: non executable command in pipeline stage 2"},
         {"{{ break }}", "parse: template: test:1: {{break}} outside {{range}}"},
         {"{{ if true }}{{ else }}{{ else }}{{ end }}",
          "parse: template: test:1: expected end; found {{else}}"},
         {"{{ range $a, $b, $c := . }}{{ end }}",
          "parse: template: test:1: too many declarations in range"},
         {"{{ template 1 }}", "parse: template: test:1: unexpected \"1\" in template clause"},
         {"{{ \"a\".b }}", "parse: template: test:1: unexpected . after term \"\\\"a\\\"\""}});
}

TEST(TemplateText, WrongUseIsAnErrorOfTheExpansion) {
  check({{"{{ $value | toUpper }}",
          "error: error executing template test: template: test:1:124: executing \"test\" at "
          "<toUpper>: wrong type for value; expected string; got float64"},
         {"{{ toUpper 1 }}",
          "error: error executing template test: template: test:1:123: executing \"test\" at <1>: "
          "expected string; found 1"},
         {"{{ toUpper }}",
          "error: error executing template test: template: test:1:115: executing \"test\" at "
          "<toUpper>: wrong number of args for toUpper: want 1 got 0"},
         {"{{ .Foo }}",
          "error: error executing template test: template: test:1:115: executing \"test\" at "
          "<.Foo>: can't evaluate field Foo in type struct { Labels map[string]string; "
          "ExternalLabels map[string]string; ExternalURL string; Value interface {} }"},
         {"{{ $labels 1 }}",
          "error: error executing template test: template: test:1:115: executing \"test\" at "
          "<$labels>: can't give argument to non-function $labels"},
         {"{{ template \"nope\" }}",
          "error: error executing template test: template: test:1:124: executing \"test\" at "
          "<{{template \"nope\"}}>: template \"nope\" not defined"},
         {"{{ first 1 }}",
          "error: error executing template test: template: test:1:121: executing \"test\" at <1>: "
          "can't handle 1 for arg of type template.queryResult"}});
  bool failed = false;
  const TemplateText text = *TemplateText::parse("__alert_X", "{{ .Foo }}");
  EXPECT_TRUE(text.expand_or_error({}, {}, failed)
                  .starts_with("<error expanding template: error executing template __alert_X: "
                               "template: __alert_X:1:115: "));
  EXPECT_TRUE(failed);
}

TEST(TemplateText, LimitsEndWhatWouldNotEnd) {
  EXPECT_EQ(expand("{{ define \"x\" }}{{ template \"x\" }}{{ end }}{{ template \"x\" }}"),
            "error: error executing template test: template: test:1:140: executing \"x\" at "
            "<{{template \"x\"}}>: exceeded maximum template depth (100)");
  EXPECT_NE(expand("{{ range $i := 100000000 }}{{ end }}").find("takes more than 1000000 steps"),
            std::string::npos);
  EXPECT_NE(expand("{{ $x := \"0123456789\" }}{{ range 30 }}{{ $x = print $x $x }}{{ end }}")
                .find("makes a value of more than"),
            std::string::npos);
  EXPECT_NE(expand("{{ $x := args 1 }}{{ range 60 }}{{ $x = args $x $x }}{{ end }}{{ $x }}")
                .find("makes a value of more than"),
            std::string::npos);
  std::string deep = "{{ ";
  for (int i = 0; i < 5000; ++i) deep += '(';
  EXPECT_EQ(expand(deep), "parse: template: test:1: actions are nested too deeply");
}

TEST(TemplateText, KnowsWhetherItReadsTheValue) {
  EXPECT_TRUE(TemplateText::parse("x", "{{ $value }}")->uses_value());
  EXPECT_TRUE(TemplateText::parse("x", "{{ printf \"%f\" .Value }}")->uses_value());
  EXPECT_TRUE(TemplateText::parse("x", "{{ if true }}{{ $.Value }}{{ end }}")->uses_value());
  EXPECT_FALSE(TemplateText::parse("x", "{{ $labels.value }}")->uses_value());
  EXPECT_FALSE(TemplateText::parse("x", "text")->uses_value());
}

}  // namespace
}  // namespace tarsier::alerting
