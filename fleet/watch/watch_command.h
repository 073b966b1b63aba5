// `runnel-fleet watch`: the live view and the report of a fleet whose programs run elsewhere, in containers or
// namespaces.
#pragma once

namespace runnel::fleet {

// The whole command line; returns the exit code.
int watch_command(int argc, const char* const* argv);

}  // namespace runnel::fleet
