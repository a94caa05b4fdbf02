// The simulation engine's C interface: runs verilated stream designs over whole batches.
//
// One translation unit together with Verilator's own run time (one set of headers to read, half the
// compile time). What a run is stands in session.h.
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

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
#elif defined(PRUNESTREAM_TRACE_FST)
#include "verilated_fst_c.cpp"
#endif

#include "session.h"

namespace prunestream {
namespace {

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
}
#pragma GCC visibility pop
