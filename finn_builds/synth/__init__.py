"""Resources and timing of generated RTL from synthesis: Yosys, and Vivado where it is installed."""
