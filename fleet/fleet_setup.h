// Makes the members of a run ready to start: their command lines, folders and logs.
#pragma once

#include <cstdint>
#include <vector>

#include "fleet/enrolment.h"
#include "fleet/fleet_member.h"
#include "fleet/link_proxy.h"
#include "fleet/run_config.h"
#include "fleet/work_folder.h"

namespace runnel::fleet {

struct FleetMembers {
  FleetMember coordinator;
  std::vector<FleetMember> devices;

  std::vector<FleetMember*> all();
};

// Device i talks to link i of the proxy. Throws FleetError when a folder cannot be made.
FleetMembers prepare_members(const Programs& programs, const RunConfig& config, const WorkFolder& work,
                             const Enrolment& enrolment, const LinkProxy& proxy);

// The order in which the devices are started: each index once.
std::vector<uint32_t> start_sequence(const RunConfig& config);

}  // namespace runnel::fleet
