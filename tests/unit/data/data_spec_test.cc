#include "runtime/data/data_spec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace runnel::data {
namespace {

using ::testing::HasSubstr;

DataSpec parsed(std::string_view data, std::string_view partition = "", std::string_view split = "",
                std::string_view scale = "") {
  Result<DataSpec> spec = parse_data_spec(data, partition, split, scale);
  EXPECT_TRUE(spec.ok()) << spec.failure().text();
  return spec.ok() ? std::move(spec).value() : DataSpec{};
}

std::string refusal(std::string_view data, std::string_view partition = "", std::string_view split = "",
                    std::string_view scale = "") {
  const Result<DataSpec> spec = parse_data_spec(data, partition, split, scale);
  EXPECT_EQ(spec.error(), Error::kInvalidArgument) << data;
  return spec.failure().text();
}

TEST(DataSpec, ReadsIdx) {
  const DataSpec spec = parsed("idx:a/images.gz,b:labels,c,d", "shards:2");
  EXPECT_EQ(spec.kind, DataKind::kIdx);
  EXPECT_EQ(spec.train_path, "a/images.gz");
  EXPECT_EQ(spec.train_labels_path, "b:labels");
  EXPECT_EQ(spec.test_path, "c");
  EXPECT_EQ(spec.test_labels_path, "d");
  EXPECT_EQ(spec.partition.kind, PartitionKind::kShards);
  EXPECT_EQ(spec.partition.shards, 2U);
}

TEST(DataSpec, ReadsCsvWithDefaults) {
  const DataSpec spec = parsed("csv:train.csv");
  EXPECT_EQ(spec.kind, DataKind::kCsv);
  EXPECT_EQ(spec.train_path, "train.csv");
  EXPECT_TRUE(spec.test_path.empty());
  EXPECT_EQ(spec.partition.kind, PartitionKind::kIid);
  EXPECT_EQ(parsed("csv:train.csv,test.csv").test_path, "test.csv");
}

TEST(DataSpec, ReadsGenerated) {
  const DataSpec plain = parsed("generated");
  EXPECT_EQ(plain.kind, DataKind::kGenerated);
  EXPECT_EQ(plain.generated.examples, 300U);
  EXPECT_EQ(plain.generated.test_examples, 1200U);
  EXPECT_EQ(plain.partition.kind, PartitionKind::kDirichlet);
  const DataSpec small = parsed("generated:examples=40,test_examples=60", "iid");
  EXPECT_EQ(small.generated.examples, 40U);
  EXPECT_EQ(small.generated.test_examples, 60U);
  EXPECT_EQ(small.partition.kind, PartitionKind::kIid);
}

TEST(DataSpec, ReadsPartitionsAndSplit) {
  EXPECT_DOUBLE_EQ(parsed("csv:a", "dirichlet:0.3").partition.alpha, 0.3);
  const DataSpec spec = parsed("idx:a,b", "key:people.gz", "split.gz");
  EXPECT_EQ(spec.partition.kind, PartitionKind::kKey);
  EXPECT_EQ(spec.partition.key_path, "people.gz");
  EXPECT_EQ(spec.split_path, "split.gz");
}

TEST(DataSpec, ScaleHasADefaultForPixels) {
  EXPECT_FLOAT_EQ(parsed("idx:a,b").effective_scale(ElementType::kU8), 1.0F / 255.0F);
  EXPECT_EQ(parsed("idx:a,b").effective_scale(ElementType::kI16), 1.0F);
  EXPECT_EQ(parsed("csv:a").effective_scale(ElementType::kU8), 1.0F);
  EXPECT_EQ(parsed("idx:a,b", "", "", "1").effective_scale(ElementType::kU8), 1.0F);
  EXPECT_FLOAT_EQ(parsed("csv:a", "", "", "1/16").effective_scale(ElementType::kF32), 0.0625F);
}

TEST(DataSpec, QuotesWhatIsWrong) {
  EXPECT_THAT(refusal("xml:a"), HasSubstr("\"xml:a\""));
  EXPECT_THAT(refusal(""), HasSubstr("--data"));
  EXPECT_THAT(refusal("csv"), HasSubstr("\"csv\""));
  EXPECT_THAT(refusal("idx:a,b,c"), HasSubstr("3 files"));
  EXPECT_THAT(refusal("idx:a"), HasSubstr("1 files"));
  EXPECT_THAT(refusal("idx:a,"), HasSubstr("a file name is empty"));
  EXPECT_THAT(refusal("csv:a,b,c"), HasSubstr("3 files"));
  EXPECT_THAT(refusal("generated:people=4"), HasSubstr("\"people=4\""));
  EXPECT_THAT(refusal("generated:"), HasSubstr("unknown option"));
  EXPECT_THAT(refusal("generated:examples=many"), HasSubstr("\"examples=many\""));
  EXPECT_THAT(refusal("generated:examples=0"), HasSubstr("\"examples=0\""));
  EXPECT_THAT(refusal("csv:a", "random"), HasSubstr("\"random\""));
  EXPECT_THAT(refusal("csv:a", "iid:3"), HasSubstr("\"iid:3\""));
  for (const char* partition : {"dirichlet:", "dirichlet:0", "dirichlet:-1", "dirichlet:nan", "dirichlet:1x",
                                "shards:0", "shards:1.5", "shards:99999999999", "key:"}) {
    EXPECT_THAT(refusal("csv:a", partition), HasSubstr(partition));
  }
  for (const char* scale : {"0", "x", "inf", "1/0", "1/", "1e300", "0/0"}) {
    EXPECT_THAT(refusal("csv:a", "", "", scale), HasSubstr(std::string("--scale \"") + scale + "\""));
  }
}

TEST(DataSpec, RefusesWhatDoesNotGoTogether) {
  EXPECT_THAT(refusal("csv:a,b", "", "s"), HasSubstr("together with test files"));
  EXPECT_THAT(refusal("generated", "", "s"), HasSubstr("--split s"));
  EXPECT_THAT(refusal("generated", "shards:2"), HasSubstr("iid or dirichlet"));
  EXPECT_THAT(refusal("generated", "key:a"), HasSubstr("iid or dirichlet"));
}

TEST(DataSpec, ReadsTargetsTextAndWhatIsUsual) {
  EXPECT_EQ(parsed("csv:a,b;targets=3").target_count, 3U);
  EXPECT_EQ(parsed("csv:a,b;targets=3").test_path, "b");
  const DataSpec text = parsed("text:play.txt;window=32;speakers=20");
  EXPECT_EQ(text.kind, DataKind::kText);
  EXPECT_EQ(text.train_path, "play.txt");
  EXPECT_EQ(text.window, 32U);
  EXPECT_EQ(text.speakers, 20U);
  EXPECT_EQ(text.partition.kind, PartitionKind::kSpeaker);
  EXPECT_EQ(parsed("text:a", "iid").partition.kind, PartitionKind::kIid);
  EXPECT_EQ(parsed("generated:task=readings,examples=50").generated.task, GeneratedTask::kReadings);
  EXPECT_EQ(parsed("idx:a,b;normal=0+2").normal, (std::vector<uint16_t>{0, 2}));
  EXPECT_EQ(parsed("generated;normal=4").normal, std::vector<uint16_t>{4});
}

TEST(DataSpec, RefusesOptionsOfOtherKinds) {
  EXPECT_THAT(refusal("idx:a,b;targets=2"), HasSubstr("does not fit"));
  EXPECT_THAT(refusal("csv:a;targets=2;normal=0"), HasSubstr("does not fit"));
  EXPECT_THAT(refusal("csv:a;normal=0;targets=2"), HasSubstr("does not fit"));
  EXPECT_THAT(refusal("csv:a;targets=0"), HasSubstr("1 to 4096"));
  EXPECT_THAT(refusal("csv:a;"), HasSubstr("does not fit"));
  EXPECT_THAT(refusal("csv:a;normal=x"), HasSubstr("normal=x"));
  EXPECT_THAT(refusal("csv:a;normal=1+"), HasSubstr("normal="));
  EXPECT_THAT(refusal("generated:task=text;normal=1"), HasSubstr("does not fit"));
  EXPECT_THAT(refusal("generated:task=poetry"), HasSubstr("poetry"));
  EXPECT_THAT(refusal("text:a;window=0"), HasSubstr("1 to 4096"));
  EXPECT_THAT(refusal("text:a", "dirichlet:1"), HasSubstr("by speaker or iid"));
  EXPECT_THAT(refusal("text:a", "", "s"), HasSubstr("last tenth"));
  EXPECT_THAT(refusal("csv:a", "speaker"), HasSubstr("only text"));
  EXPECT_THAT(refusal("csv:a;targets=1", "dirichlet:1"), HasSubstr("without labels"));
}

TEST(DataSpec, KeepsMessagesWholeWhenTheTextIsLong) {
  EXPECT_THAT(refusal("csv:" + std::string(5000, 'a') + ",b,c"), HasSubstr("csv takes TRAIN[,TEST]"));
}

}  // namespace
}  // namespace runnel::data
