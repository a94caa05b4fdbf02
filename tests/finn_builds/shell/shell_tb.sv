// One run of a shell against a simple memory, for other simulators than Verilator.
// Macros: WORD (bytes of the bus), ADDR_BITS, FRAMES, SOURCE, TARGET (byte addresses), LATENCY.
// Memory (8 KiB) comes from memory.hex; what it holds at the end is printed, and the registers.
`timescale 1ns / 1ps
`default_nettype none
module shell_tb;
    localparam integer WORD = `WORD;
    localparam integer BYTES = 8192;
    reg ap_clk = 1'b0;
    reg ap_rst_n = 1'b0;
    always #5 ap_clk = !ap_clk;

    reg [7:0] memory[0:BYTES-1];
    integer b;

    // One master of AXI4-Lite for the three blocks: bit i of a valid goes to block i.
    reg [2:0] awvalid = 3'd0;
    reg [2:0] arvalid = 3'd0;
    reg [6:0] address = 7'd0;
    reg [31:0] value = 32'd0;
    wire [2:0] awready, wready, bvalid, arready, rvalid;
    wire [31:0] rdata[0:2];

    wire [`ADDR_BITS-1:0] araddr, awaddr;
    wire [7:0] arlen, awlen;
    wire arvalid_m, awvalid_m, wvalid, wlast, rready, bready;
    wire [8*WORD-1:0] wdata;
    wire [WORD-1:0] wstrb;
    reg [8*WORD-1:0] rdata_m = 0;
    reg rvalid_m = 1'b0;
    reg rlast_m = 1'b0;
    reg bvalid_m = 1'b0;

    prunestream_shell dut (
        .ap_clk(ap_clk), .ap_rst_n(ap_rst_n),
        .s_axi_idma0_awaddr(address), .s_axi_idma0_awvalid(awvalid[0]),
        .s_axi_idma0_awready(awready[0]), .s_axi_idma0_wdata(value), .s_axi_idma0_wstrb(4'hF),
        .s_axi_idma0_wvalid(awvalid[0]), .s_axi_idma0_wready(wready[0]), .s_axi_idma0_bresp(),
        .s_axi_idma0_bvalid(bvalid[0]), .s_axi_idma0_bready(1'b1), .s_axi_idma0_araddr(address),
        .s_axi_idma0_arvalid(arvalid[0]), .s_axi_idma0_arready(arready[0]),
        .s_axi_idma0_rdata(rdata[0]), .s_axi_idma0_rresp(), .s_axi_idma0_rvalid(rvalid[0]),
        .s_axi_idma0_rready(1'b1),
        .s_axi_odma0_awaddr(address), .s_axi_odma0_awvalid(awvalid[1]),
        .s_axi_odma0_awready(awready[1]), .s_axi_odma0_wdata(value), .s_axi_odma0_wstrb(4'hF),
        .s_axi_odma0_wvalid(awvalid[1]), .s_axi_odma0_wready(wready[1]), .s_axi_odma0_bresp(),
        .s_axi_odma0_bvalid(bvalid[1]), .s_axi_odma0_bready(1'b1), .s_axi_odma0_araddr(address),
        .s_axi_odma0_arvalid(arvalid[1]), .s_axi_odma0_arready(arready[1]),
        .s_axi_odma0_rdata(rdata[1]), .s_axi_odma0_rresp(), .s_axi_odma0_rvalid(rvalid[1]),
        .s_axi_odma0_rready(1'b1),
        .s_axi_control0_awaddr(address), .s_axi_control0_awvalid(awvalid[2]),
        .s_axi_control0_awready(awready[2]), .s_axi_control0_wdata(value),
        .s_axi_control0_wstrb(4'hF), .s_axi_control0_wvalid(awvalid[2]),
        .s_axi_control0_wready(wready[2]), .s_axi_control0_bresp(),
        .s_axi_control0_bvalid(bvalid[2]), .s_axi_control0_bready(1'b1),
        .s_axi_control0_araddr(address), .s_axi_control0_arvalid(arvalid[2]),
        .s_axi_control0_arready(arready[2]), .s_axi_control0_rdata(rdata[2]),
        .s_axi_control0_rresp(), .s_axi_control0_rvalid(rvalid[2]), .s_axi_control0_rready(1'b1),
        .m_axi_idma0_araddr(araddr), .m_axi_idma0_arlen(arlen), .m_axi_idma0_arsize(),
        .m_axi_idma0_arburst(), .m_axi_idma0_arcache(), .m_axi_idma0_arprot(),
        .m_axi_idma0_arvalid(arvalid_m), .m_axi_idma0_arready(1'b1),
        .m_axi_idma0_rdata(rdata_m), .m_axi_idma0_rresp(2'b00), .m_axi_idma0_rlast(rlast_m),
        .m_axi_idma0_rvalid(rvalid_m), .m_axi_idma0_rready(rready),
        .m_axi_odma0_awaddr(awaddr), .m_axi_odma0_awlen(awlen), .m_axi_odma0_awsize(),
        .m_axi_odma0_awburst(), .m_axi_odma0_awcache(), .m_axi_odma0_awprot(),
        .m_axi_odma0_awvalid(awvalid_m), .m_axi_odma0_awready(1'b1),
        .m_axi_odma0_wdata(wdata), .m_axi_odma0_wstrb(wstrb), .m_axi_odma0_wlast(wlast),
        .m_axi_odma0_wvalid(wvalid), .m_axi_odma0_wready(1'b1),
        .m_axi_odma0_bresp(2'b00), .m_axi_odma0_bvalid(bvalid_m), .m_axi_odma0_bready(bready)
    );

    // Reads: requests wait in a queue; the first word comes LATENCY cycles after its request.
    integer r_addr[0:63];
    integer r_words[0:63];
    integer r_due[0:63];
    integer r_head = 0;
    integer r_tail = 0;
    integer r_word = 0;
    integer now = 0;
    always @(posedge ap_clk) begin
        if (arvalid_m) begin
            r_addr[r_tail & 63] = araddr;
            r_words[r_tail & 63] = arlen + 1;
            r_due[r_tail & 63] = now + `LATENCY;
            r_tail = r_tail + 1;
        end
        if (rvalid_m && rready) rvalid_m <= 1'b0;
        if ((!rvalid_m || rready) && r_head != r_tail && r_due[r_head & 63] <= now) begin
            for (b = 0; b < WORD; b = b + 1)
                rdata_m[8*b +: 8] <= memory[r_addr[r_head & 63] + r_word * WORD + b];
            rvalid_m <= 1'b1;
            rlast_m <= r_word + 1 == r_words[r_head & 63];
            if (r_word + 1 == r_words[r_head & 63]) begin
                r_word = 0;
                r_head = r_head + 1;
            end else r_word = r_word + 1;
        end
        now = now + 1;
    end

    // Writes: a burst's address comes before or with its first word here.
    integer w_addr[0:63];
    integer w_head = 0;
    integer w_tail = 0;
    integer w_word = 0;
    integer answers = 0;
    always @(posedge ap_clk) begin
        if (awvalid_m) begin
            w_addr[w_tail & 63] = awaddr;
            w_tail = w_tail + 1;
        end
        if (wvalid) begin
            if (w_head == w_tail) $display("data before its address");
            for (b = 0; b < WORD; b = b + 1)
                if (wstrb[b]) memory[w_addr[w_head & 63] + w_word * WORD + b] = wdata[8*b +: 8];
            w_word = wlast ? 0 : w_word + 1;
            if (wlast) begin
                w_head = w_head + 1;
                answers = answers + 1;
            end
        end
        if (bvalid_m && bready) bvalid_m <= 1'b0;
        else if (answers != 0) begin
            bvalid_m <= 1'b1;
            answers = answers - 1;
        end
    end

    task write(input integer block, input [6:0] at, input [31:0] data);
        begin
            @(negedge ap_clk);
            address = at;
            value = data;
            awvalid[block] = 1'b1;
            while (!awready[block]) @(negedge ap_clk);
            @(negedge ap_clk);
            awvalid = 3'd0;
            while (!bvalid[block]) @(negedge ap_clk);
        end
    endtask

    task read(input integer block, input [6:0] at, output [31:0] data);
        begin
            @(negedge ap_clk);
            address = at;
            arvalid[block] = 1'b1;
            while (!arready[block]) @(negedge ap_clk);
            @(negedge ap_clk);
            arvalid = 3'd0;
            while (!rvalid[block]) @(negedge ap_clk);
            data = rdata[block];
        end
    endtask

    integer i;
    reg [31:0] got;
    initial begin
        $readmemh("memory.hex", memory);
        repeat (5) @(negedge ap_clk);
        ap_rst_n = 1'b1;
        write(1, 7'h10, `TARGET);
        write(1, 7'h14, 0);
        write(1, 7'h1C, `FRAMES);
        write(1, 7'h00, 1);
        write(0, 7'h10, `SOURCE);
        write(0, 7'h14, 0);
        write(0, 7'h1C, `FRAMES);
        write(0, 7'h00, 1);
        got = 0;
        for (i = 0; i < 10000 && !(got & 2); i = i + 1) read(1, 7'h00, got);
        for (i = 0; i < 3; i = i + 1) begin
            read(i, 7'h00, got);
            $display("control %0d %h", i, got);
        end
        for (i = 8; i < 64; i = i + 4) begin
            read(2, i, got);
            $display("meter %h %h", i, got);
        end
        for (i = 0; i < BYTES; i = i + 1) $display("byte %h", memory[i]);
        $finish;
    end
endmodule
`default_nettype wire
