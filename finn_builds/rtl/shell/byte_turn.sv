// Turns the bytes of a word: the one in lane l goes to lane (l + by) modulo LANES. No registers.
//
// Two bits of `by` are taken at a time, which is one LUT of six inputs per bit. Lanes that are a
// power of two apart could share half of it; mappers do so and end up with more LUTs, of three and
// of five inputs. They can't where half of the lanes is chosen by `by_n`, which is ~by and comes
// from registers of its own where that is worth while.
`default_nettype none
module byte_turn #(
    parameter integer LANES = 8,  // a power of two
    parameter integer BITS = 3,  // of `by`, at most log2(LANES)
    parameter integer FIRST_BIT = 0  // bits of `by` below it are taken as zero
) (
    input  wire [8*LANES-1:0] s_data,
    input  wire [BITS-1:0]        by,
    input  wire [BITS-1:0]        by_n,
    output wire [8*LANES-1:0] m_data
);
    localparam integer STEPS = (BITS - FIRST_BIT + 1) / 2;

    genvar s;
    genvar l;
    generate
        for (s = 0; s < STEPS; s = s + 1) begin : gen_step
            localparam integer LOW = FIRST_BIT + 2 * s;
            localparam integer UNIT = 1 << LOW;
            wire [8*LANES-1:0] old;
            wire [8*LANES-1:0] moved;
            if (s == 0) begin : gen_first
                assign old = s_data;
            end else begin : gen_next
                assign old = gen_step[s-1].moved;
            end
            for (l = 0; l < LANES; l = l + 1) begin : gen_lane
                wire low = (l / (2 * UNIT)) % 2 == 0 ? by[LOW] : !by_n[LOW];
                wire [7:0] near = low
                    ? old[8*((l + LANES - UNIT) % LANES) +: 8] : old[8*l +: 8];
                if (LOW + 1 < BITS) begin : gen_two
                    wire [7:0] far = low
                        ? old[8*((l + 2 * LANES - 3 * UNIT) % LANES) +: 8]
                        : old[8*((l + 2 * LANES - 2 * UNIT) % LANES) +: 8];
                    assign moved[8*l +: 8] = by[LOW+1] ? far : near;
                end else begin : gen_one
                    assign moved[8*l +: 8] = near;
                end
            end
        end
        if (STEPS == 0) begin : gen_none
            assign m_data = s_data;
        end else begin : gen_turned
            assign m_data = gen_step[STEPS-1].moved;
        end
    endgenerate

    wire unused = &{1'b0, by, by_n};
endmodule
`default_nettype wire
