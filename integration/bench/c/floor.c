// SPDX-License-Identifier: Apache-2.0
//
// The floor: what the kernel (and newuidmap) must do to run runc's default config.json as an ordinary user, flat and
// with everything known beforehand: no config to read, no state on disk, no checks, no second program.
//
//     floor [-s UID:SUBID:COUNT] [-m PATH]... [-r PATH]... ROOTFS COMMAND [ARG]...
//
// -s  the full map, by newuidmap and newgidmap at once, both with the same numbers; else a single id
// -m  a masked path, -r a read-only path of the container
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef CLONE_NEWCGROUP
#define CLONE_NEWCGROUP 0x02000000
#endif

static void die(const char *what) {
    fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
    _exit(1);
}

static void must(long result, const char *what) {
    if (result < 0) die(what);
}

static void put(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    must(fd, path);
    must(write(fd, text, strlen(text)), path);
    close(fd);
}

static pid_t map_by(const char *helper, char *pid, char *uid, char *sub, char *count) {
    char *argv[] = {(char *)helper, pid, "0", uid, "1", "1", sub, count, NULL};
    char *envp[] = {NULL};
    pid_t p = vfork();
    must(p, "vfork");
    if (p == 0) {
        execve(helper, argv, envp);
        _exit(127);
    }
    return p;
}

static void reap(pid_t pid, const char *what) {
    int status;
    must(waitpid(pid, &status, 0), "waitpid");
    if (status != 0) {
        errno = EPERM;
        die(what);
    }
}

static void mount_on(const char *type, const char *target, unsigned long flags, const char *data) {
    must(mount(type, target, type, flags, data), target);
}

static void device(const char *name) {
    char host[64], inside[64];
    snprintf(host, sizeof host, "/dev/%s", name);
    snprintf(inside, sizeof inside, "dev/%s", name);
    int fd = open(inside, O_CREAT | O_CLOEXEC, 0666);
    must(fd, inside);
    close(fd);
    must(mount(host, inside, NULL, MS_BIND, NULL), inside);
}

static void mask(const char *path) {
    if (mount("/dev/null", path, NULL, MS_BIND, NULL) == 0 || errno == ENOENT) return;
    if (errno != ENOTDIR) die(path);
    must(mount("tmpfs", path, "tmpfs", MS_RDONLY, NULL), path);
}

static void read_only(const char *path) {
    if (mount(path, path, NULL, MS_BIND | MS_REC, NULL) < 0) {
        if (errno == ENOENT) return;
        die(path);
    }
    must(mount(NULL, path, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL), path);
}

static void loopback(void) {
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    must(fd, "socket");
    must(ioctl(fd, SIOCSIFFLAGS, &request), "lo");
    close(fd);
}

// The three capabilities of runc's default.
static void capabilities(void) {
    __u32 keep = 1 << CAP_AUDIT_WRITE | 1 << CAP_KILL | 1 << CAP_NET_BIND_SERVICE;
    for (int c = 0; c < 64; c++)
        if ((c >= 32 || !(keep & 1u << c)) && prctl(PR_CAPBSET_DROP, c) < 0) break;
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{.effective = keep, .permitted = keep}};
    must(syscall(SYS_capset, &header, data), "capset");
    must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
}

static void child(const char *rootfs, int mapped, char **masks, char **locks, char **argv) {
    static char *const envp[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm", NULL};
    char word;
    if (mapped >= 0 && read(mapped, &word, 1) != 1) die("wait for the map");
    must(setresgid(0, 0, 0), "setresgid");
    must(setresuid(0, 0, 0), "setresuid");
    must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "/");
    must(mount(rootfs, rootfs, NULL, MS_BIND | MS_REC, NULL), rootfs);
    must(chdir(rootfs), rootfs);

    mount_on("proc", "proc", 0, NULL);
    mount_on("tmpfs", "dev", MS_NOSUID | MS_STRICTATIME, "mode=755,size=65536k");
    must(mkdir("dev/pts", 0755), "dev/pts");
    must(mkdir("dev/shm", 0755), "dev/shm");
    must(mkdir("dev/mqueue", 0755), "dev/mqueue");
    mount_on("devpts", "dev/pts", MS_NOSUID | MS_NOEXEC, mapped >= 0 ? "newinstance,ptmxmode=0666,mode=0620,gid=5" : "newinstance,ptmxmode=0666,mode=0620");
    mount_on("tmpfs", "dev/shm", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=1777,size=65536k");
    mount_on("mqueue", "dev/mqueue", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
    mount_on("sysfs", "sys", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY, NULL);
    mount_on("cgroup2", "sys/fs/cgroup", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY | MS_RELATIME, NULL);
    device("null"), device("zero"), device("full"), device("random"), device("urandom"), device("tty");
    must(symlink("/proc/self/fd", "dev/fd"), "dev/fd");
    must(symlink("/proc/self/fd/0", "dev/stdin"), "dev/stdin");
    must(symlink("/proc/self/fd/1", "dev/stdout"), "dev/stdout");
    must(symlink("/proc/self/fd/2", "dev/stderr"), "dev/stderr");
    must(symlink("pts/ptmx", "dev/ptmx"), "dev/ptmx");

    must(syscall(SYS_pivot_root, ".", "."), "pivot_root");
    must(umount2(".", MNT_DETACH), "unmount the old root");
    must(chdir("/"), "/");
    for (; *masks; masks++) mask(*masks);
    for (; *locks; locks++) read_only(*locks);
    must(mount(NULL, "/", NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL), "read-only root");

    must(sethostname("runc", 4), "sethostname");
    loopback();
    struct rlimit limit = {1024, 1024};
    must(setrlimit(RLIMIT_NOFILE, &limit), "rlimit");
    must(setsid(), "setsid");
    capabilities();
    must(syscall(SYS_close_range, 3, ~0u, 0), "close_range");
    execvpe(argv[0], argv, envp);
    die(argv[0]);
}

int main(int argc, char **argv) {
    static char *masks[64], *locks[64];
    char *uid = NULL, *sub = NULL, *count = NULL, pid_text[24];
    int o, m = 0, r = 0, gate[2] = {-1, -1}, status;
    while ((o = getopt(argc, argv, "+s:m:r:")) != -1) {
        if (o == 's') uid = strtok(optarg, ":"), sub = strtok(NULL, ":"), count = strtok(NULL, ":");
        else if (o == 'm' && m < 63) masks[m++] = optarg;
        else if (o == 'r' && r < 63) locks[r++] = optarg;
        else return 2;
    }
    if (argc - optind < 2 || (uid && !count)) return 2;
    char own_uid[32], own_gid[32];
    snprintf(own_uid, sizeof own_uid, "0 %u 1", getuid());
    snprintf(own_gid, sizeof own_gid, "0 %u 1", getgid());

    if (uid) must(pipe2(gate, O_CLOEXEC), "pipe");
    struct clone_args clone = {
        .flags = CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP,
        .exit_signal = SIGCHLD,
    };
    long pid = syscall(SYS_clone3, &clone, sizeof clone);
    must(pid, "clone3");
    if (pid == 0) {
        if (!uid) {
            put("/proc/self/setgroups", "deny");
            put("/proc/self/uid_map", own_uid);
            put("/proc/self/gid_map", own_gid);
        }
        child(argv[optind], gate[0], masks, locks, argv + optind + 1);
    }
    if (uid) {
        snprintf(pid_text, sizeof pid_text, "%ld", pid);
        pid_t u = map_by("/usr/bin/newuidmap", pid_text, uid, sub, count);
        pid_t g = map_by("/usr/bin/newgidmap", pid_text, uid, sub, count);
        reap(u, "newuidmap");
        reap(g, "newgidmap");
        must(write(gate[1], "m", 1), "let the child go on");
    }
    must(waitpid(pid, &status, 0), "waitpid");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
