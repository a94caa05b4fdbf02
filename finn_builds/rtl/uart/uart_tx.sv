// Sends bytes: 8 data bits, no parity, one stop bit. A byte is taken when `valid` and `ready` are
// high; a bit lasts CLOCKS clock cycles.
`default_nettype none
module uart_tx #(
    parameter integer CLOCKS = 100  // 4 or more
) (
    input  wire       clk,
    input  wire       rst_n,  // synchronous
    input  wire [7:0] data,
    input  wire       valid,
    output wire       ready,
    output logic      tx
);
    localparam integer COUNT_BITS = $clog2(CLOCKS + 1);
    localparam logic [COUNT_BITS-1:0] WHOLE = COUNT_BITS'(CLOCKS - 1);

    logic [COUNT_BITS-1:0] count;
    logic [8:0] bits;  // what follows the present bit: data, then the stop bit
    logic [3:0] left;
    assign ready = left == '0;

    always_ff @(posedge clk) begin
        if (!rst_n) begin
            left  <= '0;
            count <= '0;
            tx    <= 1'b1;
        end else if (ready) begin
            if (valid) begin
                bits  <= {1'b1, data};
                left  <= 4'd10;
                count <= WHOLE;
                tx    <= 1'b0;
            end
        end else if (count != '0) begin
            count <= count - 1'b1;
        end else begin
            count <= WHOLE;
            left  <= left - 1'b1;
            if (left != 4'd1) begin
                tx   <= bits[0];
                bits <= {1'b1, bits[8:1]};
            end
        end
    end
endmodule
`default_nettype wire
