# A Docker engine to run a fleet in, and its images. To be sourced by scripts/docker-fleet.
#
# The machine's own engine serves where it answers. Else an engine is started for this run alone: its own folders and
# socket, in a network namespace of its own, so that its bridges stay off the machine's network; nothing is left of it.

no_engine() {
  echo "$me: $*" >&2
  exit 3  # as told apart from a fleet that fails
}

docker() {
  DOCKER_BUILDKIT=0 command docker ${socket:+--host "unix://$socket"} "$@"
}

engine_up() {
  socket=''
  if [[ $engine != private ]] && command -v docker >/dev/null && command docker info >/dev/null 2>&1; then
    build_network=default
    return
  fi
  [[ $engine != system ]] || no_engine "no Docker engine answers"
  [[ $(id -u) -eq 0 ]] || no_engine "no Docker engine answers, and starting one takes root"
  local missing=() each
  for each in dockerd:docker.io iptables:iptables ip:iproute2 setcap:libcap2-bin; do
    command -v "${each%%:*}" >/dev/null || missing+=("${each#*:}")
  done
  if [[ ${#missing[@]} -gt 0 ]]; then
    echo "Installing ${missing[*]}"
    # Not to be started by its installation.
    export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null 2>&1 ||
      { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null; } ||
      no_engine "no Docker engine answers, and ${missing[*]} cannot be installed"
  fi
  engine_space=$prefix-engine
  engine_folder=$work/engine
  mkdir "$engine_folder"
  ip netns add "$engine_space"
  ip -n "$engine_space" link set lo up
  # Not `ip netns exec`, which hides the control groups. An interrupt at the terminal is for this script, not for the
  # engine: it goes last.
  setsid nsenter --net="/run/netns/$engine_space" -- dockerd --data-root "$engine_folder/data" \
    --exec-root "$engine_folder/exec" --pidfile "$engine_folder/pid" --host "unix://$engine_folder/socket" \
    --bridge none --iptables=false --ip6tables=false --ip-masq=false --userland-proxy=false \
    </dev/null >"$engine_folder/log" 2>&1 &
  engine_process=$!
  socket=$engine_folder/socket
  local tries
  for ((tries = 0; tries < 300; ++tries)); do
    if docker info >/dev/null 2>&1; then
      build_network=none
      return
    fi
    kill -0 "$engine_process" 2>/dev/null || break
    sleep 0.2
  done
  tail -n 5 "$engine_folder/log" >&2
  no_engine "the Docker engine does not start"
}

engine_down() {
  [[ -n ${engine_space:-} ]] || return 0
  if [[ -n ${engine_process:-} ]]; then
    kill -TERM "$engine_process" 2>/dev/null || true
    local tries
    for ((tries = 0; tries < 150; ++tries)); do
      kill -0 "$engine_process" 2>/dev/null || break
      sleep 0.1
    done
    kill -KILL "$engine_process" 2>/dev/null || true
  fi
  # Whatever did not hear of the engine's end and holds its folders or its network.
  local each
  for each in $(ip netns pids "$engine_space" 2>/dev/null); do kill -KILL "$each" 2>/dev/null || true; done
  for each in $(awk -v f="$engine_folder/" 'index($2, f) == 1 { print $2 }' /proc/self/mounts | sort -r); do
    umount -l "$each" 2>/dev/null || true
  done
  ip netns del "$engine_space" 2>/dev/null || true
}

# An image of this machine's own files: a shell, a few tools, and the libraries of the programs in $bin. Those were
# linked against these very files, so they run in it, whatever system this is.
base_of_this_machine() {
  local root=$work/base each
  mkdir -p "$root"/{etc,tmp,usr/bin,usr/sbin,usr/lib,usr/lib32,usr/lib64,usr/local/bin,usr/local/lib,var/lib,proc,sys,dev}
  for each in bin sbin lib lib64; do
    if [[ -L /$each ]]; then cp -P "/$each" "$root/"; fi
  done
  chmod 1777 "$root/tmp"
  local tools=(sh cat chmod chown cp date grep mkdir rm sleep setcap) files=()
  for each in "${tools[@]}"; do files+=("$(PATH=$PATH:/sbin:/usr/sbin command -v "$each")"); done
  local programs=("$bin/runnel-coordinator" "$bin/runnel-device" "$bin/runnel-fleet")
  mapfile -t -O "${#files[@]}" files < <(ldd "${files[@]}" "${programs[@]}" 2>/dev/null | grep -o '/[^ ]*' | grep -v ':$' | sort -u)
  for each in "${files[@]}"; do
    mkdir -p "$root$(dirname "$each")"
    cp -L "$each" "$root$each"
  done
  echo 'root:x:0:0::/:/bin/sh' >"$root/etc/passwd"
  tar -C "$root" -c . | docker import - "$1" >/dev/null
  rm -rf "$root"
}

# Debian 12 from a registry where one can be reached, else made here from packages.
debian_base() {
  if [[ -z $socket ]] && docker pull -q "$1" >/dev/null 2>&1; then
    base=$1
    return
  fi
  base=$prefix/$2
  command -v mmdebstrap >/dev/null || apt-get install -y -qq --no-install-recommends mmdebstrap >/dev/null
  echo "Making $base with mmdebstrap"
  mmdebstrap --quiet --variant=minbase --include="$3" bookworm - | docker import - "$base" >/dev/null
}

build_images() {
  local context=. arguments=() log=$work/build.log
  if [[ $from_host == yes ]]; then
    context=$work/context
    mkdir -p "$context/fleet" "$context/prebuilt"
    cp -r fleet/docker "$context/fleet/"
    for each in runnel-coordinator runnel-device runnel-fleet; do
      strip -o "$context/prebuilt/$each" "$bin/$each" 2>/dev/null || cp "$bin/$each" "$context/prebuilt/"
    done
    base_of_this_machine "$prefix/base"
    arguments=(--build-arg "BASE=$prefix/base" --build-arg "BUILD_BASE=$prefix/base")
  else
    local packages
    packages=$(sed -n '/^build_packages=(/,/^)/p' scripts/setup | grep -v '[()]' | xargs | tr ' ' ,)
    debian_base debian:12-slim base libzmq5,libmbedtls14,libhwy1,libsqlite3-0,zlib1g,libstdc++6,libcap2-bin
    arguments=(--build-arg "BASE=$base")
    debian_base debian:12 build-base "$packages"
    arguments+=(--build-arg "BUILD_BASE=$base")
    echo "Compiling (this takes some minutes)"
  fi
  local each
  for each in coordinator device; do
    docker build --network "$build_network" -f "$context/fleet/docker/Dockerfile" --target "$each" \
      -t "$prefix/$each" "${arguments[@]}" "$context" >"$log" 2>&1 || {
      tail -n 20 "$log" >&2
      die "the image of the $each cannot be built"
    }
  done
  rm -rf "$work/context"
}
