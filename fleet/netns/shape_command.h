// `runnel-fleet shape`: runs a program while the network interface of its namespace follows a link profile.
//
// The program ends when this one does, and the other way round; its exit status is passed on.
#pragma once

namespace runnel::fleet {

// The whole command line; returns the exit code.
int shape_command(int argc, const char* const* argv);

}  // namespace runnel::fleet
