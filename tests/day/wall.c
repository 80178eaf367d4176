/* The wall clock of the processes that preload this: the machine's, plus the offset in the file that DAY_CLOCK_FILE names.
 *
 * The file is eight bytes, nanoseconds, and mapped, so a change is seen by all at once and a question costs no system
 * call. Monotonic clocks and file times stay as they are. Waits until a moment of the wall clock are put back into the
 * kernel's time; a moment before 2001 is one of the monotonic clock, which pthread_cond_timedwait may be given too.
 *
 * Why not libfaketime 0.9.10: with FAKETIME_DONT_FAKE_MONOTONIC its clock_nanosleep refuses Python's time.sleep
 * (EINVAL), and reading its file for every question costs 16 microseconds.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define NS 1000000000LL
#define SOME_WALL_TIME 1000000000L

static const volatile int64_t *offset;
static int (*real_gettime)(clockid_t, struct timespec *);
static int (*real_cond)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
static int (*real_sem)(sem_t *, const struct timespec *);
static int (*real_mutex)(pthread_mutex_t *, const struct timespec *);

__attribute__((constructor)) static void begin(void) {
    real_gettime = dlsym(RTLD_NEXT, "clock_gettime");
    real_cond = dlvsym(RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2");
    if (!real_cond) real_cond = dlsym(RTLD_NEXT, "pthread_cond_timedwait");
    real_sem = dlsym(RTLD_NEXT, "sem_timedwait");
    real_mutex = dlsym(RTLD_NEXT, "pthread_mutex_timedlock");
    const char *name = getenv("DAY_CLOCK_FILE");
    int file = name ? open(name, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *at = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
    if (at != MAP_FAILED) offset = at;
    close(file);
}

static struct timespec moved(struct timespec at, int64_t by) {
    int64_t all = at.tv_sec * NS + at.tv_nsec + by;
    if (all < 0) all = 0;
    return (struct timespec){.tv_sec = all / NS, .tv_nsec = all % NS};
}

int clock_gettime(clockid_t clock, struct timespec *at) {
    int code = real_gettime ? real_gettime(clock, at) : (int)syscall(SYS_clock_gettime, clock, at);
    if (code == 0 && offset && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) *at = moved(*at, *offset);
    return code;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone) {
    struct timespec now;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &now)) return -1;
    *at = (struct timeval){.tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / 1000};
    return 0;
}

time_t time(time_t *at) {
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now)) return -1;
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}

static struct timespec for_kernel(const struct timespec *until) {
    return offset && until->tv_sec > SOME_WALL_TIME ? moved(*until, -*offset) : *until;
}

int pthread_cond_timedwait(pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex, const struct timespec *restrict until) {
    struct timespec at = for_kernel(until);
    return real_cond(condition, mutex, &at);
}

int sem_timedwait(sem_t *restrict semaphore, const struct timespec *restrict until) {
    struct timespec at = for_kernel(until);
    return real_sem(semaphore, &at);
}

int pthread_mutex_timedlock(pthread_mutex_t *restrict mutex, const struct timespec *restrict until) {
    struct timespec at = for_kernel(until);
    return real_mutex(mutex, &at);
}
