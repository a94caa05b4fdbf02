// Joins the beats of a stream to words of a bus, whatever the two widths are.
//
// The bytes are one sequence, lowest byte of a word first. After `restart` the first word begins
// with `skip` bytes of no meaning, so that the sequence may begin anywhere in a word. When `flush`
// is high and all beats have come through, an unfinished word is given as it is; what is behind
// the last byte has no meaning. The one who writes the words leaves such bytes out.
//
// Handshake: a beat or word moves where valid and ready meet. m_valid and m_data hold until
//   m_ready (or restart). s_ready depends on m_ready.
// Throughput: a beat per cycle or a word per cycle, whichever is less.
// Method: a beat of two words or more is first cut into pieces of one word or a little more, just
//   so many that they do not come slower than whole words leave. Bytes that wait lie at the low
//   end of a buffer. A piece is turned so that its bytes stand in the lanes they go to, and every
//   position behind the waiting bytes takes what stands in its lane.
`default_nettype none
module beats_to_words #(
    parameter integer WORD_BYTES = 8,  // a power of two
    parameter integer BEAT_BYTES = 1
) (
    input  wire                          clk,
    input  wire                          restart,  // synchronous
    input  wire [$clog2(WORD_BYTES)-1:0] skip,
    input  wire                          flush,
    input  wire [8*BEAT_BYTES-1:0]       s_data,
    input  wire                          s_valid,
    output wire                          s_ready,
    output wire [8*WORD_BYTES-1:0]       m_data,
    output wire                          m_valid,
    input  wire                          m_ready
);
    localparam integer LANE_BITS = $clog2(WORD_BYTES);
    localparam integer MOST_PIECES = BEAT_BYTES < WORD_BYTES ? 1 : BEAT_BYTES / WORD_BYTES;
    localparam integer PIECE = (BEAT_BYTES + MOST_PIECES - 1) / MOST_PIECES;
    localparam integer PIECES = (BEAT_BYTES + PIECE - 1) / PIECE;
    localparam integer LAST_PIECE = BEAT_BYTES - (PIECES - 1) * PIECE;
    localparam integer HELD = WORD_BYTES - 1 + PIECE;
    localparam integer COUNT_BITS = $clog2(HELD + WORD_BYTES + 1);

    wire [8*PIECE-1:0] piece;
    wire piece_valid;
    wire piece_last;
    wire piece_ready;

    generate
        if (PIECES == 1) begin : gen_whole
            assign piece = s_data;
            assign piece_valid = s_valid;
            assign piece_last = 1'b1;
            assign s_ready = piece_ready;
        end else begin : gen_pieces
            localparam integer LEFT_BITS = $clog2(PIECES + 1);
            logic [8*PIECES*PIECE-1:0] rest;
            logic [LEFT_BITS-1:0] left;
            assign piece = rest[8*PIECE-1:0];
            assign piece_valid = left != '0;
            assign piece_last = left == LEFT_BITS'(1);
            assign s_ready = !piece_valid || (piece_last && piece_ready);
            always_ff @(posedge clk) begin
                if (s_ready) rest <= (8*PIECES*PIECE)'(s_data);
                else if (piece_ready) rest <= rest >> (8 * PIECE);
                if (restart) left <= '0;
                else if (s_ready) left <= s_valid ? LEFT_BITS'(PIECES) : '0;
                else if (piece_ready) left <= left - 1'b1;
            end
        end
    endgenerate

    localparam integer LANES = PIECE > WORD_BYTES ? 2 * WORD_BYTES : WORD_BYTES;

    logic [8*HELD-1:0] held;  // no meaning from `count` on
    logic [COUNT_BITS-1:0] count;
    logic [LANE_BITS-1:0] lane_n;  // ~count, for the turn

    wire full = count >= COUNT_BITS'(WORD_BYTES);
    assign m_data = held[8*WORD_BYTES-1:0];
    assign m_valid = full || (flush && !piece_valid && count != '0);
    wire give = m_valid && m_ready;
    wire [COUNT_BITS-1:0] base
        = !give ? count : full ? count - COUNT_BITS'(WORD_BYTES) : '0;
    assign piece_ready = base < COUNT_BITS'(WORD_BYTES);
    wire take = piece_valid && piece_ready;
    wire [COUNT_BITS-1:0] gain
        = piece_last ? COUNT_BITS'(LAST_PIECE) : COUNT_BITS'(PIECE);

    // What the piece is turned by is the lane of `base`, but where an unfinished word leaves: no
    // piece is there then.
    wire [8*LANES-1:0] piece_wide = (8*LANES)'(piece);
    wire [8*LANES-1:0] turned;
    byte_turn #(.LANES(LANES), .BITS(LANE_BITS)) turner (
        .s_data(piece_wide), .by(count[LANE_BITS-1:0]), .by_n(lane_n), .m_data(turned)
    );

    wire [COUNT_BITS-1:0] count_next
        = restart ? COUNT_BITS'(skip) : take ? base + gain : base;
    logic [8*HELD-1:0] held_next;
    always_comb begin
        held_next = held;
        for (integer p = 0; p < HELD; p = p + 1) begin
            if (p >= 32'(base)) begin
                // One that is not taken now does no harm there: all of the word lies below.
                if (piece_valid) held_next[8*p +: 8] = turned[8*(p % LANES) +: 8];
            end else if (give && p + WORD_BYTES < HELD) begin
                held_next[8*p +: 8] = held[8*((p + WORD_BYTES) % HELD) +: 8];
            end
        end
    end

    always_ff @(posedge clk) begin
        held <= held_next;
        count <= count_next;
        lane_n <= ~count_next[LANE_BITS-1:0];
    end
endmodule
`default_nettype wire
