// Random histories of changes, restarts and power cuts against a std::map, shrunk by RapidCheck when one fails.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cstdlib>
#include <memory>
#include <vector>

#include "runtime/journal/journal.h"
#include "tests/unit/journal/faulty_storage.h"
#include "tests/unit/journal/journal_state.h"

namespace runnel::journal::test {
namespace {

struct Step {
  enum Kind : uint8_t { kPut, kErase, kReopen, kPowerCut } kind;
  uint32_t key;
  uint16_t bytes;
  uint8_t salt;
  uint16_t cut_after;  // events
};

void showValue(const Step& step, std::ostream& out) {
  static constexpr const char* kNames[] = {"put", "erase", "reopen", "cut power"};
  out << kNames[step.kind] << " key " << step.key << " bytes " << step.bytes << " salt " << int{step.salt} << " after "
      << step.cut_after;
}

rc::Gen<Step> any_step() {
  return rc::gen::build<Step>(
      rc::gen::set(&Step::kind, rc::gen::weightedElement<Step::Kind>(
                                    {{8, Step::kPut}, {3, Step::kErase}, {1, Step::kReopen}, {2, Step::kPowerCut}})),
      rc::gen::set(&Step::key, rc::gen::inRange<uint32_t>(0, 6)),
      rc::gen::set(&Step::bytes, rc::gen::inRange<uint16_t>(0, 300)), rc::gen::set(&Step::salt),
      rc::gen::set(&Step::cut_after, rc::gen::inRange<uint16_t>(0, 1200)));
}

Change change_of(const Step& step) {
  if (step.kind == Step::kErase) return {step.key, std::nullopt};
  Bytes value(step.bytes);
  for (size_t i = 0; i < value.size(); ++i) value[i] = static_cast<uint8_t>(i * step.salt + step.salt);
  return {step.key, value};
}

TEST(JournalPropertyTest, BehavesAsAMapThatSurvivesPowerCuts) {
  // The same histories every time, unless the caller asks for others.
  ASSERT_EQ(::setenv("RC_PARAMS", "seed=20240229 max_success=600", 0), 0);
  const bool held = rc::check("journal equals map", [] {
    const size_t storage_bytes = *rc::gen::inRange<size_t>(600, 3000);
    const auto steps = *rc::gen::container<std::vector<Step>>(any_step());
    FaultyStorage storage(storage_bytes);
    auto journal = std::make_unique<Result<Journal>>(Journal::open(storage, {.record_bytes_max = 280, .keys_max = 5}));
    const auto reopen = [&] {
      journal = std::make_unique<Result<Journal>>(Journal::open(storage, {.record_bytes_max = 280, .keys_max = 5}));
      RC_ASSERT(journal->ok());
    };
    RC_ASSERT(journal->ok());
    State model;
    for (const Step& step : steps) {
      Journal& live = journal->value();
      if (step.kind == Step::kReopen) {
        reopen();
      } else {
        if (step.kind == Step::kPowerCut) storage.cut_power_after(step.cut_after);
        const Change change = change_of(step);
        const bool is_new = !model.contains(step.key);
        const uint64_t room = live.free_bytes();
        const Error error = change.apply_to(live).error();
        if (!storage.powered()) {
          const State after = change.apply_to(model);
          storage.reboot(Aftermath::kScatter, step.salt);
          reopen();
          const State state = state_of(journal->value());
          RC_ASSERT(state == model || state == after);
          model = state;
        } else if (error == Error::kOk) {
          model = change.apply_to(model);
        } else {
          RC_ASSERT(change.value.has_value());
          const bool too_long = change.value->size() > 280;
          const bool too_many = is_new && model.size() == 5;
          if (too_long || too_many) {
            RC_ASSERT(error == Error::kLimit);
          } else {
            RC_ASSERT(error == Error::kStorageFull);
            RC_ASSERT(!is_new || change.value->size() > room || room == 0);
          }
        }
        if (storage.powered()) storage.cut_power_after(UINT64_MAX);
      }
      RC_ASSERT(state_of(journal->value()) == model);
    }
  });
  EXPECT_TRUE(held);
}

}  // namespace
}  // namespace runnel::journal::test
