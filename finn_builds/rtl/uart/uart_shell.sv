// An accelerator behind a serial line: frames in and out in packets, and its measurement.
//
// A request is
//   A5 | kind | number | length (2, low byte first) | payload | CRC (2, low byte first)
// and is answered with
//   5A | kind | number | status | length (2) | payload | CRC (2)
// The CRC is crc16 over all bytes between the first and itself. Kinds:
//   49 "I" identify   -> "PSU2", bytes of an input and of an output frame (2 each), the largest
//                        number of frames in a packet (2), BUILD_ID (4); ends `fresh`
//   52 "R" run frames -> their results
//   43 "C" counters   -> twelve words of 32 bits, those of shell_control from 0x08 to 0x34
//   58 "X" reset the accelerator
// Status: bit 0 `fresh`, nobody has identified the board since its reset; bits 3 to 1: 1 the CRC
// was wrong, 2 the length, 3 the kind, 4 the accelerator did not give all results in time and was
// reset. Only status 0 and 1 have a payload.
//
// A packet is stored and its CRC checked before the accelerator sees a frame of it. Then frames run
// from memory to memory, a beat a clock, so that the meter measures what the accelerator can do.
// Between packets everything but A5 is skipped. If a packet stops for IDLE_CLOCKS it is forgotten.
`default_nettype none
module uart_shell #(
    parameter integer IN_BYTES = 1,    // of a beat
    parameter integer OUT_BYTES = 1,
    parameter integer IN_BEATS = 1,    // of a frame
    parameter integer OUT_BEATS = 1,
    parameter integer FRAMES = 16,     // in a packet at most; IN_BEATS * IN_BYTES * FRAMES < 65536
    parameter integer CLOCKS = 100,    // of a bit on the line
    parameter integer IDLE_CLOCKS = 1000000,
    parameter integer RUN_CLOCKS = 1000000,
    parameter integer TRACKED = 16,
    parameter logic [31:0] BUILD_ID = 0  // of accelerator and clock
) (
    input  wire                    clk,
    input  wire                    rst_n,  // synchronous
    input  wire                    rx,
    output wire                    tx,
    output wire                    busy,
    output logic                   accelerator_rst_n,
    output wire [8*IN_BYTES-1:0]   s_tdata,
    output wire                    s_tvalid,
    input  wire                    s_tready,
    input  wire [8*OUT_BYTES-1:0]  m_tdata,
    input  wire                    m_tvalid,
    output wire                    m_tready
);
    localparam logic [7:0] REQUEST = 8'hA5, ANSWER = 8'h5A;
    localparam logic [7:0] IDENTIFY = 8'h49, RUN = 8'h52, COUNTERS = 8'h43, RESET = 8'h58;
    localparam logic [2:0] BAD_CRC = 3'd1, BAD_LENGTH = 3'd2, BAD_KIND = 3'd3, TOO_LATE = 3'd4;
    localparam integer IN_WORDS = IN_BEATS * FRAMES;
    localparam integer OUT_WORDS = OUT_BEATS * FRAMES;
    localparam integer IN_FRAME = IN_BYTES * IN_BEATS;
    localparam integer OUT_FRAME = OUT_BYTES * OUT_BEATS;
    localparam integer IN_AT = $clog2(IN_WORDS + 1);
    localparam integer OUT_AT = $clog2(OUT_WORDS + 1);
    localparam integer IN_BYTE = $clog2(IN_BYTES + 1);
    localparam integer OUT_BYTE = $clog2(OUT_BYTES + 1);
    localparam integer WAIT_BITS = $clog2((IDLE_CLOCKS > RUN_CLOCKS ? IDLE_CLOCKS : RUN_CLOCKS) + 1);

    typedef enum logic [3:0] {
        HUNT, HEAD, PAYLOAD, CHECK, JUDGE, PREPARE, RUNNING, SEND_HEAD, FETCH, SEND, SEND_CRC
    } state_t;
    state_t state;

    wire [7:0] got;
    wire got_valid, got_broken;
    uart_rx #(.CLOCKS(CLOCKS)) receiver (
        .clk(clk), .rst_n(rst_n), .rx(rx), .data(got), .valid(got_valid), .broken(got_broken)
    );
    wire take = got_valid && !got_broken;

    logic [7:0] put;
    logic put_valid;
    wire put_ready;
    uart_tx #(.CLOCKS(CLOCKS)) sender (
        .clk(clk), .rst_n(rst_n), .data(put), .valid(put_valid), .ready(put_ready), .tx(tx)
    );
    wire sent = put_valid && put_ready;

    // The packet under way
    logic [7:0] kind, number;
    logic [15:0] length, left, frames, whole, results;
    logic [2:0] at;  // byte of the head or of the CRC
    logic [2:0] fault;
    logic fresh, wrong;
    logic [WAIT_BITS-1:0] waited;

    wire [15:0] crc;
    wire receiving = state == HEAD || state == PAYLOAD;
    crc16 sum (
        .clk(clk),
        .start(state == HUNT || state == PREPARE),
        .step((receiving && take) || (sent && state != SEND_CRC && put_counts)),
        .data(receiving ? got : put),
        .crc(crc)
    );
    logic put_counts;  // the byte that is sent belongs to the CRC

    // Input frames
    logic [8*IN_BYTES-1:0] in_word;
    logic [IN_BYTE-1:0] in_byte;
    logic [IN_AT-1:0] in_at, in_end;
    logic in_write;
    // No word is read in the clock that it is written in, so no logic has to see to that case.
    (* no_rw_check *) logic [8*IN_BYTES-1:0] in_store[0:IN_WORDS-1];
    logic [8*IN_BYTES-1:0] in_read;
    logic in_held;
    assign s_tdata = in_read;
    assign s_tvalid = in_held;
    wire fetch_in = state == RUNNING && (!in_held || s_tready);
    always_ff @(posedge clk) begin
        if (in_write) in_store[in_at[IN_AT-1:0]] <= in_word;
        if (fetch_in) in_read <= in_store[in_at];
    end

    // Output frames
    logic [OUT_AT-1:0] out_at, out_end;
    (* no_rw_check *) logic [8*OUT_BYTES-1:0] out_store[0:OUT_WORDS-1];
    logic [8*OUT_BYTES-1:0] out_read, out_word;
    logic [OUT_BYTE-1:0] out_byte;
    logic open;
    assign m_tready = open;
    wire give = m_tvalid && open;
    always_ff @(posedge clk) begin
        if (give) out_store[out_at] <= m_tdata;
        out_read <= out_store[out_at];
    end

    // The measurement
    logic clear_meter;
    wire [31:0] counters[0:11];
    wire lost;
    stream_meter #(.TRACKED(TRACKED)) meter (
        .clk(clk), .clear(clear_meter), .in_beats(16'(IN_BEATS)), .out_beats(16'(OUT_BEATS)),
        .in_valid(s_tvalid), .in_ready(s_tready), .out_valid(m_tvalid), .out_ready(m_tready),
        .frames_in(counters[0]), .frames_out(counters[1]), .latency_first(counters[2]),
        .latency_min(counters[3]), .latency_max(counters[4]), .latency_last(counters[5]),
        .interval_min(counters[6]), .interval_max(counters[7]), .span(counters[8]),
        .stall_in(counters[10]), .stall_out(counters[11]), .lost(lost)
    );
    assign counters[9] = {31'd0, lost};
    logic [31:0] counter;
    logic [3:0] which;
    always_ff @(posedge clk) counter <= counters[which];

    wire [111:0] identity = {BUILD_ID, 16'(FRAMES), 16'(OUT_FRAME), 16'(IN_FRAME), 32'h32555350};
    logic [111:0] story;  // what is sent of an identity or a counter, the next byte lowest

    assign busy = state != HUNT;
    logic late;

    always_ff @(posedge clk) begin
        in_write <= 1'b0;
        clear_meter <= !rst_n;
        accelerator_rst_n <= rst_n;
        if (state == HUNT || take || state == JUDGE) waited <= WAIT_BITS'(IDLE_CLOCKS);
        else if (state == PREPARE) waited <= WAIT_BITS'(RUN_CLOCKS);
        else if (waited != '0) waited <= waited - 1'b1;
        late <= waited == '0 && !take && state != HUNT && state != JUDGE && state != PREPARE;
        if (in_write) in_at <= in_at + 1'b1;
        if (give) out_at <= out_at + 1'b1;
        // In every state, because it is wide: `in_write` says what becomes of it.
        if (take) in_word <= IN_BYTES == 1 ? got : {got, in_word[8*IN_BYTES-1:8*(IN_BYTES>1)]};

        if (!rst_n) begin
            state <= HUNT;
            fresh <= 1'b1;
            put_valid <= 1'b0;
            open <= 1'b0;
            in_held <= 1'b0;
        end else case (state)
            HUNT: begin
                at <= '0;
                in_at <= '0;
                in_byte <= '0;
                wrong <= 1'b0;
                frames <= '0;
                whole <= '0;
                results <= '0;
                out_end <= '0;
                if (take && got == REQUEST) state <= HEAD;
            end

            HEAD: if (late) state <= HUNT;
            else if (take) begin
                at <= at + 1'b1;
                case (at)
                    3'd0: kind <= got;
                    3'd1: number <= got;
                    3'd2: length[7:0] <= got;
                    default: begin
                        length[15:8] <= got;
                        left <= {got, length[7:0]};
                        at <= '0;
                        state <= {got, length[7:0]} == '0 ? CHECK : PAYLOAD;
                    end
                endcase
            end

            PAYLOAD: if (late) state <= HUNT;
            else if (take) begin
                in_byte <= in_byte + 1'b1;
                if (in_byte == IN_BYTE'(IN_BYTES - 1)) begin
                    in_byte <= '0;
                    in_write <= in_at != IN_AT'(IN_WORDS);
                end
                // Whole frames and their results, counted as they come, need no multiplier.
                whole <= whole + 1'b1;
                if (whole == 16'(IN_FRAME - 1)) begin
                    whole <= '0;
                    frames <= frames + 1'b1;
                    results <= results + 16'(OUT_FRAME);
                    out_end <= out_end + OUT_AT'(OUT_BEATS);
                end
                left <= left - 1'b1;
                if (left == 16'd1) state <= CHECK;
            end

            CHECK: if (late) state <= HUNT;
            else if (take) begin
                at <= at + 1'b1;
                if (got != (at[0] ? crc[15:8] : crc[7:0])) wrong <= 1'b1;
                if (at[0]) state <= JUDGE;
            end

            JUDGE: begin
                fault <= '0;
                case (kind)
                    IDENTIFY, COUNTERS, RESET: if (length != '0) fault <= BAD_LENGTH;
                    RUN: if (whole != '0 || frames == '0 || frames > 16'(FRAMES))
                        fault <= BAD_LENGTH;
                    default: fault <= BAD_KIND;
                endcase
                if (wrong) fault <= BAD_CRC;
                state <= PREPARE;
            end

            PREPARE: begin
                at <= '0;
                out_at <= '0;
                out_byte <= '0;
                in_end <= IN_AT'(in_at);
                in_at <= '0;
                which <= '0;
                length <= '0;
                state <= SEND_HEAD;
                if (fault == '0) case (kind)
                    IDENTIFY: begin
                        fresh <= 1'b0;
                        length <= 16'd14;
                    end
                    COUNTERS: length <= 16'd48;
                    RESET: accelerator_rst_n <= 1'b0;
                    default: begin
                        clear_meter <= 1'b1;
                        length <= results;
                        open <= 1'b1;
                        state <= RUNNING;
                    end
                endcase
            end

            RUNNING: begin
                if (fetch_in) begin
                    in_held <= in_at != in_end && !clear_meter;
                    if (in_at != in_end && !clear_meter) in_at <= in_at + 1'b1;
                end
                if (out_at == out_end || late) begin
                    open <= 1'b0;
                    in_held <= 1'b0;
                    out_at <= '0;
                    state <= SEND_HEAD;
                    if (out_at != out_end) begin
                        fault <= TOO_LATE;
                        length <= '0;
                        accelerator_rst_n <= 1'b0;
                    end
                end
            end

            SEND_HEAD: begin
                left <= length;
                story <= identity;
                put_valid <= 1'b1;
                put_counts <= at != '0;
                case (at)
                    3'd0: put <= ANSWER;
                    3'd1: put <= kind;
                    3'd2: put <= number;
                    3'd3: put <= {4'd0, fault, fresh};
                    3'd4: put <= length[7:0];
                    default: put <= length[15:8];
                endcase
                if (sent) begin
                    put_valid <= 1'b0;
                    at <= at + 1'b1;
                    if (at == 3'd5) begin
                        at <= '0;
                        state <= length == '0 ? SEND_CRC : FETCH;
                    end
                end
            end

            // A word of results or a counter is there two clocks after its address.
            FETCH: begin
                at <= at + 1'b1;
                if (at == 3'd2) begin
                    at <= '0;
                    out_word <= out_read;
                    out_byte <= '0;
                    out_at <= out_at + 1'b1;
                    if (kind == COUNTERS) story[31:0] <= counter;
                    which <= which + 1'b1;
                    state <= SEND;
                end
            end

            SEND: begin
                put_valid <= 1'b1;
                put_counts <= 1'b1;
                put <= kind == RUN ? out_word[7:0] : story[7:0];
                if (sent) begin
                    put_valid <= 1'b0;
                    out_word <= out_word >> 8;
                    story <= story >> 8;
                    out_byte <= out_byte + 1'b1;
                    left <= left - 1'b1;
                    if (left == 16'd1) state <= SEND_CRC;
                    else if (kind == RUN && out_byte == OUT_BYTE'(OUT_BYTES - 1)) state <= FETCH;
                    else if (kind == COUNTERS && left[1:0] == 2'd1) state <= FETCH;
                end
            end

            default: begin  // SEND_CRC
                put_valid <= 1'b1;
                put_counts <= 1'b0;
                put <= at[0] ? crc[15:8] : crc[7:0];
                if (sent) begin
                    put_valid <= 1'b0;
                    at <= at + 1'b1;
                    if (at[0]) state <= HUNT;
                end
            end
        endcase
    end
endmodule
`default_nettype wire
