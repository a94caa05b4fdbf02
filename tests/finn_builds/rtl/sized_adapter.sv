// stream_fifo_sized under the names of ports that the simulator drives.
`default_nettype none
module sized_adapter #(
    parameter integer WIDTH = 8,
    parameter integer MAX_DEPTH = 64
) (
    input  wire             ap_clk,
    input  wire             ap_rst_n,
    input  wire [WIDTH-1:0] s_axis_0_tdata,
    input  wire             s_axis_0_tvalid,
    output wire             s_axis_0_tready,
    output wire [WIDTH-1:0] m_axis_0_tdata,
    output wire             m_axis_0_tvalid,
    input  wire             m_axis_0_tready
);
    stream_fifo_sized #(.WIDTH(WIDTH), .MAX_DEPTH(MAX_DEPTH)) dut (
        .clk(ap_clk), .rst(!ap_rst_n),
        .s_data(s_axis_0_tdata), .s_valid(s_axis_0_tvalid), .s_ready(s_axis_0_tready),
        .m_data(m_axis_0_tdata), .m_valid(m_axis_0_tvalid), .m_ready(m_axis_0_tready)
    );
endmodule
`default_nettype wire
