// Streaming argmax ("top-1"): the index of the largest of N values per frame.
//
// A frame is N / PE beats of PE values of WIDTH bits, element 0 in the least significant bits and
//   first, a beat padded to whole bytes. Of equal values the first wins, as in numpy.argmax. One
//   beat per frame comes out: the index, zero-padded to whole bytes.
// Latency: clog2(PE) + 2 cycles from the last beat of a frame to m_valid.
// Throughput: one beat per cycle, without a gap between frames: N / PE cycles a frame.
// Handshake: a free-running pipeline that never stops. The last beat of a frame is taken only while
//   a place for its index is left in the queue at the end, so nothing can be lost; s_ready comes
//   from a register and no path leads from m_ready to s_ready. m_valid and m_data hold until
//   m_ready. s_ready is low in reset and in the first cycle after it.
`default_nettype none
module top1 #(
    parameter integer N = 2,       // values per frame
    parameter integer PE = 1,      // values per beat, divides N
    parameter integer WIDTH = 8,   // bits of a value
    parameter integer SIGNED = 1,  // 1: values are two's complement; 0: they are unsigned
    // derived, not to be set
    parameter integer IN_BITS = (PE * WIDTH + 7) / 8 * 8,
    parameter integer OUT_BITS = N > 1 ? ($clog2(N) + 7) / 8 * 8 : 8
) (
    input  wire                 clk,
    input  wire                 rst,  // synchronous, active high
    input  wire  [ IN_BITS-1:0] s_data,
    input  wire                 s_valid,
    output logic                s_ready,
    output wire  [OUT_BITS-1:0] m_data,
    output logic                m_valid,
    input  wire                 m_ready
);
    localparam integer BEATS = N / PE;
    localparam integer LEVELS = $clog2(PE);
    localparam integer INDEX_BITS = N > 1 ? $clog2(N) : 1;
    localparam integer BEAT_BITS = BEATS > 1 ? $clog2(BEATS) : 1;
    // Frames under way: LEVELS + 2 if none waits, and two more so that a short wait costs nothing.
    localparam integer PLACES = LEVELS + 4;
    localparam integer PLACE_BITS = $clog2(PLACES + 1);
    localparam integer QUEUE_BITS = $clog2(PLACES);

`ifndef SYNTHESIS
    initial begin
        if (WIDTH < 1) $fatal(1, "top1: WIDTH is %0d, must be at least 1", WIDTH);
        if (PE < 1 || N < 1 || N % PE != 0) begin
            $fatal(1, "top1: PE is %0d, must be positive and divide N, which is %0d", PE, N);
        end
        if (SIGNED != 0 && SIGNED != 1) $fatal(1, "top1: SIGNED is %0d, must be 0 or 1", SIGNED);
        if (IN_BITS != (PE * WIDTH + 7) / 8 * 8
            || OUT_BITS != (N > 1 ? ($clog2(N) + 7) / 8 * 8 : 8)) begin
            $fatal(1, "top1: IN_BITS and OUT_BITS are derived and must not be set");
        end
    end
`endif

    // - Acceptance of beats -----------------------------------------------------------------------
    logic [ BEAT_BITS-1:0] beat;     // of the frame
    logic [PLACE_BITS-1:0] pending;  // frames whose last beat was taken and whose index was not
    wire accept = s_valid && s_ready;
    wire is_last = beat == BEAT_BITS'(BEATS - 1);
    wire pop = m_valid && m_ready;
    wire [BEAT_BITS-1:0] beat_next = !accept ? beat : is_last ? '0 : beat + 1'b1;
    wire [PLACE_BITS-1:0] pending_next
        = pending + PLACE_BITS'(accept && is_last) - PLACE_BITS'(pop);

    always_ff @(posedge clk) begin
        if (rst) begin
            beat    <= '0;
            pending <= '0;
            s_ready <= 1'b0;
        end else begin
            beat    <= beat_next;
            pending <= pending_next;
            s_ready <= beat_next != BEAT_BITS'(BEATS - 1) || pending_next != PLACE_BITS'(PLACES);
        end
    end

    // - Largest of a beat: a tree with a register per level ---------------------------------------
    // Level l has ceil(PE / 2^l) nodes. As unsigned numbers, keys are in the order of the values.
    wire [(LEVELS+1)*PE*WIDTH-1:0] keys;
    wire [(LEVELS+1)*PE*INDEX_BITS-1:0] indices;  // within the beat
    generate
        genvar l, j;
        for (j = 0; j < PE; j = j + 1) begin : gen_leaf
            wire [WIDTH-1:0] value = s_data[j*WIDTH+:WIDTH];
            assign keys[j*WIDTH+:WIDTH] = value ^ (WIDTH'(SIGNED) << (WIDTH - 1));
            assign indices[j*INDEX_BITS+:INDEX_BITS] = INDEX_BITS'(j);
        end
        for (l = 1; l <= LEVELS; l = l + 1) begin : gen_level
            for (j = 0; j < PE; j = j + 1) begin : gen_node
                // Children 2j and 2j+1 of the level below, where it has them.
                localparam integer BELOW = (PE + (1 << (l - 1)) - 1) >> (l - 1);
                localparam integer LEFT = (l - 1) * PE + 2 * j;
                if (2 * j < BELOW) begin : gen_used
                    logic [WIDTH-1:0] key;
                    logic [INDEX_BITS-1:0] index;
                    if (2 * j + 1 < BELOW) begin : gen_pair
                        wire right_wins
                            = keys[(LEFT+1)*WIDTH+:WIDTH] > keys[LEFT*WIDTH+:WIDTH];
                        always_ff @(posedge clk) begin
                            key <= right_wins ? keys[(LEFT+1)*WIDTH+:WIDTH]
                                              : keys[LEFT*WIDTH+:WIDTH];
                            index <= right_wins ? indices[(LEFT+1)*INDEX_BITS+:INDEX_BITS]
                                                : indices[LEFT*INDEX_BITS+:INDEX_BITS];
                        end
                    end else begin : gen_single
                        always_ff @(posedge clk) begin
                            key   <= keys[LEFT*WIDTH+:WIDTH];
                            index <= indices[LEFT*INDEX_BITS+:INDEX_BITS];
                        end
                    end
                    assign keys[(l*PE+j)*WIDTH+:WIDTH] = key;
                    assign indices[(l*PE+j)*INDEX_BITS+:INDEX_BITS] = index;
                end else begin : gen_unused
                    assign keys[(l*PE+j)*WIDTH+:WIDTH] = '0;
                    assign indices[(l*PE+j)*INDEX_BITS+:INDEX_BITS] = '0;
                end
            end
        end
    endgenerate

    // What goes with a beat through the tree: {valid, last}.
    wire [(LEVELS+1)*2-1:0] tags;
    assign tags[1:0] = {accept, is_last};
    generate
        for (l = 1; l <= LEVELS; l = l + 1) begin : gen_tag
            logic [1:0] tag;
            always_ff @(posedge clk) begin
                if (rst) tag <= '0;
                else tag <= tags[(l-1)*2+:2];
            end
            assign tags[l*2+:2] = tag;
        end
    endgenerate

    // - Largest of a frame ------------------------------------------------------------------------
    wire [WIDTH-1:0] key = keys[LEVELS*PE*WIDTH+:WIDTH];
    wire [INDEX_BITS-1:0] index = indices[LEVELS*PE*INDEX_BITS+:INDEX_BITS];
    wire valid = tags[LEVELS*2+1];
    wire last = tags[LEVELS*2];
    logic first;                     // the next beat begins a frame
    logic [INDEX_BITS-1:0] base;     // index of element 0 of the next beat
    logic [WIDTH-1:0] best_key;
    logic [INDEX_BITS-1:0] best;
    logic done;                      // best is the index of a whole frame

    always_ff @(posedge clk) begin
        if (rst) begin
            first <= 1'b1;
            base  <= '0;
            done  <= 1'b0;
        end else begin
            done <= valid && last;
            if (valid) begin
                first <= last;
                base  <= last ? '0 : base + INDEX_BITS'(PE);
            end
        end
        if (valid && (first || key > best_key)) begin
            best_key <= key;
            best     <= base + index;
        end
    end

    // - Queue of indices: a shift register, the oldest at place `front` ---------------------------
    logic [PLACE_BITS-1:0] front;  // indices held - 1: all ones if there is none
    wire [PLACE_BITS-1:0] front_next = front + PLACE_BITS'(done) - PLACE_BITS'(pop);

    wire [INDEX_BITS-1:0] oldest;
    generate
        genvar b;
        for (b = 0; b < INDEX_BITS; b = b + 1) begin : gen_bit
            (* shreg_extract = "yes", srl_style = "srl" *) logic [PLACES-1:0] line;
            always_ff @(posedge clk) begin
                if (done) line <= {line[PLACES-2:0], best[b]};
            end
            assign oldest[b] = line[front[QUEUE_BITS-1:0]];
        end
    endgenerate

    always_ff @(posedge clk) begin
        if (rst) begin
            front   <= '1;
            m_valid <= 1'b0;
        end else begin
            front   <= front_next;
            m_valid <= front_next != '1;
        end
    end
    assign m_data = OUT_BITS'(oldest);
endmodule
`default_nettype wire
