"""Names of tensors in other languages: plain, lower case, distinct, no word of a language."""

from finn_builds.network.names import block_name, identifier, identifiers, in_comment


def test_a_name_becomes_an_identifier() -> None:
    assert identifier("/fc1/MatMul_output_0") == "fc1_matmul_output_0"
    assert identifier("jet.pT [GeV]") == "jet_pt_gev"
    assert identifier("2nd") == "t_2nd"
    assert identifier("--") == "t"


def test_words_of_the_languages_are_not_names() -> None:
    assert [identifier(word) for word in ("Input", "out", "signal", "reg", "class", "clk")] == [
        "input_t", "out_t", "signal_t", "reg_t", "class_t", "clk_t",
    ]  # fmt: skip


def test_names_stay_distinct_and_in_order() -> None:
    assert identifiers(["A", "a", "a_2", "b", "b"]) == ["a", "a_2", "a_2_2", "b", "b_2"]


def test_no_port_is_called_as_what_a_package_makes_of_its_name() -> None:
    names = ["tags", "tags_x_t", "tags_latency", "tags_sum"]
    assert identifiers(names, "tags") == ["tags_2", "tags_x_t_2", "tags_latency_2", "tags_sum"]
    assert identifier("a_bits") == "a_bits_t" and identifier("ps_add") == "t_ps_add"


def test_a_block_is_not_called_as_a_function_of_c() -> None:
    names = ("gamma", "model", "predict", "Core", "jets-v2", "read", "tensor", "uint8_t")
    assert [block_name(name) for name in names] == [
        "gamma_t", "model_t", "predict_t", "core_t", "jets_v2", "read_t", "tensor_t", "uint8_t_t",
    ]  # fmt: skip
    assert identifier("gamma") == "gamma"


def test_long_names_are_cut_and_stay_distinct() -> None:
    first, second = identifiers(["x" * 300 + "1", "x" * 300 + "2"])
    assert first == "x" * 100 and second == first + "_2"


def test_names_do_not_end_a_comment_or_a_cell_of_a_table() -> None:
    assert in_comment("/fc1/a|b\\\n`*/") == "/fc1/a_b____/"
