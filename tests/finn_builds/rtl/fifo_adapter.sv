// stream_fifo under the names of ports that the simulator drives, data padded to whole bytes.
`default_nettype none
module fifo_adapter #(
    parameter integer WIDTH = 8,
    parameter integer DEPTH = 2,
    parameter integer STYLE = 0,
    parameter integer BITS = (WIDTH + 7) / 8 * 8
) (
    input  wire            ap_clk,
    input  wire            ap_rst_n,
    input  wire [BITS-1:0] s_axis_0_tdata,
    input  wire            s_axis_0_tvalid,
    output wire            s_axis_0_tready,
    output wire [BITS-1:0] m_axis_0_tdata,
    output wire            m_axis_0_tvalid,
    input  wire            m_axis_0_tready
);
    wire [WIDTH-1:0] m_data;
    assign m_axis_0_tdata = BITS'(m_data);
    stream_fifo #(.WIDTH(WIDTH), .DEPTH(DEPTH), .STYLE(STYLE)) dut (
        .clk(ap_clk), .rst(!ap_rst_n),
        .s_data(s_axis_0_tdata[WIDTH-1:0]), .s_valid(s_axis_0_tvalid), .s_ready(s_axis_0_tready),
        .m_data(m_data), .m_valid(m_axis_0_tvalid), .m_ready(m_axis_0_tready)
    );
endmodule
`default_nettype wire
