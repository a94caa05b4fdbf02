// Cuts the words of a bus into the beats of a stream, whatever the two widths are.
//
// The bytes are one sequence, lowest byte of a word first. `skip` bytes of the first word after
// `restart` are dropped, so that the sequence may begin anywhere in a word.
//
// Handshake: a word or beat moves where valid and ready meet. m_valid and m_data come from
//   registers and hold until m_ready (or restart); s_ready depends on m_ready.
// Throughput: a beat per cycle or a word per cycle, whichever is less.
// Method: bytes that wait lie at the low end of a buffer. A new word is turned so that its bytes
//   stand in the lanes (position modulo WORD_BYTES) they go to; every position behind the waiting
//   bytes then just takes what stands in its lane. Positions behind `count` hold nothing of value,
//   which spares most of them a multiplexer.
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
    output wire                          s_ready,
    output wire [8*BEAT_BYTES-1:0]       m_data,
    output wire                          m_valid,
    input  wire                          m_ready
);
    localparam integer LANE_BITS = $clog2(WORD_BYTES);
    localparam integer HELD = BEAT_BYTES - 1 + WORD_BYTES;
    localparam integer COUNT_BITS = $clog2(HELD + 1);

    logic [8*HELD-1:0] held;
    logic [COUNT_BITS-1:0] count;
    logic first;

    assign m_data = held[8*BEAT_BYTES-1:0];
    assign m_valid = count >= COUNT_BITS'(BEAT_BYTES);
    wire give = m_valid && m_ready;

    // Bytes that are still held behind those that leave in this cycle: where the next word goes.
    wire [COUNT_BITS-1:0] base = give ? count - COUNT_BITS'(BEAT_BYTES) : count;
    assign s_ready = base < COUNT_BITS'(BEAT_BYTES);
    wire [LANE_BITS-1:0] dropped = first ? skip : '0;
    // Beats of whole words leave the lanes as they are: no path leads from m_ready to the turn then.
    wire [LANE_BITS-1:0] lane
        = BEAT_BYTES % WORD_BYTES == 0 ? count[LANE_BITS-1:0] : base[LANE_BITS-1:0];
    wire [LANE_BITS-1:0] turn = lane - dropped;
    wire take = s_valid && s_ready;
    wire [COUNT_BITS-1:0] gain = COUNT_BITS'(WORD_BYTES) - COUNT_BITS'(dropped);

    // One stage per bit of `turn`.
    logic [8*WORD_BYTES-1:0] turned;
    logic [8*WORD_BYTES-1:0] stage;
    always_comb begin
        turned = s_data;
        for (integer k = 0; k < LANE_BITS; k = k + 1) begin
            stage = turned;
            for (integer l = 0; l < WORD_BYTES; l = l + 1) begin
                if (turn[k]) turned[8*((l + (1 << k)) % WORD_BYTES) +: 8] = stage[8*l +: 8];
            end
        end
    end

    logic [8*HELD-1:0] held_next;
    always_comb begin
        held_next = held;
        for (integer p = 0; p < HELD; p = p + 1) begin
            if (p >= 32'(base)) held_next[8*p +: 8] = turned[8*(p % WORD_BYTES) +: 8];
            else if (give && p + BEAT_BYTES < HELD)
                held_next[8*p +: 8] = held[8*((p + BEAT_BYTES) % HELD) +: 8];
        end
    end

    always_ff @(posedge clk) begin
        held <= held_next;
        if (restart) begin
            count <= '0;
            first <= 1'b1;
        end else begin
            count <= take ? base + gain : base;
            if (take) first <= 1'b0;
        end
    end
endmodule
`default_nettype wire
