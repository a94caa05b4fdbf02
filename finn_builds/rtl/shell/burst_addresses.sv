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
    input  wire  [31:0]          bytes,    // with launch: not zero
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
    localparam integer LEFT_BITS = 33 - LANE_BITS;  // words of up to 2^32 - 1 bytes, unaligned

`ifndef SYNTHESIS
    initial begin
        if (MAX_BURST < 2 || MAX_BURST > 256 || 1 << BURST_BITS != MAX_BURST)
            $fatal(1, "burst_addresses: MAX_BURST is %0d, must be 2, 4, ... 256", MAX_BURST);
        if (MAX_BURST * WORD_BYTES > 4096)
            $fatal(1, "burst_addresses: a burst of %0d bytes would cross 4 KiB",
                   MAX_BURST * WORD_BYTES);
    end
`endif

    wire [32:0] span = {1'b0, bytes} + 33'(address[LANE_BITS-1:0]) + 33'(WORD_BYTES - 1);

    logic [ADDR_BITS-LANE_BITS-1:0] next;  // word address of the next burst
    logic [LEFT_BITS-1:0] left;            // words that no burst covers yet

    wire [BURST_BITS:0] to_boundary
        = (BURST_BITS + 1)'(MAX_BURST) - (BURST_BITS + 1)'(next[BURST_BITS-1:0]);
    wire ends = left <= LEFT_BITS'(to_boundary);  // this burst is the last
    wire [BURST_BITS:0] length = ends ? left[BURST_BITS:0] : to_boundary;

    assign words = 9'(length);
    assign issue = enable && more && (!valid || ready);

    always_ff @(posedge clk) begin
        if (launch) begin
            next <= address[ADDR_BITS-1:LANE_BITS];
            left <= span[32:LANE_BITS];
        end else if (issue) begin
            // All bursts but the first begin at a boundary.
            next[ADDR_BITS-LANE_BITS-1:BURST_BITS]
                <= next[ADDR_BITS-LANE_BITS-1:BURST_BITS] + 1'b1;
            next[BURST_BITS-1:0] <= '0;
            left <= left - LEFT_BITS'(length);
        end
        if (issue) begin
            addr <= {next, {LANE_BITS{1'b0}}};
            len  <= 8'(length - 1'b1);
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
