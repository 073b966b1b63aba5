#include "runtime/host/dataset_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace runnel::host {
namespace {

using data::Dataset;
using data::DataSpec;
using data::ElementType;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

using Bytes = std::vector<uint8_t>;

void append_be(Bytes& bytes, uint64_t value, int count) {
  for (int i = count - 1; i >= 0; --i) bytes.push_back(static_cast<uint8_t>(value >> (8 * i)));
}

Bytes idx(ElementType type, const std::vector<uint32_t>& dimensions, const std::vector<double>& values) {
  Bytes bytes = {0, 0, static_cast<uint8_t>(type), static_cast<uint8_t>(dimensions.size())};
  for (const uint32_t dimension : dimensions) append_be(bytes, dimension, 4);
  for (const double value : values) {
    const uint64_t bits = type == ElementType::kF32 ? std::bit_cast<uint32_t>(static_cast<float>(value))
                                                    : static_cast<uint64_t>(static_cast<int64_t>(value));
    append_be(bytes, bits, static_cast<int>(data::element_bytes(type)));
  }
  return bytes;
}

Bytes idx_labels(const std::vector<double>& labels, ElementType type = ElementType::kU8) {
  return idx(type, {static_cast<uint32_t>(labels.size())}, labels);
}

Bytes text(std::string_view characters) {
  return {characters.begin(), characters.end()};
}

Bytes gzipped(const Bytes& plain) {
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  Bytes packed(deflateBound(&stream, plain.size()) + 64);
  Bytes input = plain;
  stream.next_in = input.data();
  stream.avail_in = static_cast<unsigned>(input.size());
  stream.next_out = packed.data();
  stream.avail_out = static_cast<unsigned>(packed.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

class DatasetFile : public ::testing::Test {
 protected:
  DatasetFile() {
    std::string pattern = (std::filesystem::temp_directory_path() / "runnel_dataset_XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
  }
  ~DatasetFile() override { std::filesystem::remove_all(folder_); }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  std::string write(const std::string& name, const Bytes& bytes) const {
    std::ofstream(path(name), std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    return path(name);
  }

  // Six rows of 1x2 pixels: row r holds 10 r and 10 r + 1; labels 0 1 2 0 1 2.
  std::string write_six() const {
    std::vector<double> pixels;
    for (int row = 0; row < 6; ++row) pixels.insert(pixels.end(), {10.0 * row, 10.0 * row + 1});
    return "idx:" + write("images", idx(ElementType::kU8, {6, 1, 2}, pixels)) + "," +
           write("labels", idx_labels({0, 1, 2, 0, 1, 2}));
  }

  std::filesystem::path folder_;
};

DataSpec spec_of(const std::string& data, const std::string& partition = "", const std::string& split = "",
                 const std::string& scale = "") {
  Result<DataSpec> spec = data::parse_data_spec(data, partition, split, scale);
  EXPECT_TRUE(spec.ok()) << spec.failure().text();
  return spec.ok() ? std::move(spec).value() : DataSpec{};
}

DataSpec idx_spec(const std::string& images, const std::string& labels) {
  std::string data = "idx:";
  return spec_of(data.append(images).append(",").append(labels));
}

Failure training_failure(const DataSpec& spec, uint32_t index = 0, uint32_t count = 1) {
  const Result<Dataset> part = load_training_part(spec, index, count, 1);
  return part.ok() ? Failure(Error::kOk) : part.failure();
}

std::vector<float> row_of(const Dataset& dataset, uint32_t index) {
  std::vector<float> row(dataset.input_count());
  dataset.read(index, row, {});
  return row;
}

std::vector<uint32_t> labels_of(const Dataset& dataset) {
  std::vector<uint32_t> labels;
  for (uint32_t i = 0; i < dataset.example_count(); ++i) labels.push_back(dataset.label(i));
  return labels;
}

TEST_F(DatasetFile, LoadsIdxAndScalesPixels) {
  const Result<Dataset> part = load_training_part(spec_of(write_six()), 0, 1, 1);
  ASSERT_TRUE(part.ok()) << part.failure().text();
  EXPECT_THAT(labels_of(*part), ElementsAre(0, 1, 2, 0, 1, 2));
  EXPECT_EQ(part->class_count(), 3U);
  EXPECT_EQ(part->input_count(), 2U);
  EXPECT_THAT(row_of(*part, 5), ElementsAre(50.0F * (1.0F / 255.0F), 51.0F * (1.0F / 255.0F)));
  EXPECT_EQ(part->memory_bytes(), 6U * (2U + 2U));
}

TEST_F(DatasetFile, LoadsEveryElementTypePlainAndGzipped) {
  for (const ElementType type :
       {ElementType::kU8, ElementType::kI8, ElementType::kI16, ElementType::kI32, ElementType::kF32}) {
    const double low = type == ElementType::kU8 ? 7 : -7;
    const Bytes images = idx(type, {2, 2}, {low, 1, 100, 3});
    const Bytes labels = idx_labels({1, 0}, ElementType::kI32);
    const std::string plain = "idx:" + write("plain", images) + "," + write("plain_labels", labels);
    const std::string packed =
        "idx:" + write("packed", gzipped(images)) + "," + write("packed_labels", gzipped(labels));
    for (const std::string& data : {plain, packed}) {
      const Result<Dataset> part = load_training_part(spec_of(data, "", "", "0.5"), 0, 1, 1);
      ASSERT_TRUE(part.ok()) << part.failure().text();
      EXPECT_EQ(part->element_type(), type);
      EXPECT_THAT(labels_of(*part), ElementsAre(1, 0));
      EXPECT_THAT(row_of(*part, 0), ElementsAre(static_cast<float>(low) * 0.5F, 0.5F));
      EXPECT_THAT(row_of(*part, 1), ElementsAre(50.0F, 1.5F));
    }
  }
}

TEST_F(DatasetFile, PartsAreDisjointAndComplete) {
  const std::string data = write_six();
  for (const char* partition : {"iid", "dirichlet:0.5", "shards:1"}) {
    std::multiset<float> first_values;
    for (uint32_t index = 0; index < 3; ++index) {
      const Result<Dataset> part = load_training_part(spec_of(data, partition, "", "1"), index, 3, 9);
      ASSERT_TRUE(part.ok()) << part.failure().text();
      EXPECT_EQ(part->class_count(), 3U) << "of the file, not of the part";
      for (uint32_t i = 0; i < part->example_count(); ++i) {
        const float first = row_of(*part, i)[0];
        first_values.insert(first);
        EXPECT_EQ(part->label(i), static_cast<uint32_t>(first / 10.0F) % 3U) << "rows and labels go together";
      }
    }
    EXPECT_THAT(first_values, ElementsAre(0, 10, 20, 30, 40, 50)) << partition;
  }
}

TEST_F(DatasetFile, KeysAndSplitWorkTogether) {
  const std::string split = write("split", idx_labels({0, 1, 0, 0, 1, 0}));
  // Key 3 occurs in a test row only: it is no device's.
  const std::string keys = write("keys", idx_labels({9, 3, 5, 9, 5, 7}, ElementType::kI32));
  const DataSpec spec = spec_of(write_six(), "key:" + keys, split, "1");
  const Result<Dataset> first = load_training_part(spec, 0, 3, 1);
  ASSERT_TRUE(first.ok()) << first.failure().text();
  EXPECT_THAT(row_of(*first, 0), ElementsAre(20, 21));
  EXPECT_EQ(first->example_count(), 1U);
  const Result<Dataset> last = load_training_part(spec, 2, 3, 1);
  ASSERT_TRUE(last.ok()) << last.failure().text();
  EXPECT_EQ(last->example_count(), 2U);
  EXPECT_THAT(row_of(*last, 1), ElementsAre(30, 31));
  EXPECT_THAT(training_failure(spec, 3, 4).text(), AllOf(HasSubstr(path("images")), HasSubstr("3 distinct keys")));

  const Result<Dataset> test = load_test_set(spec);
  ASSERT_TRUE(test.ok()) << test.failure().text();
  EXPECT_THAT(labels_of(*test), ElementsAre(1, 1));
  EXPECT_THAT(row_of(*test, 1), ElementsAre(40, 41));

  const Result<Dataset> whole = load_training_part(spec_of(write_six(), "iid", split, "1"), 0, 1, 1);
  ASSERT_TRUE(whole.ok()) << whole.failure().text();
  EXPECT_THAT(labels_of(*whole), ElementsAre(0, 2, 0, 2));
}

TEST_F(DatasetFile, LoadsTestFiles) {
  std::string data = write_six();
  data.append(",").append(write("test_images", idx(ElementType::kU8, {1, 2}, {8, 9})));
  data.append(",").append(write("test_labels", idx_labels({1})));
  const Result<Dataset> set = load_test_set(spec_of(data, "", "", "1"));
  ASSERT_TRUE(set.ok()) << set.failure().text();
  EXPECT_THAT(row_of(*set, 0), ElementsAre(8, 9));
  const Result<Dataset> csv = load_test_set(spec_of("csv:nowhere," + write("test.csv", text("1,2,0\n"))));
  ASSERT_TRUE(csv.ok()) << csv.failure().text();
  EXPECT_THAT(row_of(*csv, 0), ElementsAre(1, 2));
}

TEST_F(DatasetFile, SaysWhatToPassWhenThereIsNoTestData) {
  const Result<Dataset> none = load_test_set(spec_of(write_six()));
  EXPECT_EQ(none.error(), Error::kNotFound);
  EXPECT_THAT(none.failure().text(), AllOf(HasSubstr("--split"), HasSubstr("TEST_LABELS")));
  EXPECT_THAT(load_test_set(spec_of("csv:a")).failure().text(), HasSubstr("csv:TRAIN,TEST"));
  const std::string split = write("split", idx_labels({0, 0, 0, 0, 0, 0}));
  EXPECT_THAT(load_test_set(spec_of(write_six(), "", split)).failure().text(), HasSubstr("no row is marked 1 (test)"));
}

TEST_F(DatasetFile, LoadsCsvInTheNarrowestType) {
  const struct {
    const char* rows;
    ElementType type;
  } cases[] = {{"0,255,0\n7,8,1\n", ElementType::kU8},
               {"-1,300,0\n7,8,1\n", ElementType::kI16},
               {"0.5,1,0\n7,8,1\n", ElementType::kF32},
               {"40000,1,0\n7,8,1\n", ElementType::kF32}};
  for (const auto& [rows, type] : cases) {
    for (const bool packed : {false, true}) {
      const Bytes bytes = text(rows);
      const std::string file = write("data.csv", packed ? gzipped(bytes) : bytes);
      const Result<Dataset> part = load_training_part(spec_of("csv:" + file), 0, 1, 1);
      ASSERT_TRUE(part.ok()) << part.failure().text();
      EXPECT_EQ(part->element_type(), type) << rows;
      EXPECT_THAT(row_of(*part, 1), ElementsAre(7, 8));
      EXPECT_EQ(row_of(*part, 0)[0], std::strtof(rows, nullptr));
      EXPECT_THAT(labels_of(*part), ElementsAre(0, 1));
    }
  }
}

TEST_F(DatasetFile, CsvErrorsNameFileLineAndColumn) {
  const std::string file = write("bad.csv", text("a,b,c\n1,2,0\n1,oops,0\n"));
  const Failure failure = training_failure(spec_of("csv:" + file));
  EXPECT_EQ(failure.error(), Error::kMalformed);
  EXPECT_EQ(failure.text(), file + ": line 3: column 2: \"oops\" is not a number");
  write("bad.csv", text("1,2,0\n1,inf,0\n"));
  EXPECT_EQ(training_failure(spec_of("csv:" + file)).error(), Error::kNotFinite);
  write("bad.csv", {});
  EXPECT_EQ(training_failure(spec_of("csv:" + file)).text(), file + ": the file is empty");
  write("bad.csv", text("1.5,3e38,0\n"));
  EXPECT_THAT(training_failure(spec_of("csv:" + file, "", "", "10")).text(), HasSubstr("line 1: column 2"));
}

TEST_F(DatasetFile, LoadsTargetsOfACsv) {
  const std::string text = "1,2,0.5,-3\n3,4,1.5,7\n5,6,2.5,8\n";
  const std::string file = write("readings.csv", {text.begin(), text.end()});
  const Result<Dataset> part = load_training_part(spec_of("csv:" + file + ";targets=2"), 0, 1, 1);
  ASSERT_TRUE(part.ok()) << part.failure().text();
  EXPECT_EQ(part->class_count(), 0U);
  EXPECT_EQ(part->target_count(), 2U);
  std::vector<float> input(2);
  std::vector<float> target(2);
  part->read(1, input, target);
  EXPECT_THAT(input, ElementsAre(3.0F, 4.0F));
  EXPECT_THAT(target, ElementsAre(1.5F, 7.0F));
  EXPECT_EQ(load_training_part(spec_of("csv:" + file + ";targets=2"), 2, 3, 1)->example_count(), 1U);
}

TEST_F(DatasetFile, ADetectorTrainsOnWhatIsUsual) {
  const std::string six = write_six();
  const Result<Dataset> part = load_training_part(spec_of(six + ";normal=0+2"), 0, 1, 1);
  ASSERT_TRUE(part.ok()) << part.failure().text();
  EXPECT_THAT(labels_of(*part), ElementsAre(0, 0, 0, 0));
  EXPECT_THAT(row_of(*part, 1), ElementsAre(20.0F * (1.0F / 255.0F), 21.0F * (1.0F / 255.0F)));
  const DataSpec tested = spec_of(six + six.substr(3).replace(0, 1, ",") + ";normal=0+2");
  const Result<Dataset> tests = load_test_set(tested);
  ASSERT_TRUE(tests.ok()) << tests.failure().text();
  EXPECT_THAT(labels_of(*tests), ElementsAre(0, 1, 0, 0, 1, 0));
  EXPECT_EQ(tests->class_count(), 2U);
  EXPECT_EQ(training_failure(spec_of(six + ";normal=9")).error(), Error::kNotFound);
}

TEST_F(DatasetFile, TextBySpeaker) {
  const std::string text = "ANNA:\n" + std::string(99, 'a') + "\n\nBEN:\n" + std::string(199, 'b') + "\n\nCATO:\nOh.\n";
  const std::string file = "text:" + write("play.txt", {text.begin(), text.end()}) + ";window=10";
  const auto first_of = [&](uint32_t index) {
    const Result<Dataset> part = load_training_part(spec_of(file), index, 2, 1);
    EXPECT_TRUE(part.ok()) << part.failure().text();
    return std::pair(part->example_count(), row_of(*part, 0)[0]);
  };
  EXPECT_EQ(first_of(0), std::pair(17U, static_cast<float>('b' - ' ')));  // 180 characters
  EXPECT_EQ(first_of(1), std::pair(8U, static_cast<float>('a' - ' ')));
  EXPECT_EQ(training_failure(spec_of(file), 2, 3).error(), Error::kNotFound) << "says less than a window";
  EXPECT_EQ(training_failure(spec_of(file), 0, 4).error(), Error::kInvalidArgument);
  EXPECT_EQ(training_failure(spec_of(file + ";speakers=2"), 0, 3).error(), Error::kInvalidArgument);
  EXPECT_EQ(load_test_set(spec_of(file))->example_count(), 1U) << "20 characters of BEN, 10 of ANNA";
  const Result<Dataset> dealt = load_training_part(spec_of(file, "iid"), 0, 5, 1);
  ASSERT_TRUE(dealt.ok()) << dealt.failure().text();
  EXPECT_EQ(dealt->example_count(), 5U);
}

TEST_F(DatasetFile, NamesMissingAndUnreadableFiles) {
  const Failure missing = training_failure(spec_of("csv:" + path("nowhere.csv")));
  EXPECT_EQ(missing.error(), Error::kNotFound);
  EXPECT_THAT(missing.text(), AllOf(HasSubstr("nowhere.csv"), HasSubstr("No such file")));
  const Failure folder = training_failure(spec_of("csv:" + folder_.string()));
  EXPECT_EQ(folder.error(), Error::kIo);
  EXPECT_THAT(folder.text(), HasSubstr(folder_.string()));
  const std::string labels = write("labels", idx_labels({0}));
  EXPECT_EQ(training_failure(spec_of("idx:" + path("nowhere") + "," + labels)).error(), Error::kNotFound);
}

struct BadImages {
  const char* name;
  Bytes bytes;
  Error error;
  const char* text;
};

TEST_F(DatasetFile, NamesWhatIsWrongWithImages) {
  const Bytes good = idx(ElementType::kU8, {2, 2}, {1, 2, 3, 4});
  Bytes cut_short = good;
  cut_short.pop_back();
  Bytes trailing = good;
  trailing.push_back(0);
  Bytes torn = gzipped(good);
  torn.resize(torn.size() - 6);  // into the checksum: every value is there, but nothing vouches for them
  Bytes flipped = gzipped(good);
  flipped[flipped.size() - 6] ^= 0x40;  // in the checksum
  const std::vector<BadImages> cases = {
      {"magic", text("not an idx file"), Error::kMalformed, "not an IDX file"},
      {"type", {0, 0, 0x0E, 1, 0, 0, 0, 2}, Error::kUnsupported, "0x0e"},
      {"no_dimensions", {0, 0, 8, 0}, Error::kMalformed, "0 dimensions"},
      {"nine_dimensions", {0, 0, 8, 9}, Error::kMalformed, "9 dimensions"},
      {"overflow", idx(ElementType::kU8, {65536, 65536}, {}), Error::kLimit, "4294967296 values"},
      {"zero", idx(ElementType::kU8, {2, 0}, {}), Error::kOutOfRange, "dimension 1 is 0"},
      {"empty", {}, Error::kTruncated, "the file is empty"},
      {"header_cut", {0, 0, 8, 2, 0, 0, 0}, Error::kTruncated, "7 bytes"},
      {"cut", cut_short, Error::kTruncated, "stops in row 1 of 2"},
      {"trailing", trailing, Error::kMalformed, "more bytes follow"},
      {"torn_gzip", torn, Error::kTruncated, "stops before its end"},
      {"flipped_gzip", flipped, Error::kCorrupt, "damaged gzip data"},
      {"rows", idx(ElementType::kU8, {3, 2}, {1, 2, 3, 4, 5, 6}), Error::kShape, "has 3 rows, but"},
      {"nan", idx(ElementType::kF32, {2, 2}, {1, 2, 3, std::nan("")}), Error::kNotFinite, "row 1: column 2"},
  };
  const std::string labels = write("labels", idx_labels({0, 1}));
  for (const BadImages& bad : cases) {
    const std::string images = write(bad.name, bad.bytes);
    const Failure failure = training_failure(idx_spec(images, labels));
    EXPECT_EQ(failure.error(), bad.error) << bad.name << ": " << failure.text();
    EXPECT_THAT(failure.text(), AllOf(HasSubstr(images), HasSubstr(bad.text)));
  }
}

TEST_F(DatasetFile, NamesWhatIsWrongWithLabels) {
  const std::string images = write("images", idx(ElementType::kU8, {2, 2}, {1, 2, 3, 4}));
  const std::vector<BadImages> cases = {
      {"negative", idx_labels({0, -3}, ElementType::kI32), Error::kOutOfRange, "row 1: the label -3"},
      {"large", idx_labels({65536, 0}, ElementType::kI32), Error::kOutOfRange, "row 0: the label 65536"},
      {"floats", idx_labels({0, 1}, ElementType::kF32), Error::kUnsupported, "type f32"},
      {"two_dimensions", idx(ElementType::kU8, {2, 1}, {0, 1}), Error::kShape, "2 dimensions"},
      {"few", idx_labels({0}), Error::kShape, "1 labels"},
      {"many", idx_labels({0, 1, 1}), Error::kShape, "3 labels"},
      {"cut", {0, 0, 8, 1, 0, 0, 0, 2, 1}, Error::kTruncated, "stops in row 1 of 2"},
      {"trailing", {0, 0, 8, 1, 0, 0, 0, 1, 1, 1}, Error::kMalformed, "more bytes follow"},
  };
  for (const BadImages& bad : cases) {
    const std::string labels = write(bad.name, bad.bytes);
    const Failure failure = training_failure(idx_spec(images, labels));
    EXPECT_EQ(failure.error(), bad.error) << bad.name << ": " << failure.text();
    EXPECT_THAT(failure.text(), AllOf(HasSubstr(labels), HasSubstr(bad.text)));
  }
}

TEST_F(DatasetFile, NamesWhatIsWrongWithSplitAndKeys) {
  const std::string data = write_six();
  const std::string few = write("few", idx_labels({0, 1, 0}));
  EXPECT_THAT(training_failure(spec_of(data, "", few)).text(), AllOf(HasSubstr(few), HasSubstr("3 marks for 6 rows")));
  EXPECT_THAT(training_failure(spec_of(data, "key:" + few)).text(),
              AllOf(HasSubstr(few), HasSubstr("3 keys for 6 rows")));
  const std::string odd = write("odd", idx_labels({0, 1, 0, 2, 0, 0}));
  const Failure mark = training_failure(spec_of(data, "", odd));
  EXPECT_EQ(mark.error(), Error::kOutOfRange);
  EXPECT_THAT(mark.text(), AllOf(HasSubstr(odd), HasSubstr("row 3: the mark 2")));
  const std::string all_test = write("all_test", idx_labels({1, 1, 1, 1, 1, 1}));
  EXPECT_EQ(training_failure(spec_of(data, "", all_test)).error(), Error::kNotFound);
}

TEST_F(DatasetFile, RefusesPartsThatDoNotExist) {
  EXPECT_EQ(training_failure(spec_of(write_six()), 3, 3).error(), Error::kInvalidArgument);
  EXPECT_THAT(training_failure(spec_of(write_six()), 0, 7).text(), HasSubstr("7 devices cannot share 6 training rows"));
}

TEST_F(DatasetFile, LoadsGeneratedData) {
  const DataSpec spec = spec_of("generated:examples=40,test_examples=60", "iid");
  const Result<Dataset> part = load_training_part(spec, 2, 5, 1);
  ASSERT_TRUE(part.ok());
  EXPECT_EQ(part->input_count(), 192U);
  const Result<Dataset> test = load_test_set(spec);
  ASSERT_TRUE(test.ok());
  EXPECT_EQ(test->example_count(), 60U);
}

// The public data sets themselves, where somebody has them.
class PublicData : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* folder = std::getenv("RUNNEL_TEST_DATA");
    if (folder == nullptr || !std::filesystem::is_directory(folder)) {
      GTEST_SKIP() << "RUNNEL_TEST_DATA names no folder with fashion-mnist, har and digits";
    }
    folder_ = std::string(folder) + "/";
  }
  std::string folder_;
};

TEST_F(PublicData, FashionMnist) {
  const std::string base = folder_ + "fashion-mnist/";
  const DataSpec spec = spec_of("idx:" + base + "train-images-idx3-ubyte.gz," + base + "train-labels-idx1-ubyte.gz," +
                                    base + "t10k-images-idx3-ubyte.gz," + base + "t10k-labels-idx1-ubyte.gz",
                                "dirichlet:0.3");
  const Result<Dataset> part = load_training_part(spec, 3, 20, 1);
  ASSERT_TRUE(part.ok()) << part.failure().text();
  EXPECT_EQ(part->input_count(), 784U);
  EXPECT_EQ(part->class_count(), 10U);
  EXPECT_GT(part->example_count(), 200U);
  EXPECT_LT(part->example_count(), 15000U);
  EXPECT_EQ(part->memory_bytes(), part->example_count() * (784U + 2U));
  for (const float value : row_of(*part, 0)) EXPECT_TRUE(value >= 0.0F && value <= 1.0F);
  const Result<Dataset> test = load_test_set(spec);
  ASSERT_TRUE(test.ok()) << test.failure().text();
  EXPECT_EQ(test->example_count(), 10000U);
  const auto labels = labels_of(*test);
  for (uint32_t k = 0; k < 10; ++k) EXPECT_EQ(std::count(labels.begin(), labels.end(), k), 1000);
}

TEST_F(PublicData, HumanActivityByPerson) {
  const std::string base = folder_ + "har/";
  const DataSpec spec = spec_of("idx:" + base + "har-signals.idx3-i16.gz," + base + "har-labels.idx1-u8.gz",
                                "key:" + base + "har-subjects.idx1-u8.gz", base + "har-split.idx1-u8.gz", "1/1024");
  const Result<Dataset> part = load_training_part(spec, 20, 21, 1);
  ASSERT_TRUE(part.ok()) << part.failure().text();
  EXPECT_EQ(part->input_count(), 9U * 128U);
  EXPECT_EQ(part->class_count(), 6U);
  EXPECT_GT(part->example_count(), 200U);
  EXPECT_LT(part->example_count(), 500U);
  EXPECT_EQ(load_training_part(spec, 0, 22, 1).error(), Error::kInvalidArgument) << "21 people are for training";
  const Result<Dataset> test = load_test_set(spec);
  ASSERT_TRUE(test.ok()) << test.failure().text();
  EXPECT_EQ(test->example_count(), 2947U);
}

TEST_F(PublicData, DigitsFromCsv) {
  const std::string base = folder_ + "digits/";
  const DataSpec spec = spec_of("csv:" + base + "optdigits-train.csv.gz," + base + "digits.csv.gz", "iid", "", "1/16");
  const Result<Dataset> part = load_training_part(spec, 0, 10, 1);
  ASSERT_TRUE(part.ok()) << part.failure().text();
  EXPECT_EQ(part->example_count(), 382U);
  EXPECT_EQ(part->input_count(), 64U);
  EXPECT_EQ(part->class_count(), 10U);
  EXPECT_EQ(part->element_type(), ElementType::kU8);
  const Result<Dataset> test = load_test_set(spec);
  ASSERT_TRUE(test.ok()) << test.failure().text();
  EXPECT_EQ(test->example_count(), 1797U);
}

}  // namespace
}  // namespace runnel::host
