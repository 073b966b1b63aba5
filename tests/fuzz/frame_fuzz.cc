// Any bytes decode to a message or to a failure; a message that decodes and is built again decodes to the same words.
//
// Input: one frame.
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "runtime/wire/frame.h"
#include "tests/unit/wire/describe.h"

namespace {

using namespace runnel;  // NOLINT(google-build-using-namespace): a program of one file

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "frame_fuzz: %s\n", what);
  std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::vector<uint8_t> aligned(data, data + size);
  const Result<wire::Message> message = wire::decode_frame(aligned);
  if (!message) {
    require(message.failure().text()[0] != '\0', "a refusal without words");
    return 0;
  }
  const std::string words = wire::describe(*message);
  static wire::FrameBuilder builder;
  const ByteView built = builder.build(*message);
  const std::vector<uint8_t> copy(built.begin(), built.end());
  const Result<wire::Message> again = wire::decode_frame(copy);
  require(again.ok(), "our own bytes do not decode");
  require(wire::describe(*again) == words, "built again, it says something else");
  return 0;
}
