// Simulates a shell with its accelerator against a model of memory, and plays the processor.
//
// One object is one board: the verilated top, an AXI4 memory with latency, back-pressure and faults,
// an AXI4-Lite master for the three register blocks, and watchers that note every breach of the
// protocol by the shell. Time advances only inside ps_step and ps_access.
//
// Every cycle: inputs are set and settle with the clock low; handshakes are read; the clock rises;
// the models advance. Ports are plain little-endian memory, so widths do not matter here.
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <deque>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "Vshell.h"
#include "run_dir.h"
#include "verilated.h"

namespace {

constexpr unsigned kWord = PRUNESTREAM_WORD_BYTES;
constexpr unsigned kSlaves = 3;
constexpr uint64_t kPage = 4096;
constexpr int kOkay = 0, kDecErr = 3;
constexpr int kNoAnswer = -1;

// Both are mirrored in deploy/virtual/simulator.py.
enum Setting { kLatency, kJitter, kReadyPermille, kValidPermille, kHung, kSettings };
enum Count { kCycles, kReadBeats, kWriteBeats, kReadBursts, kWriteBursts, kLastMove, kFirstRequest,
             kLastResponse, kLongestRead, kLongestWrite, kCounts };

struct Fault {
    uint64_t low, high;
    bool write;
    int resp;
};

struct Request {
    uint64_t addr;
    unsigned words;
    uint64_t due;  // cycle from which it is answered
};

template <typename T>
uint64_t get(const T& port) {
    uint64_t value = 0;
    std::memcpy(&value, &port, sizeof(T) < 8 ? sizeof(T) : 8);
    return value;
}

// Notes when an offered channel changes or is withdrawn before it is taken.
class Watch {
public:
    Watch(const char* name, std::string* breaches) : name_(name), breaches_(breaches) {}
    void see(bool valid, bool ready, const void* data, size_t size) {
        if (waiting_) {
            if (!valid) note("valid fell before ready");
            else if (std::memcmp(last_.data(), data, size)) note("changed before ready");
        }
        waiting_ = valid && !ready;
        if (waiting_) last_.assign(static_cast<const uint8_t*>(data),
                                   static_cast<const uint8_t*>(data) + size);
    }
    void forget() { waiting_ = false; }

private:
    void note(const char* what) { *breaches_ += std::string(name_) + " " + what + "\n"; }
    const char* name_;
    std::string* breaches_;
    bool waiting_ = false;
    std::vector<uint8_t> last_;
};

class Board {
public:
    Board(uint64_t base, uint64_t size, uint64_t seed, const char* run_dir)
        : memory(size), base_(base), random_(seed * 2 + 1) {
        context_.threads(1);
        context_.randReset(2);
        context_.randSeed(static_cast<int>(seed & 0x3fffffff) + 1);
        top_ = std::make_unique<Vshell>(&context_);
        settings[kReadyPermille] = settings[kValidPermille] = 1000;
        settings[kLatency] = 10;
        const prunestream::RunDir here{run_dir};
        top_->ap_rst_n = 0;
        top_->ap_clk = 0;
        top_->eval();  // runs the initial blocks: memories are read from files here
    }
    ~Board() {
        // The end of a model uses the thread's context, which may be that of another board, freed.
        Verilated::threadContextp(&context_);
        top_->final();
        top_.reset();
        Verilated::threadContextp(nullptr);
    }

    std::vector<uint8_t> memory;
    uint64_t settings[kSettings] = {};
    uint64_t counts[kCounts] = {};
    std::string breaches;
    std::vector<Fault> faults;

    void sizes(unsigned in_beats, unsigned out_beats, unsigned in_bytes, unsigned out_bytes) {
#ifdef PRUNESTREAM_RUNTIME_SIZES
        top_->in_beats = in_beats;
        top_->out_beats = out_beats;
        top_->in_frame_bytes = in_bytes;
        top_->out_frame_bytes = out_bytes;
#else
        (void)in_beats, (void)out_beats, (void)in_bytes, (void)out_bytes;
#endif
    }

    void reset(unsigned cycles) {
        reads_.clear();
        writes_.clear();
        responses_.clear();
        write_data_.clear();
        r_valid_ = b_valid_ = false;
        read_word_ = 0;
        for (Watch* watch : {&ar_, &aw_, &w_}) watch->forget();
        top_->ap_rst_n = 0;
        for (unsigned i = 0; i < cycles; i++) cycle();
        top_->ap_rst_n = 1;
    }

    void step(uint64_t cycles) {
        for (uint64_t i = 0; i < cycles; i++) cycle();
    }

    // One access to a register; returns the response, or kNoAnswer after `patience` cycles.
    int access(unsigned slave, bool write, uint32_t address, uint32_t* data, unsigned strobe,
               unsigned data_delay, unsigned address_delay, unsigned response_delay,
               uint64_t patience) {
        access_ = {slave, write, address, *data, strobe, data_delay, address_delay,
                   response_delay, false, false, false, kOkay};
        busy_ = true;
        for (uint64_t i = 0; i < patience && busy_; i++) cycle();
        if (busy_) {
            busy_ = false;
            return kNoAnswer;
        }
        if (!write) *data = access_.data;
        return access_.resp;
    }

private:
    struct Access {
        unsigned slave;
        bool write;
        uint32_t address, data;
        unsigned strobe, data_delay, address_delay, response_delay;
        bool address_taken, data_taken, answered;
        int resp;
    };

    uint32_t draw() {  // xorshift64*
        random_ ^= random_ >> 12;
        random_ ^= random_ << 25;
        random_ ^= random_ >> 27;
        return static_cast<uint32_t>((random_ * 0x2545F4914F6CDD1DULL) >> 32);
    }
    bool chance(Setting permille) {
        return settings[permille] >= 1000 || draw() % 1000 < settings[permille];
    }
    uint64_t due() {
        const uint64_t jitter = settings[kJitter];
        return counts[kCycles] + settings[kLatency] + (jitter ? draw() % (jitter + 1) : 0);
    }
    int response(uint64_t addr, bool write) const {
        if (addr < base_ || addr + kWord > base_ + memory.size()) return kDecErr;
        for (const Fault& f : faults)
            if (f.write == write && addr < f.high && addr + kWord > f.low) return f.resp;
        return kOkay;
    }
    void check(const char* name, uint64_t addr, unsigned words, unsigned size, unsigned burst) {
        const uint64_t last = addr + uint64_t(words) * kWord - 1;
        if (addr % kWord) breaches += std::string(name) + " address is not that of a word\n";
        if (addr / kPage != last / kPage) breaches += std::string(name) + " crosses 4 KiB\n";
        if (words > 256) breaches += std::string(name) + " is too long\n";
        if (1u << size != kWord) breaches += std::string(name) + " has a wrong size\n";
        if (burst != 1) breaches += std::string(name) + " is not incrementing\n";
    }

    template <typename AwValid, typename AwAddr, typename WValid, typename WData, typename WStrb,
              typename BReady, typename ArValid, typename ArAddr, typename RReady>
    void drive_slave(unsigned index, AwValid& awvalid, AwAddr& awaddr, WValid& wvalid, WData& wdata,
                     WStrb& wstrb, BReady& bready, ArValid& arvalid, ArAddr& araddr,
                     RReady& rready) {
        const bool mine = busy_ && access_.slave == index;
        const bool address = mine && !access_.address_taken && access_.address_delay == 0;
        const bool data = mine && access_.write && !access_.data_taken && access_.data_delay == 0;
        awvalid = address && access_.write;
        arvalid = address && !access_.write;
        awaddr = araddr = access_.address;
        wvalid = data;
        wdata = access_.data;
        wstrb = access_.strobe;
        const bool ready = mine && access_.response_delay == 0;
        bready = ready && access_.write;
        rready = ready && !access_.write;
    }

    void see_slave(unsigned index, bool awready, bool wready, bool bvalid, unsigned bresp,
                   bool arready, bool rvalid, uint32_t rdata, unsigned rresp) {
        if (!busy_ || access_.slave != index) {
            if (bvalid || rvalid) breaches += "an answer that nobody asked for\n";
            return;
        }
        Access& a = access_;
        const bool address = !a.address_taken && a.address_delay == 0;
        const bool data = !a.data_taken && a.data_delay == 0;
        const bool ready = a.response_delay == 0;
        if (a.write) {
            if (bvalid && !(a.address_taken && a.data_taken)) breaches += "early write response\n";
            if (bvalid && ready) { a.resp = static_cast<int>(bresp); busy_ = false; }
            if (bvalid && a.response_delay) a.response_delay--;
            if (address && awready) a.address_taken = true;
            if (data && wready) a.data_taken = true;
        } else {
            if (rvalid && !a.address_taken) breaches += "early read response\n";
            if (rvalid && ready) {
                a.resp = static_cast<int>(rresp);
                a.data = rdata;
                busy_ = false;
            }
            if (rvalid && a.response_delay) a.response_delay--;
            if (address && arready) a.address_taken = true;
        }
        if (a.address_delay) a.address_delay--;
        if (a.data_delay) a.data_delay--;
    }

    void cycle() {
        Vshell& t = *top_;
        const bool in_reset = !t.ap_rst_n;
        const uint64_t now = counts[kCycles];
        const bool hung = settings[kHung];

        // What memory offers and accepts in this cycle. An offer stays until it is taken.
        if (!r_valid_ && !reads_.empty() && reads_.front().due <= now && !hung
            && chance(kValidPermille)) {
            const Request& q = reads_.front();
            const uint64_t addr = q.addr + uint64_t(read_word_) * kWord;
            r_resp_ = response(addr, false);
            r_data_.assign(kWord, 0xEE);
            if (r_resp_ == kOkay) std::memcpy(r_data_.data(), &memory[addr - base_], kWord);
            r_last_ = read_word_ + 1 == q.words;
            r_valid_ = true;
        }
        if (!b_valid_ && !responses_.empty() && responses_.front().due <= now && !hung
            && chance(kValidPermille)) {
            b_resp_ = static_cast<int>(responses_.front().addr);
            b_valid_ = true;
        }
        t.m_axi_idma0_rvalid = r_valid_;
        if (r_valid_) std::memcpy(&t.m_axi_idma0_rdata, r_data_.data(), kWord);
        t.m_axi_idma0_rresp = r_valid_ ? r_resp_ : 0;
        t.m_axi_idma0_rlast = r_valid_ && r_last_;
        t.m_axi_odma0_bvalid = b_valid_;
        t.m_axi_odma0_bresp = b_valid_ ? b_resp_ : 0;
        t.m_axi_idma0_arready = !hung && reads_.size() < 16 && chance(kReadyPermille);
        t.m_axi_odma0_awready = !hung && writes_.size() < 16 && chance(kReadyPermille);
        t.m_axi_odma0_wready = !hung && write_data_.size() < 64 * 16 && chance(kReadyPermille);
#define DRIVE(i, s) drive_slave(i, t.s_axi_##s##_awvalid, t.s_axi_##s##_awaddr, \
        t.s_axi_##s##_wvalid, t.s_axi_##s##_wdata, t.s_axi_##s##_wstrb, t.s_axi_##s##_bready, \
        t.s_axi_##s##_arvalid, t.s_axi_##s##_araddr, t.s_axi_##s##_rready)
        DRIVE(0, idma0);
        DRIVE(1, odma0);
        DRIVE(2, control0);
        t.ap_clk = 0;
        t.eval();

        if (!in_reset) {
            see_read(now);
            see_write(now);
#define SEE(i, s) see_slave(i, t.s_axi_##s##_awready, t.s_axi_##s##_wready, \
        t.s_axi_##s##_bvalid, t.s_axi_##s##_bresp, t.s_axi_##s##_arready, \
        t.s_axi_##s##_rvalid, t.s_axi_##s##_rdata, t.s_axi_##s##_rresp)
            SEE(0, idma0);
            SEE(1, odma0);
            SEE(2, control0);
        }
        t.ap_clk = 1;
        t.eval();
        context_.timeInc(1);
        counts[kCycles]++;
    }

    void moved(uint64_t now) { counts[kLastMove] = now; }

    void see_read(uint64_t now) {
        Vshell& t = *top_;
        struct { uint64_t addr; uint8_t len; } ar = {};
        ar.addr = get(t.m_axi_idma0_araddr);
        ar.len = t.m_axi_idma0_arlen;
        ar_.see(t.m_axi_idma0_arvalid, t.m_axi_idma0_arready, &ar, sizeof ar);
        if (r_valid_ && t.m_axi_idma0_rready) {
            r_valid_ = false;
            counts[kReadBeats]++;
            moved(now);
            if (r_last_) {
                reads_.pop_front();
                read_word_ = 0;
            } else {
                read_word_++;
            }
        }
        if (t.m_axi_idma0_arvalid && t.m_axi_idma0_arready) {
            const unsigned words = t.m_axi_idma0_arlen + 1u;
            check("read burst", ar.addr, words, t.m_axi_idma0_arsize, t.m_axi_idma0_arburst);
            reads_.push_back({ar.addr, words, due()});
            counts[kReadBursts]++;
            if (words > counts[kLongestRead]) counts[kLongestRead] = words;
            if (!counts[kFirstRequest]) counts[kFirstRequest] = now;
            moved(now);
        }
    }

    struct WriteWord {
        uint8_t data[kWord];
        uint64_t strobe;
        bool last;
    };

    void see_write(uint64_t now) {
        Vshell& t = *top_;
        struct { uint64_t addr; uint8_t len; } aw = {};
        aw.addr = get(t.m_axi_odma0_awaddr);
        aw.len = t.m_axi_odma0_awlen;
        aw_.see(t.m_axi_odma0_awvalid, t.m_axi_odma0_awready, &aw, sizeof aw);
        WriteWord word = {};
        std::memcpy(word.data, &t.m_axi_odma0_wdata, kWord);
        word.strobe = get(t.m_axi_odma0_wstrb);
        word.last = t.m_axi_odma0_wlast;
        w_.see(t.m_axi_odma0_wvalid, t.m_axi_odma0_wready, &word, sizeof word);
        if (b_valid_ && t.m_axi_odma0_bready) {
            b_valid_ = false;
            responses_.pop_front();
            counts[kLastResponse] = now;
            moved(now);
        }
        if (t.m_axi_odma0_awvalid && t.m_axi_odma0_awready) {
            const unsigned words = t.m_axi_odma0_awlen + 1u;
            check("write burst", aw.addr, words, t.m_axi_odma0_awsize, t.m_axi_odma0_awburst);
            writes_.push_back({aw.addr, words, 0});
            counts[kWriteBursts]++;
            if (words > counts[kLongestWrite]) counts[kLongestWrite] = words;
            moved(now);
        }
        if (t.m_axi_odma0_wvalid && t.m_axi_odma0_wready) {
            write_data_.push_back(word);
            counts[kWriteBeats]++;
            moved(now);
        }
        // A burst is written when all of it is there; a fault anywhere in it answers for the whole.
        while (!writes_.empty() && write_data_.size() >= writes_.front().words) {
            const Request q = writes_.front();
            writes_.pop_front();
            int resp = kOkay;
            for (unsigned i = 0; i < q.words; i++) {
                const WriteWord w = write_data_.front();
                write_data_.pop_front();
                if (w.last != (i + 1 == q.words)) breaches += "wlast at the wrong word\n";
                const uint64_t addr = q.addr + uint64_t(i) * kWord;
                const int r = response(addr, true);
                if (r != kOkay) {
                    if (resp == kOkay) resp = r;
                    continue;
                }
                for (unsigned b = 0; b < kWord; b++)
                    if (w.strobe >> b & 1) memory[addr - base_ + b] = w.data[b];
            }
            responses_.push_back({static_cast<uint64_t>(resp), 0, due()});
        }
    }

    VerilatedContext context_;
    std::unique_ptr<Vshell> top_;
    uint64_t base_;
    uint64_t random_;
    std::deque<Request> reads_, writes_, responses_;
    std::deque<WriteWord> write_data_;
    unsigned read_word_ = 0;
    bool r_valid_ = false, r_last_ = false, b_valid_ = false;
    int r_resp_ = 0, b_resp_ = 0;
    std::vector<uint8_t> r_data_;
    bool busy_ = false;
    Access access_ = {};
    Watch ar_{"read request", &breaches}, aw_{"write request", &breaches},
        w_{"write data", &breaches};
};

}  // namespace

// Replaces Verilator's, which only prints: a memory without its contents is an error here.
void vl_warn(const char* filename, int linenum, const char*, const char* message) VL_MT_UNSAFE {
    const std::string text = std::string(filename ? filename : "") + ":" + std::to_string(linenum)
                             + ": " + message;
    if (std::strstr(message, "file not found")) throw std::runtime_error(text);
    std::fprintf(stderr, "%%Warning: %s\n", text.c_str());
}

#define PS_API extern "C" __attribute__((visibility("default")))

// Returns the board, or null with the reason in `message`.
PS_API Board* ps_new(uint64_t base, uint64_t size, uint64_t seed, const char* run_dir,
                     char* message, uint64_t message_size) {
    try {
        return new Board(base, size, seed, run_dir);
    } catch (const std::exception& error) {
        std::snprintf(message, message_size, "%s", error.what());
        return nullptr;
    }
}
PS_API void ps_free(Board* board) { delete board; }
PS_API uint8_t* ps_memory(Board* board) { return board->memory.data(); }
PS_API void ps_set(Board* board, int setting, uint64_t value) {
    if (setting >= 0 && setting < kSettings) board->settings[setting] = value;
}
PS_API uint64_t ps_count(Board* board, int count) {
    return count >= 0 && count < kCounts ? board->counts[count] : 0;
}
PS_API void ps_clear_counts(Board* board) {
    for (int i = 0; i < kCounts; i++)
        if (i != kCycles && i != kLastMove) board->counts[i] = 0;
}
PS_API void ps_fault(Board* board, uint64_t low, uint64_t high, int write, int resp) {
    board->faults.push_back({low, high, write != 0, resp});
}
PS_API void ps_clear_faults(Board* board) { board->faults.clear(); }
PS_API void ps_sizes(Board* board, unsigned in_beats, unsigned out_beats, unsigned in_bytes,
                     unsigned out_bytes) {
    board->sizes(in_beats, out_beats, in_bytes, out_bytes);
}
PS_API void ps_reset(Board* board, unsigned cycles) { board->reset(cycles); }
PS_API void ps_step(Board* board, uint64_t cycles) { board->step(cycles); }
PS_API int ps_access(Board* board, unsigned slave, int write, uint32_t address, uint32_t* data,
                     unsigned strobe, unsigned data_delay, unsigned address_delay,
                     unsigned response_delay, uint64_t patience) {
    return slave < kSlaves ? board->access(slave, write != 0, address, data, strobe, data_delay,
                                           address_delay, response_delay, patience)
                           : kNoAnswer;
}
PS_API const char* ps_breaches(Board* board) { return board->breaches.c_str(); }
