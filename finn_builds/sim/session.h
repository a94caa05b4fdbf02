// One simulation: a verilated stream design, what drives its ports and what it is watched for.
//
// A clock cycle is: set the inputs, fall, look at every handshake, rise. Part of engine.cpp, which has
// Verilator's own run time in front of it.
#ifndef PRUNESTREAM_SESSION_H_
#define PRUNESTREAM_SESSION_H_

#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "engine.h"
#include "run_dir.h"

#if defined(PRUNESTREAM_TRACE_VCD)
using Trace = VerilatedVcdC;
#elif defined(PRUNESTREAM_TRACE_FST)
using Trace = VerilatedFstC;
#endif

namespace prunestream {
namespace {

constexpr uint64_t NEVER = ~uint64_t{0};
constexpr size_t MAX_LOG = size_t{1} << 20;

struct SimulationError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

enum Status : int32_t { DONE = 0, MORE = 1, HANG = 2, PROTOCOL = 3, FAILED = 4, EXCESS = 5 };

// splitmix64 (Steele, Lea, Flood 2014): tiny, and any seed is a good one.
struct Random {
    uint64_t state;
    uint64_t next() {
        uint64_t z = (state += 0x9e3779b97f4a7c15u);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        return z ^ (z >> 31);
    }
    bool chance(double p) { return p > 0.0 && (next() >> 11) * 0x1.0p-53 < p; }
};

}  // namespace

// Status and the structures below are mirrored by ctypes in library.py.
struct RunSpec {
    const uint8_t* in;
    uint64_t n_in;
    uint8_t* out;
    uint64_t n_out;
    uint64_t* in_cycles;
    uint64_t* out_cycles;
    double stall_in;
    double stall_out;
    uint64_t seed;
    uint64_t idle_limit;
    uint64_t drain;
};

struct LinkCount {
    uint64_t transfers;
    uint64_t stalled;
    uint64_t starved;
    uint64_t retracted;
    uint64_t first;
    uint64_t last;
    uint8_t valid;
    uint8_t ready;
    uint8_t held;
};

struct Progress {
    uint64_t cycle;
    uint64_t accepted;
    uint64_t delivered;
    uint64_t excess;
    uint64_t idle;
};

namespace {

struct Link {
    const uint8_t* valid;
    const uint8_t* ready;
    LinkCount count;
};

// Where the text that the design prints on this thread goes to.
thread_local std::string* sink = nullptr;

class Session {
    const DesignInfo& info;
    VerilatedContext context;
#ifdef PRUNESTREAM_TRACES
    std::unique_ptr<Trace> trace;
#endif
    std::unique_ptr<Model> model;
    Ports p{};
    std::vector<Link> links;
    std::vector<uint8_t> held_data;
    RunSpec run{};
    Random random_in{0}, random_out{0}, random_data{0};
    uint64_t since_done = 0;
    bool offering = false;
    bool out_held = false;

public:
    Progress progress{};
    std::string error;
    std::string log;

    Session(const DesignInfo& design, const char* run_dir, int randomise, int seed,
            const char* trace_file)
        : info{design} {
        context.randReset(randomise ? 2 : 0);
        context.randSeed(seed);
        Verilated::threadContextp(&context);
        const RunDir here{run_dir};
        if (trace_file && *trace_file) open_trace(trace_file);
        model = info.make(&context);
        p = model->ports;
        start_trace(trace_file);
        *p.clk = 0;
        *p.rst_n = 0;
        model->eval();  // runs the initial blocks: memories are read from files here
        find_links();
        held_data.resize(info.out_bytes);
    }

    ~Session() {
        enter();
        try {
            if (model) model->final();
        } catch (const std::exception&) {
            // A final block that fails has nobody left to tell.
        }
        close_trace();
    }

    void reset(uint64_t cycles) {
        enter();
        *p.rst_n = 0;
        *p.in_valid = 0;
        *p.out_ready = 0;
        for (uint64_t i = 0; i < cycles; ++i) {
            half(0);
            half(1);
        }
        *p.rst_n = 1;
        progress.cycle = 0;
        offering = out_held = false;
        for (Link& l : links) l.count.held = 0;
    }

    void begin(const RunSpec& spec) {
        run = spec;
        random_in.state = spec.seed;
        random_out.state = spec.seed ^ 0xd1b54a32d192ed03u;
        random_data.state = spec.seed ^ 0x8cb92ba72f3d8dd7u;
        progress.accepted = progress.delivered = progress.excess = progress.idle = 0;
        since_done = 0;
        offering = false;
        for (Link& l : links) {
            const uint8_t held = l.count.held;
            l.count = LinkCount{};
            l.count.first = l.count.last = NEVER;
            l.count.held = held;
        }
    }

    Status step(uint64_t max_cycles) {
        enter();
        for (uint64_t i = 0; i < max_cycles; ++i) {
            if (progress.accepted == run.n_in && progress.delivered == run.n_out) {
                if (progress.excess) return EXCESS;
                if (since_done++ >= run.drain) return DONE;
            }
            const Status status = cycle();
            if (status != MORE) return status;
        }
        if (context.gotFinish()) throw SimulationError("the design called $finish");
        return MORE;
    }

    const VerilatedVar& variable(const char* path) const {
        const std::string full = std::string(info.top) + "." + path;
        const size_t dot = full.rfind('.');
        const VerilatedScope* const scope = find_scope(full.substr(0, dot));
        VerilatedVar* const var = scope ? scope->varFind(full.c_str() + dot + 1) : nullptr;
        if (!var) {
            throw SimulationError("no public signal '" + std::string(path) + "' in design '"
                                  + info.name + "'");
        }
        if (var->udims() != 0 || var->entBits() > 64) {
            throw SimulationError("signal '" + std::string(path)
                                  + "' is an array or wider than 64 bits");
        }
        return *var;
    }

    uint64_t peek(const char* path) const {
        const VerilatedVar& var = variable(path);
        uint64_t value = 0;
        std::memcpy(&value, var.datap(), var.entSize());
        return value;
    }

    void poke(const char* path, uint64_t value) {
        const VerilatedVar& var = variable(path);
        if (!var.isPublicRW()) {
            throw SimulationError("signal '" + std::string(path) + "' is not public_flat_rw");
        }
        if (var.entBits() < 64 && value >> var.entBits()) {
            throw SimulationError("value " + std::to_string(value) + " does not fit signal '"
                                  + std::string(path) + "' of " + std::to_string(var.entBits())
                                  + " bits");
        }
        std::memcpy(var.datap(), &value, var.entSize());
    }

    const Link& link(size_t i) const { return links[i]; }

private:
    // Verilator keeps the context of the model at work per thread, and destructors use that one:
    // with several models in a process it would otherwise be another's, maybe one long gone.
    void enter() {
        sink = &log;
        Verilated::threadContextp(&context);
    }

    const VerilatedScope* find_scope(const std::string& path) const {
        VerilatedContext& c = const_cast<VerilatedContext&>(context);
        const VerilatedScope* const scope = c.scopeFind(path.c_str());
        return scope ? scope : c.scopeFind(("TOP." + path).c_str());
    }

    // The streams in the order that the data take: input port, internal links, output port.
    void find_links() {
        links.push_back({p.in_valid, p.in_ready, {}});
        for (uint32_t i = 0; i < info.n_links; ++i) {
            const std::string name = info.links[i];
            Link link{};
            link.valid = static_cast<const uint8_t*>(variable((name + "_tvalid").c_str()).datap());
            link.ready = static_cast<const uint8_t*>(variable((name + "_tready").c_str()).datap());
            links.push_back(link);
        }
        links.push_back({p.out_valid, p.out_ready, {}});
    }

    void open_trace(const char* path) {
#ifdef PRUNESTREAM_TRACES
        context.traceEverOn(true);
        trace = std::make_unique<Trace>();
        (void)path;
#else
        throw SimulationError("compiled without tracing, so " + std::string(path)
                              + " cannot be written");
#endif
    }

    void start_trace(const char* path) {
#ifdef PRUNESTREAM_TRACES
        if (!trace) return;
        context.trace(trace.get(), 99);
        trace->open(path);
        if (!trace->isOpen()) {
            throw SimulationError("cannot write the trace file " + std::string(path));
        }
#else
        (void)path;
#endif
    }

    void close_trace() {
#ifdef PRUNESTREAM_TRACES
        if (trace) trace->close();
        trace.reset();
#endif
    }

    void half(uint8_t level) {
        *p.clk = level;
        model->eval();
        context.timeInc(1);
#ifdef PRUNESTREAM_TRACES
        if (trace) trace->dump(context.time());
#endif
    }

    void fill_garbage() {
        // What lies on TDATA while TVALID is low means nothing; a design that looks is caught.
        for (uint32_t i = 0; i < info.in_bytes; ++i) {
            p.in_data[i] = static_cast<uint8_t>(random_data.next());
        }
    }

    Status cycle() {
        const bool finished = progress.accepted == run.n_in && progress.delivered == run.n_out;
        if (!offering) {
            if (progress.accepted < run.n_in && !random_in.chance(run.stall_in)) {
                std::memcpy(p.in_data, run.in + progress.accepted * info.in_bytes, info.in_bytes);
                offering = true;
            } else if (*p.in_valid) {
                fill_garbage();
            }
        }
        *p.in_valid = offering;
        *p.out_ready = (progress.delivered < run.n_out || finished)
                       && !random_out.chance(run.stall_out);
        half(0);

        ++progress.idle;
        const bool valid = *p.out_valid;
        if (out_held) {
            if (!valid) return protocol("TVALID fell before TREADY");
            if (std::memcmp(held_data.data(), p.out_data, info.out_bytes) != 0) {
                return protocol("TDATA changed before TREADY");
            }
        }
        out_held = valid && !*p.out_ready;
        if (out_held) std::memcpy(held_data.data(), p.out_data, info.out_bytes);
        if (valid && *p.out_ready) {
            if (finished) {
                ++progress.excess;
            } else {
                std::memcpy(run.out + progress.delivered * info.out_bytes, p.out_data,
                            info.out_bytes);
                run.out_cycles[progress.delivered++] = progress.cycle;
            }
            progress.idle = 0;
        }
        if (offering && *p.in_ready) {
            run.in_cycles[progress.accepted++] = progress.cycle;
            offering = false;
            progress.idle = 0;
        }
        for (Link& l : links) watch(l);
        if (progress.idle >= run.idle_limit && !finished) return HANG;
        half(1);
        ++progress.cycle;
        return MORE;
    }

    void watch(Link& l) {
        LinkCount& c = l.count;
        c.valid = *l.valid;
        c.ready = *l.ready;
        c.retracted += c.held & !c.valid;
        c.held = c.valid & !c.ready;
        c.stalled += c.held;
        c.starved += c.ready & !c.valid;
        if (c.valid & c.ready) {
            ++c.transfers;
            if (c.first == NEVER) c.first = progress.cycle;
            c.last = progress.cycle;
        }
    }

    Status protocol(const char* what) {
        error = what;
        return PROTOCOL;
    }
};

}  // namespace
}  // namespace prunestream

#endif
