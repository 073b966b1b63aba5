// Who works on which version when rounds are buffered.
#include "coordinator/engine/assignments.h"

#include <gtest/gtest.h>

namespace runnel::coordinator {
namespace {

constexpr Instant kNow{};
constexpr Instant kLater = kNow + seconds(600);

TEST(Assignments, WhoIsIdleLongestIsNextAndByNameAmongEquals) {
  Assignments assignments(0);
  assignments.handle_round(kNow, 1, 0);
  assignments.handle_available(kNow + seconds(1), "b");
  assignments.handle_available(kNow, "c");
  assignments.handle_available(kNow, "a");
  EXPECT_EQ(assignments.poll(1, kLater), "a");
  EXPECT_EQ(assignments.poll(1, kLater), "c");
  EXPECT_EQ(assignments.poll(1, kLater), "b");
  EXPECT_EQ(assignments.poll(1, kLater), std::nullopt);
  EXPECT_EQ(assignments.assigned_count(), 3U);
  EXPECT_EQ(assignments.version("c"), 1U);
}

TEST(Assignments, NoMoreThanMayWorkAtOnce) {
  Assignments assignments(1);
  assignments.handle_round(kNow, 1, 0);
  assignments.handle_available(kNow, "a");
  assignments.handle_available(kNow, "b");
  EXPECT_EQ(assignments.poll(1, kLater), "a");
  EXPECT_EQ(assignments.poll(1, kLater), std::nullopt);
  assignments.handle_settled(kNow, "a", 1);
  EXPECT_EQ(assignments.poll(1, kLater), "b");
}

TEST(Assignments, WhoHasDeliveredForARoundRestsUntilTheNext) {
  Assignments assignments(0);
  assignments.handle_round(kNow, 1, 0);
  assignments.handle_available(kNow, "a");
  EXPECT_EQ(assignments.poll(1, kLater), "a");
  assignments.handle_settled(kNow, "a", 1);
  EXPECT_EQ(assignments.poll(1, kLater), std::nullopt);
  assignments.handle_away("a");
  assignments.handle_available(kNow, "a");
  EXPECT_EQ(assignments.poll(1, kLater), std::nullopt) << "coming back changes nothing";
  assignments.handle_round(kNow, 2, 0);
  EXPECT_EQ(assignments.poll(2, kLater), "a");
}

TEST(Assignments, ARoundThatNeverOpenedKeepsNobodyFromWork) {
  Assignments assignments(0);
  assignments.handle_round(kNow, 1, 0);
  assignments.handle_available(kNow, "a");
  assignments.handle_settled(kNow, "a", 659'042);
  EXPECT_EQ(assignments.poll(1, kLater), "a");
}

TEST(Assignments, NewRoundsLeaveAloneWhoWorksUnlessItsVersionIsTooOld) {
  Assignments assignments(0);
  assignments.handle_round(kNow, 1, 0);
  assignments.handle_available(kNow, "a");
  assignments.handle_available(kNow, "b");
  EXPECT_EQ(assignments.poll(1, kLater), "a");
  assignments.handle_round(kNow, 2, 1);
  EXPECT_EQ(assignments.poll(2, kLater), "b");
  EXPECT_EQ(assignments.poll(2, kLater), std::nullopt);
  assignments.handle_round(kNow, 3, 2);
  EXPECT_EQ(assignments.poll(3, kLater), "a");
  EXPECT_EQ(assignments.version("b"), 2U);
}

TEST(Assignments, ATimeThatIsOverFreesTheDeviceAlsoWhileItIsAway) {
  Assignments assignments(0);
  assignments.handle_round(kNow, 1, 0);
  assignments.handle_available(kNow, "a");
  EXPECT_EQ(assignments.poll(1, kLater), "a");
  EXPECT_EQ(assignments.next_timeout(), kLater);
  assignments.handle_away("a");
  assignments.handle_timeout(kLater - seconds(1));
  EXPECT_EQ(assignments.assigned_count(), 1U);
  assignments.handle_timeout(kLater);
  EXPECT_EQ(assignments.assigned_count(), 0U);
  EXPECT_EQ(assignments.poll(1, kLater), std::nullopt);
  assignments.handle_available(kLater, "a");
  EXPECT_EQ(assignments.poll(1, kLater + seconds(600)), "a");
}

TEST(Assignments, WhoIsFoundWithAnUpdateOnItsWayIsNotAskedAgain) {
  Assignments assignments(0);
  assignments.handle_round(kNow, 1, 0);
  assignments.handle_available(kNow, "a");
  assignments.handle_found_working("a", 1, kLater);
  EXPECT_EQ(assignments.poll(1, kLater), std::nullopt);
  assignments.handle_settled(kNow, "a", 0);  // nothing came of it
  EXPECT_EQ(assignments.poll(1, kLater), "a");
}

}  // namespace
}  // namespace runnel::coordinator
