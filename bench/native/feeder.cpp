// A vendor library's thread without the vendor: calls OnRtnDepthMarketData of a real SWIG director from a foreign
// thread, with a 584-byte depth struct, paced by intended times or as fast as a window of unfinished ticks allows.
//
// The struct's layout and the place of the callback in the vtable (the 12th virtual) are those of CTP 6.7.11.
// The tick carries its own measurement: Turnover = seconds and PreOpenInterest = nanoseconds of the intended send
// time (CLOCK_REALTIME), Volume = 1, 2, 3 ... per instrument.
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace {

struct Level {
    double bid; int32_t bid_volume; double ask; int32_t ask_volume;
};

struct Depth {
    char trading_day[9], reserve1[31], exchange[9], reserve2[31];
    double last, pre_settlement, pre_close, pre_open_interest, open, high, low;
    int32_t volume;
    double turnover, open_interest, close, settlement, upper, lower, pre_delta, delta;
    char update_time[9];
    int32_t update_millisec;
    Level levels[5];
    double average;
    char action_day[9], instrument[81], exchange_inst[81];
    double banding_upper, banding_lower;
};
static_assert(sizeof(Depth) == 584, "the depth struct of CTP 6.7.11 has 584 bytes");
static_assert(offsetof(Depth, turnover) == 144 && offsetof(Depth, instrument) == 401, "layout");

// The object is the vendor's class, whose header we do not have: its callback is taken from its table of virtuals.
constexpr size_t DEPTH_CALLBACK = 11;
using Callback = void (*)(void *, Depth *);

enum Slot { PHASE, CONSUMED, OFFERED, FIRST_NS, LINE_PID, FEEDER_NS, SETTLED_NS, BASE_NS, PEER, STAMPS = 512 };
constexpr uint64_t RING = 16384, STAMP_BITS = 40;
enum Phase : uint64_t { IDLE, WARM, RUN, STOP };
constexpr uint64_t SECOND = 1000000000ull;
constexpr double NO_VALUE = 1.7976931348623157e308;
constexpr uint64_t PAIR_PACE = 100000;
constexpr long SHANGHAI = 8 * 3600;

uint64_t read_ns(clockid_t clock) {
    timespec now;
    clock_gettime(clock, &now);
    return uint64_t(now.tv_sec) * SECOND + uint64_t(now.tv_nsec);
}

uint64_t wall_ns() { return read_ns(CLOCK_REALTIME); }

void pause_ns(uint64_t ns) {
    timespec wait{time_t(ns / SECOND), long(ns % SECOND)};
    nanosleep(&wait, nullptr);
}

class Feeder {
  public:
    Feeder(void *spi, std::atomic<uint64_t> *words, uint64_t instruments, uint64_t warm, uint64_t total,
           uint64_t rate, uint64_t window, uint64_t lines, uint64_t place)
        : spi_(spi), callback_((*static_cast<Callback **>(spi))[DEPTH_CALLBACK]), words_(words), warm_(warm), total_(total), rate_(rate), window_(window), lines_(lines), own_(place * PEER), other_(PEER - own_), volumes_(instruments), codes_(instruments) {
        for (size_t i = 0; i < codes_.size(); ++i)
            std::snprintf(codes_[i].data(), codes_[i].size(), "fb%05u", unsigned(i));
        std::memset(&depth_, 0, sizeof depth_);
        std::strcpy(depth_.exchange, "SHFE");
        depth_.pre_settlement = 3111; depth_.pre_close = 3112; depth_.open = 3100;
        depth_.high = 3130; depth_.low = 3090; depth_.open_interest = 1.5e6;
        depth_.close = depth_.settlement = depth_.pre_delta = depth_.delta = NO_VALUE;
        depth_.upper = 3400; depth_.lower = 2800; depth_.average = 31102.5;
        depth_.banding_upper = depth_.banding_lower = 0;
        thread_ = std::thread([this] { run(); });
    }

    void stop() {
        stop_ = true;
        if (thread_.joinable()) thread_.join();
    }

  private:
    bool ended() const { return stop_ || words_[PHASE] == STOP; }

    bool wait_for(uint64_t phase) const {
        while (words_[PHASE] < phase && !ended()) pause_ns(500000);
        return !ended();
    }

    void run() {
        prctl(PR_SET_TIMERSLACK, 1000);
        if (!wait_for(WARM)) return;
        for (uint64_t i = 0; i < warm_; ++i)
            if (!offer_when_room(window_ < 512 ? window_ : 512)) return;
        if (!wait_for(RUN)) return;
        uint64_t start = agree_on(FIRST_NS, wall_ns());
        for (uint64_t i = 0; i < total_; ++i) {
            if (rate_ == 0) {
                if (!offer_when_room(window_)) return;
                continue;
            }
            uint64_t intended = start + uint64_t(double(i) * double(SECOND) / double(rate_));
            for (uint64_t now = wall_ns(); now < intended; now = wall_ns()) {
                if (ended()) return;
                // of two feeders each sleeps long enough to pay for it: the time that a tick waits here counts
                pace(lines_ > 1 && intended - now < PAIR_PACE ? PAIR_PACE : intended - now);
            }
            if (ended()) return;
            offer(intended);
        }
    }

    // Going to sleep and waking up costs more than a tick; it is the bench's cost, not the gateway's, so it is told.
    void pace(uint64_t ns) {
        uint64_t before = read_ns(CLOCK_THREAD_CPUTIME_ID);
        pause_ns(ns);
        words_[FEEDER_NS + own_].fetch_add(read_ns(CLOCK_THREAD_CPUTIME_ID) - before, std::memory_order_relaxed);
    }

    bool offer_when_room(uint64_t window) {
        while (int64_t(offered_ - words_[CONSUMED]) >= int64_t(window) || is_ahead(window)) {
            if (ended()) return false;
            pace(50000);
        }
        if (ended()) return false;
        offer(lines_ == 1 ? wall_ns() : common_stamp());
        return true;
    }

    bool is_ahead(uint64_t window) const {
        return lines_ > 1 && int64_t(offered_ - words_[OFFERED + other_]) >= int64_t(window);
    }

    // The first of the feeders to say a value decides it for all.
    uint64_t agree_on(size_t slot, uint64_t mine) {
        uint64_t said = 0;
        return words_[slot].compare_exchange_strong(said, mine) ? mine : said;
    }

    // The intended time of the next tick, the same on both lines: a tick that differs would not be a copy.
    uint64_t common_stamp() {
        uint64_t base = agree_on(BASE_NS, wall_ns()), round = offered_ / RING + 1;
        std::atomic<uint64_t> &slot = words_[STAMPS + offered_ % RING];
        uint64_t said = slot;
        if (said >> STAMP_BITS != round) {
            uint64_t mine = round << STAMP_BITS | (wall_ns() - base);
            if (slot.compare_exchange_strong(said, mine)) said = mine;
        }
        return base + (said & ((1ull << STAMP_BITS) - 1));
    }

    void offer(uint64_t intended) {
        uint64_t which = offered_ % volumes_.size();
        stamp(intended);
        std::memcpy(depth_.instrument, codes_[which].data(), codes_[which].size());
        double last = 3000 + double(offered_ % 200);
        depth_.last = last;
        for (int i = 0; i < 5; ++i)
            depth_.levels[i] = Level{last - 1 - i, int32_t(12 + i), last + i, int32_t(7 + i)};
        depth_.volume = ++volumes_[which];
        depth_.turnover = double(intended / SECOND);
        depth_.pre_open_interest = double(intended % SECOND);
        words_[OFFERED + own_].store(++offered_, std::memory_order_relaxed);
        callback_(spi_, &depth_);
    }

    // Exchange time = intended time, in Shanghai; formatted once a second.
    void stamp(uint64_t intended) {
        uint64_t second = intended / SECOND;
        depth_.update_millisec = int32_t(intended % SECOND / 1000000);
        if (second == second_) return;
        second_ = second;
        time_t local = time_t(second) + SHANGHAI;
        tm parts;
        gmtime_r(&local, &parts);
        char text[16];
        std::strftime(text, sizeof text, "%H:%M:%S", &parts);
        std::memcpy(depth_.update_time, text, 9);
        std::strftime(text, sizeof text, "%Y%m%d", &parts);
        std::memcpy(depth_.trading_day, text, 9);
        std::memcpy(depth_.action_day, text, 9);
    }

    void *spi_;
    Callback callback_;
    std::atomic<uint64_t> *words_;
    uint64_t warm_, total_, rate_, window_, lines_, own_, other_, offered_ = 0, second_ = 0;
    std::vector<int32_t> volumes_;
    std::vector<std::array<char, 16>> codes_;
    Depth depth_;
    std::atomic<bool> stop_{false};
    std::thread thread_;
};

}  // namespace

extern "C" {

// Returns null when the control file cannot be mapped. The thread waits for the phases in it.
void *feeder_start(void *spi, const char *control, uint64_t instruments, uint64_t warm, uint64_t total, uint64_t rate,
                   uint64_t window, uint64_t lines, uint64_t place) {
    int fd = open(control, O_RDWR);
    if (fd < 0) return nullptr;
    void *words = mmap(nullptr, 8 * (STAMPS + RING), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (words == MAP_FAILED) return nullptr;
    return new Feeder(spi, static_cast<std::atomic<uint64_t> *>(words), instruments, warm, total,
                      rate, window, lines, place);
}

// Blocks until the thread has ended; the caller must not hold the GIL (ctypes.CDLL releases it).
void feeder_stop(void *feeder) {
    static_cast<Feeder *>(feeder)->stop();
}
}
