// CRC-16 with the polynomial x^16 + x^12 + x^5 + 1, most significant bit first, of bytes.
`default_nettype none
module crc16 (
    input  wire         clk,
    input  wire         start,  // back to all ones
    input  wire         step,
    input  wire  [ 7:0] data,
    output logic [15:0] crc
);
    function automatic logic [15:0] next(input logic [15:0] from, input logic [7:0] with_byte);
        logic [15:0] c;
        c = from ^ {with_byte, 8'd0};
        for (int i = 0; i < 8; i++) c = {c[14:0], 1'b0} ^ (c[15] ? 16'h1021 : 16'h0);
        return c;
    endfunction

    always_ff @(posedge clk) begin
        if (start) crc <= '1;
        else if (step) crc <= next(crc, data);
    end
endmodule
`default_nettype wire
