// Measures an accelerator by watching its two streams: latency, interval, stalls, frames.
//
// The latency of a frame is the number of cycles from the one in which its first beat is taken to
// the one in which the last beat of its output is taken; the interval is the number of cycles
// between the last output beats of two frames. `span` goes from the first beat of the first frame
// to the last beat of the last one that has come out, so the mean interval of n frames is
// (span - latency_first) / (n - 1). All results are those of the time since `clear`, which must
// come while no frame is under way. Counters wrap round after 2^32.
//
// TRACKED is how many frames may be under way at once; with more, `lost` is set and the latencies
// keep the values of before.
`default_nettype none
module stream_meter #(
    parameter integer TRACKED = 64  // a power of two
) (
    input  wire         clk,
    input  wire         clear,  // synchronous
    input  wire  [15:0] in_beats,   // beats of a frame
    input  wire  [15:0] out_beats,
    input  wire         in_valid,
    input  wire         in_ready,
    input  wire         out_valid,
    input  wire         out_ready,
    output logic [31:0] frames_in,    // begun
    output logic [31:0] frames_out,   // completed
    output logic [31:0] latency_first,
    output logic [31:0] latency_min,
    output logic [31:0] latency_max,
    output logic [31:0] latency_last,
    output logic [31:0] interval_min,
    output logic [31:0] interval_max,
    output logic [31:0] span,
    output logic [31:0] stall_in,   // cycles in which a beat waited for the accelerator
    output logic [31:0] stall_out,  // cycles in which a beat of the accelerator waited
    output logic        lost
);
    localparam integer TRACK_BITS = $clog2(TRACKED);

    wire take = in_valid && in_ready;
    wire give = out_valid && out_ready;

    // Beats of the present frame that have passed
    logic [15:0] in_at;
    logic [15:0] out_at;
    wire begins = take && in_at == '0;
    wire ends = give && out_at == out_beats - 1'b1;

    always_ff @(posedge clk) begin
        if (clear || (take && in_at == in_beats - 1'b1)) in_at <= '0;
        else if (take) in_at <= in_at + 1'b1;
        if (clear || ends) out_at <= '0;
        else if (give) out_at <= out_at + 1'b1;
    end

    // Time since the first beat, and when each frame under way began
    logic [31:0] now;
    logic [31:0] began[0:TRACKED-1];
    logic [TRACK_BITS-1:0] oldest;
    logic [TRACK_BITS:0] under_way;
    wire through = begins && ends && under_way == '0;  // in and out in one cycle
    wire full = under_way == (TRACK_BITS + 1)'(TRACKED);
    wire store = begins && !through && !full;
    wire fetch = ends && under_way != '0;
    wire [TRACK_BITS-1:0] free = oldest + under_way[TRACK_BITS-1:0];
    wire started = frames_in != '0;

    always_ff @(posedge clk) begin
        if (store) began[free] <= now;
        if (clear) begin
            now       <= '0;
            oldest    <= '0;
            under_way <= '0;
            lost      <= 1'b0;
        end else begin
            if (begins || started) now <= now + 1'b1;
            if (fetch) oldest <= oldest + 1'b1;
            under_way <= under_way + (TRACK_BITS + 1)'(store) - (TRACK_BITS + 1)'(fetch);
            if (begins && full) lost <= 1'b1;
        end
    end

    // One cycle later: the results
    logic        ended;
    logic        first;   // no frame has ended before
    logic        second;  // one frame has
    logic [31:0] latency;
    logic [31:0] interval;
    logic [31:0] since;   // the last frame ended

    always_ff @(posedge clk) begin
        latency  <= through ? '0 : now - began[oldest];
        interval <= since;
        if (clear) begin
            ended      <= 1'b0;
            first      <= 1'b1;
            second     <= 1'b0;
            since      <= '0;
            frames_in  <= '0;
            frames_out <= '0;
            stall_in   <= '0;
            stall_out  <= '0;
            span       <= '0;
        end else begin
            ended <= ends;
            since <= ends ? 32'd1 : since + 1'b1;
            if (begins) frames_in <= frames_in + 1'b1;
            if (ends) frames_out <= frames_out + 1'b1;
            if (ends) span <= now;
            if (in_valid && !in_ready) stall_in <= stall_in + 1'b1;
            if (out_valid && !out_ready) stall_out <= stall_out + 1'b1;
            if (ended) begin
                first  <= 1'b0;
                second <= first;
            end
        end
    end

    always_ff @(posedge clk) begin
        if (clear) begin
            latency_first <= '0;
            latency_min   <= '0;
            latency_max   <= '0;
            latency_last  <= '0;
            interval_min  <= '0;
            interval_max  <= '0;
        end else if (ended) begin
            if (!lost) begin
                latency_last <= latency;
                if (first) latency_first <= latency;
                if (first || latency < latency_min) latency_min <= latency;
                if (first || latency > latency_max) latency_max <= latency;
            end
            if (second || (!first && interval < interval_min)) interval_min <= interval;
            if (second || (!first && interval > interval_max)) interval_max <= interval;
        end
    end
endmodule
`default_nettype wire
