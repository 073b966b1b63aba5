// SIGINT and SIGTERM as a question that a loop asks, instead of a sudden death.
#pragma once

namespace runnel::host {

// From now on the two signals only set a flag (and interrupt a wait); a second one ends the process. SIGPIPE is
// ignored, and SIGXFSZ too, so that a file-size limit is an error like a full disk.
void install_stop_signals();
bool stop_requested();

// Readable from a signal on until it is drained, so that a wait does not sleep through one that came just before it;
// -1 while no signals are installed.
int stop_signal_fd();
void drain_stop_signal();

}  // namespace runnel::host
