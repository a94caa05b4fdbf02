"""Many small networks trained at once: one batched forward and backward for a stack of models.

The networks of a study differ in weights, masks, seeds, bit widths or noise, not in shape. Here
their parameters lie side by side in one buffer, and each operation works on all of them. Forward
and backward are written out in plain torch operations, without autograd and without a module per
quantiser: that is also several times faster for a single network. Values and gradients are those
of the Brevitas layers up to rounding, which the tests show for every option of a network.

Why the backward pass is written out: with the same forward pass and autograd, whose gradients agree
to 1e-5 of the largest, an optimiser step takes 2.6 to 6.3 times the processor time, compiled 1.5 to
1.8 times (one and sixteen models, with and without folded BatchNorm; `benchmarks/bench_autograd.py`
on two cores of an Intel Xeon shared with other work, torch 2.13, ratios within one run).
"""
