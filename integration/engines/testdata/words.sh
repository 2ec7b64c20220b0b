# SPDX-License-Identifier: Apache-2.0
#
# Words that every command of a session has. $RUNTIME is the runtime's name, $DESK the session's directory.

[ ! -e "$DESK/containers.conf" ] || export CONTAINERS_CONF=$DESK/containers.conf
[ ! -e "$DESK/environment" ] || . "$DESK/environment"

# eventually PATTERN COMMAND...: does it again until its output has a line that matches, and shows that output.
eventually() {
    local pattern=$1 output end=$((SECONDS + 180))
    shift
    until output=$("$@" 2>&1) && grep -q -e "$pattern" <<<"$output"; do
        [ $SECONDS -lt $end ] || { echo "it never came to this: $pattern"; echo "$output"; return 1; }
        sleep 0.5
    done
    echo "$output"
}

# finally COMMAND...: is done at the end of the session, whatever has happened.
finally() {
    echo "$*" >>"$DESK/finally"
}

# things: the runtime's state, cgroups of containers, and processes that are a runtime's or an engine's for one container.
things() {
    local run=${XDG_RUNTIME_DIR:-/run}
    [ "$(id -u)" != 0 ] || run=/run
    ls -d "$run/$RUNTIME"/* /var/run/docker/runtime-runc/moby/* 2>/dev/null
    find /sys/fs/cgroup -type d 2>/dev/null | grep -e 'libpod-[0-9a-f]' -e 'docker-[0-9a-f]' -e 'cri-containerd-' -e crun- -e mycr-
    ps -A -o comm= | grep -x -e 'conmon' -e "$RUNTIME" -e 'containerd-shim.*' -e 'pasta.*' -e 'slirp4netns'
    findmnt -rno TARGET | grep -e /merged -e /overlay/ -e /containers/ -e /docker/ | grep -v -x -e /run/docker/netns/default -e /var/lib/containers/storage/overlay
    return 0
}

# remember and left: what there is of these since the last remember. A container's conmon is gone a moment after it.
remember() {
    things | sort >"$DESK/things"
}

left() {
    local new tries=0
    until new=$(things | sort | comm -13 "$DESK/things" -) && [ -z "$new" ]; do
        tries=$((tries + 1))
        [ $tries -lt 20 ] || { echo "left behind:"; echo "$new"; return 1; }
        sleep 0.5
    done
}
