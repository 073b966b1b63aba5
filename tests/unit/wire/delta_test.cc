// Model deltas that hold together but say what they must not, and a model that is replaced in place.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "runtime/wire/frame.h"
#include "schemas/delta_generated.h"
#include "tests/golden/wire/samples.h"
#include "tests/unit/wire/describe.h"
#include "tests/unit/wire/exact_bytes.h"

namespace runnel::wire {
namespace {

struct Fields {
  uint64_t base_version = 3;
  uint64_t model_version = 5;
  uint32_t count = 26;
  float step = 0.015625F;
  std::vector<uint8_t> payload = {1, 2, 3};
};

Failure decode(const Fields& f, ModelDelta* decoded = nullptr) {
  flatbuffers::FlatBufferBuilder builder;
  const auto payload = builder.CreateVector(f.payload);
  schema::FinishModelDeltaBuffer(
      builder, schema::CreateModelDelta(builder, 7, f.base_version, f.model_version, 1, f.count, f.step, payload));
  const ExactBytes bytes({builder.GetBufferPointer(), builder.GetSize()});
  ModelDelta delta;
  const Failure bad = decode_delta(bytes.view(), delta);
  if (decoded != nullptr) *decoded = delta;
  return bad;
}

void expect_bad(const Fields& fields, Error error, const std::string& words) {
  const Failure bad = decode(fields);
  EXPECT_EQ(bad.error(), error) << error_name(bad.error());
  EXPECT_NE(std::string(bad.text()).find(words), std::string::npos) << bad.text();
}

TEST(DeltaLimits, VersionsGoUp) {
  EXPECT_TRUE(decode({}).ok());
  for (const auto& [base, version] : {std::pair<uint64_t, uint64_t>{0, 5}, {5, 5}, {6, 5}, {UINT64_MAX, 0}}) {
    Fields fields;
    fields.base_version = base;
    fields.model_version = version;
    expect_bad(fields, Error::kMalformed, "from version " + std::to_string(base) + " to " + std::to_string(version));
  }
}

TEST(DeltaLimits, TheStepIsAPowerOfTwo) {
  Fields fields;
  for (const float step : {1.0F, 0x1p-20F, 0x1p-60F, 0x1p60F}) {
    fields.step = step;
    EXPECT_TRUE(decode(fields).ok()) << step;
  }
  for (const float step : {0.0F, -0.5F, 0.75F, 1e-3F, 0x1p-61F, 0x1p61F, std::numeric_limits<float>::denorm_min()}) {
    fields.step = step;
    expect_bad(fields, Error::kOutOfRange, "is not a power of two");
  }
  for (const float step : {std::nanf(""), HUGE_VALF, -HUGE_VALF}) {
    fields.step = step;
    expect_bad(fields, Error::kNotFinite, "ModelDelta.step is not finite");
  }
}

TEST(DeltaLimits, Parameters) {
  Fields fields;
  fields.count = plan::kParametersMax;
  EXPECT_TRUE(decode(fields).ok());
  fields.count = plan::kParametersMax + 1;
  expect_bad(fields, Error::kLimit, "ModelDelta claims 67108865 parameters");
}

TEST(DeltaLimits, NothingChangesWithoutAPayload) {
  Fields fields;
  fields.payload.clear();
  ModelDelta delta;
  ASSERT_TRUE(decode(fields, &delta).ok());
  EXPECT_EQ(delta.multiples.scale, 0.0F);
}

TEST(DeltaLimits, OtherBytes) {
  const ExactBytes zeros(std::vector<uint8_t>(64));
  ModelDelta delta;
  EXPECT_STREQ(decode_delta(zeros.view(), delta).text(), "not a model delta: its identifier is not RNLD");
  EXPECT_EQ(decode_delta(zeros.view().first(8), delta).error(), Error::kTruncated);
}

TEST(ReplaceModel, GivesTheBytesThatTheOtherModelHas) {
  std::vector<float> parameters = samples::parameters();
  Model model = samples::model(parameters);
  const auto built = [&] {
    std::vector<uint8_t> memory(model_bytes_max(model.spec, parameters.size()));
    const Result<ByteView> bytes = build_model(model, memory);
    return std::vector<uint8_t>(bytes->begin(), bytes->end());
  };
  std::vector<uint8_t> replaced = built();
  for (float& value : parameters) value += 0.25F;
  model.model_version = 77;
  replace_model(replaced, 77, parameters);
  EXPECT_EQ(replaced, built());
}

}  // namespace
}  // namespace runnel::wire
