/* A receiver of webhooks that is never the limit: one thread, epoll, keep-alive, 204 to every POST.
 *
 * GET answers {"posts": N, "seconds": from the first to the last, "bytes": of bodies}; GET /reset begins anew.
 * GET /latencies answers {"count": N, "p50_us", "p95_us", "p99_us", "max_us"} of the bodies since then that hold
 * due@ and digits: microseconds of CLOCK_MONOTONIC, when the event was due. The first MOST_LATENCIES of them are kept.
 * Reads heads that arrive in any number of pieces; bodies by Content-Length only, which is what our client sends.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 1024, ROOM = 65536, MOST_LATENCIES = 1 << 20 };

struct peer {
  size_t filled;
  size_t body_left;
  char head[ROOM + 1];
};

static struct peer *peers[MOST];
static long posts, bytes;
static double first, last;
static double latencies[MOST_LATENCIES]; /* microseconds */
static size_t latency_count;

static double now(void) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

static int say(int fd, const char *text, size_t length) { return write(fd, text, length) == (ssize_t)length; }

static void note_due(const char *body, size_t length) {
  static const char mark[] = "due@";
  const char *found = memmem(body, length, mark, sizeof mark - 1);
  if (!found || latency_count == MOST_LATENCIES) return;
  found += sizeof mark - 1;
  if (*found < '0' || *found > '9') return;
  double late = now() * 1e6 - (double)strtoull(found, NULL, 10);
  latencies[latency_count++] = late > 0 ? late : 0;
}

static int by_size(const void *one, const void *other) {
  double a = *(const double *)one, b = *(const double *)other;
  return (a > b) - (a < b);
}

/* The smallest latency that so many percent do not exceed. They are in order. */
static double percentile(size_t percent) {
  size_t at = (latency_count * percent + 99) / 100;
  return latency_count ? latencies[at ? at - 1 : 0] : 0;
}

static int answer_get(int fd, const char *path) {
  char body[256], whole[512];
  int length;
  if (!strncmp(path, "/latencies", 10)) {
    qsort(latencies, latency_count, sizeof *latencies, by_size);
    length = snprintf(body, sizeof body,
                      "{\"count\":%zu,\"p50_us\":%.0f,\"p95_us\":%.0f,\"p99_us\":%.0f,\"max_us\":%.0f}",
                      latency_count, percentile(50), percentile(95), percentile(99), percentile(100));
  } else {
    length = snprintf(body, sizeof body, "{\"posts\":%ld,\"seconds\":%.6f,\"bytes\":%ld}", posts, last - first, bytes);
  }
  int all = snprintf(whole, sizeof whole,
                     "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", length, body);
  if (!strncmp(path, "/reset", 6)) {
    posts = bytes = 0;
    first = last = 0;
    latency_count = 0;
  }
  return say(fd, whole, (size_t)all);
}

static int answer_post(int fd, const char *body, size_t length) {
  static const char done[] = "HTTP/1.1 204 No Content\r\n\r\n";
  last = now();
  if (!posts++) first = last;
  bytes += (long)length;
  note_due(body, length);
  return say(fd, done, sizeof done - 1);
}

/* Takes what has arrived; 0 where the connection is to be closed. */
static int take(int fd, struct peer *one) {
  ssize_t got = read(fd, one->head + one->filled, ROOM - one->filled);
  if (got <= 0) return got < 0 && (errno == EAGAIN || errno == EINTR);
  one->filled += (size_t)got;
  one->head[one->filled] = 0;
  for (;;) {
    char *end = strstr(one->head, "\r\n\r\n");
    if (!end) return one->filled < ROOM;
    size_t head = (size_t)(end - one->head) + 4, length = 0;
    for (char *line = one->head; line && line < end; line = strstr(line, "\r\n")) {
      if (*line == '\r') line += 2;
      if (!strncasecmp(line, "content-length:", 15)) length = strtoul(line + 15, NULL, 10);
    }
    if (head + length > ROOM) return 0;
    if (one->filled < head + length) return 1;
    int is_get = !strncmp(one->head, "GET ", 4);
    if (!(is_get ? answer_get(fd, one->head + 4) : answer_post(fd, one->head + head, length))) return 0;
    memmove(one->head, one->head + head + length, one->filled - head - length + 1);
    one->filled -= head + length;
    if (!one->filled) return 1;
  }
}

int main(void) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof at;
  int door = socket(AF_INET, SOCK_STREAM, 0), one = 1, poll = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLIN, .data.fd = door}, events[64];
  if (door < 0 || bind(door, (struct sockaddr *)&at, size) || listen(door, SOMAXCONN) ||
      getsockname(door, (struct sockaddr *)&at, &size) || epoll_ctl(poll, EPOLL_CTL_ADD, door, &event)) {
    perror("receiver");
    return 1;
  }
  printf("{\"port\": %d}\n", ntohs(at.sin_port));
  fflush(stdout);
  for (;;) {
    int ready = epoll_wait(poll, events, 64, -1);
    for (int n = 0; n < ready; n++) {
      int fd = events[n].data.fd;
      if (fd == door) {
        int peer = accept4(door, NULL, NULL, SOCK_NONBLOCK);
        if (peer < 0) continue;
        if (peer >= MOST) {
          close(peer);
          continue;
        }
        setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        peers[peer] = calloc(1, sizeof *peers[peer]);
        event = (struct epoll_event){.events = EPOLLIN, .data.fd = peer};
        if (!peers[peer] || epoll_ctl(poll, EPOLL_CTL_ADD, peer, &event)) return 1;
      } else if (!take(fd, peers[fd])) {
        free(peers[fd]);
        close(fd);
      }
    }
  }
}
