// Receives bytes: 8 data bits, no parity, one stop bit, sampled in the middle of each bit.
//
// A bit lasts CLOCKS clock cycles. `valid` is high for one cycle per byte; a byte whose stop bit is
// not 1 (wrong baud, a break) comes with `broken`.
`default_nettype none
module uart_rx #(
    parameter integer CLOCKS = 100  // 4 or more
) (
    input  wire        clk,
    input  wire        rst_n,  // synchronous
    input  wire        rx,
    output logic [7:0] data,
    output logic       valid,
    output logic       broken
);
    localparam integer COUNT_BITS = $clog2(CLOCKS + 1);
    localparam logic [COUNT_BITS-1:0] WHOLE = COUNT_BITS'(CLOCKS - 1);
    localparam logic [COUNT_BITS-1:0] HALF = COUNT_BITS'(CLOCKS / 2 - 1);

    // The line has its own clock: two flip-flops bring it into this one.
    logic [2:0] line;
    always_ff @(posedge clk) line <= !rst_n ? 3'b111 : {line[1:0], rx};

    logic [COUNT_BITS-1:0] count;
    logic [3:0] left;  // samples that are still to come: start bit, 8 data bits, stop bit
    wire sample = left != '0 && count == '0;

    always_ff @(posedge clk) begin
        valid <= sample && left == 4'd1;
        broken <= !line[2];
        if (!rst_n) begin
            left  <= '0;
            count <= '0;
        end else if (left == '0) begin
            if (line[2] && !line[1]) begin
                left  <= 4'd10;
                count <= HALF;
            end
        end else if (!sample) begin
            count <= count - 1'b1;
        end else begin
            // A start bit that is over by its middle was a spike.
            left  <= (left == 4'd10 && line[2]) ? '0 : left - 1'b1;
            count <= WHOLE;
            if (left != 4'd1) data <= {line[2], data[7:1]};
        end
    end
endmodule
`default_nettype wire
