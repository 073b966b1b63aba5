// How long the pieces are that an update is sent in: as the link is, within what the coordinator takes.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "tests/unit/device/played_device.h"

namespace runnel::device {
namespace {

constexpr size_t kUpdateBytes = 60'000;

class UploadChunk : public ::testing::Test {
 protected:
  explicit UploadChunk(uint32_t chunk_bytes_max = wire::kChunkBytesMax) {
    device_.link_down();
    device_.advance(seconds(2));
    device_.engine().handle_timeout(device_.now());
    device_.chunk_bytes_max_ = chunk_bytes_max;
    device_.link_up();
  }

  // Sends an update over a link of that rate. The lengths of its chunks but the last.
  std::set<size_t> upload(uint32_t round, double bytes_per_second) {
    const StartTraining request = device_.plan_round(round);
    device_.sent_.clear();
    device_.finish_long(request, kUpdateBytes);
    const uint64_t sequence = request.sequence;
    std::set<size_t> lengths;
    uint64_t there = 0;
    for (size_t next = 0; next < device_.sent_.size(); ++next) {
      const auto* chunk = std::get_if<wire::UpdateChunk>(&device_.sent_[next]);
      if (chunk == nullptr) continue;
      EXPECT_EQ(chunk->offset, there);
      const size_t bytes = chunk->payload.size();
      there += bytes;
      if (there < kUpdateBytes) lengths.insert(bytes);
      device_.advance(Duration(static_cast<Duration::rep>(1e6 * static_cast<double>(bytes) / bytes_per_second)));
      if (there < kUpdateBytes) device_.say(wire::UpdateAck{sequence, wire::UpdateState::kReceiving, there});
    }
    EXPECT_EQ(there, kUpdateBytes);
    device_.acknowledge(sequence);
    return lengths;
  }

  Played device_{false};
};

TEST_F(UploadChunk, OfALinkThatIsNotKnownItIsShort) {
  EXPECT_EQ(upload(1, 1e6), (std::set<size_t>{4096}));
}

TEST_F(UploadChunk, AFastLinkGetsLongOnes) {
  upload(1, 1e6);
  EXPECT_EQ(upload(2, 1e6), (std::set<size_t>{wire::kChunkBytesMax}));
}

TEST_F(UploadChunk, AThinLinkKeepsShortOnes) {
  upload(1, 32'000);
  EXPECT_EQ(upload(2, 32'000), (std::set<size_t>{4096}));
}

TEST_F(UploadChunk, InBetweenItIsASixteenthOfASecond) {
  upload(1, 160'000);
  const std::set<size_t> lengths = upload(2, 160'000);
  EXPECT_GE(*lengths.begin(), 8'000U);
  EXPECT_LE(*lengths.rbegin(), 10'000U);
}

class UploadChunkOfAThousand : public UploadChunk {
 protected:
  UploadChunkOfAThousand() : UploadChunk(1000) {}
};

TEST_F(UploadChunkOfAThousand, TheCoordinatorsLimitHolds) {
  upload(1, 1e6);
  EXPECT_EQ(upload(2, 1e6), (std::set<size_t>{1000}));
}

}  // namespace
}  // namespace runnel::device
