"""Many small networks trained at once: one batched forward and backward for a stack of models.

The networks of a study differ in weights, masks, seeds, bit widths or noise, not in shape. Here
their parameters lie side by side in one buffer, and each operation works on all of them. Forward
and backward are written out in plain torch operations, without autograd and without a module per
quantiser: that is also several times faster for a single network. Values and gradients are those
of the Brevitas layers up to rounding, which the tests show for every option of a network.
"""
