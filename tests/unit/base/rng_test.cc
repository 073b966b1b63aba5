// The generators' outputs, pinned: a model must come out the same from every build there will ever be. The numbers were
// made by a second implementation, written from the papers, not by this one.
#include "runtime/base/rng.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <array>
#include <set>

namespace runnel {
namespace {

TEST(Mix64, IsSplitMix64) {
  EXPECT_EQ(mix64(0), 0xE220A8397B1DCDAFULL);  // the published first output for seed 0
  EXPECT_EQ(mix64(1), 0x910A2DEC89025CC1ULL);
}

TEST(DeriveKey, IsPinned) {
  EXPECT_EQ(derive_key(7, 1), 0x7716DA39CBA275B2ULL);
  EXPECT_EQ(derive_key(7, 1, 2), 0x59E099B81C0FB376ULL);
  EXPECT_EQ(derive_key(7, 2, 1), 0x8D69D7A2251B4847ULL);
}

TEST(Rng, FirstOutputsArePinned) {
  struct Golden {
    uint64_t seed;
    std::array<uint64_t, 4> outputs;
  };
  constexpr Golden kGolden[] = {
      {0, {0x58F24F57E97E3F07ULL, 0x5F9A9D6F9A653406ULL, 0x6534EE33D1FD29D7ULL, 0x2E89656C364E9184ULL}},
      {1, {0xFC06D5F275A73FD8ULL, 0x95FABD803316FCB6ULL, 0xED4C75F0FF4F444AULL, 0x24CA4076DDDB1249ULL}},
      {2017, {0xE52EF5293D80F7C0ULL, 0x76531615CB6505F0ULL, 0xA3EAE4374DA4F74AULL, 0x07EFD69C6B3BED30ULL}},
  };
  for (const Golden& golden : kGolden) {
    Rng rng(golden.seed);
    for (const uint64_t output : golden.outputs) EXPECT_EQ(rng.next_u64(), output) << golden.seed;
  }
}

TEST(Rng, BelowAndUniformArePinned) {
  Rng rng(9);
  for (const uint64_t value : {408U, 710U, 730U, 853U, 934U, 235U}) EXPECT_EQ(rng.below(1000), value);
  EXPECT_EQ(Rng(9).uniform(), 0.6700600738487935);
}

// Through the C library's log and pow: the last bits may differ from one library to another.
TEST(Rng, NormalAndGammaArePinnedButForTheLastBits) {
  Rng rng(5);
  EXPECT_NEAR(rng.normal(), -0.05239271194510172, 1e-15);
  EXPECT_NEAR(rng.normal(), -1.6593765808875176, 1e-14);
  EXPECT_NEAR(rng.normal(), -1.4529238343294082, 1e-14);
  Rng other(5);
  EXPECT_NEAR(other.gamma(0.3), 0.0017816223315489678, 1e-16);
  EXPECT_NEAR(other.gamma(1.0), 0.022374315341082522, 1e-15);
  EXPECT_NEAR(other.gamma(7.5), 9.683960517377356, 1e-13);
}

TEST(CounterRng, OutputsArePinned) {
  constexpr CounterRng zero(0);
  EXPECT_EQ(zero.at(0), 0x71E3B49DU);
  EXPECT_EQ(zero.at(1), 0x70494DC2U);
  EXPECT_EQ(zero.at(2), 0xDA9E19BBU);
  EXPECT_EQ(zero.at(0xFFFFFFFFU), 0x50C9FEF2U);
  constexpr CounterRng other(42);
  EXPECT_EQ(other.at(0), 0xD1C631B6U);
  EXPECT_EQ(other.at(0xFFFFFFFFU), 0x8DFD70FFU);
  EXPECT_EQ(zero.uniform_at(0), static_cast<float>(0x71E3B4) / 16777216.0F);
}

TEST(CounterRng, IsAOneToOneMapOfTheIndex) {
  const CounterRng rng(123);
  std::set<uint32_t> seen;
  for (uint32_t i = 0; i < 20000; ++i) seen.insert(rng.at(i));
  EXPECT_EQ(seen.size(), 20000U);
}

RC_GTEST_PROP(Rng, ACopyContinuesAlike, (uint64_t seed, uint8_t steps)) {
  Rng first(seed);
  for (int i = 0; i < steps; ++i) (void)first.next_u64();
  Rng second = first;
  RC_ASSERT(first.next_u64() == second.next_u64());
}

RC_GTEST_PROP(Rng, BelowStaysBelow, (uint64_t seed, uint64_t bound)) {
  RC_PRE(bound > 0U);
  Rng rng(seed);
  for (int i = 0; i < 20; ++i) RC_ASSERT(rng.below(bound) < bound);
}

RC_GTEST_PROP(DeriveKey, OrderAndPartsMatter, (uint64_t key, uint64_t a, uint64_t b)) {
  RC_PRE(a != b);
  RC_ASSERT(derive_key(key, a) != derive_key(key, b));
  RC_ASSERT(derive_key(key, a, b) != derive_key(key, b, a));
}

}  // namespace
}  // namespace runnel
