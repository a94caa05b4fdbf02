// Buffer between a stream and the bursts of a bus.
//
// A first-in first-out buffer whose words lie in shift registers and come out of them directly: no
// output register and no way around, as stream_fifo has, and half the size for it. Up to 32 words
// are one SRL per bit; with more, this is a stream_fifo.
//
// Handshake: a word moves where valid and ready meet. s_ready and m_valid come from registers;
//   m_valid and m_data hold until m_ready. s_ready is low in reset and in the first cycle after it.
// Latency: a word shows at m_data in the cycle after it was taken, if none was before it.
// Throughput: one word per cycle.
`default_nettype none
module burst_store #(
    parameter integer WIDTH = 64,
    parameter integer DEPTH = 32
) (
    input  wire              clk,
    input  wire              rst,  // synchronous, active high
    input  wire  [WIDTH-1:0] s_data,
    input  wire              s_valid,
    output wire              s_ready,
    output wire  [WIDTH-1:0] m_data,
    output wire              m_valid,
    input  wire              m_ready
);
    localparam integer PLACE_BITS = $clog2(DEPTH);

`ifndef SYNTHESIS
    initial if (DEPTH < 2) $fatal(1, "burst_store: DEPTH is %0d, must be at least 2", DEPTH);
`endif

    generate
        if (DEPTH > 32) begin : gen_large
            stream_fifo #(.WIDTH(WIDTH), .DEPTH(DEPTH)) fifo (
                .clk(clk), .rst(rst), .s_data(s_data), .s_valid(s_valid), .s_ready(s_ready),
                .m_data(m_data), .m_valid(m_valid), .m_ready(m_ready)
            );
        end else begin : gen_small
            logic accepts;
            logic any;
            logic [PLACE_BITS-1:0] front;  // place of the oldest word, if there is any
            wire push = s_valid && accepts;
            wire pop = any && m_ready;
            assign s_ready = accepts;
            assign m_valid = any;

            always_ff @(posedge clk) begin
                if (rst) begin
                    accepts <= 1'b0;
                    any     <= 1'b0;
                    front   <= '0;
                end else begin
                    if (push == pop) begin
                        accepts <= !any || front != PLACE_BITS'(DEPTH - 1);
                    end else if (push) begin
                        any <= 1'b1;
                        if (any) front <= front + 1'b1;
                        accepts <= !any || front != PLACE_BITS'(DEPTH - 2);
                    end else begin
                        any <= front != '0;
                        if (front != '0) front <= front - 1'b1;
                        accepts <= 1'b1;
                    end
                end
            end

            genvar b;
            for (b = 0; b < WIDTH; b = b + 1) begin : gen_bit
                (* shreg_extract = "yes", srl_style = "srl" *) logic [DEPTH-1:0] line;
                always_ff @(posedge clk) begin
                    if (push) line <= {line[DEPTH-2:0], s_data[b]};
                end
                assign m_data[b] = line[front];
            end
        end
    endgenerate
endmodule
`default_nettype wire
