#include "server/grpc_server.h"

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>

#include "server/otlp_rpc.h"

#if defined(__SANITIZE_THREAD__)
#define TARSIER_HAS_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TARSIER_HAS_TSAN 1
#endif
#endif

namespace tarsier::server {
namespace {

struct Outcome {
  grpc::Status status;
  std::string message;
};

class GrpcServerTest : public ::testing::Test {
 protected:
  void SetUp() override {
#ifdef TARSIER_HAS_TSAN
    GTEST_SKIP() << "the distribution's gRPC is not built for the thread sanitizer";
#endif
  }
  void start(RpcHandler handler, std::size_t message_bytes_max = 1 << 20, RpcGate gate = nullptr,
             std::size_t memory_bytes_max = 64 << 20) {
    Result<std::unique_ptr<GrpcServer>> server =
        GrpcServer::listen({.address = "127.0.0.1:0",
                            .message_bytes_max = message_bytes_max,
                            .memory_bytes_max = memory_bytes_max},
                           std::move(handler), std::move(gate));
    ASSERT_TRUE(server.ok()) << server.status().message();
    server_ = std::move(*server);
    grpc::ChannelArguments arguments;
    arguments.SetMaxSendMessageSize(-1);
    channel_ = grpc::CreateCustomChannel(server_->address(), grpc::InsecureChannelCredentials(),
                                         arguments);
  }
  /// One call, which may be given up after `deadline_ms`.
  Outcome call(const std::string& method, const std::string& message, bool is_packed = false,
               int deadline_ms = 10'000) {
    grpc::GenericStub stub(channel_);
    grpc::ClientContext context;
    context.AddMetadata("x-key", "v");
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(deadline_ms));
    if (is_packed) context.set_compression_algorithm(GRPC_COMPRESS_GZIP);
    grpc::CompletionQueue queue;
    const grpc::Slice slice(message);
    const grpc::ByteBuffer request(&slice, 1);
    grpc::ByteBuffer response;
    Outcome out;
    const auto reader = stub.PrepareUnaryCall(&context, method, request, &queue);
    reader->StartCall();
    reader->Finish(&response, &out.status, nullptr);
    void* tag = nullptr;
    bool is_ok = false;
    queue.Next(&tag, &is_ok);
    std::vector<grpc::Slice> slices;
    if (out.status.ok() && response.Dump(&slices).ok()) {
      for (const grpc::Slice& one : slices) {
        out.message.append(reinterpret_cast<const char*>(one.begin()), one.size());
      }
    }
    queue.Shutdown();
    while (queue.Next(&tag, &is_ok)) {
    }
    return out;
  }

  std::unique_ptr<GrpcServer> server_;
  std::shared_ptr<grpc::Channel> channel_;
};

TEST_F(GrpcServerTest, HandsOverBytesAndBringsBytesBack) {
  RpcRequest seen;
  start([&](RpcRequest request, RpcResponder respond) {
    seen = request;
    respond({.message = "<" + request.message + ">"});
  });
  const std::string large(100'000, 'x');
  for (const bool is_packed : {false, true}) {
    const Outcome outcome = call("/a.B/C", large, is_packed);
    EXPECT_TRUE(outcome.status.ok()) << outcome.status.error_message();
    EXPECT_EQ(outcome.message, "<" + large + ">");
    EXPECT_EQ(seen.method, "/a.B/C");
    EXPECT_EQ(seen.peer.substr(0, 10), "127.0.0.1:");
    bool has_key = false;
    for (const auto& [name, value] : seen.metadata) has_key |= name == "x-key" && value == "v";
    EXPECT_TRUE(has_key);
  }
  EXPECT_EQ(call("/a.B/C", "").message, "<>");
}

TEST_F(GrpcServerTest, ABusyAnswerCarriesItsRetryDelay) {
  start([](const RpcRequest&, RpcResponder respond) {
    respond({.code = RpcCode::kUnavailable, .error = "full", .retry_after = milliseconds(1500)});
  });
  const Outcome outcome = call("/a.B/C", "x");
  EXPECT_EQ(outcome.status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(outcome.status.error_message(), "full");
  EXPECT_EQ(outcome.status.error_details(),
            rpc_status_wire(RpcCode::kUnavailable, "full", milliseconds(1500)));
}

TEST_F(GrpcServerTest, TooLargeIsFinal) {
  start([](const RpcRequest&, RpcResponder respond) { respond({}); }, 1000);
  const Outcome outcome = call("/a.B/C", std::string(2000, 'x'));
  EXPECT_EQ(outcome.status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(outcome.status.error_details(), "");
}

TEST_F(GrpcServerTest, AnswersFromAnotherThreadAndForDroppedOnes) {
  std::vector<std::thread> threads;
  start([&](const RpcRequest& request, RpcResponder respond) {
    if (request.message == "drop") return;
    threads.emplace_back([respond = std::move(respond)] { respond({.message = "late"}); });
  });
  EXPECT_EQ(call("/a.B/C", "x").message, "late");
  EXPECT_EQ(call("/a.B/C", "drop").status.error_code(), grpc::StatusCode::INTERNAL);
  for (std::thread& thread : threads) thread.join();
}

TEST_F(GrpcServerTest, AnAnswerToACallThatIsGoneIsNoHarm) {
  std::vector<RpcResponder> held;
  start([&](const RpcRequest&, RpcResponder respond) { held.push_back(std::move(respond)); });
  EXPECT_EQ(call("/a.B/C", "x", false, 50).status.error_code(),
            grpc::StatusCode::DEADLINE_EXCEEDED);
  server_->drain(Duration{0});
  ASSERT_EQ(held.size(), 1u);
  held[0]({.message = "too late"});
}

TEST_F(GrpcServerTest, WhomTheGateRefusesIsNotRead) {
  std::atomic<int> served{0};
  std::vector<std::thread> threads;
  start(
      [&](const RpcRequest&, RpcResponder respond) {
        ++served;
        respond({.message = "in"});
      },
      1 << 20,
      [&](const std::shared_ptr<const RpcRequest>& head, auto decide) {
        if (head->method == "/open/Now") return decide(std::nullopt);
        if (head->method == "/dropped/X") return;
        threads.emplace_back([head, decide] {
          if (head->method == "/open/Later") return decide(std::nullopt);
          decide(RpcAnswer{.code = RpcCode::kUnauthenticated, .error = "who are you"});
        });
      });
  EXPECT_EQ(call("/open/Now", "x").message, "in");
  EXPECT_EQ(call("/open/Later", "x").message, "in");
  // Larger than may be: it is not looked at.
  const Outcome refused = call("/closed/X", std::string(2 << 20, 'x'));
  EXPECT_EQ(refused.status.error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(refused.status.error_message(), "who are you");
  EXPECT_EQ(call("/dropped/X", "x").status.error_code(), grpc::StatusCode::INTERNAL);
  EXPECT_EQ(served, 2);
  for (std::thread& thread : threads) thread.join();
}

TEST_F(GrpcServerTest, ACallMayEndBeforeTheGateDecides) {
  std::vector<std::function<void(std::optional<RpcAnswer>)>> held;
  start([](const RpcRequest&, RpcResponder respond) { respond({}); }, 1 << 20,
        [&](const std::shared_ptr<const RpcRequest>&, auto decide) {
          held.push_back(std::move(decide));
        });
  EXPECT_EQ(call("/a.B/C", "x", false, 50).status.error_code(),
            grpc::StatusCode::DEADLINE_EXCEEDED);
  server_->drain(Duration{0});
  ASSERT_EQ(held.size(), 1U);
  held[0](std::nullopt);
}

TEST_F(GrpcServerTest, MessagesThatAreServedAreBoundedTogether) {
  std::vector<RpcResponder> held;
  start(
      [&](const RpcRequest& request, RpcResponder respond) {
        if (request.method == "/hold/X") return held.push_back(std::move(respond));
        respond({.message = "served"});
      },
      1 << 20, nullptr, 1500);
  EXPECT_EQ(call("/hold/X", std::string(1000, 'x'), false, 50).status.error_code(),
            grpc::StatusCode::DEADLINE_EXCEEDED);
  const Outcome busy = call("/a/B", std::string(1000, 'x'));
  EXPECT_EQ(busy.status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(busy.status.error_message(), "too many messages are being served");
  EXPECT_EQ(call("/a/B", std::string(400, 'x')).message, "served");
  held.clear();
  EXPECT_EQ(call("/a/B", std::string(1000, 'x')).message, "served") << "what ended makes room";
}

TEST_F(GrpcServerTest, ATakenPortIsAnError) {
  start([](const RpcRequest&, RpcResponder respond) { respond({}); });
  const auto second =
      GrpcServer::listen({.address = server_->address()}, [](const RpcRequest&, RpcResponder) {});
  EXPECT_EQ(second.status().code(), Code::kIo);
}

TEST(OtlpRpc, AnswersOfTheHttpDoorsBecomeStatuses) {
  EXPECT_EQ(rpc_answer_of({.status = 200, .body = "ok"}).message, "ok");
  const RpcAnswer busy =
      rpc_answer_of(otlp_error(OtlpEncoding::kProtobuf, 503, "later", seconds(3)));
  EXPECT_EQ(busy.code, RpcCode::kUnavailable);
  EXPECT_EQ(busy.error, "later");
  EXPECT_EQ(busy.retry_after, seconds(3));
  const RpcAnswer large = rpc_answer_of(otlp_error(OtlpEncoding::kProtobuf, 413, "too large"));
  EXPECT_EQ(large.code, RpcCode::kResourceExhausted);
  EXPECT_EQ(large.retry_after, std::nullopt);
  EXPECT_EQ(rpc_answer_of(otlp_error(OtlpEncoding::kProtobuf, 400, "x")).code,
            RpcCode::kInvalidArgument);
}

}  // namespace
}  // namespace tarsier::server
