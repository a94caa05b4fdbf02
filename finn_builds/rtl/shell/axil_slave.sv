// AXI4-Lite slave: turns bus accesses into single-cycle reads and writes of registers.
//
// Handshake: a write is taken when address and data are both offered, no response is pending and
//   hold_writes is low, and `write` is high in that very cycle; its response follows in the next.
//   A read is taken when no earlier one is pending; `read_data` is sampled in that cycle and
//   offered in the next.
// Bytes: `write_strobe` says which bytes a write carries; a register keeps the others. A write of
//   no byte is only answered.
// Errors: every access is answered OKAY, because an Arm Cortex-A53 takes an error response to a
//   write for a system error, at which Linux panics.
// Throughput: one read and one write every two cycles, independent of each other.
`default_nettype none
module axil_slave #(
    parameter integer ADDR_BITS = 7
) (
    input  wire                  clk,
    input  wire                  rst_n,  // synchronous
    input  wire  [ADDR_BITS-1:0] awaddr,
    input  wire                  awvalid,
    output wire                  awready,
    input  wire  [31:0]          wdata,
    input  wire  [3:0]           wstrb,
    input  wire                  wvalid,
    output wire                  wready,
    output wire  [1:0]           bresp,
    output logic                 bvalid,
    input  wire                  bready,
    input  wire  [ADDR_BITS-1:0] araddr,
    input  wire                  arvalid,
    output wire                  arready,
    output logic [31:0]          rdata,
    output wire  [1:0]           rresp,
    output logic                 rvalid,
    input  wire                  rready,
    input  wire                  hold_writes,  // take no write for now
    output wire                  write,
    output wire  [ADDR_BITS-3:0] write_at,   // word address
    output wire  [31:0]          write_data,
    output wire  [3:0]           write_strobe,  // bytes of it that are written, at least one
    output wire  [ADDR_BITS-3:0] read_at,    // word address
    input  wire  [31:0]          read_data
);
    localparam logic [1:0] OKAY = 2'b00;

    // Nothing is taken in reset: what is offered then is still there when the reset ends.
    wire take_write = awvalid && wvalid && !bvalid && !hold_writes && rst_n;
    wire take_read = arvalid && !rvalid && rst_n;

    assign awready = take_write;
    assign wready = take_write;
    assign write = take_write && |wstrb;
    assign write_at = awaddr[ADDR_BITS-1:2];
    assign write_data = wdata;
    assign write_strobe = wstrb;
    assign bresp = OKAY;
    assign arready = take_read;
    assign read_at = araddr[ADDR_BITS-1:2];
    assign rresp = OKAY;

    always_ff @(posedge clk) begin
        if (take_read) rdata <= read_data;
        if (!rst_n) begin
            bvalid <= 1'b0;
            rvalid <= 1'b0;
        end else begin
            bvalid <= take_write || (bvalid && !bready);
            rvalid <= take_read || (rvalid && !rready);
        end
    end

    // Registers are words: the byte address in a word does not matter.
    wire unused = &{1'b0, awaddr[1:0], araddr[1:0]};
endmodule
`default_nettype wire
