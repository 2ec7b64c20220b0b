# SPDX-License-Identifier: Apache-2.0
# bash completion for mycr; made by go test ./cli -update

_mycr() {
	local cur=${COMP_WORDS[COMP_CWORD]} command= flags= ids= i
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		--root|--log|--log-format|--log-level|--cgroup-manager|--rootless|--criu) ((i++)) ;;
		-*) ;;
		*) command=${COMP_WORDS[i]}; break ;;
		esac
	done
	case $command in
	"") COMPREPLY=($(compgen -W "do run create start exec kill delete state list ps stats events update pause resume port publish spec features install checkpoint restore help --root --log --log-format --log-level --debug --systemd-cgroup --cgroup-manager --rootless --criu --version" -- "$cur")); return ;;
	help) COMPREPLY=($(compgen -W "do run create start exec kill delete state list ps stats events update pause resume port publish spec features install checkpoint restore help" -- "$cur")); return ;;
	do) flags="--bind --ro-bind --volume --tmpfs --setenv --chdir --hostname --proc --memory --cpus --pids-limit --network --publish --dns --dns-search --add-host --mtu --subnet --ipv6 --host-loopback --allow-metadata --allow-host --allow-net --deny-net --network-timeout --root --log --log-format --log-level --debug --systemd-cgroup --cgroup-manager --rootless --criu" ;;
	run) flags="--bundle --pid-file --console-socket --pidfd-socket --no-pivot --no-new-keyring --trust-annotations --preserve-fds --network --publish --dns --dns-search --add-host --mtu --subnet --ipv6 --host-loopback --allow-metadata --allow-host --allow-net --deny-net --network-timeout --detach --keep --no-subreaper --root --log --log-format --log-level --debug --systemd-cgroup --cgroup-manager --rootless --criu" ;;
	create) flags="--bundle --pid-file --console-socket --pidfd-socket --no-pivot --no-new-keyring --trust-annotations --preserve-fds --network --publish --dns --dns-search --add-host --mtu --subnet --ipv6 --host-loopback --allow-metadata --allow-host --allow-net --deny-net --network-timeout --root --log --log-format --log-level --debug --systemd-cgroup --cgroup-manager --rootless --criu" ;;
	start) flags="--root --log --log-format --log-level --debug --systemd-cgroup --cgroup-manager --rootless --criu" ids=1 ;;
	exec) flags="--process --detach --pid-file --tty --console-socket --pidfd-socket --cwd --env --user --additional-gids --cap --no-new-privs --preserve-fds --apparmor --process-label --cgroup --ignore-paused --root --log --log-format --log-level --debug --systemd-cgroup --cgroup-manager --rootless --criu" ids=1 ;;
	kill) flags="--all --root --log --log-format --log-level --debug --systemd-cgroup --cgroup-manager --rootless --criu" ids=1 ;;
	delete) flags="--force --root --log --log-format --log-level --debug --systemd-cgroup --cgroup-manager --rootless --criu" ids=1 ;;
	state) flags="--root --log --log-format --log-level --debug --systemd-cgroup --cgroup-manager --rootless --criu" ids=1 ;;
	list) flags="--format --quiet --root --log --log-format --log-level --debug --systemd-cgroup --cgroup-manager --rootless --criu" ;;
	ps) flags="--format --root --log --log-format --log-level --debug --systemd-cgroup --cgroup-manager --rootless --criu" ids=1 ;;
	stats) flags="--format --stream --interval --root --log --log-format --log-level --debug --systemd-cgroup --cgroup-manager --rootless --criu" ids=1 ;;
	events) flags="--stats --interval --root --log --log-format --log-level --debug --systemd-cgroup --cgroup-manager --rootless --criu" ids=1 ;;
	update) flags="--resources --memory --memory-reservation --memory-swap --cpu-share --cpu-quota --cpu-period --cpu-burst --cpu-idle --cpuset-cpus --cpuset-mems --pids-limit --blkio-weight --root --log --log-format --log-level --debug --systemd-cgroup --cgroup-manager --rootless --criu" ids=1 ;;
	pause) flags="--root --log --log-format --log-level --debug --systemd-cgroup --cgroup-manager --rootless --criu" ids=1 ;;
	resume) flags="--root --log --log-format --log-level --debug --systemd-cgroup --cgroup-manager --rootless --criu" ids=1 ;;
	port) flags="--root --log --log-format --log-level --debug --systemd-cgroup --cgroup-manager --rootless --criu" ids=1 ;;
	publish) flags="--root --log --log-format --log-level --debug --systemd-cgroup --cgroup-manager --rootless --criu" ids=1 ;;
	spec) flags="--bundle --rootless --memory --memory-swap --cpus --pids-limit --hostname --read-only --cap-add --cap-drop --user --env --workdir --volume --tty --root --log --log-format --log-level --debug --systemd-cgroup --cgroup-manager --criu" ;;
	features) flags="--root --log --log-format --log-level --debug --systemd-cgroup --cgroup-manager --rootless --criu" ;;
	install) flags="--podman --docker --containerd --print --remove --file --root --log --log-format --log-level --debug --systemd-cgroup --cgroup-manager --rootless --criu" ;;
	checkpoint) flags="--root --log --log-format --log-level --debug --systemd-cgroup --cgroup-manager --rootless --criu" ids=1 ;;
	restore) flags="--lsm-mount-context --root --log --log-format --log-level --debug --systemd-cgroup --cgroup-manager --rootless --criu" ids=1 ;;
	esac
	if [[ $cur == -* ]]; then
		COMPREPLY=($(compgen -W "$flags" -- "$cur"))
	elif [[ $ids && ${COMP_WORDS[COMP_CWORD-1]} != --*[a-z] ]]; then
		COMPREPLY=($(compgen -W "$(mycr list --quiet 2>/dev/null)" -- "$cur"))
	fi
}
complete -o default -F _mycr mycr
