"""Names of tensors in other languages: plain, lower case, distinct, no word of a language."""

from finn_builds.network.names import identifier, identifiers


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
    found = identifiers(["A", "a", "a_2", "b"])
    assert list(found) == ["A", "a", "a_2", "b"]
    assert list(found.values()) == ["a", "a_2", "a_2_2", "b"]
