#include "fleet/netns/netlink.h"

#include <gtest/gtest.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include <map>

namespace runnel::fleet {
namespace {

TEST(Netlink, ARequestReadsBackAsItWasBuilt) {
  NetlinkRequest request(RTM_NEWQDISC, NLM_F_ACK);
  request.fixed(tcmsg{});
  request.attribute(TCA_KIND, std::string("tbf"));
  const size_t nest = request.open_nest(TCA_OPTIONS);
  request.attribute(7, uint32_t{4711});
  request.close_nest(nest);
  const auto message = request.finish(5);
  const auto header = attribute_value<nlmsghdr>(message.first(sizeof(nlmsghdr)));
  EXPECT_EQ(header.nlmsg_len, message.size());
  EXPECT_EQ(header.nlmsg_seq, 5U);
  EXPECT_EQ(header.nlmsg_flags, NLM_F_REQUEST | NLM_F_ACK);
  std::map<uint16_t, std::span<const uint8_t>> found;
  visit_attributes(message.subspan(sizeof(nlmsghdr) + NLMSG_ALIGN(sizeof(tcmsg))),
                   [&](uint16_t type, std::span<const uint8_t> value) { found[type] = value; });
  ASSERT_EQ(found.size(), 2U);
  EXPECT_STREQ(reinterpret_cast<const char*>(found.at(TCA_KIND).data()), "tbf");
  uint32_t inner = 0;
  visit_attributes(found.at(TCA_OPTIONS), [&](uint16_t type, std::span<const uint8_t> value) {
    if (type == 7) inner = attribute_value<uint32_t>(value);
  });
  EXPECT_EQ(inner, 4711U);
}

TEST(Netlink, TornAttributesEndTheVisit) {
  NetlinkRequest request(RTM_NEWQDISC, 0);
  request.attribute(1, uint64_t{1});
  request.attribute(2, uint64_t{2});
  const auto message = request.finish(1).subspan(sizeof(nlmsghdr));
  for (size_t bytes = 0; bytes < message.size(); ++bytes) {
    size_t seen = 0;
    visit_attributes(message.first(bytes), [&](uint16_t, std::span<const uint8_t> value) {
      ++seen;
      EXPECT_EQ(value.size(), sizeof(uint64_t));
    });
    EXPECT_EQ(seen, bytes / 12) << bytes;
  }
}

}  // namespace
}  // namespace runnel::fleet
