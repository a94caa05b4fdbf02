// stream_fifo whose depth is set while a simulation runs: for simulation only.
//
// Cycle for cycle the same as stream_fifo with DEPTH = limit, so that the depths a design needs are
// found without compiling it once per try. The simulator writes `limit` (2 to MAX_DEPTH) before it
// resets the design, and reads `max_count`, the most words ever held at once since then.
`default_nettype none
module stream_fifo_sized #(
    parameter integer WIDTH = 8,
    parameter integer MAX_DEPTH = 32768
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
    localparam integer ADDRESS_BITS = $clog2(MAX_DEPTH);
    localparam logic [ADDRESS_BITS-1:0] LAST = ADDRESS_BITS'(MAX_DEPTH - 1);

    logic [31:0] limit /* verilator public_flat_rw */ = MAX_DEPTH;
    logic [31:0] max_count /* verilator public_flat_rd */;
    logic [31:0] count;

    logic [WIDTH-1:0] memory[0:MAX_DEPTH-1];
    logic [ADDRESS_BITS-1:0] write_at;
    logic [ADDRESS_BITS-1:0] read_at;

    wire push = s_valid && s_ready;
    wire pop = m_valid && m_ready;
    wire [31:0] count_next = count + 32'(push) - 32'(pop);

    always_ff @(posedge clk) begin
        if (push) memory[write_at] <= s_data;
        if (rst) begin
            count     <= '0;
            max_count <= '0;
            s_ready   <= 1'b0;
            m_valid   <= 1'b0;
            write_at  <= '0;
            read_at   <= '0;
        end else begin
            count   <= count_next;
            s_ready <= count_next < limit;
            m_valid <= count_next != '0;
            if (count_next > max_count) max_count <= count_next;
            if (push) write_at <= write_at == LAST ? '0 : write_at + 1'b1;
            if (pop) read_at <= read_at == LAST ? '0 : read_at + 1'b1;
        end
    end
    assign m_data = memory[read_at];

`ifndef SYNTHESIS
    always @(posedge clk) begin
        if (limit < 2 || limit > MAX_DEPTH) begin
            $fatal(1, "stream_fifo_sized: limit is %0d, must be 2 to %0d", limit, MAX_DEPTH);
        end
    end

    initial begin
        if (WIDTH < 1) $fatal(1, "stream_fifo_sized: WIDTH is %0d, must be at least 1", WIDTH);
        if (MAX_DEPTH < 2) begin
            $fatal(1, "stream_fifo_sized: MAX_DEPTH is %0d, must be at least 2", MAX_DEPTH);
        end
    end
`endif
endmodule
`default_nettype wire
