// Bytes of every message kind as the first build wrote them: they must decode for ever, to the values in samples.h, and
// today's builders must write them again byte for byte.
//
// To add a file: add a sample, run this program once with RUNNEL_WRITE_GOLDEN=1 in the environment, and commit the new
// file. A file that exists is never written over: deleting one is the only way to change it, and breaks every device in
// the field.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <vector>

#include "runtime/codec/update_codec.h"
#include "runtime/wire/frame.h"
#include "tests/golden/wire/samples.h"
#include "tests/unit/wire/describe.h"
#include "tests/unit/wire/exact_bytes.h"

namespace runnel::wire {
namespace {

using Bytes = std::vector<uint8_t>;

const std::filesystem::path kFolder = RUNNEL_GOLDEN_FOLDER;

Bytes read_file(const std::string& file) {
  std::ifstream in(kFolder / file, std::ios::binary);
  EXPECT_TRUE(in.good()) << file << " is missing from " << kFolder << "; see the top of this file";
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

Bytes built(const Update& update) {
  Bytes memory(8192);
  const Result<ByteView> bytes = build_update(update, memory);
  EXPECT_TRUE(bytes.ok());
  return {bytes->begin(), bytes->end()};
}

Bytes built_model(const Model& model) {
  Bytes memory(model_bytes_max(model.spec, model.parameters.size()));
  const Result<ByteView> bytes = build_model(model, memory);
  EXPECT_TRUE(bytes.ok());
  return {bytes->begin(), bytes->end()};
}

Bytes built_delta() {
  Bytes memory(1024);
  const Result<ByteView> bytes = build_delta(samples::delta(), memory);
  EXPECT_TRUE(bytes.ok());
  return {bytes->begin(), bytes->end()};
}

struct File {
  std::string name;
  Bytes bytes;  // as built now
};

std::vector<samples::FrameSample> all_frames() {
  std::vector<samples::FrameSample> frames = samples::frames();
  for (const auto& sample : samples::grown_frames()) frames.push_back(sample);
  return frames;
}

std::vector<File> all_files() {
  std::vector<File> files;
  FrameBuilder builder;
  for (const auto& sample : all_frames()) {
    const ByteView bytes = builder.build(sample.message);
    files.push_back({sample.file, {bytes.begin(), bytes.end()}});
  }
  files.push_back({"update_fp32.rnlu", built(samples::update_fp32())});
  files.push_back({"update_qsgd.rnlu", built(samples::update_qsgd())});
  files.push_back({"update_run.rnlu", built(samples::update_run())});
  files.push_back({"update_tuned.rnlu", built(samples::update_tuned())});
  const std::vector<float> parameters = samples::parameters();
  files.push_back({"model.rnlm", built_model(samples::model(parameters))});
  const std::vector<float> graph_parameters = samples::graph_parameters();
  files.push_back({"model_graph.rnlm", built_model(samples::graph_model(graph_parameters))});
  files.push_back({"model_delta.rnld", built_delta()});
  return files;
}

// Writes what is missing, when asked to, before any test looks.
class WriteGolden : public ::testing::Environment {
 public:
  void SetUp() override {
    const char* wanted = std::getenv("RUNNEL_WRITE_GOLDEN");
    if (wanted == nullptr || std::string(wanted) != "1") return;
    for (const File& file : all_files()) {
      if (std::filesystem::exists(kFolder / file.name)) continue;
      std::ofstream out(kFolder / file.name, std::ios::binary);
      out.write(reinterpret_cast<const char*>(file.bytes.data()), static_cast<std::streamsize>(file.bytes.size()));
      ASSERT_TRUE(out.good()) << file.name;
    }
  }
};
const auto* const kWriteGolden = ::testing::AddGlobalTestEnvironment(new WriteGolden);

TEST(WireGolden, EveryFrameDecodesToItsValues) {
  for (const auto& sample : all_frames()) {
    const ExactBytes bytes(read_file(sample.file));
    const Result<Message> message = decode_frame(bytes.view());
    ASSERT_TRUE(message.ok()) << sample.file << ": " << message.failure().text();
    EXPECT_EQ(describe(*message), describe(sample.message)) << sample.file;
  }
}

TEST(WireGolden, TheUpdatesDecodeToTheirValues) {
  for (const auto& [file, expected] : {std::pair<const char*, Update>{"update_fp32.rnlu", samples::update_fp32()},
                                       std::pair<const char*, Update>{"update_qsgd.rnlu", samples::update_qsgd()},
                                       std::pair<const char*, Update>{"update_run.rnlu", samples::update_run()},
                                       std::pair<const char*, Update>{"update_tuned.rnlu", samples::update_tuned()}}) {
    const ExactBytes bytes(read_file(file));
    Update update;
    const Failure bad = decode_update(bytes.view(), update);
    ASSERT_TRUE(bad.ok()) << file << ": " << bad.text();
    EXPECT_EQ(describe(update), describe(expected)) << file;
    EXPECT_EQ(update.evaluation, expected.evaluation) << file;
  }
}

// The bytes of a build without these fields say what it meant: no run, nothing rotated, nothing left out.
TEST(WireGolden, AnOlderUpdateHasTheDefaultsOfTheFieldsAppendedSince) {
  for (const char* file : {"update_fp32.rnlu", "update_qsgd.rnlu"}) {
    const ExactBytes bytes(read_file(file));
    Update update;
    ASSERT_TRUE(decode_update(bytes.view(), update).ok()) << file;
    for (const plan::EncodedTensor& tensor : update.tensors) {
      EXPECT_EQ(tensor.coder, plan::Coder::kAuto) << file;
      EXPECT_EQ(tensor.tensors, 1U) << file;
      EXPECT_FALSE(tensor.rotated) << file;
      EXPECT_EQ(tensor.keep, 1.0F) << file;
      EXPECT_EQ(tensor.seed, 0U) << file;
    }
  }
}

TEST(WireGolden, TheModelDecodesToItsValues) {
  const ExactBytes bytes(read_file("model.rnlm"));
  Model model;
  const Failure bad = decode_model(bytes.view(), model);
  ASSERT_TRUE(bad.ok()) << bad.text();
  const std::vector<float> parameters = samples::parameters();
  EXPECT_EQ(describe(model), describe(samples::model(parameters)));
}

TEST(WireGolden, TheModelThatIsAGraphDecodesToItsValues) {
  const ExactBytes bytes(read_file("model_graph.rnlm"));
  Model model;
  const Failure bad = decode_model(bytes.view(), model);
  ASSERT_TRUE(bad.ok()) << bad.text();
  const std::vector<float> parameters = samples::graph_parameters();
  EXPECT_EQ(describe(model), describe(samples::graph_model(parameters)));
}

// Whatever decoders come: these multiples, to the bit, for the sum must be the coordinator's.
TEST(WireGolden, TheModelDeltaDecodesToItsValues) {
  const ExactBytes bytes(read_file("model_delta.rnld"));
  ModelDelta delta;
  const Failure bad = decode_delta(bytes.view(), delta);
  ASSERT_TRUE(bad.ok()) << bad.text();
  EXPECT_EQ(describe(delta), describe(samples::delta()));
  std::vector<float> changes(delta.multiples.count);
  ASSERT_TRUE(codec::decode_tensor("delta", delta.multiples, changes).ok());
  for (size_t k = 0; k < changes.size(); ++k) EXPECT_EQ(changes[k], (static_cast<float>(k % 3) - 1.0F) / 64.0F) << k;
}

// Who asks for what it holds nothing of, and who answers in full, say so by saying nothing.
TEST(WireGolden, AnOlderModelTransferHasTheDefaultsOfTheFieldsAppendedSince) {
  const ExactBytes request(read_file("model_request.rnl"));
  const ExactBytes chunk(read_file("model_chunk.rnl"));
  EXPECT_EQ(std::get<ModelRequest>(*decode_frame(request.view())).held_version, 0U);
  EXPECT_EQ(std::get<ModelChunk>(*decode_frame(chunk.view())).base_version, 0U);
}

TEST(WireGolden, TheUpdatesFitTheModelAndDecodeToCoordinates) {
  const ExactBytes model_bytes(read_file("model.rnlm"));
  Model model;
  ASSERT_TRUE(decode_model(model_bytes.view(), model).ok());
  const Result<plan::ModelLayout> layout = plan::make_layout(model.spec);
  ASSERT_TRUE(layout.ok());
  for (const char* file : {"update_fp32.rnlu", "update_qsgd.rnlu"}) {
    const ExactBytes bytes(read_file(file));
    Update update;
    ASSERT_TRUE(decode_update(bytes.view(), update).ok());
    std::vector<float> coordinates(layout->parameter_count);
    const Failure bad = codec::decode_update(*layout, {update.tensors.begin(), update.tensors.size()}, coordinates);
    ASSERT_TRUE(bad.ok()) << file << ": " << bad.text();
    EXPECT_EQ(coordinates[18], 1.0F) << file;
    EXPECT_EQ(coordinates[19], -0.5F) << file;
    EXPECT_EQ(coordinates[23], 0.5F) << file;
  }
}

TEST(WireGolden, TodaysBuildersWriteTheSameBytes) {
  for (const File& file : all_files()) EXPECT_EQ(read_file(file.name), file.bytes) << file.name;
}

TEST(WireGolden, NoFileIsWithoutASample) {
  std::set<std::string> expected;
  for (const File& file : all_files()) expected.insert(file.name);
  std::set<std::string> found;
  for (const auto& entry : std::filesystem::directory_iterator(kFolder)) found.insert(entry.path().filename().string());
  EXPECT_EQ(found, expected);
}

}  // namespace
}  // namespace runnel::wire
