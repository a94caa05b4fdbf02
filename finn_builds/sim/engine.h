// What a verilated design shows to the simulation engine.
//
// Every port of a verilated model is plain memory: 1, 2, 4 or 8 bytes, or an array of 32-bit words.
// On a little-endian machine the first bytes of that memory are the bytes of the stream's TDATA in
// order, so one engine, compiled once, drives designs of every width through pointers.
#ifndef PRUNESTREAM_ENGINE_H_
#define PRUNESTREAM_ENGINE_H_

#include <cstdint>
#include <memory>

#if !defined(__BYTE_ORDER__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the simulator copies stream bytes as they lie in memory: it needs a little-endian machine"
#endif

class VerilatedContext;

namespace prunestream {

struct Ports {
    uint8_t* clk;
    uint8_t* rst_n;
    uint8_t* in_valid;
    uint8_t* in_ready;
    uint8_t* in_data;
    uint8_t* out_valid;
    uint8_t* out_ready;
    uint8_t* out_data;
};

class Model {
public:
    virtual ~Model() = default;
    virtual void eval() = 0;
    virtual void final() = 0;
    Ports ports{};
};

struct DesignInfo {
    const char* name;
    const char* top;
    uint32_t in_bytes;
    uint32_t out_bytes;
    const char* const* links;
    uint32_t n_links;
    std::unique_ptr<Model> (*make)(VerilatedContext*);
};

// The designs in this shared object; the generated registry defines them.
extern const DesignInfo* const designs[];
extern const uint32_t n_designs;

}  // namespace prunestream

#endif
