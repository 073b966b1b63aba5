#include "bench/raw_file.h"

#include <gtest/gtest.h>

#include <fstream>
#include <limits>
#include <stdexcept>

#include "bench/made_up_data.h"

namespace runnel::bench {
namespace {

class RawFile : public ::testing::Test {
 protected:
  void TearDown() override { std::filesystem::remove(path_); }
  const std::filesystem::path path_ =
      std::filesystem::temp_directory_path() /
      (std::string("runnel-") + ::testing::UnitTest::GetInstance()->current_test_info()->name() + ".f32");
};

TEST_F(RawFile, ComesBackAsWritten) {
  const std::vector<float> values = {1.0F, -0.0F, 3.5e-30F, -2.0F};
  write_raw_file(path_, values);
  const NamedValues read = read_raw_file(path_);
  EXPECT_EQ(read.values, values);
  EXPECT_EQ(read.name, path_.stem().string());
}

TEST_F(RawFile, RefusesWhatIsNoVector) {
  EXPECT_THROW(read_raw_file(path_), std::runtime_error);
  write_raw_file(path_, {});
  EXPECT_THROW(read_raw_file(path_), std::runtime_error);
  std::ofstream(path_, std::ios::binary) << "12345";
  EXPECT_THROW(read_raw_file(path_), std::runtime_error);
  const std::vector<float> infinite = {1.0F, std::numeric_limits<float>::infinity()};
  write_raw_file(path_, infinite);
  EXPECT_THROW(read_raw_file(path_), std::runtime_error);
}

TEST(MakeUp, HasTheMomentsOfItsName) {
  constexpr size_t kCount = 1U << 16;
  for (const auto& [name, magnitude] :
       {std::pair<const char*, double>{"gaussian", 0.7979}, std::pair<const char*, double>{"laplace", 1.0},
        std::pair<const char*, double>{"lognormal", 1.6487}, std::pair<const char*, double>{"student_t3", 1.1027}}) {
    const NamedValues made = make_up(name, kCount);
    ASSERT_EQ(made.values.size(), kCount);
    double sum = 0.0;
    double absolute = 0.0;
    for (const float value : made.values) {
      sum += double{value};
      absolute += std::abs(double{value});
    }
    EXPECT_NEAR(absolute / kCount, magnitude, 0.02 * magnitude) << name;
    EXPECT_NEAR(sum / kCount, 0.0, 0.04) << name;
    EXPECT_EQ(make_up(name, 100).values, std::vector<float>(made.values.begin(), made.values.begin() + 100)) << name;
  }
}

}  // namespace
}  // namespace runnel::bench
