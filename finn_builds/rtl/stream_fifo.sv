// First-in first-out buffer of a stream.
//
// Handshake: a word moves where valid and ready meet at a rising edge. s_ready, m_valid and all
//   control come from registers, no path leads from m_ready to s_ready or from s_valid to m_valid.
//   A word is taken if and only if fewer than DEPTH words are held. m_valid and m_data hold until
//   m_ready. s_ready is low in reset and in the first cycle after it.
// Latency: a word shows at m_data in the cycle after it was taken, if none was before it.
// Throughput: one word per cycle.
// Storage: the cycles are the same for every DEPTH and STYLE; only what holds the words differs:
//   1 addressable shift registers (SRL) and an output register,
//   2 LUT RAM and an output register,
//   3 block RAM, whose output register shows the oldest word,
//   0 chooses 1 up to 33 words, 2 up to 1024 and 3 beyond.
`default_nettype none
module stream_fifo #(
    parameter integer WIDTH = 8,
    parameter integer DEPTH = 2,
    parameter integer STYLE = 0
) (
    input  wire              clk,
    input  wire              rst,  // synchronous, active high
    input  wire  [WIDTH-1:0] s_data,
    input  wire              s_valid,
    output logic             s_ready,
    output wire  [WIDTH-1:0] m_data,
    output logic             m_valid,
    input  wire              m_ready
);
    localparam integer COUNT_BITS = $clog2(DEPTH + 1);
    localparam integer SHIFT = 1;
    localparam integer DISTRIBUTED = 2;
    localparam integer BLOCK = 3;
    localparam integer STORAGE
        = STYLE != 0 ? STYLE : DEPTH <= 33 ? SHIFT : DEPTH <= 1024 ? DISTRIBUTED : BLOCK;

`ifndef SYNTHESIS
    initial begin
        if (WIDTH < 1) $fatal(1, "stream_fifo: WIDTH is %0d, must be at least 1", WIDTH);
        if (DEPTH < 2) $fatal(1, "stream_fifo: DEPTH is %0d, must be at least 2", DEPTH);
        if (STYLE < 0 || STYLE > BLOCK) $fatal(1, "stream_fifo: STYLE is %0d, not 0 to 3", STYLE);
    end
`endif

    // Words held, the one on m_data included: all of the control.
    logic [COUNT_BITS-1:0] count;
    wire push = s_valid && s_ready;
    wire pop = m_valid && m_ready;
    wire [COUNT_BITS-1:0] count_next = count + COUNT_BITS'(push) - COUNT_BITS'(pop);

    always_ff @(posedge clk) begin
        if (rst) begin
            count   <= '0;
            s_ready <= 1'b0;
            m_valid <= 1'b0;
        end else begin
            count   <= count_next;
            s_ready <= count_next != COUNT_BITS'(DEPTH);
            m_valid <= count_next != '0;
        end
    end

    generate
        if (STORAGE == BLOCK) begin : gen_block
            localparam integer ADDRESS_BITS = $clog2(DEPTH);
            localparam logic [ADDRESS_BITS-1:0] LAST = ADDRESS_BITS'(DEPTH - 1);

            (* ram_style = "block" *) logic [WIDTH-1:0] memory[0:DEPTH-1];
            logic [ADDRESS_BITS-1:0] write_at;
            logic [ADDRESS_BITS-1:0] read_at;
            wire [ADDRESS_BITS-1:0] after_read = read_at == LAST ? '0 : read_at + 1'b1;
            wire [ADDRESS_BITS-1:0] front = pop ? after_read : read_at;

            // The oldest word is read again in every cycle. One that is written in the same cycle
            // goes around the memory, which need not say what it reads then.
            logic [WIDTH-1:0] from_memory;
            logic [WIDTH-1:0] around;
            logic use_around;

            always_ff @(posedge clk) begin
                if (push) memory[write_at] <= s_data;
                from_memory <= memory[front];
            end

            always_ff @(posedge clk) begin
                if (rst) begin
                    write_at <= '0;
                    read_at  <= '0;
                end else begin
                    if (push) write_at <= write_at == LAST ? '0 : write_at + 1'b1;
                    read_at <= front;
                end
                around     <= s_data;
                use_around <= push && write_at == front;
            end

            assign m_data = use_around ? around : from_memory;

        end else begin : gen_registered
            // The oldest word lies in a register, the others in memory behind it.
            localparam integer STORED = DEPTH > 2 ? DEPTH - 1 : 1;
            localparam integer ADDRESS_BITS = STORED > 1 ? $clog2(STORED) : 1;

            logic [WIDTH-1:0] oldest;
            wire any_stored = count > COUNT_BITS'(1);
            wire load = pop || !m_valid;
            wire fetch = pop && any_stored;
            wire store = push && (any_stored || !load);
            wire [WIDTH-1:0] stored;

            always_ff @(posedge clk) begin
                if (load) oldest <= any_stored ? stored : s_data;
            end
            assign m_data = oldest;

            if (STORAGE == SHIFT) begin : gen_shift
                // One line per bit, the form that every synthesiser makes SRLs of.
                logic [ADDRESS_BITS-1:0] front;  // place of the oldest stored word
                genvar b;
                for (b = 0; b < WIDTH; b = b + 1) begin : gen_bit
                    (* shreg_extract = "yes", srl_style = "srl" *) logic [STORED-1:0] line;
                    always_ff @(posedge clk) begin
                        if (store) line <= STORED'({line, s_data[b]});
                    end
                    assign stored[b] = line[front];
                end

                always_ff @(posedge clk) begin
                    if (rst) front <= '1;
                    else front <= front + ADDRESS_BITS'(store) - ADDRESS_BITS'(fetch);
                end

            end else begin : gen_distributed
                localparam logic [ADDRESS_BITS-1:0] LAST = ADDRESS_BITS'(STORED - 1);

                (* ram_style = "distributed" *) logic [WIDTH-1:0] memory[0:STORED-1];
                logic [ADDRESS_BITS-1:0] write_at;
                logic [ADDRESS_BITS-1:0] read_at;

                always_ff @(posedge clk) begin
                    if (store) memory[write_at] <= s_data;
                end

                always_ff @(posedge clk) begin
                    if (rst) begin
                        write_at <= '0;
                        read_at  <= '0;
                    end else begin
                        if (store) write_at <= write_at == LAST ? '0 : write_at + 1'b1;
                        if (fetch) read_at <= read_at == LAST ? '0 : read_at + 1'b1;
                    end
                end
                assign stored = memory[read_at];
            end
        end
    endgenerate
endmodule
`default_nettype wire
