// Sends vectors.hex through an adapter under pseudo-random stalls and prints what comes out.
// Macros: DUT, PARAMS, IN_BITS, OUT_BITS, BEATS_IN, BEATS_OUT, STALL (of 256).
`timescale 1ns / 1ps
`default_nettype none
module vectors_tb;
    reg ap_clk = 1'b0;
    reg ap_rst_n = 1'b0;
    reg [`IN_BITS-1:0] vectors[0:`BEATS_IN-1];
    reg [`IN_BITS-1:0] s_axis_0_tdata = 0;
    reg s_axis_0_tvalid = 1'b0;
    wire s_axis_0_tready;
    wire [`OUT_BITS-1:0] m_axis_0_tdata;
    wire m_axis_0_tvalid;
    reg m_axis_0_tready = 1'b0;

    `DUT #(`PARAMS) dut (
        .ap_clk(ap_clk), .ap_rst_n(ap_rst_n),
        .s_axis_0_tdata(s_axis_0_tdata), .s_axis_0_tvalid(s_axis_0_tvalid),
        .s_axis_0_tready(s_axis_0_tready),
        .m_axis_0_tdata(m_axis_0_tdata), .m_axis_0_tvalid(m_axis_0_tvalid),
        .m_axis_0_tready(m_axis_0_tready)
    );

    integer sent = 0;
    integer received = 0;
    integer seed = 5;
    integer cycle;
    reg held;
    reg [`OUT_BITS-1:0] held_data;

    initial begin
        $readmemh("vectors.hex", vectors);
        held = 1'b0;
        for (cycle = 0; received < `BEATS_OUT && cycle < 100000; cycle = cycle + 1) begin
            // Inputs change while the clock is low and are looked at just before it rises.
            ap_rst_n = cycle >= 4;
            if (ap_rst_n && !s_axis_0_tvalid && sent < `BEATS_IN
                && ($random(seed) & 255) >= `STALL) begin
                s_axis_0_tvalid = 1'b1;
                s_axis_0_tdata  = vectors[sent];
            end
            m_axis_0_tready = ap_rst_n && ($random(seed) & 255) >= `STALL;
            #5;
            if (ap_rst_n) begin
                if (m_axis_0_tvalid === 1'bx || s_axis_0_tready === 1'bx) $display("unknown");
                if (held && (!m_axis_0_tvalid || m_axis_0_tdata !== held_data)) begin
                    $display("withdrawn");
                end
                held = m_axis_0_tvalid && !m_axis_0_tready;
                held_data = m_axis_0_tdata;
                if (m_axis_0_tvalid && m_axis_0_tready) begin
                    $display("out %h", m_axis_0_tdata);
                    received = received + 1;
                end
            end
            if (s_axis_0_tvalid && s_axis_0_tready && ap_rst_n) begin
                sent = sent + 1;
                ap_clk = 1'b1;
                #5;
                s_axis_0_tvalid = 1'b0;
                s_axis_0_tdata  = {`IN_BITS{1'bx}};
            end else begin
                ap_clk = 1'b1;
                #5;
            end
            ap_clk = 1'b0;
        end
        $finish;
    end
endmodule
`default_nettype wire
