/*
 * Faults in the calls that touch one folder, for a process that has this preloaded (Linux).
 *
 *   HELIOS_FAULT_DIR  the folder, an absolute path without links. What is deeper than in it does not count
 *   HELIOS_FAULT_OF   the kinds of calls that count, separated by commas. Default: all that change something
 *   HELIOS_FAULT_AT   the number of the call that the fault strikes, from 1
 *   HELIOS_FAULT_DO   `kill-before`, `kill-after`, `short` (half of what is to be written, then ENOSPC) or the number of an error
 *   HELIOS_FAULT_FOR  how many calls the fault strikes. Default 1
 *   HELIOS_FAULT_LOG  a file that gets a line for every call that has succeeded, but those that only look: kind, inode, name, place or length, data
 *
 * Kinds: mkdir, create (a file that may be new), open (one that is there), write, truncate, sync, syncdir, chmod, lock, rename,
 * unlink; and look (opened for reading), which counts only where it is asked for.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static char dir[4096];
static size_t dir_length;
static const char *kinds = ",mkdir,create,open,write,truncate,sync,syncdir,chmod,lock,rename,unlink,";
static char chosen[256];
static const char *action;
static long at, times = 1, count;
static int log_file = -1;
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

__attribute__((constructor)) static void begin(void) {
  unsetenv("LD_PRELOAD");
  const char *value = getenv("HELIOS_FAULT_DIR");
  if (!value) return;
  dir_length = (size_t)snprintf(dir, sizeof dir, "%s", value);
  if ((value = getenv("HELIOS_FAULT_OF"))) {
    snprintf(chosen, sizeof chosen, ",%s,", value);
    kinds = chosen;
  }
  action = getenv("HELIOS_FAULT_DO");
  if (action) action = strdup(action);
  if ((value = getenv("HELIOS_FAULT_AT"))) at = atol(value);
  if ((value = getenv("HELIOS_FAULT_FOR"))) times = atol(value);
  if ((value = getenv("HELIOS_FAULT_LOG"))) log_file = REAL(open)(value, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

/* The name of a path in the folder, "." for the folder itself, NULL for any other. */
static const char *name_of(const char *path) {
  if (!dir_length || !path || strncmp(path, dir, dir_length)) return NULL;
  if (!path[dir_length]) return ".";
  if (path[dir_length] != '/' || strchr(path + dir_length + 1, '/')) return NULL;
  return path[dir_length + 1] ? path + dir_length + 1 : ".";
}

/* The same for something open; `buffer` holds the path. It may have been renamed since. */
static const char *name_of_fd(int fd, char *buffer, size_t size) {
  if (!dir_length) return NULL;
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, buffer, size - 1);
  if (length <= 0) return NULL;
  buffer[length] = 0;
  return name_of(buffer);
}

static void note(const char *kind, unsigned long inode, const char *name, long place, const void *data, size_t size) {
  if (log_file < 0) return;
  char *line = malloc(8192 + 2 * size);
  size_t length = (size_t)sprintf(line, "%s %lu %s %ld ", kind, inode, name, place);
  for (size_t i = 0; i < size; i += 1) length += (size_t)sprintf(line + length, "%02x", ((const unsigned char *)data)[i]);
  line[length++] = '\n';
  if (REAL(write)(log_file, line, length) < 0) abort();
  free(line);
}

static unsigned long inode_of(int fd) {
  struct stat found;
  return fstat(fd, &found) ? 0 : (unsigned long)found.st_ino;
}

enum fate { GO, FAIL, SHORT, KILL_AFTER };

/* Counts a call, and says what shall become of it. Calls take turns from here to `done`. */
static enum fate begin_call(const char *kind) {
  pthread_mutex_lock(&turn);
  char wanted[32];
  snprintf(wanted, sizeof wanted, ",%s,", kind);
  if (!action || !strstr(kinds, wanted)) return GO;
  count += 1;
  if (count < at || count - at >= times) return GO;
  if (!strcmp(action, "kill-before")) raise(SIGKILL);
  if (!strcmp(action, "kill-after")) return KILL_AFTER;
  if (!strcmp(action, "short")) return SHORT;
  errno = atoi(action);
  return FAIL;
}

static void end_call(enum fate fate) {
  if (fate == KILL_AFTER) raise(SIGKILL);
  int kept = errno;
  pthread_mutex_unlock(&turn);
  errno = kept;
}

/* A call that is `perform`ed, and noted when it has succeeded, as `kind` of `name`. */
#define CALL(kind, name, perform, inode, place, data, size)                                                                          \
  enum fate fate = begin_call(kind);                                                                                            \
  __typeof__(perform) result = -1;                                                                                              \
  if (fate == SHORT) errno = ENOSPC;                                                                                            \
  if (fate == GO || fate == KILL_AFTER) result = perform;                                                                       \
  if (result >= 0) note(kind, inode, name, place, data, size);                                                                         \
  end_call(fate);                                                                                                               \
  return result

static int opened(const char *path, int flags, mode_t mode) {
  static int (*real)(const char *, int, ...);
  if (!real) real = REAL(open);
  const char *name = name_of(path);
  if (!name) return real(path, flags, mode);
  int only_looks = (flags & O_ACCMODE) == O_RDONLY && !(flags & (O_CREAT | O_TRUNC));
  const char *kind = only_looks ? "look" : flags & O_CREAT ? "create" : "open";
  const char *noted = flags & O_TRUNC ? "T" : "";
  enum fate fate = begin_call(kind);
  int result = -1;
  if (fate == SHORT) errno = ENOSPC;
  if (fate == GO || fate == KILL_AFTER) result = real(path, flags, mode);
  if (result >= 0 && !only_looks) note(kind, inode_of(result), name, 0, noted, strlen(noted));
  end_call(fate);
  return result;
}

static mode_t mode_of(int flags, va_list rest) { return flags & O_CREAT ? va_arg(rest, mode_t) : 0; }

#define OPEN(function)                                                                                                          \
  EXPORT int function(const char *path, int flags, ...) {                                                                       \
    va_list rest;                                                                                                               \
    va_start(rest, flags);                                                                                                      \
    mode_t mode = mode_of(flags, rest);                                                                                         \
    va_end(rest);                                                                                                               \
    return opened(path, flags, mode);                                                                                           \
  }
OPEN(open)
OPEN(open64)

EXPORT ssize_t write(int fd, const void *data, size_t size) {
  static __typeof__(&write) real;
  if (!real) real = REAL(write);
  char path[4096];
  const char *name = name_of_fd(fd, path, sizeof path);
  if (!name) return real(fd, data, size);
  enum fate fate = begin_call("write");
  /* All files but those with requests are written in one go. */
  long place = (long)lseek(fd, 0, SEEK_CUR);
  ssize_t result = -1;
  if (fate == SHORT) {
    if (size > 1) result = real(fd, data, size / 2);
    else errno = ENOSPC;
    /* The rest of it finds no room. */
    action = "28";
    at = count + 1;
  } else if (fate != FAIL) result = real(fd, data, size);
  if (result >= 0) note("write", inode_of(fd), name, place, data, (size_t)result);
  end_call(fate);
  return result;
}

#define ON_FD(function, kind, parameters, arguments)                                                                            \
  EXPORT int function parameters {                                                                                              \
    static __typeof__(&function) real;                                                                                          \
    if (!real) real = REAL(function);                                                                                           \
    char path[4096];                                                                                                            \
    const char *name = name_of_fd(fd, path, sizeof path);                                                                       \
    if (!name) return real arguments;                                                                                           \
    CALL(kind, name, real arguments, inode_of(fd), 0, "", 0);                                                                      \
  }
ON_FD(fsync, strcmp(name, ".") ? "sync" : "syncdir", (int fd), (fd))
ON_FD(fdatasync, "sync", (int fd), (fd))
ON_FD(fchmod, "chmod", (int fd, mode_t mode), (fd, mode))

/* It may wait for another call, which needs its turn. */
EXPORT int flock(int fd, int operation) {
  static __typeof__(&flock) real;
  if (!real) real = REAL(flock);
  char path[4096];
  const char *name = name_of_fd(fd, path, sizeof path);
  if (!name) return real(fd, operation);
  enum fate fate = begin_call("lock");
  if (fate == SHORT) errno = ENOSPC;
  if (fate != GO && fate != KILL_AFTER) return end_call(fate), -1;
  note("lock", inode_of(fd), name, 0, "", 0);
  pthread_mutex_unlock(&turn);
  int result = real(fd, operation);
  if (fate == KILL_AFTER) raise(SIGKILL);
  return result;
}

#define TRUNCATE(function, type)                                                                                                \
  EXPORT int function(int fd, type size) {                                                                                      \
    static __typeof__(&function) real;                                                                                          \
    if (!real) real = REAL(function);                                                                                           \
    char path[4096];                                                                                                            \
    const char *name = name_of_fd(fd, path, sizeof path);                                                                       \
    if (!name) return real(fd, size);                                                                                           \
    CALL("truncate", name, real(fd, size), inode_of(fd), (long)size, "", 0);                                                    \
  }
TRUNCATE(ftruncate, off_t)
TRUNCATE(ftruncate64, off64_t)

EXPORT int rename(const char *from, const char *to) {
  static __typeof__(&rename) real;
  if (!real) real = REAL(rename);
  const char *name = name_of(from), *target = name_of(to);
  if (!name || !target) return real(from, to);
  CALL("rename", name, real(from, to), 0, 0, target, strlen(target));
}

EXPORT int unlink(const char *path) {
  static __typeof__(&unlink) real;
  if (!real) real = REAL(unlink);
  const char *name = name_of(path);
  if (!name) return real(path);
  CALL("unlink", name, real(path), 0, 0, "", 0);
}

EXPORT int mkdir(const char *path, mode_t mode) {
  static __typeof__(&mkdir) real;
  if (!real) real = REAL(mkdir);
  const char *name = name_of(path);
  if (!name) return real(path, mode);
  CALL("mkdir", name, real(path, mode), 0, 0, "", 0);
}
