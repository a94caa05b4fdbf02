// Registers of one DMA: FINN's IODMA map, with status and description beside it.
//
//   0x00 control  write: bit 0 starts. read: bit 0 running, bit 1 done, bit 2 idle
//   0x10 address  of the first byte in memory, bits 31:0
//   0x14 address  bits 63:32; bits beyond ADDR_BITS are not kept
//   0x1C frames   of the next run
//   0x20 status   read only. bits 1:0 response of the bus (2 SLVERR, 3 DECERR, 0 no error),
//                 bit 2 a start was refused, bit 3 the transfer is longer than 2^32 - 1 bytes
//   0x24 bytes of one frame, read only
//   0x28 bytes of this run that the stream has not moved yet, read only
// Other addresses read as zero and take no writes. A write of single bytes leaves the others as they
// are; it starts a run if it has byte 0.
//
// Done is set at the end of a run and cleared by the next start. An error on the bus ends a run
// without setting done; then, while a run is on, or in a soft reset, a start does nothing but set
// bit 2 of the status. A soft reset, which is `stop` and at its end `clear`, brings back the state
// after power-on of control and status; bit 2 is set behind it if there was a start within it.
// Address and frames may be written while a run or a reset is on: they are for the next.
//
// The bytes of a run, frames * frame_bytes, are summed up one bit of frame_bytes per cycle as soon
// as `frames` is written: SIZE_BITS + 1 cycles, SIZE_BITS being the bits that frame_bytes has. A
// start that comes before the sum is ready waits for it, and further writes wait on the bus
// meanwhile, so that a run always gets what was written before its start.
`default_nettype none
module dma_registers #(
    parameter integer ADDR_BITS = 32,
    parameter integer SIZE_BITS = 32
) (
    input  wire                  clk,
    input  wire                  rst_n,  // synchronous
    input  wire                  stop,   // in a soft reset
    input  wire                  clear,  // at its end
    input  wire  [31:0]          frame_bytes,

    input  wire                  write,        // as axil_slave has them
    input  wire  [4:0]           write_at,
    input  wire  [31:0]          write_data,
    input  wire  [3:0]           write_strobe,
    output wire                  hold_writes,
    input  wire  [4:0]           read_at,
    output logic [31:0]          read_data,

    output logic                 launch,   // one cycle: begin a run of at least one byte
    output logic [ADDR_BITS-1:0] address,
    output wire  [31:0]          span,     // bytes of the run, less one
    output logic                 running,
    input  wire                  finished, // one cycle: all bytes are moved and acknowledged
    input  wire                  failed,   // the bus gave an error and all that was begun is over
    input  wire  [1:0]           resp,
    input  wire  [31:0]          bytes_left
);
    localparam logic [4:0] CONTROL = 5'h00;
    localparam logic [4:0] ADDRESS_LOW = 5'h04;
    localparam logic [4:0] ADDRESS_HIGH = 5'h05;
    localparam logic [4:0] FRAMES = 5'h07;
    localparam logic [4:0] STATUS = 5'h08;
    localparam logic [4:0] FRAME_BYTES = 5'h09;
    localparam logic [4:0] BYTES_LEFT = 5'h0A;

    logic waiting;  // started, and the product is not ready

    assign hold_writes = waiting;

    // Product of frames and frame_bytes, less one, from the highest bit of frame_bytes down. The sum
    // begins at -1; doubling the product p makes p - 1 to 2p - 1, which is a one shifted in. A sum
    // of zero or more has zeros in the two bits above the 32 that are kept. What is added is chosen
    // one cycle ahead, which leaves the adder one LUT per bit.
    localparam integer STEP_BITS = $clog2(SIZE_BITS + 1);
    logic [31:0] frames;
    logic [31:0] addend;
    logic [32:0] sum;
    logic [STEP_BITS-1:0] step;
    logic        settled;
    logic        too_long;
    wire [32:0]  choices = {frame_bytes, 1'b0};
    wire         adds = choices[6'(step)];
    wire [33:0]  sum_next = {2'b00, addend} + {sum[32], sum[31:0], 1'b1};
    wire         write_frames = write && write_at == FRAMES;
    wire         none = &sum[31:0];  // of 32 bits: nothing, or 2^32 bytes exactly
    assign span = sum[31:0];

    always_ff @(posedge clk) begin
        if (!rst_n) begin
            frames <= '0;
        end else if (write_frames) begin
            for (integer i = 0; i < 4; i = i + 1) begin
                if (write_strobe[i]) frames[8*i +: 8] <= write_data[8*i +: 8];
            end
        end
        if (!rst_n || write_frames || !adds) addend <= '0;
        else addend <= frames;
        if (!rst_n || write_frames) begin
            sum      <= '1;
            step     <= STEP_BITS'(SIZE_BITS);
            settled  <= 1'b0;
            too_long <= 1'b0;
        end else if (!settled) begin
            sum     <= sum_next[32:0];
            step    <= step - 1'b1;
            settled <= step == '0;
            if (sum_next[33] != sum_next[32]) too_long <= 1'b1;
        end else if (none && !sum[32]) begin
            too_long <= 1'b1;
        end
    end

    wire [63:0] address_read = 64'(address);
    wire write_low = write && write_at == ADDRESS_LOW;
    wire write_high = write && write_at == ADDRESS_HIGH;
    always_ff @(posedge clk) begin
        if (!rst_n) begin
            address <= '0;
        end else begin
            for (integer i = 0; i < ADDR_BITS; i = i + 1) begin
                if (write_strobe[(i / 8) % 4] && (i < 32 ? write_low : write_high))
                    address[i] <= write_data[i % 32];
            end
        end
    end

    logic done;
    logic refused;
    logic stopped;  // `stop` was high before
    wire  write_start = write && write_at == CONTROL && write_strobe[0] && write_data[0];
    wire  start = write_start && !running && resp == 2'b00 && !stop;
    wire  begin_run = waiting && settled;

    assign launch = begin_run && !too_long && !none;

    always_ff @(posedge clk) begin
        if (!rst_n || clear) begin
            running <= 1'b0;
            waiting <= 1'b0;
            done    <= 1'b0;
        end else begin
            if (start) begin
                running <= 1'b1;
                waiting <= 1'b1;
                done    <= 1'b0;
            end else if (begin_run) begin
                waiting <= 1'b0;
                if (!launch) begin  // nothing to move, or more than can be counted
                    running <= 1'b0;
                    done    <= !too_long && sum[32];
                end
            end else if (finished || failed) begin
                running <= 1'b0;
                done    <= finished && !failed;
            end
        end
    end

    // Not with `clear`: a start within a reset leaves its mark.
    always_ff @(posedge clk) begin
        stopped <= stop;
        if (!rst_n) refused <= 1'b0;
        else if (write_start) refused <= !start;
        else if (stop && !stopped) refused <= 1'b0;
    end

    always_comb begin
        case (read_at)
            CONTROL: read_data = {29'd0, !running, done, running};
            ADDRESS_LOW: read_data = address_read[31:0];
            ADDRESS_HIGH: read_data = address_read[63:32];
            FRAMES: read_data = frames;
            STATUS: read_data = {28'd0, too_long, refused, resp};
            FRAME_BYTES: read_data = frame_bytes;
            BYTES_LEFT: read_data = bytes_left;
            default: read_data = '0;
        endcase
    end
endmodule
`default_nettype wire
