// Output DMA: writes the beats of a stream to memory, frame behind frame.
//
// A run takes frames * frame_bytes bytes, BEAT_BYTES per beat, and writes them from `address` on,
// which may be any byte address; frame_bytes must be a multiple of BEAT_BYTES. Bytes of memory
// beside the range are not touched. No beat is taken outside a run.
//
// Bus: AXI4 writes of whole words with strobes, in incrementing bursts that end where the address
//   is a multiple of MAX_BURST words, so none crosses a 4 KiB boundary. MAX_BURST of 16 suits AXI3.
//   A burst is asked for when all of its data are at hand, so a slow stream never holds the bus;
//   up to MAX_PENDING bursts wait for their response.
// Done: when the last response has come, so the data are in memory.
// Errors: a response other than OKAY ends the run: bursts already asked for are completed, no beat
//   is taken any more. See dma_registers.
// Soft reset: with `stop` high the same is done; `quiet` tells that the bus owes nothing any more,
//   and `clear`, given only then, brings back the idle state.
`default_nettype none
module odma #(
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

    output wire [ADDR_BITS-1:0]    m_axi_awaddr,
    output wire [7:0]              m_axi_awlen,
    output wire                    m_axi_awvalid,
    input  wire                    m_axi_awready,
    output wire [8*WORD_BYTES-1:0] m_axi_wdata,
    output wire [WORD_BYTES-1:0]   m_axi_wstrb,
    output wire                    m_axi_wlast,
    output wire                    m_axi_wvalid,
    input  wire                    m_axi_wready,
    input  wire [1:0]              m_axi_bresp,
    input  wire                    m_axi_bvalid,
    output wire                    m_axi_bready,

    input  wire [8*BEAT_BYTES-1:0] s_axis_tdata,
    input  wire                    s_axis_tvalid,
    output wire                    s_axis_tready
);
    localparam integer LANE_BITS = $clog2(WORD_BYTES);
    localparam integer DEPTH = 2 * MAX_BURST;  // one burst leaves while the next gathers
    localparam integer STORED_BITS = $clog2(DEPTH + 1);
    localparam integer PENDING_BITS = $clog2(MAX_PENDING + 1);

`ifndef SYNTHESIS
    initial begin
        if (WORD_BYTES < 2 || 1 << LANE_BITS != WORD_BYTES)
            $fatal(1, "odma: WORD_BYTES is %0d, must be a power of two from 2", WORD_BYTES);
        if (BEAT_BYTES < 1) $fatal(1, "odma: BEAT_BYTES is %0d, must be at least 1", BEAT_BYTES);
    end
`endif

    wire launch;
    wire running;
    wire [ADDR_BITS-1:0] address;
    wire [31:0] span;  // bytes of a run, less one
    logic [31:0] bytes_left;
    logic [1:0] resp;
    logic moving;  // a run is on and not all of it is acknowledged
    wire more;
    wire finished = moving && !more && quiet;
    wire drop = stop || resp != 2'b00;

    dma_registers #(.ADDR_BITS(ADDR_BITS), .SIZE_BITS(SIZE_BITS)) registers (
        .clk(ap_clk), .rst_n(ap_rst_n), .stop(stop), .clear(clear), .frame_bytes(frame_bytes),
        .write(write), .write_at(write_at), .write_data(write_data),
        .write_strobe(write_strobe), .hold_writes(hold_writes),
        .read_at(read_at), .read_data(read_data),
        .launch(launch), .address(address), .span(span), .running(running),
        .finished(finished), .failed(resp != 2'b00 && quiet), .resp(resp), .bytes_left(bytes_left)
    );

    // Beats to words
    logic left;  // bytes_left is not zero
    wire gather_ready;
    wire word_valid;
    wire word_ready;
    wire [8*WORD_BYTES-1:0] word;
    assign s_axis_tready = left && !drop && gather_ready;
    wire take = s_axis_tvalid && s_axis_tready;
    wire last = bytes_left == 32'(BEAT_BYTES);
    wire forget = !ap_rst_n || clear;

    beats_to_words #(.WORD_BYTES(WORD_BYTES), .BEAT_BYTES(BEAT_BYTES)) gather (
        .clk(ap_clk), .restart(forget || launch),
        .skip(forget ? '0 : address[LANE_BITS-1:0]),  // a reset leaves no unfinished word
        .flush(!left),
        .s_data(s_axis_tdata), .s_valid(s_axis_tvalid && left && !drop), .s_ready(gather_ready),
        .m_data(word), .m_valid(word_valid), .m_ready(word_ready)
    );

    always_ff @(posedge ap_clk) begin
        if (forget) bytes_left <= '0;
        else if (launch || take) begin  // the adder that counts loads as well
            bytes_left <= (launch ? 32'd1 : -32'(BEAT_BYTES)) + (launch ? span : bytes_left);
        end
        if (forget) left <= 1'b0;
        else if (launch) left <= 1'b1;
        else if (take && last) left <= 1'b0;
    end

    wire stored_valid;
    wire sent = m_axi_wvalid && m_axi_wready;
    burst_store #(.WIDTH(8 * WORD_BYTES), .DEPTH(DEPTH)) words_store (
        .clk(ap_clk), .rst(forget),
        .s_data(word), .s_valid(word_valid), .s_ready(word_ready),
        .m_data(m_axi_wdata), .m_valid(stored_valid), .m_ready(sent)
    );

    // Write requests, each with its data behind it
    logic [STORED_BITS-1:0] stored;    // words in the store that no burst has asked for
    logic [8:0] to_send;               // words of the present burst
    logic [PENDING_BITS-1:0] pending;  // bursts asked for and not acknowledged
    wire [8:0] words;
    wire asked;
    wire gathered = word_valid && word_ready;
    wire burst_free = to_send == '0 || (m_axi_wlast && sent);
    wire may_ask = !drop && 10'(stored) >= 10'(words) && burst_free
                   && pending != PENDING_BITS'(MAX_PENDING);
    wire answered = m_axi_bvalid && m_axi_bready;

    burst_addresses #(
        .ADDR_BITS(ADDR_BITS), .WORD_BYTES(WORD_BYTES), .MAX_BURST(MAX_BURST)
    ) requests (
        .clk(ap_clk), .rst_n(!forget), .launch(launch), .address(address), .span(span),
        .enable(may_ask), .words(words), .issue(asked), .addr(m_axi_awaddr), .len(m_axi_awlen),
        .valid(m_axi_awvalid), .ready(m_axi_awready), .more(more)
    );

    assign m_axi_wvalid = to_send != '0 && stored_valid;
    assign m_axi_wlast = to_send == 9'd1;
    assign m_axi_bready = 1'b1;
    assign quiet = pending == '0 && to_send == '0;

    always_ff @(posedge ap_clk) begin
        if (forget) begin
            stored  <= '0;
            to_send <= '0;
            pending <= '0;
            moving  <= 1'b0;
            resp    <= 2'b00;
        end else begin
            stored <= stored + STORED_BITS'(gathered) - (asked ? STORED_BITS'(words) : '0);
            if (asked) to_send <= words;
            else if (sent) to_send <= to_send - 1'b1;
            pending <= pending + PENDING_BITS'(asked) - PENDING_BITS'(answered);
            moving  <= launch || (moving && !finished && !(resp != 2'b00));
            if (answered && resp == 2'b00 && !stop) resp <= m_axi_bresp;
        end
    end

    // Strobes leave out what lies before the first byte and behind the last.
    logic first_word;
    logic [LANE_BITS-1:0] first_lane;
    logic [LANE_BITS-1:0] last_lane;
    wire [WORD_BYTES-1:0] all = '1;
    wire last_word = m_axi_wlast && !more;
    wire [WORD_BYTES-1:0] from_first = first_word ? all << first_lane : all;
    wire [WORD_BYTES-1:0] to_last
        = last_word ? all >> (LANE_BITS'(WORD_BYTES - 1) - last_lane) : all;
    assign m_axi_wstrb = from_first & to_last;

    always_ff @(posedge ap_clk) begin
        if (launch) begin
            first_word <= 1'b1;
            first_lane <= address[LANE_BITS-1:0];
            last_lane  <= address[LANE_BITS-1:0] + span[LANE_BITS-1:0];
        end else if (sent) begin
            first_word <= 1'b0;
        end
    end

    wire unused = running;
endmodule
`default_nettype wire
