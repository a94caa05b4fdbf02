"""Fields of FINN's ``DataflowBuildConfig`` (finn-plus) that have no effect in this flow.

They are refused by name, so that a configuration written for FINN does not mislead.
"""

WITHOUT_EFFECT = frozenset(
    """
    auto_fifo_depths auto_fifo_strategy config_path console_log_level cpp_driver_version
    debug_fifo enable_build_pdb_debug enable_exception_snapshots enable_hw_debug
    enable_instrumentation experiments_config_path fifo_config_file fifosim_comm_mode
    fifosim_mpi_args fifosim_mpi_hosts fifosim_mpi_launcher fifosim_mpi_oversubscribe
    fifosim_save_waveform folding_two_pass_relaxation fpga_memory functional_simulation
    generate_outputs hls_clk_period_ns infer_shuffle_skip_first inject_steps_after
    inject_steps_before instrumentation_avg_n instrumentation_no_dma large_fifo_mem_style
    layouts_config_file loop_body_hierarchy loop_body_range max_multithreshold_bit_width
    minimize_bit_width mlo model_path multi_dnn_config_path mvau_wwidth_max
    partitioning_configuration requant_bitwidth_threshold save_intermediate_models
    shell_flow_type signature specialize_layers_config_file standalone_thresholds steps
    stitched_ip_gen_dcp validation_dataset verbose verification_atol verification_mean_atol
    verification_mean_rtol verification_rtol verify_expected_output_npy verify_input_npy
    verify_nodewise_report verify_rtlsim_behavioral verify_save_full_context
    verify_save_rtlsim_waveforms verify_steps vitis_floorplan_file vitis_iodma_intf_max_width
    vitis_opt_strategy vitis_platform vivado_power_simulate_activity
    vivado_power_simulation_type
    """.split()  # noqa: SIM905 - sixty lines otherwise
)
