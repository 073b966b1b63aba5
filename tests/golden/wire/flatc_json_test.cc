// Whoever holds the schemas and the stock flatc can read our bytes: no program of ours is needed to look at a frame.
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

namespace {

using Json = nlohmann::json;

class FlatcJson : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "runnel-flatc-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  // The golden file as flatc prints it; `schema` is "frame", "update", "model" or "delta".
  Json read(const std::string& schema, const std::string& file) {
    const std::string command = std::string(RUNNEL_FLATC) + " --json --strict-json -o '" + folder_.string() + "' '" +
                                RUNNEL_SCHEMAS "/" + schema + ".fbs' -- '" + RUNNEL_GOLDEN_FOLDER "/" + file + "'";
    const int status = std::system(command.c_str());  // NOLINT(cert-env33-c,bugprone-*): our own fixed words
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << command;
    std::ifstream in((folder_ / file).replace_extension(".json"));
    EXPECT_TRUE(in.good()) << command << " wrote nothing";
    return Json::parse(in, nullptr, false);
  }

 private:
  std::filesystem::path folder_;
};

TEST_F(FlatcJson, Frames) {
  Json json = read("frame", "hello.rnl");
  EXPECT_EQ(json["body_type"], "Hello");
  EXPECT_EQ(json["body"]["protocol_max"], 3);
  EXPECT_EQ(json["body"]["device"], "pump-0042");
  EXPECT_EQ(json["body"]["codecs"], Json({0, 1}));
  EXPECT_EQ(json["body"]["held_run"], 0x1122334455667788ULL);

  json = read("frame", "welcome.rnl");
  EXPECT_EQ(json["body_type"], "Welcome");
  EXPECT_EQ(json["body"]["window_bytes"], 32768);

  json = read("frame", "round_plan.rnl");
  EXPECT_EQ(json["body"]["round"], 5);
  EXPECT_EQ(json["body"]["learning_rate"], 0.125);
  EXPECT_EQ(json["body"]["time_left_ms"], 600000);

  json = read("frame", "round_plan_dithered.rnl");
  EXPECT_EQ(json["body"]["codec"], 10);
  EXPECT_EQ(json["body"]["coder"], 4);
  EXPECT_EQ(json["body"]["step"], 0.03125);
  EXPECT_EQ(json["body"]["bits"], 1.5);
  EXPECT_EQ(json["body"]["rotate"], true);
  EXPECT_EQ(json["body"]["error_feedback"], true);
  EXPECT_EQ(json["body"]["keep"], 0.75);

  json = read("frame", "round_plan_rate.rnl");
  EXPECT_EQ(json["body"]["schedule"], 2);
  EXPECT_EQ(json["body"]["learning_rate_end"], 0.0625);
  EXPECT_EQ(json["body"]["rate_mode"], 2);
  EXPECT_EQ(json["body"]["contraction"], 0.875);
  EXPECT_EQ(json["body"]["budget_bytes"], 98765);
  EXPECT_EQ(json["body"]["deadline"], true);
  EXPECT_EQ(json["body"]["late"], 1);

  json = read("frame", "round_plan_optimizer.rnl");
  EXPECT_EQ(json["body"]["optimizer"], 3);
  EXPECT_EQ(json["body"]["beta1"], 0.75);
  EXPECT_EQ(json["body"]["clip_norm"], 2.5);
  EXPECT_EQ(json["body"]["accumulate"], 4);
  EXPECT_EQ(json["body"]["warmup_rounds"], 3);

  json = read("frame", "round_plan_scaffold.rnl");
  EXPECT_EQ(json["body"]["scaffold_share"], 0.375);
  EXPECT_EQ(json["body"]["local_steps"], 20);

  json = read("frame", "model_request.rnl");
  EXPECT_EQ(json["body"]["offset"], 65536);

  json = read("frame", "model_chunk.rnl");
  EXPECT_EQ(json["body"]["total_bytes"], 65000);
  EXPECT_EQ(json["body"]["payload"], Json({0xDE, 0xAD, 0xBE, 0xEF, 0x01}));

  EXPECT_EQ(read("frame", "model_request_held.rnl")["body"]["held_version"], 3);
  EXPECT_EQ(read("frame", "model_chunk_delta.rnl")["body"]["base_version"], 3);

  json = read("frame", "update_offer.rnl");
  EXPECT_EQ(json["body"]["checksum"], 0xE3069283U);

  json = read("frame", "update_chunk.rnl");
  EXPECT_EQ(json["body"]["payload"], Json({1, 2, 3, 4, 5, 6, 7}));

  json = read("frame", "update_ack.rnl");
  EXPECT_EQ(json["body"]["state"], "durable");
  EXPECT_EQ(json["body"]["received_bytes"], 1234);

  json = read("frame", "refusal.rnl");
  EXPECT_EQ(json["body"]["reason"], "round_closed");
  EXPECT_EQ(json["body"]["detail"], "round 5 is closed");

  EXPECT_EQ(read("frame", "ping.rnl")["body"]["nonce"], 0x0102030405060708ULL);
  EXPECT_EQ(read("frame", "pong.rnl")["body_type"], "Pong");
  EXPECT_EQ(read("frame", "bye.rnl")["body"]["cause"], "finished");
}

TEST_F(FlatcJson, Updates) {
  Json json = read("update", "update_qsgd.rnlu");
  EXPECT_EQ(json["device"], "pump-0042");
  EXPECT_EQ(json["sample_count"], 600);
  ASSERT_EQ(json["tensors"].size(), 4U);
  EXPECT_EQ(json["tensors"][0]["name"], "0.conv2d.weight");
  EXPECT_EQ(json["tensors"][0]["codec"], "qsgd");
  EXPECT_EQ(json["tensors"][0]["levels"], 7);
  EXPECT_EQ(json["tensors"][0]["bucket"], 8);
  EXPECT_EQ(json["tensors"][0]["payload"].size(), 24U);
  EXPECT_EQ(json["tensors"][3]["name"], "5.dense.bias");
  json = read("update", "update_run.rnlu");
  ASSERT_EQ(json["tensors"].size(), 1U);
  EXPECT_EQ(json["tensors"][0]["codec"], "trellis");
  EXPECT_EQ(json["tensors"][0]["coder"], "model");
  EXPECT_EQ(json["tensors"][0]["tensors"], 4);
  EXPECT_EQ(json["tensors"][0]["rotated"], true);
  EXPECT_EQ(json["tensors"][0]["keep"], 0.5);
  EXPECT_EQ(json["tensors"][0]["seed"], 0xFEDCBA9876543210ULL);
  json = read("update", "update_tuned.rnlu");
  EXPECT_EQ(json["evaluation"]["loss_after"], 0.625);
  EXPECT_EQ(json["evaluation"]["tuned_steps"], 25);
  EXPECT_EQ(json["evaluation"]["value_tuned"], 0.25);
  json = read("update", "update_fp32.rnlu");
  EXPECT_EQ(json["tensors"][0]["count"], 18);
  EXPECT_EQ(json["tensors"][0]["payload"].size(), 72U);
}

TEST_F(FlatcJson, Model) {
  const Json json = read("model", "model.rnlm");
  EXPECT_EQ(json["model_version"], 5);
  EXPECT_EQ(json["spec"]["name"], "golden");
  ASSERT_EQ(json["spec"]["layers"].size(), 6U);
  EXPECT_EQ(json["spec"]["layers"][0]["kind"], "conv2d");
  EXPECT_EQ(json["spec"]["layers"][5]["units"], 2);
  ASSERT_EQ(json["parameters"].size(), 26U);
  EXPECT_EQ(json["parameters"][25], 1.0625);
}

TEST_F(FlatcJson, ModelDelta) {
  const Json json = read("delta", "model_delta.rnld");
  EXPECT_EQ(json["base_version"], 3);
  EXPECT_EQ(json["model_version"], 5);
  EXPECT_EQ(json["count"], 26);
  EXPECT_EQ(json["step"], 0.015625);
  EXPECT_EQ(json["payload"].size(), 16U);
}

}  // namespace
