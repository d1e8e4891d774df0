/* Has chosen calls of a process to the file layer fail. Preloaded (LD_PRELOAD) by the tests of faults.
 *
 * Counted are the calls on paths, and on files opened by paths, that lie in a folder; each process counts for itself.
 *
 *   FAULT_ROOT   the folder, absolute
 *   FAULT_AT     numbers of the calls that fail, from 1, such as 17 or 17,40; none: none fails
 *   FAULT_KIND   eio     the call fails with EIO
 *                enospc  a call that makes or writes something fails with ENOSPC
 *                full    so does every such call from that one on; of a write, half arrives first
 *                short   a write or read does half of what was asked for
 *                eintr   a call that a signal may interrupt says that one did
 *                kill    SIGKILL; of a write, half arrives first
 *   FAULT_LOG    a file, to which each counted call adds a line: process, number, name, what it does (the bits below),
 *                path
 *   FAULT_CLOCK  how many times faster the monotonic clock goes: what happens every so many seconds happens at every
 *                look. Timed waits on conditions, whose deadlines are then far away, last until somebody wakes them.
 *
 * A fault whose kind the call cannot have does not happen.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { MOST_FILES = 1 << 16, MOST_FAULTS = 8 };

/* What a call does, which is what faults it can have. */
enum { LOOKS = 1, MAKES = 2, MOVES = 4, WAITS = 8 };

static const char *root, *kind;
static size_t root_length;
static long at[MOST_FAULTS];
static int num_faults, log_file = -1;
static long scale;
static atomic_long count;
static atomic_int is_full;
static char watched[MOST_FILES];

#define REAL(result, name, ...)                                                                                      \
    static result (*real_##name)(__VA_ARGS__);                                                                       \
    if (!real_##name) real_##name = (result(*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void begin(void) {
    kind = getenv("FAULT_KIND");
    for (const char *text = getenv("FAULT_AT"); text && *text && num_faults < MOST_FAULTS;) {
        char *end;
        at[num_faults++] = strtol(text, &end, 10);
        text = *end == ',' ? end + 1 : "";
    }
    const char *log = getenv("FAULT_LOG"), *clock = getenv("FAULT_CLOCK");
    if (log) log_file = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (clock) scale = strtol(clock, NULL, 10);
    root = getenv("FAULT_ROOT");
    root_length = root ? strlen(root) : 0;
}

static int lies_within(const char *path) {
    return root_length && path && !strncmp(path, root, root_length) && (path[root_length] == '/' || !path[root_length]);
}

static int is_watched(int file) { return file >= 0 && file < MOST_FILES && watched[file]; }

static void watch(int file, int whether) {
    if (file >= 0 && file < MOST_FILES) watched[file] = whether;
}

/* What becomes of a call. */
enum { GOES_ON, FAILS, HALF, HALF_AND_DIES };

static int is(const char *name) { return kind && !strcmp(kind, name); }

static int fate(const char *name, int does, const char *path) {
    long number = atomic_fetch_add(&count, 1) + 1;
    if (log_file >= 0) {
        char line[512];
        int length = snprintf(line, sizeof line, "%d %ld %s %d %.300s\n", getpid(), number, name, does, path);
        syscall(SYS_write, log_file, line, length);
    }
    int chosen = 0;
    for (int fault = 0; fault < num_faults; fault++) chosen |= at[fault] == number;
    if ((does & MAKES) && atomic_load(&is_full)) return errno = ENOSPC, FAILS;
    if (!chosen) return GOES_ON;
    if (is("eio")) return errno = EIO, FAILS;
    if (is("enospc") && (does & MAKES)) return errno = ENOSPC, FAILS;
    if (is("eintr") && (does & WAITS)) return errno = EINTR, FAILS;
    if (is("short") && (does & MOVES)) return HALF;
    if (is("full") && (does & MAKES)) {
        atomic_store(&is_full, 1);
        return (does & MOVES) ? HALF : (errno = ENOSPC, FAILS);
    }
    if (is("kill")) {
        if ((does & MAKES) && (does & MOVES)) return HALF_AND_DIES;
        raise(SIGKILL);
    }
    return GOES_ON;
}

static size_t half(size_t size) { return size > 1 ? size / 2 : size; }

#define OPEN(name)                                                                                                   \
    int name(const char *path, int flags, ...) {                                                                     \
        REAL(int, name, const char *, int, ...);                                                                     \
        va_list rest;                                                                                                \
        va_start(rest, flags);                                                                                       \
        mode_t mode = (flags & (O_CREAT | __O_TMPFILE)) ? va_arg(rest, mode_t) : 0;                                  \
        va_end(rest);                                                                                                \
        int within = lies_within(path), does = LOOKS | WAITS | ((flags & O_CREAT) ? MAKES : 0);                      \
        if (within && fate("open", does, path) == FAILS) return -1;                                                  \
        int file = real_##name(path, flags, mode);                                                                   \
        watch(file, within);                                                                                         \
        return file;                                                                                                 \
    }
OPEN(open)
OPEN(open64)

int close(int file) {
    REAL(int, close, int);
    watch(file, 0);
    return real_close(file);
}

#define MOVE(name, does, ...)                                                                          \
    switch (is_watched(file) ? fate(#name, does, "") : GOES_ON) {                                                    \
    case FAILS: return -1;                                                                                           \
    case HALF: size = half(size); break;                                                                             \
    case HALF_AND_DIES:                                                                                              \
        size = half(size);                                                                                           \
        (void)!real_##name(__VA_ARGS__);                                                                             \
        raise(SIGKILL);                                                                                              \
    }                                                                                                                \
    return real_##name(__VA_ARGS__)

ssize_t write(int file, const void *bytes, size_t size) {
    REAL(ssize_t, write, int, const void *, size_t);
    MOVE(write, MAKES | MOVES | WAITS, file, bytes, size);
}

ssize_t pwrite64(int file, const void *bytes, size_t size, off64_t offset) {
    REAL(ssize_t, pwrite64, int, const void *, size_t, off64_t);
    MOVE(pwrite64, MAKES | MOVES | WAITS, file, bytes, size, offset);
}

ssize_t read(int file, void *bytes, size_t size) {
    REAL(ssize_t, read, int, void *, size_t);
    MOVE(read, LOOKS | MOVES | WAITS, file, bytes, size);
}

ssize_t pread64(int file, void *bytes, size_t size, off64_t offset) {
    REAL(ssize_t, pread64, int, void *, size_t, off64_t);
    MOVE(pread64, LOOKS | MOVES | WAITS, file, bytes, size, offset);
}

/* Parts are few, and the first is never short of its own half. */
ssize_t writev(int file, const struct iovec *parts, int size) {
    REAL(ssize_t, writev, int, const struct iovec *, int);
    MOVE(writev, MAKES | MOVES | WAITS, file, parts, size);
}

#define ON_FILE(name, does)                                                                                          \
    int name(int file) {                                                                                             \
        REAL(int, name, int);                                                                                        \
        if (is_watched(file) && fate(#name, does, "") == FAILS) return -1;                                           \
        return real_##name(file);                                                                                    \
    }
ON_FILE(fsync, MAKES | WAITS)
ON_FILE(fdatasync, MAKES | WAITS)

int ftruncate64(int file, off64_t length) {
    REAL(int, ftruncate64, int, off64_t);
    if (is_watched(file) && fate("ftruncate64", MAKES, "") == FAILS) return -1;
    return real_ftruncate64(file, length);
}

int fchmod(int file, mode_t mode) {
    REAL(int, fchmod, int, mode_t);
    if (is_watched(file) && fate("fchmod", MAKES, "") == FAILS) return -1;
    return real_fchmod(file, mode);
}

int flock(int file, int operation) {
    REAL(int, flock, int, int);
    if (is_watched(file) && fate("flock", LOOKS | WAITS, "") == FAILS) return -1;
    return real_flock(file, operation);
}

int rename(const char *from, const char *to) {
    REAL(int, rename, const char *, const char *);
    if (lies_within(from) && fate("rename", MAKES, to) == FAILS) return -1;
    return real_rename(from, to);
}

int unlink(const char *path) {
    REAL(int, unlink, const char *);
    if (lies_within(path) && fate("unlink", LOOKS, path) == FAILS) return -1;
    return real_unlink(path);
}

int rmdir(const char *path) {
    REAL(int, rmdir, const char *);
    if (lies_within(path) && fate("rmdir", LOOKS, path) == FAILS) return -1;
    return real_rmdir(path);
}

int mkdir(const char *path, mode_t mode) {
    REAL(int, mkdir, const char *, mode_t);
    if (lies_within(path) && fate("mkdir", MAKES, path) == FAILS) return -1;
    return real_mkdir(path, mode);
}

int statx(int folder, const char *path, int flags, unsigned int mask, struct statx *found) {
    REAL(int, statx, int, const char *, int, unsigned int, struct statx *);
    /* The header says that it is never null; those who ask whether there is such a call pass null. */
    const char *volatile given = path;
    int within = given && *given ? lies_within(path) : is_watched(folder);
    if (within && fate("statx", LOOKS, path) == FAILS) return -1;
    return real_statx(folder, path, flags, mask, found);
}

#define STAT(name)                                                                                                   \
    int name(const char *path, struct stat64 *found) {                                                               \
        REAL(int, name, const char *, struct stat64 *);                                                              \
        if (lies_within(path) && fate(#name, LOOKS, path) == FAILS) return -1;                                       \
        return real_##name(path, found);                                                                             \
    }
STAT(stat64)
STAT(lstat64)

int fstat64(int file, struct stat64 *found) {
    REAL(int, fstat64, int, struct stat64 *);
    if (is_watched(file) && fate("fstat64", LOOKS, "") == FAILS) return -1;
    return real_fstat64(file, found);
}

ssize_t readlink(const char *path, char *target, size_t size) {
    REAL(ssize_t, readlink, const char *, char *, size_t);
    if (lies_within(path) && fate("readlink", LOOKS, path) == FAILS) return -1;
    return real_readlink(path, target, size);
}

DIR *opendir(const char *path) {
    REAL(DIR *, opendir, const char *);
    int within = lies_within(path);
    if (within && fate("opendir", LOOKS, path) == FAILS) return NULL;
    DIR *found = real_opendir(path);
    if (found) watch(dirfd(found), within);
    return found;
}

int closedir(DIR *folder) {
    REAL(int, closedir, DIR *);
    watch(dirfd(folder), 0);
    return real_closedir(folder);
}

struct dirent64 *readdir64(DIR *folder) {
    REAL(struct dirent64 *, readdir64, DIR *);
    if (is_watched(dirfd(folder)) && fate("readdir64", LOOKS, "") == FAILS) return NULL;
    return real_readdir64(folder);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    REAL(int, clock_gettime, clockid_t, struct timespec *);
    static atomic_llong first;
    int done = real_clock_gettime(clock, now);
    if (scale && clock == CLOCK_MONOTONIC && !done) {
        const long long second = 1000000000;
        long long here = now->tv_sec * second + now->tv_nsec, none = 0;
        atomic_compare_exchange_strong(&first, &none, here);
        long long passed = here - atomic_load(&first), since = atomic_load(&first);
        now->tv_sec = since / second + passed / second * scale + passed % second * scale / second;
        now->tv_nsec = since % second;
    }
    return done;
}
