#include "fleet/event_stream.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

namespace runnel::fleet {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

template <typename T>
T parsed(const std::string& line) {
  const Event event = parse_event(line);
  const T* value = std::get_if<T>(&event);
  EXPECT_NE(value, nullptr) << line;
  return value == nullptr ? T{} : *value;
}

TEST(ParseEvent, ReadsTheCoordinatorsEvents) {
  EXPECT_EQ(parsed<ListeningEvent>(R"({"event":"listening","endpoint":"tcp://127.0.0.1:40001"})").endpoint,
            "tcp://127.0.0.1:40001");
  const auto started = parsed<StartedEvent>(R"({"event":"started","rounds":12,"parameters":1234,"model_version":1})");
  EXPECT_EQ(started.rounds, 12U);
  EXPECT_EQ(started.parameters, 1234U);
  const auto device = parsed<DeviceEvent>(R"({"event":"device","name":"d00","state":"training","round":3})");
  EXPECT_EQ(device.name, "d00");
  EXPECT_EQ(device.state, "training");
  EXPECT_EQ(device.round, 3U);
  const auto round = parsed<RoundEvent>(
      R"({"event":"round","round":1,"accuracy":0.5,"loss":1.25,"participants":8,"bits_per_coordinate":1.9,)"
      R"("uplink_bytes":1000,"downlink_bytes":2000,"seconds":2.5,"model_version":2})");
  EXPECT_EQ(round.round, 1U);
  EXPECT_DOUBLE_EQ(round.accuracy.value(), 0.5);
  EXPECT_DOUBLE_EQ(round.loss.value(), 1.25);
  EXPECT_EQ(round.participants, 8U);
  EXPECT_DOUBLE_EQ(round.bits_per_coordinate, 1.9);
  EXPECT_EQ(round.downlink_bytes, 2000U);
  const auto finished = parsed<FinishedEvent>(
      R"({"event":"finished","rounds":12,"accuracy":null,"loss":null,"model_sha256":"ab","parameters":9})");
  EXPECT_FALSE(finished.accuracy.has_value());
  EXPECT_FALSE(finished.loss.has_value());
  EXPECT_EQ(finished.model_sha256, "ab");
}

TEST(ParseEvent, ReadsTheDevicesEvents) {
  EXPECT_EQ(parsed<MemoryEvent>(R"({"event":"memory","arena_bytes":4096})").arena_bytes, 4096U);
  EXPECT_EQ(parsed<StateEvent>(R"({"event":"state","state":"uploading","round":2})").round, 2U);
  EXPECT_EQ(parsed<StateEvent>(R"({"event":"state","state":"connecting"})").round, 0U);
  const auto rate = parsed<RateEvent>(
      R"({"event":"rate","round":3,"outcome":"in_time","carried":false,"bound":"deadline","bits":0.5,"step":0.25,)"
      R"("rule_step":0.125,"levels":8,"norm":2,"predicted_bytes":1000.5,"message_bytes":1003,"budget_bytes":0,)"
      R"("link_bytes":null,"seconds_left":4.5,"goodput":2000,"goodput_low":1500,"goodput_high":null})");
  EXPECT_EQ(rate.round, 3U);
  EXPECT_EQ(rate.outcome, "in_time");
  EXPECT_EQ(rate.bound, "deadline");
  EXPECT_EQ(rate.bits, 0.5);
  EXPECT_EQ(rate.step, 0.25);
  EXPECT_EQ(rate.predicted_bytes, 1000.5);
  EXPECT_EQ(rate.message_bytes, 1003U);
  EXPECT_FALSE(rate.link_bytes.has_value());
  EXPECT_EQ(rate.goodput, 2000.0);
  EXPECT_FALSE(rate.goodput_high.has_value());
  EXPECT_EQ(rate.seconds_left, 4.5);
  EXPECT_EQ(parsed<DoneEvent>(R"({"event":"done","updates_acknowledged":7})").updates_acknowledged, 7U);
  EXPECT_EQ(parsed<WarningEvent>(R"({"event":"warning","text":"careful"})").text, "careful");
}

TEST(ParseEvent, AnUnknownEventIsNoFault) {
  EXPECT_EQ(parsed<UnknownEvent>(R"({"event":"tea","cups":2})").name, "tea");
}

TEST(ParseEvent, SaysWhatIsWrong) {
  EXPECT_THAT(parsed<MalformedEvent>("{\"event\":\"rou").text, HasSubstr("not a JSON object: {\"event\":\"rou"));
  EXPECT_THAT(parsed<MalformedEvent>("[1,2]").text, HasSubstr("not a JSON object"));
  EXPECT_THAT(parsed<MalformedEvent>("{}").text, HasSubstr("event"));
  EXPECT_THAT(parsed<MalformedEvent>(R"({"event":5})").text, HasSubstr("event must be a text"));
  EXPECT_THAT(parsed<MalformedEvent>(R"({"event":"memory"})").text, HasSubstr("arena_bytes"));
  EXPECT_THAT(parsed<MalformedEvent>(R"({"event":"memory","arena_bytes":-1})").text, HasSubstr("arena_bytes must be"));
  EXPECT_THAT(parsed<MalformedEvent>(R"({"event":"memory","arena_bytes":1.5})").text, HasSubstr("arena_bytes must be"));
  EXPECT_THAT(parsed<MalformedEvent>(R"({"event":"state","state":"waiting","round":99999999999})").text,
              HasSubstr("round must be"));
  EXPECT_THAT(parsed<MalformedEvent>(R"({"event":"state","state":7,"round":1})").text,
              HasSubstr("state must be a text"));
  const std::string deep(100'000, '[');
  EXPECT_LT(parsed<MalformedEvent>(deep).text.size(), 300U);
}

TEST(LineSplitter, JoinsPiecesAndSkipsEmptyLines) {
  LineSplitter lines;
  EXPECT_THAT(lines.feed("on"), ElementsAre());
  EXPECT_THAT(lines.feed("e\n\ntwo\nth"), ElementsAre("one", "two"));
  EXPECT_THAT(lines.feed("ree\n"), ElementsAre("three"));
}

TEST(LineSplitter, DropsALineThatIsTooLong) {
  LineSplitter lines;
  EXPECT_THAT(lines.feed(std::string(LineSplitter::kLineBytesMax, 'x')), ElementsAre());
  EXPECT_THAT(lines.feed("y"), ElementsAre());
  EXPECT_THAT(lines.feed("zzz\nshort\n"), ElementsAre("short"));
}

TEST(EventStream, ReadsAPipeUntilItsEnd) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe2(ends.data(), O_NONBLOCK | O_CLOEXEC), 0);
  EventStream stream{UniqueFd(ends[0])};
  UniqueFd writer(ends[1]);
  EXPECT_TRUE(stream.read_available().empty());
  const std::string text = "{\"event\":\"memory\",\"arena_bytes\":1}\nrubbish\n";
  ASSERT_EQ(::write(writer.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  const std::vector<Event> events = stream.read_available();
  ASSERT_EQ(events.size(), 2U);
  EXPECT_TRUE(std::holds_alternative<MemoryEvent>(events[0]));
  EXPECT_TRUE(std::holds_alternative<MalformedEvent>(events[1]));
  EXPECT_TRUE(stream.open());
  writer.reset();
  EXPECT_TRUE(stream.read_available().empty());
  EXPECT_FALSE(stream.open());
}

}  // namespace
}  // namespace runnel::fleet
