// `runnel-fleet simulate`: a fleet in virtual time, or ten thousand small ones.
#pragma once

namespace runnel::fleet {

// Takes the program's arguments with "simulate" as the first after its name. The exit code: 0; 1 when something is
// wrong with the input or the run did not finish; 3 when a promise was broken.
int simulate_command(int argc, const char* const* argv);

}  // namespace runnel::fleet
