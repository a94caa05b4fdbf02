// Stream designs for the tests of the simulator: good ones, and one for each way to go wrong.
`default_nettype none

// Takes a beat in three of four cycles, and complains if its source breaks the rules.
module echo #(
    parameter integer WIDTH = 8
) (
    input  wire              ap_clk,
    input  wire              ap_rst_n,
    input  wire  [WIDTH-1:0] s_axis_0_tdata,
    input  wire              s_axis_0_tvalid,
    output wire              s_axis_0_tready,
    output logic [WIDTH-1:0] m_axis_0_tdata,
    output logic             m_axis_0_tvalid,
    input  wire              m_axis_0_tready
);
    logic [1:0] phase;
    logic was_held;
    logic [WIDTH-1:0] was_data;
    assign s_axis_0_tready = phase != 2'd3 && (!m_axis_0_tvalid || m_axis_0_tready);

    always_ff @(posedge ap_clk) begin
        if (!ap_rst_n) begin
            phase <= '0;
            m_axis_0_tvalid <= 1'b0;
            was_held <= 1'b0;
        end else begin
            phase <= phase + 2'd1;
            if (s_axis_0_tready && s_axis_0_tvalid) begin
                m_axis_0_tvalid <= 1'b1;
                m_axis_0_tdata  <= s_axis_0_tdata;
            end else if (m_axis_0_tready) begin
                m_axis_0_tvalid <= 1'b0;
            end
            was_held <= s_axis_0_tvalid && !s_axis_0_tready;
            was_data <= s_axis_0_tdata;
            if (was_held && (!s_axis_0_tvalid || was_data != s_axis_0_tdata)) begin
                $error("the source broke its promise");
            end
        end
    end
endmodule

// Always ready, makes one output a beat: FAULT says what is wrong with it.
module faulty #(
    parameter FAULT = "none"
) (
    input  wire        ap_clk,
    input  wire        ap_rst_n,
    input  wire  [7:0] s_axis_0_tdata,
    input  wire        s_axis_0_tvalid,
    output wire        s_axis_0_tready,
    output logic [7:0] m_axis_0_tdata,
    output logic       m_axis_0_tvalid,
    input  wire        m_axis_0_tready
);
    logic again;
    logic [7:0] beats;
    logic [7:0] never_reset;
    logic [7:0] table_[0:255];
    wire blocked = m_axis_0_tvalid && !m_axis_0_tready;
    assign s_axis_0_tready = !blocked && !again;

    initial begin
        if (FAULT == "refuses") $fatal(1, "parameter %s is refused", FAULT);
        if (FAULT == "reads") $readmemh("./table.dat", table_);
    end

    always_ff @(posedge ap_clk) begin
        if (!ap_rst_n) begin
            m_axis_0_tvalid <= 1'b0;
            again <= 1'b0;
            beats <= '0;
        end else begin
            if (again) begin
                if (!blocked) again <= 1'b0;
            end else if (s_axis_0_tready && s_axis_0_tvalid) begin
                m_axis_0_tvalid <= 1'b1;
                m_axis_0_tdata  <= FAULT == "reads" ? table_[s_axis_0_tdata]
                    : FAULT == "remembers" ? s_axis_0_tdata ^ never_reset
                    : FAULT == "counts" ? beats : s_axis_0_tdata;
                beats <= beats + 8'd1;
                if (FAULT == "doubles") again <= 1'b1;
                if (FAULT == "prints") $display("beat %0d is %0d", beats, s_axis_0_tdata);
                if (FAULT == "stops" && beats == 8'd9) $error("ten beats are enough");
                if (FAULT == "finishes" && beats == 8'd9) $finish;
            end else if (!blocked || FAULT == "falls") begin
                m_axis_0_tvalid <= 1'b0;
            end else if (FAULT == "changes") begin
                m_axis_0_tdata <= m_axis_0_tdata + 8'd1;
            end
            if (FAULT == "peeps") m_axis_0_tdata <= s_axis_0_tdata;
            never_reset <= never_reset;
        end
    end
endmodule

// One stage of `chain`: stops or swallows after so many beats.
module stage #(
    parameter integer STOP_AFTER = -1,
    parameter integer SWALLOW_AFTER = -1
) (
    input  wire        ap_clk,
    input  wire        ap_rst_n,
    input  wire  [7:0] s_data,
    input  wire        s_valid,
    output wire        s_ready,
    output logic [7:0] m_data,
    output logic       m_valid,
    input  wire        m_ready
);
    logic [31:0] beats;
    wire stopped = STOP_AFTER >= 0 && beats >= STOP_AFTER;
    assign s_ready = !stopped && (!m_valid || m_ready);
    always_ff @(posedge ap_clk) begin
        if (!ap_rst_n) begin
            m_valid <= 1'b0;
            beats   <= '0;
        end else if (s_valid && s_ready) begin
            m_valid <= SWALLOW_AFTER < 0 || beats < SWALLOW_AFTER;
            m_data  <= s_data;
            beats   <= beats + 1;
        end else if (m_ready) begin
            m_valid <= 1'b0;
        end
    end
endmodule

// Three stages; the second may fail.
module chain #(
    parameter integer STOP_AFTER = -1,
    parameter integer SWALLOW_AFTER = -1
) (
    input  wire       ap_clk,
    input  wire       ap_rst_n,
    input  wire [7:0] s_axis_0_tdata,
    input  wire       s_axis_0_tvalid,
    output wire       s_axis_0_tready,
    output wire [7:0] m_axis_0_tdata,
    output wire       m_axis_0_tvalid,
    input  wire       m_axis_0_tready
);
    wire [7:0] one__two_tdata;
    wire one__two_tvalid /* verilator public_flat_rd */;
    wire one__two_tready /* verilator public_flat_rd */;
    wire [7:0] two_three_tdata;
    wire two_three_tvalid /* verilator public_flat_rd */;
    wire two_three_tready /* verilator public_flat_rd */;
    stage one (
        ap_clk, ap_rst_n, s_axis_0_tdata, s_axis_0_tvalid, s_axis_0_tready,
        one__two_tdata, one__two_tvalid, one__two_tready
    );
    stage #(.STOP_AFTER(STOP_AFTER), .SWALLOW_AFTER(SWALLOW_AFTER)) two (
        ap_clk, ap_rst_n, one__two_tdata, one__two_tvalid, one__two_tready,
        two_three_tdata, two_three_tvalid, two_three_tready
    );
    stage three (
        ap_clk, ap_rst_n, two_three_tdata, two_three_tvalid, two_three_tready,
        m_axis_0_tdata, m_axis_0_tvalid, m_axis_0_tready
    );
endmodule

module settings;
    logic [15:0] gain /* verilator public_flat_rw */ = 16'd3;
    logic [63:0] wide /* verilator public_flat_rw */ = 64'd0;
    logic [64:0] too_wide /* verilator public_flat_rw */ = 65'd0;
    logic flag /* verilator public_flat_rw */ = 1'b0;
    logic [7:0] several[0:3] /* verilator public_flat_rw */;
endmodule

// Multiplies by a register, which a test sets from outside.
module gained (
    input  wire        ap_clk,
    input  wire        ap_rst_n,
    input  wire  [7:0] s_axis_0_tdata,
    input  wire        s_axis_0_tvalid,
    output wire        s_axis_0_tready,
    output logic [23:0] m_axis_0_tdata,
    output logic       m_axis_0_tvalid,
    input  wire        m_axis_0_tready
);
    settings set ();
    logic [31:0] total /* verilator public_flat_rd */;
    assign s_axis_0_tready = !m_axis_0_tvalid || m_axis_0_tready;
    always_ff @(posedge ap_clk) begin
        if (!ap_rst_n) begin
            m_axis_0_tvalid <= 1'b0;
            total <= '0;
        end else if (s_axis_0_tready) begin
            m_axis_0_tvalid <= s_axis_0_tvalid;
            m_axis_0_tdata  <= 24'(s_axis_0_tdata) * 24'(set.gain);
            if (s_axis_0_tvalid) total <= total + 32'(s_axis_0_tdata);
        end
    end
endmodule
`default_nettype wire
