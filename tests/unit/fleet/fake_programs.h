// Shell scripts that stand in for runnel-coordinator and runnel-device: they speak the same command lines and events,
// agree through files, and send one thousand bytes a round through their link to an echo server.
#pragma once

namespace runnel::fleet {

inline constexpr const char* kFakeCoordinator = R"sh(#!/usr/bin/env bash
set -u
command=$1; shift
names=(); devices=0
while [ $# -gt 0 ]; do
  case $1 in
    --state) state=$2; shift 2 ;;
    --out-dir) out=$2; shift 2 ;;
    --events) events=$2; shift 2 ;;
    --rounds) rounds=$2; shift 2 ;;
    --min-devices) devices=$2; shift 2 ;;
    --exit-when-finished|--insecure-plaintext) shift ;;
    --*) shift 2 ;;
    *) names+=("$1"); shift ;;
  esac
done
case $command in
  init)
    if [ "${FAKE_FAULT:-}" = init ]; then echo "the model is unknown" >&2; exit 2; fi
    echo "$rounds" > "$state/rounds"; exit 0 ;;
  enroll) for name in "${names[@]}"; do echo bundle > "$out/$name.bundle"; done; exit 0 ;;
esac
rounds=$(cat "$state/rounds")
echo "start" >> "$state/starts"
exec 9>"$events"
echo '{"event":"listening","endpoint":"tcp://127.0.0.1:'"$FAKE_PORT"'"}' >&9
echo '{"event":"started","rounds":'"$rounds"',"parameters":1234,"model_version":1}' >&9
for ((round = 1; round <= rounds; ++round)); do
  until [ "$(ls "$state"/../devices/*/"round-$round" 2>/dev/null | wc -l)" -ge "$devices" ]; do sleep 0.02; done
  echo '{"event":"round","round":'"$round"',"accuracy":0.'"$((5 + round))"',"loss":1.5,"participants":'"$devices"',"bits_per_coordinate":4.25,"uplink_bytes":1,"downlink_bytes":1,"seconds":0.5,"model_version":2}' >&9
  touch "$state/round-$round"
done
echo '{"event":"finished","rounds":'"$rounds"',"accuracy":0.75,"loss":0.3,"model_sha256":"abc123","parameters":1234}' >&9
touch "$state/finished"
)sh";

inline constexpr const char* kFakeDevice = R"sh(#!/usr/bin/env bash
set -u
shift
while [ $# -gt 0 ]; do
  case $1 in
    --state) state=$2; shift 2 ;;
    --events) events=$2; shift 2 ;;
    --part) part=$2; shift 2 ;;
    --coordinator) endpoint=$2; shift 2 ;;
    --insecure-plaintext) shift ;;
    *) shift 2 ;;
  esac
done
server=$state/../../coordinator
rounds=$(cat "$server/rounds")
exec 9>"$events"
echo "start" >> "$state/starts"
echo '{"event":"memory","arena_bytes":4096}' >&9
if [ "${FAKE_FAULT:-}" = device ] && [ "$part" = 1 ]; then echo "out of memory in layer 3" >&2; exit 5; fi
exec 8<>"/dev/tcp/127.0.0.1/${endpoint##*:}"
for ((round = 1; round <= rounds; ++round)); do
  [ -e "$state/round-$round" ] && continue
  echo '{"event":"state","state":"training","round":'"$round"'}' >&9
  echo '{"event":"state","state":"uploading","round":'"$round"'}' >&9
  # Whoever is to be killed here waits for it; so does a fleet whose coordinator is to be killed.
  if [ "${FAKE_HOLD:-}" = "$part@$round" ] && [ "$(wc -l < "$state/starts")" = 1 ]; then sleep 1000; fi
  if [ "${FAKE_HOLD:-}" = "coordinator@$round" ]; then
    until [ "$(wc -l < "$server/starts")" = 2 ]; do sleep 0.02; done
  fi
  printf '%1000s' x >&8
  head -c 1000 <&8 >/dev/null
  touch "$state/round-$round"
  until [ -e "$server/round-$round" ]; do sleep 0.02; done
done
until [ -e "$server/finished" ]; do sleep 0.02; done
echo '{"event":"done","updates_acknowledged":'"$rounds"'}' >&9
)sh";

}  // namespace runnel::fleet
