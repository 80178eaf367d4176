/* Reads ticks of Feedgate without holes and repeats, and prints one line a tick.
 *
 *   apt-get install gcc libnats-dev
 *   gcc -O2 -Wall -o consumer consumer.c -lnats
 *   ./consumer nats://127.0.0.1:4222 'SHFE.rb*'
 *
 * Arguments: the server, a shell glob over EXCHANGE.CODE (everything), the gateway's name (feedgate). Ctrl-C ends it.
 * Standard output, "-" for what the exchange did not send:
 *   epoch seq EXCHANGE.CODE trading_day exchange_ns last volume bid ask line
 * Standard error: what was lost, and totals at the end. examples/consumer.py prints the same.
 *
 * The rules are those of docs/subjects.md: subscribe first, then ask for the last ticks; per instrument each
 * (epoch, seq) once and rising; ask again after an interruption. The codec must be msgpack (the default). The bus library
 * queues what comes meanwhile; when the queue is full it drops, and the hole in seq tells.
 */
#define _POSIX_C_SOURCE 200809L
#include <fnmatch.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <nats/nats.h>

enum {
    FIELDS = 29,            /* of a tick, the version included; later versions may append */
    NAME_SIZE = 128,        /* EXCHANGE.CODE */
    SUBJECT_SIZE = 3 * NAME_SIZE + 16,
    GONE_KEPT = 64,
    PENDING = 1 << 20,      /* messages that may wait for this program */
    REQUEST_MS = 2000,
    PAGE_TRIES = 3,
};
static const double TAKEOVER_S = 2.0; /* so long must ticks of an earlier epoch come before it is believed */
static const double SETTLE_S = 5.0;   /* ticks may come behind a reply that names a later one */
static const double RETRY_S = 1.0;

static volatile sig_atomic_t stopping;
static void stop(int number) { (void)number; stopping = 1; }

static double now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void *grown(void *old, size_t size) {
    void *found = realloc(old, size);
    if (found == NULL) { fputs("out of memory\n", stderr); exit(70); }
    return found;
}

/* -- msgpack ------------------------------------------------------------------------------------------------ */

typedef struct { const uint8_t *at, *end; bool bad; } Bytes;
typedef enum { NIL, BOOL, INT, REAL, TEXT, ARRAY, MAP, OTHER } Kind;
typedef struct { Kind kind; uint64_t number; double real; const char *text; size_t size; } Item; /* size: bytes or children */

static uint64_t big_endian(Bytes *in, size_t width) {
    uint64_t value = 0;
    if ((size_t)(in->end - in->at) < width) { in->bad = true; in->at = in->end; return 0; }
    while (width--) value = value << 8 | *in->at++;
    return value;
}

static Item sized(Bytes *in, Kind kind, size_t size) {
    Item item = {.kind = kind, .size = size, .text = (const char *)in->at};
    if (kind == TEXT || kind == OTHER) {
        if ((size_t)(in->end - in->at) < size) { in->bad = true; in->at = in->end; item.size = 0; }
        else in->at += size;
    }
    return item;
}

/* The next element; of an array or a map only its head. */
static Item next(Bytes *in) {
    uint8_t head = (uint8_t)big_endian(in, 1);
    Item item = {.kind = OTHER};
    if (in->bad) return item;
    if (head < 0x80) { item.kind = INT; item.number = head; return item; }
    if (head < 0x90) return sized(in, MAP, head & 0x0f);
    if (head < 0xa0) return sized(in, ARRAY, head & 0x0f);
    if (head < 0xc0) return sized(in, TEXT, head & 0x1f);
    if (head >= 0xe0) { item.kind = INT; item.number = (uint64_t)(int64_t)(int8_t)head; return item; }
    switch (head) {
    case 0xc0: item.kind = NIL; break;
    case 0xc2: case 0xc3: item.kind = BOOL; item.number = head & 1; break;
    case 0xc4: case 0xc5: case 0xc6: return sized(in, OTHER, big_endian(in, (size_t)1 << (head - 0xc4)));
    case 0xc7: case 0xc8: case 0xc9: return sized(in, OTHER, big_endian(in, (size_t)1 << (head - 0xc7)) + 1);
    case 0xca: { uint32_t bits = (uint32_t)big_endian(in, 4); float value; memcpy(&value, &bits, 4);
                 item.kind = REAL; item.real = value; break; }
    case 0xcb: { uint64_t bits = big_endian(in, 8); memcpy(&item.real, &bits, 8); item.kind = REAL; break; }
    case 0xcc: case 0xcd: case 0xce: case 0xcf:
        item.kind = INT; item.number = big_endian(in, (size_t)1 << (head - 0xcc)); break;
    case 0xd0: item.kind = INT; item.number = (uint64_t)(int64_t)(int8_t)big_endian(in, 1); break;
    case 0xd1: item.kind = INT; item.number = (uint64_t)(int64_t)(int16_t)big_endian(in, 2); break;
    case 0xd2: item.kind = INT; item.number = (uint64_t)(int64_t)(int32_t)big_endian(in, 4); break;
    case 0xd3: item.kind = INT; item.number = big_endian(in, 8); break;
    case 0xd4: case 0xd5: case 0xd6: case 0xd7: case 0xd8: return sized(in, OTHER, ((size_t)1 << (head - 0xd4)) + 1);
    case 0xd9: case 0xda: case 0xdb: return sized(in, TEXT, big_endian(in, (size_t)1 << (head - 0xd9)));
    case 0xdc: return sized(in, ARRAY, big_endian(in, 2));
    case 0xdd: return sized(in, ARRAY, big_endian(in, 4));
    case 0xde: return sized(in, MAP, big_endian(in, 2));
    case 0xdf: return sized(in, MAP, big_endian(in, 4));
    default: in->bad = true;
    }
    return item;
}

/* Past one element with all that is in it. */
static void skip(Bytes *in) {
    for (uint64_t left = 1; left > 0 && !in->bad; left--) {
        Item item = next(in);
        if (item.kind == ARRAY) left += item.size;
        if (item.kind == MAP) left += 2 * (uint64_t)item.size;
    }
}

static uint64_t integer(Bytes *in) {
    Item item = next(in);
    if (item.kind != INT) in->bad = true;
    return item.number;
}

static Item text(Bytes *in) {
    Item item = next(in);
    if (item.kind != TEXT) { in->bad = true; item.size = 0; }
    return item;
}

typedef struct { bool there; double value; } Price;

static Price price(Bytes *in) {
    Item item = next(in);
    if (item.kind == REAL) return (Price){true, item.real};
    if (item.kind == INT) return (Price){true, (double)(int64_t)item.number};
    if (item.kind != NIL) in->bad = true;
    return (Price){false, 0};
}

static Price best(Bytes *in) {
    Price found = {false, 0};
    Item list = next(in);
    if (list.kind != ARRAY) in->bad = true;
    for (size_t level = 0; level < list.size && !in->bad; level++) {
        Price one = price(in);
        if (level == 0) found = one;
    }
    return found;
}

/* -- a tick ------------------------------------------------------------------------------------------------- */

typedef struct {
    uint64_t epoch, seq, trading_day, exchange_ns, volume;
    char name[NAME_SIZE], line[NAME_SIZE], subject[SUBJECT_SIZE];
    Price last, bid, ask;
} Tick;

static char *escaped(char *to, const char *from, size_t size) {
    for (; size > 0; size--, from++) {
        unsigned char c = (unsigned char)*from;
        if (c <= 0x20 || c >= 0x7f || strchr(".*>%", c) != NULL) to += sprintf(to, "%%%02X", c);
        else *to++ = (char)c;
    }
    return to;
}

/* One tick from ``in``, whatever follows it. False: no tick of wire format 1. */
static bool read_tick(Bytes *in, Tick *tick) {
    Item array = next(in);
    if (in->bad || array.kind != ARRAY || array.size < FIELDS || integer(in) != 1) return false;
    tick->epoch = integer(in);
    tick->seq = integer(in);
    skip(in);                                     /* recv_ns */
    Item line = text(in);
    skip(in);                                     /* account */
    Item exchange = text(in), code = text(in);
    tick->trading_day = integer(in);
    tick->exchange_ns = integer(in);
    tick->last = price(in);
    tick->volume = integer(in);
    for (int field = 12; field <= 24; field++) skip(in);
    tick->bid = best(in);
    skip(in);
    tick->ask = best(in);
    for (size_t field = 27; field < array.size - 1; field++) skip(in); /* ask_volumes, and what a later version appends */
    if (in->bad || exchange.size + code.size + 2 > NAME_SIZE || line.size + 1 > NAME_SIZE) return false;
    snprintf(tick->name, sizeof tick->name, "%.*s.%.*s", (int)exchange.size, exchange.text, (int)code.size, code.text);
    snprintf(tick->line, sizeof tick->line, "%.*s", (int)line.size, line.text);
    char *end = escaped(tick->subject + sprintf(tick->subject, "md.tick."), exchange.text, exchange.size);
    *end++ = '.';
    *escaped(end, code.text, code.size) = '\0';
    return tick->epoch > 0 && tick->seq > 0;      /* without them it was not published by a gateway */
}

/* -- the order of ticks, instrument by instrument ------------------------------------------------------------ */

typedef struct {
    char name[NAME_SIZE];
    uint64_t epoch, seq;                          /* epoch 0: nothing seen yet */
    uint64_t run_epoch, run_known_seq;            /* ticks of an earlier epoch, and none of ours in between */
    double run_since;
} Track;

typedef struct { Tick tick; Track *track; uint64_t epoch, seq; } Held; /* and where its instrument stood */

typedef struct {
    natsConnection *connection;
    natsSubscription *subscription;
    const char *pattern, *gateway;
    Track **table;                                /* open addressing, never more than half full */
    size_t slots, tracks;
    uint64_t gone[GONE_KEPT], latest;
    size_t gone_count;
    atomic_uint interruptions;                    /* counted in the library's thread */
    unsigned seen_interruptions;
    double ask_at, take_at;                       /* 0: not at all */
    Held *held;
    size_t held_count, held_room;
    uint64_t received, take_after, taken, repeats, stale, rejected, lost, restarts;
} Reader;

static Track **slot(Track **table, size_t slots, const char *name) {
    uint64_t hash = 1469598103934665603u;
    for (const char *c = name; *c != '\0'; c++) hash = (hash ^ (unsigned char)*c) * 1099511628211u;
    size_t at = hash & (slots - 1);
    while (table[at] != NULL && strcmp(table[at]->name, name) != 0) at = (at + 1) & (slots - 1);
    return &table[at];
}

static Track *track_of(Reader *reader, const char *name) {
    if (2 * reader->tracks >= reader->slots) {
        size_t slots = reader->slots ? 2 * reader->slots : 1024;
        Track **table = grown(NULL, slots * sizeof *table);
        memset(table, 0, slots * sizeof *table);
        for (size_t i = 0; i < reader->slots; i++)
            if (reader->table[i] != NULL) *slot(table, slots, reader->table[i]->name) = reader->table[i];
        free(reader->table);
        reader->table = table;
        reader->slots = slots;
    }
    Track **found = slot(reader->table, reader->slots, name);
    if (*found == NULL) {
        *found = grown(NULL, sizeof **found);
        **found = (Track){.epoch = 0};
        strcpy((*found)->name, name);
        reader->tracks++;
    }
    return *found;
}

static bool is_gone(const Reader *reader, uint64_t epoch) {
    for (size_t i = 0; i < reader->gone_count; i++)
        if (reader->gone[i] == epoch) return true;
    return false;
}

/* The known gateway is gone, an earlier epoch holds: for all instruments, until a similar run brings the other back. */
static void take_over(Reader *reader, uint64_t epoch, uint64_t known) {
    size_t kept = 0;
    for (size_t i = 0; i < reader->gone_count; i++)
        if (reader->gone[i] != epoch) reader->gone[kept++] = reader->gone[i];
    reader->gone_count = kept < GONE_KEPT ? kept : 0;
    reader->gone[reader->gone_count++] = known;
    for (size_t i = 0; i < reader->slots; i++)
        if (reader->table[i] != NULL) reader->table[i]->run_epoch = 0;
    reader->latest = epoch;
    reader->restarts++;
    reader->ask_at = now_s(); /* what was dropped before may have been the last tick of a quiet instrument */
}

static bool completes_a_run(Reader *reader, Track *track, uint64_t epoch) {
    double now = now_s();
    if (track->run_epoch != epoch || track->run_known_seq != track->seq) {
        track->run_epoch = epoch;
        track->run_known_seq = track->seq;
        track->run_since = now;
        return false;
    }
    if (now - track->run_since < TAKEOVER_S) return false;
    take_over(reader, epoch, track->epoch);
    return true;
}

/* Whether the tick is news. */
static bool admit(Reader *reader, Track *track, const Tick *tick) {
    if (tick->epoch == track->epoch) {
        track->run_epoch = 0;
        if (tick->seq <= track->seq) { reader->repeats++; return false; }
        if (tick->seq > track->seq + 1) {
            uint64_t missing = tick->seq - track->seq - 1;
            reader->lost += missing;
            fprintf(stderr, "lost %s: %" PRIu64 " to %" PRIu64 "\n", tick->name, track->seq + 1, tick->seq - 1);
        }
    } else if (track->epoch != 0 && (is_gone(reader, tick->epoch) ||
                                     (tick->epoch < track->epoch && !is_gone(reader, track->epoch)))) {
        if (!completes_a_run(reader, track, tick->epoch)) { reader->stale++; return false; }
    } else if (tick->epoch > reader->latest && !is_gone(reader, tick->epoch)) {
        reader->restarts += reader->latest > 0;
        reader->latest = tick->epoch;
    }
    track->run_epoch = 0;
    track->epoch = tick->epoch;
    track->seq = tick->seq;
    return true;
}

/* -- what is done with a tick -------------------------------------------------------------------------------- */

static const char *shown(char *to, size_t size, Price price) {
    if (price.there) snprintf(to, size, "%.10g", price.value);
    return price.there ? to : "-";
}

static void take(Reader *reader, const Tick *tick) {
    char last[32], bid[32], ask[32];
    reader->taken++;
    printf("%" PRIu64 " %" PRIu64 " %s %" PRIu64 " %" PRIu64 " %s %" PRIu64 " %s %s %s\n", tick->epoch, tick->seq,
           tick->name, tick->trading_day, tick->exchange_ns, shown(last, sizeof last, tick->last), tick->volume,
           shown(bid, sizeof bid, tick->bid), shown(ask, sizeof ask, tick->ask), tick->line);
}

/* -- the last ticks: before the stream, and again after an interruption ---------------------------------------- */

static void hold(Reader *reader, const Tick *tick) {
    Track *track = track_of(reader, tick->name);
    if (tick->epoch == track->epoch && tick->seq <= track->seq) return;
    if (reader->held_count == reader->held_room) {
        reader->held_room = reader->held_room ? 2 * reader->held_room : 256;
        reader->held = grown(reader->held, reader->held_room * sizeof *reader->held);
    }
    reader->held[reader->held_count++] = (Held){*tick, track, track->epoch, track->seq};
}

/* One page. Gives the reply's epoch and the next cursor (-1: none), or what was wrong. */
static const char *read_page(Reader *reader, Bytes in, bool later, uint64_t *epoch, int64_t *cursor) {
    Bytes ticks = {0};
    Item map = next(&in);
    if (map.kind != MAP) return "the gateway does not publish msgpack (its setting codec)";
    *epoch = 0;
    *cursor = -1;
    for (size_t i = 0; i < map.size && !in.bad; i++) {
        Item key = text(&in);
        if (key.size == 5 && memcmp(key.text, "epoch", 5) == 0) *epoch = integer(&in);
        else if (key.size == 6 && memcmp(key.text, "cursor", 6) == 0) {
            Item item = next(&in);
            *cursor = item.kind == INT ? (int64_t)item.number : -1;
        } else {
            if (key.size == 5 && memcmp(key.text, "ticks", 5) == 0) ticks = in;
            skip(&in);
        }
    }
    if (in.bad || ticks.at == NULL) return "the reply is broken";
    Item list = next(&ticks);
    for (size_t i = 0; i < list.size; i++) {
        Tick tick;
        if (!read_tick(&ticks, &tick)) return "the reply holds something that is no tick";
        if (later) hold(reader, &tick);
        else if (admit(reader, track_of(reader, tick.name), &tick)) take(reader, &tick);
    }
    return NULL;
}

/* All pages. NULL when all is well, else what was wrong, and whether to try again is worth while. */
static const char *ask_last(Reader *reader, bool later, bool *again) {
    static char problem[512];
    char subject[NAME_SIZE + 16], request[NAME_SIZE + 64];
    int64_t cursor = 0;
    uint64_t first_epoch = 0;
    snprintf(subject, sizeof subject, "md.ctl.%s.last", reader->gateway);
    *again = false;
    for (int restarts = 0; cursor >= 0;) {
        natsMsg *reply = NULL;
        const char *refused = NULL;
        uint64_t epoch = 0;
        int64_t following = -1;
        snprintf(request, sizeof request, "{\"patterns\": [\"%s\"], \"cursor\": %" PRId64 "}", reader->pattern, cursor);
        natsStatus status = natsConnection_RequestString(&reply, reader->connection, subject, request, REQUEST_MS);
        if (status != NATS_OK) {
            snprintf(problem, sizeof problem, "%s: %s; is a gateway named %s running?", subject,
                     natsStatus_GetText(status), reader->gateway);
            *again = true;
            return problem;
        }
        if (natsMsgHeader_Get(reply, "Nats-Service-Error", &refused) == NATS_OK) {
            snprintf(problem, sizeof problem, "%s: %s", subject, refused);
            natsMsg_Destroy(reply);
            return problem;
        }
        const uint8_t *data = (const uint8_t *)natsMsg_GetData(reply);
        Bytes in = {data, data + natsMsg_GetDataLength(reply), false};
        const char *wrong = read_page(reader, in, later, &epoch, &following);
        natsMsg_Destroy(reply);
        if (wrong != NULL) return wrong;
        if (cursor > 0 && epoch != first_epoch) { /* the gateway was restarted between two pages */
            if (++restarts == PAGE_TRIES) return "the gateway restarts again and again";
            following = 0;
        }
        first_epoch = epoch;
        cursor = following;
    }
    return NULL;
}

/* After an interruption: ask, wait until what was on its way has come, and take what nothing else has told. */
static void catch_up(Reader *reader) {
    double now = now_s();
    unsigned interruptions = atomic_load(&reader->interruptions);
    if (interruptions != reader->seen_interruptions) {
        reader->seen_interruptions = interruptions;
        reader->ask_at = now;
    }
    if (reader->ask_at > 0 && now >= reader->ask_at) {
        bool again;
        reader->ask_at = 0;
        reader->take_after = 0;
        reader->held_count = 0;
        const char *problem = ask_last(reader, true, &again);
        if (problem != NULL) {
            fprintf(stderr, "not caught up: %s\n", problem);
            if (again) reader->ask_at = now_s() + RETRY_S;
        } else reader->take_at = now_s() + SETTLE_S;
    }
    if (reader->take_at > 0 && now >= reader->take_at && reader->ask_at == 0) {
        int waiting = 0;
        natsSubscription_GetPending(reader->subscription, &waiting, NULL);
        reader->take_after = reader->received + (uint64_t)waiting;
        reader->take_at = 0;
    } else if (reader->take_at == 0 && reader->held_count > 0 && reader->received >= reader->take_after) {
        for (Held *one = reader->held; one < reader->held + reader->held_count; one++)
            if (one->track->epoch == one->epoch && one->track->seq == one->seq && admit(reader, one->track, &one->tick))
                take(reader, &one->tick);
        reader->held_count = 0;
    }
}

/* -- the stream ---------------------------------------------------------------------------------------------- */

static void on_message(Reader *reader, natsMsg *message) {
    Tick tick;
    const uint8_t *data = (const uint8_t *)natsMsg_GetData(message);
    Bytes in = {data, data + natsMsg_GetDataLength(message), false};
    reader->received++;
    if (!read_tick(&in, &tick) || in.at != in.end || strcmp(natsMsg_GetSubject(message), tick.subject) != 0)
        reader->rejected++;
    else if (fnmatch(reader->pattern, tick.name, 0) == 0 && admit(reader, track_of(reader, tick.name), &tick))
        take(reader, &tick);
}

static void on_reconnected(natsConnection *connection, void *closure) {
    (void)connection;
    atomic_fetch_add(&((Reader *)closure)->interruptions, 1);
}

static natsStatus open_stream(Reader *reader, natsOptions *options, const char *url) {
    char subject[NAME_SIZE + 16];
    size_t exchange = strcspn(reader->pattern, ".*?[");
    if (reader->pattern[exchange] != '.') exchange = 0; /* no one exchange: all of them */
    snprintf(subject, sizeof subject, "md.tick.%.*s.*", exchange ? (int)exchange : 1, exchange ? reader->pattern : "*");
    natsStatus status = natsOptions_SetURL(options, url);
    if (status == NATS_OK) status = natsOptions_SetName(options, "consumer.c");
    if (status == NATS_OK) status = natsOptions_SetMaxReconnect(options, -1);
    if (status == NATS_OK) status = natsOptions_SetReconnectWait(options, 250);
    if (status == NATS_OK) status = natsOptions_SetReconnectedCB(options, on_reconnected, reader);
    if (status == NATS_OK) status = natsConnection_Connect(&reader->connection, options);
    if (status == NATS_OK) status = natsConnection_SubscribeSync(&reader->subscription, reader->connection, subject);
    if (status == NATS_OK) status = natsSubscription_SetPendingLimits(reader->subscription, PENDING, -1);
    if (status == NATS_OK) status = natsConnection_Flush(reader->connection);
    return status;
}

int main(int count, char **arguments) {
    Reader reader = {.pattern = count > 2 ? arguments[2] : "*", .gateway = count > 3 ? arguments[3] : "feedgate"};
    if (count < 2 || count > 4 || strlen(reader.pattern) >= NAME_SIZE || strlen(reader.gateway) >= NAME_SIZE ||
        strpbrk(reader.pattern, "\"\\\n") != NULL) {
        fprintf(stderr, "usage: %s URL [PATTERN [GATEWAY]]\n", arguments[0]);
        return 64;
    }
    struct sigaction action = {.sa_handler = stop};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    setvbuf(stdout, NULL, _IOLBF, 0);

    bool again;
    natsOptions *options = NULL;
    natsStatus status = natsOptions_Create(&options);
    if (status == NATS_OK) status = open_stream(&reader, options, arguments[1]);
    const char *problem = status == NATS_OK ? ask_last(&reader, false, &again) : natsStatus_GetText(status);
    while (problem == NULL && !stopping) {
        natsMsg *message = NULL;
        status = natsSubscription_NextMsg(&message, reader.subscription, 200);
        if (status == NATS_OK) on_message(&reader, message);
        else if (status != NATS_TIMEOUT && status != NATS_SLOW_CONSUMER) problem = natsStatus_GetText(status);
        natsMsg_Destroy(message);
        catch_up(&reader);
    }
    if (problem != NULL) fprintf(stderr, "%s\n", problem);
    else
        fprintf(stderr,
                "taken %" PRIu64 ", repeats %" PRIu64 ", lost %" PRIu64 ", stale %" PRIu64 ", rejected %" PRIu64
                ", restarts %" PRIu64 ", interruptions %u\n",
                reader.taken, reader.repeats, reader.lost, reader.stale, reader.rejected, reader.restarts,
                atomic_load(&reader.interruptions));

    natsSubscription_Destroy(reader.subscription);
    natsConnection_Destroy(reader.connection);
    natsOptions_Destroy(options);
    nats_Close();
    for (size_t i = 0; i < reader.slots; i++) free(reader.table[i]);
    free(reader.table);
    free(reader.held);
    return problem == NULL ? 0 : 1;
}
