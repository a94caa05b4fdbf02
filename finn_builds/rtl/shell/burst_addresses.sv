// Addresses and lengths of the bursts that cover a range of bytes.
//
// The range is widened to whole words. A burst ends at the end of the range or where the address is
// a multiple of MAX_BURST words; with MAX_BURST * WORD_BYTES at most 4096 no burst crosses a 4 KiB
// boundary. The next burst is offered while `enable` is high and the one before has been taken;
// `issue` marks the cycle before `valid` rises with it, in which `words` is its length.
// addr, len and valid hold until ready. `more` is high while there are bursts to issue.
// Throughput: one burst every cycle with ready high, if enable stays high.
`default_nettype none
module burst_addresses #(
    parameter integer ADDR_BITS = 32,
    parameter integer WORD_BYTES = 8,
    parameter integer MAX_BURST = 16  // words; a power of two, 2 to 256
) (
    input  wire                  clk,
    input  wire                  rst_n,  // synchronous
    input  wire                  launch,
    input  wire  [ADDR_BITS-1:0] address,  // with launch: of the first byte
    input  wire  [31:0]          span,     // with launch: bytes, less one
    input  wire                  enable,
    output wire  [8:0]           words,
    output wire                  issue,
    output logic [ADDR_BITS-1:0] addr,
    output logic [7:0]           len,
    output logic                 valid,
    input  wire                  ready,
    output logic                 more
);
    localparam integer LANE_BITS = $clog2(WORD_BYTES);
    localparam integer BURST_BITS = $clog2(MAX_BURST);
    localparam integer PLACE_BITS = ADDR_BITS - LANE_BITS - BURST_BITS;

`ifndef SYNTHESIS
    initial begin
        if (MAX_BURST < 2 || MAX_BURST > 256 || 1 << BURST_BITS != MAX_BURST)
            $fatal(1, "burst_addresses: MAX_BURST is %0d, must be 2, 4, ... 256", MAX_BURST);
        if (MAX_BURST * WORD_BYTES > 4096)
            $fatal(1, "burst_addresses: a burst of %0d bytes would cross 4 KiB",
                   MAX_BURST * WORD_BYTES);
    end
`endif

    // A word address is the place of a burst, in units of MAX_BURST words, and a word in it.
    logic [PLACE_BITS-1:0] place;       // of the next burst
    logic [BURST_BITS-1:0] first;       // its first word: zero in all but the first burst
    logic [PLACE_BITS-1:0] last_place;  // of the last byte
    logic [BURST_BITS-1:0] last_word;

    wire [ADDR_BITS-1:0] last_byte = address + ADDR_BITS'(span);
    wire ends = place == last_place;  // this burst is the last
    wire [BURST_BITS-1:0] beyond = (ends ? last_word : '1) - first;

    assign words = 9'(beyond) + 1'b1;
    assign issue = enable && more && (!valid || ready);

    always_ff @(posedge clk) begin
        if (launch) {last_place, last_word} <= last_byte[ADDR_BITS-1:LANE_BITS];
        // The adder that counts loads as well: a multiplexer behind it would cost as much again.
        if (launch || issue) begin
            place <= PLACE_BITS'(!launch)
                + (launch ? address[ADDR_BITS-1:LANE_BITS+BURST_BITS] : place);
        end
        if (launch) first <= address[LANE_BITS+BURST_BITS-1:LANE_BITS];
        else if (issue) first <= '0;
        if (issue) begin
            addr <= {place, first, {LANE_BITS{1'b0}}};
            len  <= 8'(beyond);
        end
        if (!rst_n) begin
            more  <= 1'b0;
            valid <= 1'b0;
        end else begin
            if (launch) more <= 1'b1;
            else if (issue && ends) more <= 1'b0;
            valid <= issue || (valid && !ready);
        end
    end
endmodule
`default_nettype wire
