#include "alerting/alertmanager_sender.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "alerting/alertmanager_queue_file.h"
#include "tests/support/capturing_logger.h"
#include "tests/support/fake_http_client.h"
#include "tests/support/faulty_file_system.h"

namespace tarsier::alerting {
namespace {

constexpr const char* kUrl = "http://am:9093/api/v2/alerts";

Alert alert(std::string_view name, std::int64_t starts_s = 60, bool is_over = false) {
  return {.labels = {{"alertname", name}},
          .annotations = {{"summary", "it burns"}},
          .state = is_over ? AlertState::kInactive : AlertState::kFiring,
          .starts_at = {starts_s * 1000},
          .ends_at = {is_over ? starts_s * 1000 + 60'123 : starts_s * 1000 + 240'000},
          .generator_url = "http://t/graph"};
}

struct Lab {
  explicit Lab(AlertmanagerOptions options = {}) : options_(options) { start(); }

  void start(std::vector<std::string> urls = {kUrl}) {
    sender.reset();
    sender = std::make_unique<AlertmanagerSender>(
        options_, AlertmanagerSender::Doors{.files = files,
                                            .directory = "tarsier/alertmanager",
                                            .client = client,
                                            .monotonic_ns = [] { return std::int64_t{0}; },
                                            .log = log,
                                            .wake = {}});
    for (const std::string& url : urls) settings.targets.push_back({.url = url});
    sender->apply(settings);
  }
  void tell(std::vector<Alert> alerts) {
    ASSERT_TRUE(sender->deliver({.source = "f;g", .alerts = std::move(alerts)}).ok());
  }
  static Result<HttpResponse> status(int code) { return HttpResponse{.status = code}; }

  const AlertmanagerOptions options_;
  testing::FaultyFileSystem files;
  testing::FakeHttpClient client;
  testing::CapturingLogger log;
  AlertmanagerSettings settings;
  std::unique_ptr<AlertmanagerSender> sender;
};

TEST(AlertmanagerSender, SpeaksVersion2) {
  Lab lab;
  lab.tell({alert("A", 60, true)});
  lab.sender->run_due({0});
  ASSERT_EQ(lab.client.requests.size(), 1u);
  const HttpFetch& request = lab.client.requests[0];
  EXPECT_EQ(request.method, "POST");
  EXPECT_EQ(request.url, kUrl);
  EXPECT_EQ(request.body,
            R"([{"labels":{"alertname":"A"},"annotations":{"summary":"it burns"},)"
            R"("startsAt":"1970-01-01T00:01:00.000Z","endsAt":"1970-01-01T00:02:00.123Z",)"
            R"("generatorURL":"http://t/graph"}])");
  lab.client.answer(Lab::status(200));
  lab.sender->run_due({1});
  EXPECT_EQ(lab.client.requests.size(), 1u);
}

TEST(AlertmanagerSender, RemembersWhatWasAnswered) {
  Lab lab({.outcomes_max = 3});
  lab.settings.labelling.external_labels = {{"region", "eu"}};
  lab.sender->apply(lab.settings);
  const Fingerprint id = alert("A").fingerprint();  // Without what is added on the way.
  const auto send = [&](const Alert& one, std::int64_t at_s, const Result<HttpResponse>& answer) {
    lab.tell({one});
    lab.sender->run_due({at_s * 1000});
    lab.client.answer(answer);
  };
  send(alert("A"), 1, Lab::status(503));
  lab.sender->run_due({2000});
  lab.sender->run_due({20'000});
  lab.client.answer(Lab::status(200));
  send(alert("A"), 80, Lab::status(200));
  send(alert("A", 60, true), 140, Lab::status(400));
  std::vector<std::string> told;
  for (const SentOutcome& one : lab.sender->outcomes(id)) {
    EXPECT_EQ(one.url, kUrl);
    told.push_back(fmt::format("{}s {} {} x{} {}", one.at.ms / 1000,
                               one.is_resolved ? "resolved" : "firing", one.status, one.count,
                               one.is_retried ? "retried" : ""));
  }
  EXPECT_EQ(told, (std::vector<std::string>{"1s firing 503 x1 retried", "20s firing 200 x2 ",
                                            "140s resolved 400 x1 "}));
  send(alert("B"), 200, unavailable("nobody listens"));
  EXPECT_EQ(lab.sender->outcomes(id).size(), 2u);  // No more are kept.
  const std::vector<SentOutcome> other = lab.sender->outcomes(alert("B").fingerprint());
  ASSERT_EQ(other.size(), 1u);
  EXPECT_EQ(other[0].problem, "nobody listens");
  EXPECT_EQ(other[0].status, 0);
}

TEST(AlertmanagerSender, TellsEveryAlertmanagerAndEachAtItsOwnPace) {
  Lab lab;
  lab.start({"http://b/api/v2/alerts", "http://b/api/v2/alerts"});
  EXPECT_EQ(lab.sender->active_urls().size(), 2u);
  lab.tell({alert("A")});
  lab.sender->run_due({0});
  EXPECT_EQ(lab.client.requests.size(), 2u);
  lab.client.answer(Lab::status(500));
  lab.client.answer(Lab::status(200));
  lab.tell({alert("B")});
  lab.sender->run_due({0});
  EXPECT_EQ(lab.client.requests.size(), 3u);  // The first one waits.
  lab.sender->run_due({5000});
  EXPECT_EQ(lab.client.requests.size(), 4u);
  lab.client.answer(Lab::status(200));
  lab.client.answer(Lab::status(200));
}

TEST(AlertmanagerSender, AddsExternalLabelsThenRelabels) {
  Lab lab;
  lab.settings.labelling.external_labels = {{"region", "eu"}, {"alertname", "no"}};
  lab.settings.labelling.relabel = [](tsdb::LabelsBuilder& labels) {
    labels.set("seen", labels.get("region"));
    return labels.get("alertname") != "Dropped";
  };
  lab.settings.targets[0].relabel = [](tsdb::LabelsBuilder& labels) {
    labels.remove("region");
    return true;
  };
  lab.sender->apply(lab.settings);
  lab.tell({alert("A"), alert("Dropped")});
  lab.sender->run_due({0});
  EXPECT_NE(lab.client.requests[0].body.find(R"("labels":{"alertname":"A","seen":"eu"})"),
            std::string::npos)
      << lab.client.requests[0].body;
  EXPECT_EQ(lab.client.requests[0].body.find("Dropped"), std::string::npos);
  lab.client.answer(Lab::status(200));
}

TEST(AlertmanagerSender, BatchesAndDropsTheOldestBeyondItsCapacity) {
  Lab lab({.queue_capacity = 5, .batch_size_max = 2});
  std::vector<Alert> alerts;
  for (int i = 0; i < 7; ++i) alerts.push_back(alert(fmt::format("A{}", i)));
  lab.tell(alerts);
  std::string bodies;
  for (int i = 0; i < 3; ++i) {
    lab.sender->run_due({0});
    bodies += lab.client.requests.back().body;
    lab.client.answer(Lab::status(200));
  }
  EXPECT_EQ(lab.client.requests.size(), 3u);
  EXPECT_EQ(bodies.find("A1"), std::string::npos);
  for (int i = 2; i < 7; ++i) {
    EXPECT_NE(bodies.find(fmt::format("\"A{}\"", i)), std::string::npos);
  }
  EXPECT_TRUE(lab.log.contains("queue of an Alertmanager is full"));
}

TEST(AlertmanagerSender, ARepetitionReplacesItsLikeAndNothingElse) {
  Lab lab;
  lab.client.respond = [](const HttpFetch&) { return Result<HttpResponse>(unavailable("down")); };
  for (int minute = 0; minute < 600; ++minute) {
    Alert refreshed = alert("A");
    refreshed.ends_at = {minute * 60'000 + 240'000};
    lab.tell({refreshed});
    lab.sender->run_due({minute * 60'000});
  }
  lab.tell({alert("A", 60, true), alert("A", 40'000)});
  lab.client.respond = nullptr;
  lab.sender->run_due({601 * 60'000});
  const std::string body = lab.client.requests.back().body;
  // The first occurrence once, its end, and the second occurrence.
  EXPECT_EQ(std::count(body.begin(), body.end(), '{'), 9);
  lab.client.answer(Lab::status(200));
}

TEST(AlertmanagerSender, WhatCouldNotBeSentSurvivesARestart) {
  Lab lab;
  lab.client.respond = [](const HttpFetch&) { return Result<HttpResponse>(unavailable("down")); };
  lab.tell({alert("A"), alert("B", 60, true)});
  lab.sender->run_due({0});
  lab.sender->run_due({1});
  ASSERT_TRUE(
      lab.files.open_writable("tarsier/alertmanager/x.queue.tmp", OpenMode::kTruncate).ok());
  lab.settings.targets.clear();
  lab.start();
  lab.client.requests.clear();
  lab.client.respond = nullptr;
  lab.sender->run_due({10'000});
  ASSERT_EQ(lab.client.requests.size(), 1u);
  EXPECT_NE(lab.client.requests[0].body.find("\"B\""), std::string::npos);
  lab.client.answer(Lab::status(200));
  lab.sender->run_due({20'000});
  EXPECT_TRUE(lab.files.list("tarsier/alertmanager")->empty());
}

TEST(AlertmanagerSender, ARefusalIsNotRepeated) {
  Lab lab;
  lab.tell({alert("A")});
  lab.sender->run_due({0});
  lab.client.answer(HttpResponse{.status = 400, .body = "bad labels"});
  lab.sender->run_due({100'000});
  EXPECT_EQ(lab.client.requests.size(), 1u);
  EXPECT_TRUE(lab.log.contains("bad labels"));
}

TEST(AlertmanagerSender, StoppingSendsWhatItCanAndKeepsTheRest) {
  Lab lab({.batch_size_max = 1});
  int answered = 0;
  lab.client.respond = [&](const HttpFetch&) {
    return ++answered == 1 ? Lab::status(200) : Lab::status(503);
  };
  lab.tell({alert("A"), alert("B")});
  lab.sender->stop({0});
  lab.settings.targets.clear();
  lab.start();
  lab.client.respond = nullptr;
  lab.sender->run_due({60'000});
  EXPECT_EQ(lab.client.requests.back().body.find("\"A\""), std::string::npos);
  EXPECT_NE(lab.client.requests.back().body.find("\"B\""), std::string::npos);
  lab.client.answer(Lab::status(200));
}

TEST(AlertmanagerQueueFile, RefusesDamage) {
  const std::string bytes = encode_queue({alert("A"), alert("B", 90, true)});
  const auto back = decode_queue(as_bytes(bytes));
  ASSERT_TRUE(back.ok());
  ASSERT_EQ(back->size(), 2u);
  EXPECT_EQ((*back)[1].ends_at, alert("B", 90, true).ends_at);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    EXPECT_FALSE(decode_queue(as_bytes(bytes).first(i)).ok()) << i;
  }
}

}  // namespace
}  // namespace tarsier::alerting
