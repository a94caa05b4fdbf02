// top1 under the names of ports that the simulator drives.
`default_nettype none
module top1_adapter #(
    parameter integer N = 2,
    parameter integer PE = 1,
    parameter integer WIDTH = 8,
    parameter integer SIGNED = 1,
    parameter integer IN_BITS = (PE * WIDTH + 7) / 8 * 8,
    parameter integer OUT_BITS = N > 256 ? 16 : 8
) (
    input  wire                ap_clk,
    input  wire                ap_rst_n,
    input  wire [ IN_BITS-1:0] s_axis_0_tdata,
    input  wire                s_axis_0_tvalid,
    output wire                s_axis_0_tready,
    output wire [OUT_BITS-1:0] m_axis_0_tdata,
    output wire                m_axis_0_tvalid,
    input  wire                m_axis_0_tready
);
    top1 #(.N(N), .PE(PE), .WIDTH(WIDTH), .SIGNED(SIGNED)) dut (
        .clk(ap_clk), .rst(!ap_rst_n),
        .s_data(s_axis_0_tdata), .s_valid(s_axis_0_tvalid), .s_ready(s_axis_0_tready),
        .m_data(m_axis_0_tdata), .m_valid(m_axis_0_tvalid), .m_ready(m_axis_0_tready)
    );
endmodule
`default_nettype wire
