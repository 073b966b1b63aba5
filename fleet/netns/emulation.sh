# What scripts/docker-fleet and scripts/netns-fleet have in common: the options, the course of a run, the churn.
# To be sourced. The two say how their programs are started and ended:
#   backend_up             everything but the devices' programs: the coordinator listens
#   backend_start INDEX    device INDEX, for the first time or again
#   backend_kill INDEX     kill -9 of everything of device INDEX
#   backend_watch ARG...   `runnel-fleet watch` in the foreground, results into $results
#   backend_alive          whether the coordinator's program runs
#   backend_log            what the coordinator said last
#   backend_down           takes away everything

me=$(basename "$0")
devices=8 profile=lte-m trace='' rounds=10 seed=1 model=sensor-cnn data=generated codec='' partition='' churn=20
cpus=0.25 memory=64m bin='' json='' report='' mount='' timeout=0 from_host=auto engine=auto build_only=no
plan=()

die() {
  echo "$me: $*" >&2
  exit 1
}

usage() {
  cat <<END
Runs a fleet in $1 of its own, each device behind a link that the kernel shapes, shows it live, prints a report
and takes everything away again.
  $me [OPTIONS] [-- OPTIONS OF runnel-coordinator init]
  --devices N         devices (default $devices)
  --profile NAME      link profile: nbiot, lte-m, 3g-bus, wifi, thin, none (default $profile)
  --trace FILE        measured links instead: CSV, plain or gzipped
  --churn SECONDS     on average, how often some device is killed and started again; 0 = never (default $churn)
  --rounds N          (default $rounds)      --seed N       of everything random (default $seed)
  --model NAME        (default $model)    --codec NAME
  --data SPEC         as runnel-device takes it (default $data)
  --mount FOLDER      seen by all programs as /data
  --partition SPEC    how the examples are split over the devices
  --json FILE  --report FILE
                      where the results go
  --timeout SECONDS   give up then (default: never)
  --bin FOLDER        of the three programs (default build/release/bin)
END
}

# Options of one script only go to option_of_backend, which says how many words it took.
parse_options() {
  while [[ $# -gt 0 ]]; do
    case "$1" in
      --devices | --profile | --trace | --churn | --rounds | --seed | --model | --codec | --data | --mount | --partition | \
        --json | --report | --timeout | --bin)
        [[ $# -ge 2 ]] || die "$1 wants a value"
        printf -v "${1#--}" '%s' "$2"
        shift 2
        ;;
      --help | -h)
        help_of_backend
        exit 0
        ;;
      --)
        shift
        plan=("$@")
        return
        ;;
      *)
        taken=0
        option_of_backend "$@"
        [[ $taken -gt 0 ]] || die "$1 is not an option; see --help"
        shift "$taken"
        ;;
    esac
  done
}

check_options() {
  [[ $devices =~ ^[1-9][0-9]{0,2}$ ]] || die "--devices must be 1 to 999"
  [[ $churn =~ ^[0-9]+$ ]] || die "--churn must be whole seconds"
  [[ $rounds =~ ^[1-9][0-9]*$ && $seed =~ ^[0-9]+$ ]] || die "--rounds and --seed must be whole numbers"
  [[ -z $trace || -r $trace ]] || die "$trace cannot be read"
  [[ -z $mount || -d $mount ]] || die "$mount is no folder"
  trace=${trace:+$(realpath "$trace")}
  mount=${mount:+$(realpath "$mount")}
  json=${json:+$(realpath -m "$json")}
  report=${report:+$(realpath -m "$report")}
}

# d00, d01, ...: the names that runnel-fleet gives.
device_name() {
  local digits=${#devices_last}
  printf 'd%0*d' $((digits < 2 ? 2 : digits)) "$1"
}

# Options of `runnel-fleet shape` for device $1; $2 is where the trace file is for it.
link_options() {
  printf '%s\n' --device "$1" --seed "$seed" --epoch "$epoch"
  if [[ -n $trace ]]; then printf '%s\n' --trace "$2"; else printf '%s\n' --profile "$profile"; fi
}

# Options of `runnel-device run` for device $1, but for those that say where things are.
device_options() {
  printf '%s\n' --data "$data" --part "$1" --parts "$devices" --seed "$seed"
  if [[ -n $partition ]]; then printf '%s\n' --partition "$partition"; fi
}

# Options of `runnel-coordinator init`.
init_options() {
  printf '%s\n' --model "$model" --rounds "$rounds" --seed "$seed"
  if [[ -n $codec ]]; then printf '%s\n' --codec "$codec"; fi
  if [[ ${#plan[@]} -gt 0 ]]; then printf '%s\n' "${plan[@]}"; fi
}

watch_options() {
  printf '%s\n' --devices "$devices" --rounds "$rounds" --seed "$seed" --model "$model" --data "$data" --timeout "$timeout"
  if [[ -n $codec ]]; then printf '%s\n' --codec "$codec"; fi
  if [[ -n $trace ]]; then printf '%s\n' --trace "$(basename "$trace")"; else printf '%s\n' --profile "$profile"; fi
}

# One device after another is killed with everything it holds in memory, and comes back one to four seconds later.
churn_loop() {
  RANDOM=$seed
  while true; do
    # Not exactly every $churn seconds: between a half and one and a half times that.
    sleep "$((churn / 2 + RANDOM % (churn + 1)))"
    local victim=$((RANDOM % devices)) away=$((1 + RANDOM % 4))
    backend_alive || return 0
    backend_kill "$victim"
    sleep "$away"
    backend_start "$victim"
  done
}

# The view does not know when the coordinator dies; somebody has to.
guard_loop() {
  while backend_alive; do sleep 1; done
  sleep 30
  touch "$work/gone"
  kill -TERM "$1" 2>/dev/null || true
}

clean_up() {
  local status=$?
  trap '' INT TERM HUP
  trap - EXIT
  local each
  for each in $helpers; do kill -- "-$each" 2>/dev/null || kill "$each" 2>/dev/null || true; done
  backend_down || true
  rm -rf "$work"
  exit "$status"
}

run_fleet() {
  check_options
  devices_last=$((devices - 1))
  epoch=$(date +%s)
  helpers=''
  work=$(mktemp -d "/tmp/runnel-$me.XXXXXX")
  results=$work/results
  mkdir "$results"
  trap clean_up EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  backend_up
  local i
  epoch=$(date +%s)  # the links' time begins with the run, not with its preparation
  for ((i = 0; i < devices; ++i)); do backend_start "$i"; done
  set -m  # helpers get process groups of their own, so that they can be ended with what they wait for
  if [[ $churn -gt 0 ]]; then
    churn_loop </dev/null >"$work/churn.log" 2>&1 &
    helpers+=" $!"
  fi
  guard_loop $$ </dev/null >/dev/null 2>&1 &
  helpers+=" $!"
  set +m
  local options
  mapfile -t options < <(watch_options)
  if ! backend_watch "${options[@]}"; then
    backend_log >&2 || true
    die "the run did not come to its end"
  fi
  if [[ -n $json ]]; then cp "$results/run.json" "$json" && echo "Results: $json"; fi
  if [[ -n $report ]]; then cp "$results/run.html" "$report" && echo "Report: $report"; fi
}
