// What a client may send: forms, addresses, JSON, base64, keys.
#include <gtest/gtest.h>

#include "server/access.h"
#include "server/base64.h"
#include "server/json.h"
#include "server/multipart.h"
#include "server/names.h"
#include "server/router.h"

namespace mlx_audio::server {
namespace {

int status_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const ApiError& error) {
    return error.status();
  }
  return 200;
}

constexpr const char* kType = "multipart/form-data; boundary=XX";

TEST(Multipart, ReadsFieldsFilesAndLists) {
  std::string body =
      "--XX\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nbase\r\n"
      "--XX\r\ncontent-disposition: form-data; name=\"file\"; "
      "filename=\"a \\\"b\\\".wav\"\r\nContent-Type: audio/wav\r\n\r\n"
      "\r\n--X not yet\r\n"
      "--XX\r\nContent-Disposition: form-data; name=\"k[]\"\r\n\r\none\r\n"
      "--XX\r\nContent-Disposition: form-data; name=k\r\n\r\ntwo\r\n"
      "--XX--\r\n";
  body.insert(body.find("\r\n\r\n\r\n--X not") + 4, 1, '\0');
  Multipart form(kType, body);
  EXPECT_EQ(form.text("model"), "base");
  ASSERT_NE(form.find("file"), nullptr);
  EXPECT_EQ(form.find("file")->file_name, "a \"b\".wav");
  EXPECT_EQ(form.find("file")->type, "audio/wav");
  EXPECT_NE(form.find("file")->data.find("--X not yet"), std::string::npos);
  EXPECT_EQ(form.list("k"), (std::vector<std::string>{"one", "two"}));
  EXPECT_EQ(form.text("none"), std::nullopt);
}

TEST(Multipart, ReadsAnEmptyPart) {
  Multipart form(
      kType,
      "--XX\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n\r\n--XX--");
  ASSERT_NE(form.find("a"), nullptr);
  EXPECT_TRUE(form.find("a")->data.empty());
}

TEST(Multipart, RefusesWhatIsNone) {
  EXPECT_EQ(status_of([] { Multipart("application/json", "{}"); }), 415);
  EXPECT_EQ(status_of([] { Multipart("multipart/form-data", ""); }), 400);
  for (std::string body :
       {"",
        "--XX",
        "--XX\r\n",
        "--XX\r\n\r\n",
        "--XX\r\nno colon\r\n\r\nx\r\n--XX--",
        "--XX\r\nContent-Disposition: form-data\r\n\r\nx\r\n--XX--",
        "--XX\r\nContent-Disposition: form-data; name=a\r\n\r\nnever ends",
        "--XX\r\nContent-Disposition: form-data; name=a\r\n"
        "Content-Transfer-Encoding: base64\r\n\r\nx\r\n--XX--"}) {
    EXPECT_EQ(status_of([&] { Multipart(kType, body); }), 400) << body;
  }
}

TEST(Router, FindsIdsWithSlashesAndNamesTheMethods) {
  Router router;
  auto none = [](const ExchangePtr&) {};
  router.add({.method = "GET", .pattern = "/v1/models", .handler = none});
  router.add(
      {.method = "POST", .pattern = "/v1/models/*/load", .handler = none});
  router.add({.method = "GET", .pattern = "/v1/models/*", .handler = none});
  EXPECT_EQ(router.find("GET", "/v1/models/org/name").rest, "org/name");
  EXPECT_EQ(router.find("HEAD", "/v1/models").route->pattern, "/v1/models");
  EXPECT_EQ(router.find("POST", "/v1/models/org/name/load").rest, "org/name");
  EXPECT_EQ(router.find("DELETE", "/v1/models/x").route, nullptr);
  EXPECT_EQ(router.find("DELETE", "/v1/models/x").allowed, "GET");
  EXPECT_EQ(router.find("GET", "/v1/models/").route, nullptr);
  EXPECT_EQ(router.find("GET", "/v2").allowed, "");
}

TEST(Router, DecodesTargets) {
  Request request;
  parse_target("/a%20b/c?x=1%262&y=+z&flag", request);
  EXPECT_EQ(request.path, "/a b/c");
  EXPECT_EQ(request.parameter("x"), "1&2");
  EXPECT_EQ(request.parameter("y"), " z");
  EXPECT_EQ(request.parameter("flag"), "");
  for (const char* bad : {"", "x", "/%", "/%2", "/%zz", "/%00", "*"}) {
    EXPECT_EQ(status_of([&] { parse_target(bad, request); }), 400) << bad;
  }
}

TEST(Json, NamesTheFieldThatIsWrong) {
  EXPECT_EQ(status_of([] { parse_object("{"); }), 400);
  EXPECT_EQ(status_of([] { parse_object("[]"); }), 400);
  EXPECT_EQ(status_of([] { parse_object(std::string(100000, '[')); }), 400);
  EXPECT_EQ(status_of([] { parse_object(R"({"n":1e999})"); }), 400);
  Json object = parse_object(R"({"a":"x","b":true,"z":null})");
  Fields fields(object);
  EXPECT_EQ(fields.text("a", 5), "x");
  EXPECT_EQ(fields.text("z", 5), std::nullopt);
  EXPECT_EQ(fields.boolean("b"), true);
  try {
    fields.number("b", 0, 1);
    FAIL();
  } catch (const ApiError& error) {
    EXPECT_EQ(error.param(), "b");
  }
  EXPECT_EQ(status_of([&] { fields.text("a", 0); }), 400);
  EXPECT_EQ(status_of([&] { fields.integer("a", 0, 1); }), 400);
}

TEST(Base64, RoundTripsAndRefusesPaths) {
  for (size_t size = 0; size < 20; ++size) {
    std::vector<uint8_t> bytes;
    for (size_t i = 0; i < size; ++i) {
      bytes.push_back(static_cast<uint8_t>(251 * i + size));
    }
    EXPECT_EQ(from_base64(to_base64(bytes), "f"), bytes);
    EXPECT_EQ(
        from_base64("data:audio/wav;base64," + to_base64(bytes), "f"), bytes);
  }
  for (const char* bad :
       {"https://example.com/a.wav", "voice.wav", "data:text/plain,hello"}) {
    EXPECT_EQ(status_of([&] { from_base64(bad, "f"); }), 400) << bad;
  }
}

TEST(Access, ComparesWholeKeys) {
  EXPECT_TRUE(equal_in_constant_time("secret", "secret"));
  for (const char* wrong : {"", "secre", "secrets", "Secret", "secretsecret"}) {
    EXPECT_FALSE(equal_in_constant_time(wrong, "secret")) << wrong;
  }
}

TEST(Access, RefusesAPublicAddressWithoutAKey) {
  ServerOptions options;
  options.host = "0.0.0.0";
  EXPECT_THROW(Access{options}, Error);
  options.insecure = true;
  EXPECT_NO_THROW(Access{options});
  options.insecure = false;
  options.api_keys = {"k"};
  EXPECT_NO_THROW(Access{options});
}

TEST(Access, ChecksKeysOriginsAndHosts) {
  ServerOptions options;
  options.api_keys = {"one", "two"};
  Access access(options);
  Request request;
  EXPECT_EQ(status_of([&] { access.check_key(request); }), 401);
  request.headers["authorization"] = "bearer two";
  EXPECT_EQ(status_of([&] { access.check_key(request); }), 200);
  request.headers["authorization"] = "Bearer three";
  EXPECT_EQ(status_of([&] { access.check_key(request); }), 401);
  request.headers.erase("authorization");
  request.headers["sec-websocket-protocol"] =
      "realtime, openai-insecure-api-key.one, other";
  EXPECT_EQ(status_of([&] { access.check_key(request); }), 200);

  ServerOptions open;
  open.allowed_origins = {"https://good.example"};
  Access local(open);
  auto origin = [&](const char* host, const char* from) {
    Request r;
    r.headers["host"] = host;
    if (*from != '\0') {
      r.headers["origin"] = from;
    }
    return status_of([&] { local.check_origin(r); });
  };
  EXPECT_EQ(origin("localhost:8000", ""), 200);
  EXPECT_EQ(origin("127.0.0.1:8000", "http://127.0.0.1:8000"), 200);
  EXPECT_EQ(origin("127.0.0.1:8000", "https://good.example"), 200);
  EXPECT_EQ(origin("127.0.0.1:8000", "https://evil.example"), 403);
  EXPECT_EQ(origin("evil.example", "http://evil.example"), 403);
}

TEST(Names, OpenAisVoicesAndModelsHaveTwins) {
  ServerOptions options;
  EXPECT_EQ(speech_model("tts-1-hd", options), "kokoro");
  EXPECT_EQ(speech_model("org/x", options), "org/x");
  EXPECT_EQ(transcription_model("gpt-4o-transcribe", options), "whisper-base");
  std::vector<VoiceInfo> voices = {{"af_heart", "", ""}, {"af_nova", "", ""}};
  EXPECT_EQ(model_voice("nova", voices), "af_nova");
  EXPECT_EQ(model_voice("af_heart", voices), "af_heart");
  EXPECT_EQ(model_voice("nova", {}), "");
}

} // namespace
} // namespace mlx_audio::server
