// Cuts the words of a bus into the beats of a stream, whatever the two widths are.
//
// The bytes are one sequence, lowest byte of a word first. `skip`, taken with `restart`, is how
// many bytes of the first word are dropped, so that the sequence may begin anywhere in a word.
//
// Handshake: a word or beat moves where valid and ready meet. All of s_ready, m_valid and m_data
//   come from registers; m_valid and m_data hold until m_ready (or restart). s_ready is low in the
//   first cycle after restart.
// Latency: word to beat, 2 cycles.
// Throughput: a beat per cycle or a word per cycle, whichever is less.
// Method: two words wait in registers, further bytes at the low end of a buffer. A new word is
//   turned so that its bytes stand in the lanes (position modulo WORD_BYTES) they go to; every
//   position behind the waiting bytes then just takes what stands in its lane. Positions behind
//   those hold nothing of value, which spares most of them a multiplexer.
`default_nettype none
module words_to_beats #(
    parameter integer WORD_BYTES = 8,  // a power of two
    parameter integer BEAT_BYTES = 1
) (
    input  wire                          clk,
    input  wire                          restart,  // synchronous
    input  wire [$clog2(WORD_BYTES)-1:0] skip,
    input  wire [8*WORD_BYTES-1:0]       s_data,
    input  wire                          s_valid,
    output logic                         s_ready,
    output wire [8*BEAT_BYTES-1:0]       m_data,
    output wire                          m_valid,
    input  wire                          m_ready
);
    localparam integer LANE_BITS = $clog2(WORD_BYTES);
    localparam integer HELD = BEAT_BYTES - 1 + WORD_BYTES;
    localparam integer COUNT_BITS = $clog2(HELD + WORD_BYTES + 1);
    localparam logic [COUNT_BITS-1:0] WHOLE = COUNT_BITS'(BEAT_BYTES + WORD_BYTES);

    // Words that wait: two registers, filled and emptied in turns.
    logic [8*WORD_BYTES-1:0] even;
    logic [8*WORD_BYTES-1:0] odd;
    logic fill_odd;
    logic empty_odd;
    logic any;  // waits
    wire push = s_valid && s_ready;
    wire take;

    always_ff @(posedge clk) begin
        if (push && !fill_odd) even <= s_data;
        if (push && fill_odd) odd <= s_data;
        if (restart) begin
            fill_odd  <= 1'b0;
            empty_odd <= 1'b0;
            any       <= 1'b0;
            s_ready   <= 1'b0;
        end else begin
            fill_odd  <= fill_odd ^ push;
            empty_odd <= empty_odd ^ take;
            // Either none or one or two; s_ready is low with two.
            any       <= push || (any && (!take || !s_ready));
            s_ready   <= take || !any || (s_ready && !push);
        end
    end

    // Bytes at the low end of the buffer, and WORD_BYTES more; those to be dropped count less.
    logic [8*HELD-1:0] held;
    logic [COUNT_BITS-1:0] count;
    assign m_data = held[8*BEAT_BYTES-1:0];
    assign m_valid = count >= WHOLE;
    wire give = m_valid && m_ready;

    // Where the next word goes: behind the bytes that are held and do not leave in this cycle.
    wire [COUNT_BITS-1:0] base = give ? count - COUNT_BITS'(BEAT_BYTES) : count;
    assign take = any && base < WHOLE;

    always_ff @(posedge clk) begin
        if (restart) count <= COUNT_BITS'(WORD_BYTES) - COUNT_BITS'(skip);
        else count <= take ? base + COUNT_BITS'(WORD_BYTES) : base;
    end

    wire [LANE_BITS-1:0] turn;
    wire [LANE_BITS-1:0] turn_n;
    generate
        if (BEAT_BYTES % WORD_BYTES == 0) begin : gen_fixed  // until the next restart
            logic [LANE_BITS-1:0] by;
            logic [LANE_BITS-1:0] by_n;
            always_ff @(posedge clk) begin
                if (restart) by <= LANE_BITS'(WORD_BYTES) - skip;
                if (restart) by_n <= ~(LANE_BITS'(WORD_BYTES) - skip);
            end
            assign turn = by;
            assign turn_n = by_n;
        end else begin : gen_moving
            assign turn = base[LANE_BITS-1:0];
            assign turn_n = ~base[LANE_BITS-1:0];
        end
    endgenerate

    // The lowest bit of the turn together with the choice of the word: six inputs per bit.
    localparam integer BITS = 8 * WORD_BYTES;
    wire [BITS-1:0] even_by_bit = turn[0] ? {even[BITS-9:0], even[BITS-1:BITS-8]} : even;
    wire [BITS-1:0] odd_by_bit = turn[0] ? {odd[BITS-9:0], odd[BITS-1:BITS-8]} : odd;
    wire [BITS-1:0] turned;
    byte_turn #(.LANES(WORD_BYTES), .BITS(LANE_BITS), .FIRST_BIT(1)) turner (
        .s_data(empty_odd ? odd_by_bit : even_by_bit), .by(turn), .by_n(turn_n), .m_data(turned)
    );

    logic [8*HELD-1:0] held_next;
    always_comb begin
        held_next = held;
        for (integer p = 0; p < HELD; p = p + 1) begin
            if (p + WORD_BYTES >= 32'(base))
                held_next[8*p +: 8] = turned[8*(p % WORD_BYTES) +: 8];
            else if (give && p + BEAT_BYTES < HELD)
                held_next[8*p +: 8] = held[8*((p + BEAT_BYTES) % HELD) +: 8];
        end
    end

    always_ff @(posedge clk) held <= held_next;
endmodule
`default_nettype wire
