// A FIFO of adjustable depth or a plain wire, for finding FIFO depths by simulation.
//
// Simulation only. `bypass` and `core.limit` are set from outside before a run and held during
// it: with bypass set the streams are joined by wires, else they pass through a FIFO that behaves,
// cycle by cycle, as stream_fifo of DEPTH = core.limit.
`default_nettype none
module stream_fifo_trial #(
    parameter integer WIDTH = 8
) (
    input  wire             clk,
    input  wire             rst,  // synchronous, active high
    input  wire [WIDTH-1:0] s_data,
    input  wire             s_valid,
    output wire             s_ready,
    output wire [WIDTH-1:0] m_data,
    output wire             m_valid,
    input  wire             m_ready
);
    logic bypass /* verilator public_flat_rw */ = 1'b0;

    wire core_s_ready;
    wire core_m_valid;
    wire [WIDTH-1:0] core_m_data;
    stream_fifo_sized #(.WIDTH(WIDTH)) core (
        .clk(clk), .rst(rst),
        .s_data(s_data), .s_valid(s_valid && !bypass), .s_ready(core_s_ready),
        .m_data(core_m_data), .m_valid(core_m_valid), .m_ready(m_ready && !bypass)
    );
    assign s_ready = bypass ? m_ready : core_s_ready;
    assign m_valid = bypass ? s_valid : core_m_valid;
    assign m_data = bypass ? s_data : core_m_data;
endmodule
`default_nettype wire
