// Who is turned away comes back at the pace at which others finish, and only so many upload at a time.
#include "coordinator/engine/upload_pace.h"

#include <gtest/gtest.h>

#include <queue>
#include <set>

#include "coordinator/engine/upload_table.h"

namespace runnel::coordinator {
namespace {

constexpr Duration kLongest = seconds(20);
constexpr uint64_t kUpdate = 100'000;

TEST(UploadPace, GivesEveryDeviceATurnOfItsOwn) {
  UploadPace pace(kLongest);
  const Instant now = Instant{} + seconds(100);
  Duration last{};
  for (uint64_t device = 0; device < 5000; ++device) {
    const Duration turn = pace.turn(kUpdate, device, now);
    ASSERT_GT(turn, last);
    last = turn;
  }
  EXPECT_LE(last, kLongest);
}

TEST(UploadPace, WhoWouldWaitTooLongComesWithinTheSecondHalf) {
  UploadPace pace(kLongest);
  const Instant now = Instant{} + seconds(100);
  std::set<Duration> turns;
  for (uint64_t device = 0; device < 50'000; ++device) {
    const Duration turn = pace.turn(kUpdate, device * 7919, now);
    ASSERT_LE(turn, kLongest);
    if (device < 40'000) continue;
    ASSERT_GE(turn, kLongest / 2);
    turns.insert(turn);
  }
  EXPECT_GT(turns.size(), 9000U);
}

// A machine that is busy with turning devices away must get to what they wait for.
TEST(UploadPace, SlowsDownWhileNothingEnds) {
  UploadPace pace(kLongest);
  Instant now = Instant{} + seconds(100);
  Duration distance{};
  for (int second = 0; second < 12; ++second) {
    const Duration first = pace.turn(kUpdate, 1, now);
    distance = pace.turn(kUpdate, 2, now) - first;
    now += seconds(1);
  }
  EXPECT_GT(distance, milliseconds(30)) << "at first it was about one";
  // What ends then says how fast it really is, and the next turns are not behind all that were given before.
  for (int update = 0; update < 2000; ++update) {
    now += milliseconds(1);
    pace.handle_room(kUpdate, now);
  }
  EXPECT_GT(pace.bytes_per_second(), 9e7);
  EXPECT_LT(pace.turn(kUpdate, 3, now), seconds(2));
}

// Ten updates a second end, and ten slots are full. Everybody who is turned away comes when told; the slots stay full
// until nobody is left, and few are turned away more than a few times.
TEST(UploadPace, KeepsTheSlotsFull) {
  constexpr int kDevices = 400;
  constexpr size_t kSlots = 10;
  UploadPace pace(kLongest);
  struct Turn {
    Instant at;
    int device;
    bool operator>(const Turn& other) const { return at > other.at; }
  };
  std::priority_queue<Turn, std::vector<Turn>, std::greater<>> turns;
  Instant now = Instant{} + seconds(100);
  for (int device = 0; device < kDevices; ++device) turns.push({now, device});
  std::queue<Instant> under_way;  // ends one after another, a tenth of a second each
  Instant last_end = now;
  int done = 0;
  int refused = 0;
  while (done < kDevices) {
    const bool end_is_next = !under_way.empty() && (turns.empty() || under_way.front() <= turns.top().at);
    now = end_is_next ? under_way.front() : turns.top().at;
    if (end_is_next) {
      under_way.pop();
      ++done;
      pace.handle_room(kUpdate, now);
      continue;
    }
    const int device = turns.top().device;
    turns.pop();
    if (under_way.size() < kSlots) {
      last_end = std::max(last_end, now) + milliseconds(100);
      under_way.push(last_end);
    } else {
      ++refused;
      turns.push({now + pace.turn(kUpdate, static_cast<uint64_t>(device * 7919 + refused), now), device});
    }
  }
  const double seconds_taken = static_cast<double>((now - (Instant{} + seconds(100))).count()) * 1e-6;
  EXPECT_LT(seconds_taken, 1.25 * 0.1 * kDevices);
  EXPECT_LT(refused, 8 * kDevices);
}

class MovingUploads : public testing::Test {
 protected:
  Error offer(int device, uint64_t bytes = 50'000) {
    wire::UpdateOffer offer;
    offer.run = offer.sequence = offer.round = 1;
    offer.total_bytes = bytes;
    return table_.offer(std::to_string(device), offer, 0, now_).error();
  }
  UploadTable table_{[] {
    UploadOptions options;
    options.moving_max = 3;
    return options;
  }()};
  Instant now_ = Instant{} + seconds(100);
};

TEST_F(MovingUploads, OnlySoManyAtATime) {
  for (int device = 0; device < 3; ++device) EXPECT_EQ(offer(device), Error::kOk);
  EXPECT_EQ(offer(3), Error::kBusy);
  EXPECT_EQ(offer(1), Error::kOk) << "the one that is there goes on";
  table_.forget("0", now_);
  EXPECT_EQ(offer(3), Error::kOk);
  EXPECT_EQ(offer(4), Error::kBusy);
}

TEST_F(MovingUploads, WhoStopsMovingGivesHisTurnAwayAndKeepsHisBytes) {
  for (int device = 0; device < 3; ++device) EXPECT_EQ(offer(device), Error::kOk);
  now_ += milliseconds(29900);
  const std::vector<uint8_t> bytes(1000);
  EXPECT_TRUE(table_.add("2", {1, 0, bytes}, now_).ok());
  EXPECT_EQ(offer(3), Error::kBusy);
  now_ += milliseconds(200);
  EXPECT_EQ(offer(3), Error::kOk);
  EXPECT_EQ(offer(4), Error::kOk);
  EXPECT_EQ(offer(5), Error::kBusy);
  // The two that ended long ago leave without making room for two more.
  table_.forget("0", now_);
  table_.forget("1", now_);
  EXPECT_EQ(offer(5), Error::kBusy);
  EXPECT_TRUE(table_.add("2", {1, 1000, bytes}, now_).ok());
}

TEST_F(MovingUploads, AnUpdateThatComesWithinItsOfferIsNotOne) {
  for (int device = 0; device < 3; ++device) EXPECT_EQ(offer(device), Error::kOk);
  const std::vector<uint8_t> bytes(100);
  wire::UpdateOffer small;
  small.run = small.sequence = small.round = 1;
  small.total_bytes = bytes.size();
  small.payload = bytes;
  EXPECT_TRUE(table_.offer("small", small, 0, now_).ok());
  EXPECT_EQ(offer(3), Error::kBusy);
}

}  // namespace
}  // namespace runnel::coordinator
