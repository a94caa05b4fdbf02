// Stands in for FINN's mvu (finn-rtllib/mvu/mvu.sv) where only the timing matters.
//
// Simulation only, for finding FIFO depths: when a result is valid does not depend on its value,
// and without the multipliers the design compiles in a fraction of the time. Same ports and same
// latency as the original: `vld` follows `last` by 4 + ceil(log2(SIMD)) + (SIMD == 1) cycles. What
// is measured and verified afterwards is the real unit.
`default_nettype none
module mvu #(
    parameter integer VERSION = 1,
    parameter integer PE = 1,
    parameter integer SIMD = 1,
    parameter integer WEIGHT_WIDTH = 2,
    parameter integer ACTIVATION_WIDTH = 2,
    parameter integer ACCU_WIDTH = 4,
    parameter logic SIGNED_ACTIVATIONS = 0,
    parameter logic NARROW_WEIGHTS = 0,
    parameter logic FORCE_BEHAVIORAL = 0
) (
    input  wire clk,
    input  wire rst,
    input  wire en,
    input  wire last,
    input  wire zero,
    input  wire [PE*SIMD*WEIGHT_WIDTH-1:0] w,
    input  wire [SIMD*ACTIVATION_WIDTH-1:0] a,
    output wire vld,
    output wire [PE*ACCU_WIDTH-1:0] p
);
    localparam integer DEPTH = 4 + $clog2(SIMD) + (SIMD == 1 ? 1 : 0);

    logic [DEPTH-1:0] pending;
    always_ff @(posedge clk) begin
        if (rst) pending <= '0;
        else if (en) pending <= {pending[DEPTH-2:0], last};
    end
    assign vld = pending[DEPTH-1];
    assign p = '0;
endmodule
`default_nettype wire
