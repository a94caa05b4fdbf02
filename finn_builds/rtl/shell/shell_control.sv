// Control block of the shell: soft reset, and the results of the stream meter.
//
//   0x00 control  write: bit 0 soft reset, bit 1 clears the meter
//                 read: bit 0 soft reset under way, bit 1 the input DMA waits for the bus,
//                 bit 2 the output DMA does
//   0x04 identity "PSS1", read only
//   0x08 frames begun               0x0C frames completed
//   0x10 latency of the first frame 0x14 smallest  0x18 largest  0x1C of the last frame
//   0x20 smallest interval          0x24 largest
//   0x28 span                       0x2C bit 0: too many frames under way, see stream_meter
//   0x30 stalls at the input        0x34 stalls at the output
//   0x38 beats of an input frame    0x3C of an output frame
//   0x40 identifier of the build, read only
//   All times in clock cycles.
//
// Soft reset: the DMAs are told to stop; when the bus owes them nothing any more, they and the
//   accelerator are held in reset for RESET_CYCLES. It can't end while a slave on the bus keeps
//   an answer back, which bits 1 and 2 of control show.
`default_nettype none
module shell_control #(
    parameter integer RESET_CYCLES = 16,
    parameter integer TRACKED = 64,
    parameter logic [31:0] BUILD_ID = 32'd0
) (
    input  wire         ap_clk,
    input  wire         ap_rst_n,  // synchronous
    input  wire  [15:0] in_beats,
    input  wire  [15:0] out_beats,

    input  wire         write,  // of registers, as axil_slave has them
    input  wire  [4:0]  write_at,
    input  wire  [31:0] write_data,
    input  wire  [3:0]  write_strobe,
    output wire         hold_writes,
    input  wire  [4:0]  read_at,
    output logic [31:0] read_data,

    output logic        stop,
    output logic        clear,
    input  wire         idma_quiet,
    input  wire         odma_quiet,
    output logic        accelerator_rst_n,

    input  wire         in_valid,
    input  wire         in_ready,
    input  wire         out_valid,
    input  wire         out_ready
);
    localparam logic [31:0] IDENTITY = 32'h5053_5331;
    localparam integer HOLD_BITS = $clog2(RESET_CYCLES + 1);

    assign hold_writes = 1'b0;
    wire write_control = write && write_at == 5'h00 && write_strobe[0];
    logic [HOLD_BITS-1:0] hold;
    logic clear_meter;

    always_ff @(posedge ap_clk) begin
        accelerator_rst_n <= ap_rst_n && !clear;
        clear_meter <= !ap_rst_n || clear || (write_control && write_data[1]);
        if (!ap_rst_n) begin
            stop  <= 1'b0;
            clear <= 1'b0;
            hold  <= '0;
        end else if (clear) begin
            hold <= hold - 1'b1;
            if (hold == HOLD_BITS'(1)) begin
                stop  <= 1'b0;
                clear <= 1'b0;
            end
        end else if (stop) begin
            clear <= idma_quiet && odma_quiet;
            hold  <= HOLD_BITS'(RESET_CYCLES);
        end else begin
            stop <= write_control && write_data[0];
        end
    end

    wire [31:0] frames_in;
    wire [31:0] frames_out;
    wire [31:0] latency_first;
    wire [31:0] latency_min;
    wire [31:0] latency_max;
    wire [31:0] latency_last;
    wire [31:0] interval_min;
    wire [31:0] interval_max;
    wire [31:0] span;
    wire [31:0] stall_in;
    wire [31:0] stall_out;
    wire lost;

    stream_meter #(.TRACKED(TRACKED)) meter (
        .clk(ap_clk), .clear(clear_meter), .in_beats(in_beats), .out_beats(out_beats),
        .in_valid(in_valid), .in_ready(in_ready), .out_valid(out_valid), .out_ready(out_ready),
        .frames_in(frames_in), .frames_out(frames_out), .latency_first(latency_first),
        .latency_min(latency_min), .latency_max(latency_max), .latency_last(latency_last),
        .interval_min(interval_min), .interval_max(interval_max), .span(span),
        .stall_in(stall_in), .stall_out(stall_out), .lost(lost)
    );

    // Four LUTs of six inputs per bit: two choose one of four counters, the third one of these and
    // of three more, the last between them and what few bits have.
    logic [31:0] latencies;
    logic [31:0] counts;
    logic [31:0] times;
    logic [31:0] others;
    wire [1:0] which = read_at[3] ? read_at[1:0] : 2'd3;
    wire is_count = read_at[3] ? read_at[2] && !read_at[1] : !read_at[2] && read_at[1];
    wire is_time = read_at[3] ? !read_at[2] && read_at[1:0] != 2'd3 : read_at[2];
    always_comb begin
        case (read_at[1:0])
            2'd0: latencies = latency_first;
            2'd1: latencies = latency_min;
            2'd2: latencies = latency_max;
            default: latencies = latency_last;
        endcase
        case ({read_at[3], read_at[0]})
            2'd0: counts = frames_in;
            2'd1: counts = frames_out;
            2'd2: counts = stall_in;
            default: counts = stall_out;
        endcase
        case (which)
            2'd0: times = interval_min;
            2'd1: times = interval_max;
            2'd2: times = span;
            default: times = latencies;
        endcase
        case (read_at)
            5'h00: others = {29'd0, !odma_quiet, !idma_quiet, stop};
            5'h01: others = IDENTITY;
            5'h0B: others = {31'd0, lost};
            5'h0E: others = {16'd0, in_beats};
            5'h0F: others = {16'd0, out_beats};
            5'h10: others = BUILD_ID;
            default: others = '0;
        endcase
        read_data = others;
        if (is_count && !read_at[4]) read_data = counts;
        if (is_time && !read_at[4]) read_data = times;
    end
endmodule
`default_nettype wire
