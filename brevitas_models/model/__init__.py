"""The quantised MLP: its description, layers and quantisers, checkpoint and QONNX export."""
