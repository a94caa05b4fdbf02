"""Resources and timing of generated RTL from synthesis: Yosys, or Vivado where it is installed."""
