// Input DMA: reads frames that lie back to back in memory and sends them as a stream.
//
// A run moves frames * frame_bytes bytes from `address` on, which may be any byte address, and
// gives BEAT_BYTES of them per beat; frame_bytes must be a multiple of BEAT_BYTES. Frames have no
// gap between them, neither in memory nor, if memory keeps up, in time.
//
// Bus: AXI4 reads of whole words with incrementing bursts that end where the address is a multiple
//   of MAX_BURST words, so none crosses a 4 KiB boundary; up to MAX_PENDING bursts are under way.
//   MAX_BURST of 16 suits AXI3.
// Errors: a response other than OKAY ends the run: no burst is asked for any more, what was asked
//   for is taken and dropped, the stream gets no byte from the faulty word on. See dma_registers.
// Soft reset: with `stop` high the same is done; `quiet` tells that the bus owes nothing any more,
//   and `clear`, given only then, brings back the idle state.
// Latency: first word of the bus to first beat, 2 cycles.
`default_nettype none
module idma #(
    parameter integer ADDR_BITS = 32,
    parameter integer WORD_BYTES = 8,
    parameter integer BEAT_BYTES = 1,
    parameter integer MAX_BURST = 16,
    parameter integer MAX_PENDING = 8,
    parameter integer SIZE_BITS = 32  // bits that frame_bytes has
) (
    input  wire                    ap_clk,
    input  wire                    ap_rst_n,  // synchronous
    input  wire                    stop,
    output wire                    quiet,
    input  wire                    clear,
    input  wire [31:0]             frame_bytes,

    input  wire                    write,  // of registers, as axil_slave has them
    input  wire [4:0]              write_at,
    input  wire [31:0]             write_data,
    input  wire [3:0]              write_strobe,
    output wire                    hold_writes,
    input  wire [4:0]              read_at,
    output wire [31:0]             read_data,

    output wire [ADDR_BITS-1:0]    m_axi_araddr,
    output wire [7:0]              m_axi_arlen,
    output logic                   m_axi_arvalid,
    input  wire                    m_axi_arready,
    input  wire [8*WORD_BYTES-1:0] m_axi_rdata,
    input  wire [1:0]              m_axi_rresp,
    input  wire                    m_axi_rlast,
    input  wire                    m_axi_rvalid,
    output wire                    m_axi_rready,

    output wire [8*BEAT_BYTES-1:0] m_axis_tdata,
    output wire                    m_axis_tvalid,
    input  wire                    m_axis_tready
);
    localparam integer LANE_BITS = $clog2(WORD_BYTES);
    localparam integer PENDING_BITS = $clog2(MAX_PENDING + 1);

`ifndef SYNTHESIS
    initial begin
        if (WORD_BYTES < 2 || 1 << LANE_BITS != WORD_BYTES)
            $fatal(1, "idma: WORD_BYTES is %0d, must be a power of two from 2", WORD_BYTES);
        if (BEAT_BYTES < 1) $fatal(1, "idma: BEAT_BYTES is %0d, must be at least 1", BEAT_BYTES);
    end
`endif

    wire launch;
    wire running;
    wire [ADDR_BITS-1:0] address;
    wire [31:0] span;  // bytes of a run, less one
    logic [31:0] bytes_left;
    logic [1:0] resp;
    logic finished;

    // After an error or in a soft reset everything the bus still owes is taken and dropped.
    wire drop = stop || resp != 2'b00;

    dma_registers #(.ADDR_BITS(ADDR_BITS), .SIZE_BITS(SIZE_BITS)) registers (
        .clk(ap_clk), .rst_n(ap_rst_n), .stop(stop), .clear(clear), .frame_bytes(frame_bytes),
        .write(write), .write_at(write_at), .write_data(write_data),
        .write_strobe(write_strobe), .hold_writes(hold_writes),
        .read_at(read_at), .read_data(read_data),
        .launch(launch), .address(address), .span(span), .running(running),
        .finished(finished), .failed(resp != 2'b00 && quiet), .resp(resp), .bytes_left(bytes_left)
    );

    // Read requests
    logic [PENDING_BITS-1:0] pending;  // bursts asked for and not wholly received
    wire asked;
    wire received = m_axi_rvalid && m_axi_rready;
    wire may_ask = !drop && pending != PENDING_BITS'(MAX_PENDING);
    wire burst_ends = received && m_axi_rlast;

    burst_addresses #(
        .ADDR_BITS(ADDR_BITS), .WORD_BYTES(WORD_BYTES), .MAX_BURST(MAX_BURST)
    ) requests (
        .clk(ap_clk), .rst_n(ap_rst_n && !clear), .launch(launch), .address(address),
        .span(span), .enable(may_ask), .words(), .issue(asked), .addr(m_axi_araddr),
        .len(m_axi_arlen), .valid(m_axi_arvalid), .ready(m_axi_arready), .more()
    );

    assign quiet = pending == '0;

    always_ff @(posedge ap_clk) begin
        if (!ap_rst_n) pending <= '0;
        else pending <= pending + PENDING_BITS'(asked) - PENDING_BITS'(burst_ends);

        if (!ap_rst_n || clear) resp <= 2'b00;
        else if (received && resp == 2'b00 && !stop) resp <= m_axi_rresp;
    end

    // Data. A faulty word is not let through: it is seen in the cycle it comes.
    wire beat_valid;
    wire word_ready;
    assign m_axi_rready = drop || word_ready;

    words_to_beats #(.WORD_BYTES(WORD_BYTES), .BEAT_BYTES(BEAT_BYTES)) cut (
        .clk(ap_clk), .restart(!ap_rst_n || clear || launch), .skip(address[LANE_BITS-1:0]),
        .s_data(m_axi_rdata), .s_valid(m_axi_rvalid && !drop && m_axi_rresp == 2'b00),
        .s_ready(word_ready),
        .m_data(m_axis_tdata), .m_valid(beat_valid), .m_ready(m_axis_tready)
    );

    // What is left of the last word is not part of the run.
    logic left;  // bytes_left is not zero
    assign m_axis_tvalid = beat_valid && left;
    wire give = m_axis_tvalid && m_axis_tready;
    wire last = bytes_left == 32'(BEAT_BYTES);

    always_ff @(posedge ap_clk) begin
        if (!ap_rst_n || clear) bytes_left <= '0;
        else if (launch || give) begin  // the adder that counts loads as well
            bytes_left <= (launch ? 32'd1 : -32'(BEAT_BYTES)) + (launch ? span : bytes_left);
        end
        if (!ap_rst_n || clear) left <= 1'b0;
        else if (launch) left <= 1'b1;
        else if (give && last) left <= 1'b0;
        finished <= ap_rst_n && !clear && give && last;
    end

    wire unused = running;
endmodule
`default_nettype wire
