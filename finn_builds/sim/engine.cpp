// Runs a verilated stream design over whole batches: reset, handshakes, random stalls, checks.
//
// One translation unit together with Verilator's own run time (one set of headers to read, half the
// compile time). A clock cycle is: set the inputs, fall, look at every handshake, rise.
#include <fcntl.h>
#include <unistd.h>

#include <cstdarg>
#include <cstring>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

#include "engine.h"

// $display and $error of the design, and whatever Verilator has to say, go to the log of the running
// session and not to the terminal; what would abort the process becomes an exception.
static int capture_printf(const char* format, ...);
#define VL_PRINTF capture_printf
#define VL_USER_FINISH
#define VL_USER_STOP
#define VL_USER_FATAL
#define VL_USER_WARN
#include "verilated.cpp"
#include "verilated_dpi.cpp"
#include "verilated_threads.cpp"
#if defined(PRUNESTREAM_TRACE_VCD)
#include "verilated_vcd_c.cpp"
using Trace = VerilatedVcdC;
#elif defined(PRUNESTREAM_TRACE_FST)
#include "verilated_fst_c.cpp"
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

// The structures below are mirrored by ctypes in simulator.py.
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

    std::string signals() const {
        std::string text;
        const VerilatedScopeNameMap* const scopes
            = const_cast<VerilatedContext&>(context).scopeNameMap();
        if (!scopes) return text;
        for (const auto& scope : *scopes) {
            const VerilatedVarNameMap* const vars = scope.second->varsp();
            if (!vars) continue;
            for (const auto& var : *vars) {
                text += std::string(scope.first) + "." + var.first + "\n";
            }
        }
        return text;
    }

    const Link& link(size_t i) const { return links[i]; }

private:
    // Verilator keeps the context of the model at work per thread, and destructors use that one:
    // with several models in a process it would otherwise be another's, maybe one long gone.
    void enter() {
        sink = &log;
        Verilated::threadContextp(&context);
    }

    // $readmemh("./x.dat") is relative to the folder of the process, and only the initial blocks
    // read files: be there for as long as they run.
    class RunDir {
        static std::mutex& guard() {
            static std::mutex mutex;
            return mutex;
        }
        std::lock_guard<std::mutex> lock{guard()};
        int before;

    public:
        explicit RunDir(const char* path) : before{open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)} {
            if (before < 0 || chdir(path) != 0) {
                if (before >= 0) ::close(before);
                throw SimulationError("cannot enter the run folder " + std::string(path) + ": "
                                      + std::strerror(errno));
            }
        }
        ~RunDir() {
            if (fchdir(before) != 0) {
                // The folder that we came from is gone; there is nowhere to go back to.
            }
            ::close(before);
        }
    };

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

template <typename Body>
int32_t guarded(Session* session, Body body) {
    try {
        return body();
    } catch (const std::exception& e) {
        session->error = e.what();
    } catch (...) {
        session->error = "an unknown error in the simulation engine";
    }
    return FAILED;
}

}  // namespace
}  // namespace prunestream

static int capture_printf(const char* format, ...) {
    using prunestream::sink;
    va_list arguments;
    va_start(arguments, format);
    char small[512];
    va_list again;
    va_copy(again, arguments);
    const int length = std::vsnprintf(small, sizeof small, format, arguments);
    va_end(arguments);
    if (sink && length > 0 && sink->size() < prunestream::MAX_LOG) {
        std::vector<char> text(static_cast<size_t>(length) + 1);
        std::vsnprintf(text.data(), text.size(), format, again);
        sink->append(text.data(), static_cast<size_t>(length));
    }
    va_end(again);
    return length;
}

static std::string at(const char* filename, int linenum) {
    if (!filename || !*filename) return "";
    return std::string(filename) + (linenum ? ":" + std::to_string(linenum) : "") + ": ";
}

void vl_finish(const char* filename, int linenum, const char*) VL_MT_UNSAFE {
    throw prunestream::SimulationError(at(filename, linenum) + "the design called $finish");
}

void vl_stop(const char* filename, int linenum, const char*) VL_MT_UNSAFE {
    throw prunestream::SimulationError(at(filename, linenum)
                                       + "the design stopped the simulation ($error or $stop)");
}

void vl_fatal(const char* filename, int linenum, const char*, const char* message) VL_MT_UNSAFE {
    throw prunestream::SimulationError(at(filename, linenum) + (message ? message : "fatal error"));
}

void vl_warn(const char* filename, int linenum, const char*, const char* message) VL_MT_UNSAFE {
    if (std::strstr(message, "file not found")) {  // a memory without its contents is no warning
        throw prunestream::SimulationError(at(filename, linenum) + message);
    }
    capture_printf("%%Warning: %s%s\n", at(filename, linenum).c_str(), message);
}

#pragma GCC visibility push(default)
extern "C" {
using prunestream::guarded;
using prunestream::Session;

uint32_t prunestream_n_designs() { return prunestream::n_designs; }
const char* prunestream_design_name(uint32_t i) { return prunestream::designs[i]->name; }
uint32_t prunestream_in_bytes(uint32_t i) { return prunestream::designs[i]->in_bytes; }
uint32_t prunestream_out_bytes(uint32_t i) { return prunestream::designs[i]->out_bytes; }
uint32_t prunestream_n_links(uint32_t i) { return prunestream::designs[i]->n_links; }
const char* prunestream_link_name(uint32_t i, uint32_t k) {
    return prunestream::designs[i]->links[k];
}

// Returns the session, or null with the reason in `message`.
Session* prunestream_open(uint32_t i, const char* run_dir, int32_t randomise, int32_t seed,
                          const char* trace_file, char* message, uint64_t size) {
    std::string printed;
    prunestream::sink = &printed;
    Session* session = nullptr;
    try {
        session = new Session(*prunestream::designs[i], run_dir, randomise, seed, trace_file);
        session->log = printed;
    } catch (const std::exception& e) {
        std::snprintf(message, size, "%s\n%s", e.what(), printed.c_str());
    } catch (...) {
        std::snprintf(message, size, "an unknown error in the simulation engine");
    }
    prunestream::sink = nullptr;
    return session;
}

void prunestream_close(Session* s) {
    delete s;
    prunestream::sink = nullptr;
}

int32_t prunestream_reset(Session* s, uint64_t cycles) {
    return guarded(s, [&] { s->reset(cycles); return prunestream::DONE; });
}

void prunestream_begin(Session* s, const prunestream::RunSpec* spec) { s->begin(*spec); }

int32_t prunestream_step(Session* s, uint64_t max_cycles) {
    return guarded(s, [&] { return s->step(max_cycles); });
}

int32_t prunestream_poke(Session* s, const char* path, uint64_t value) {
    return guarded(s, [&] { s->poke(path, value); return prunestream::DONE; });
}

int32_t prunestream_peek(Session* s, const char* path, uint64_t* value) {
    return guarded(s, [&] { *value = s->peek(path); return prunestream::DONE; });
}

void prunestream_progress(Session* s, prunestream::Progress* progress) {
    *progress = s->progress;
}

// k = 0 is the input port, then come the links as named, then the output port.
void prunestream_link(Session* s, uint32_t k, prunestream::LinkCount* count) {
    *count = s->link(k).count;
}

const char* prunestream_error(Session* s) { return s->error.c_str(); }
const char* prunestream_log(Session* s) { return s->log.c_str(); }
void prunestream_clear_log(Session* s) { s->log.clear(); }

uint64_t prunestream_signals(Session* s, char* text, uint64_t size) {
    const std::string all = s->signals();
    std::snprintf(text, size, "%s", all.c_str());
    return all.size() + 1;
}
}
#pragma GCC visibility pop
