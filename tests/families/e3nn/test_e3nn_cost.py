"""What convolutions cost; families compare operations with those of e3nn's generated code."""

from irrepress.families.e3nn.cost import convolution_operations, convolution_terms, pair_operations
from irrepress.families.e3nn.layout import message_parts
from irrepress.families.e3nn.paths import Path

MESSAGES = message_parts(
    0,
    [
        Path("0e", "0e", "0e", 4),
        Path("0e", "1o", "1o", 4),
        Path("1o", "1o", "0e", 2),
        Path("1o", "1o", "2e", 2),
    ],
    needs=lambda path: (),
)
CHANNELS = {"messages.0.0e": 4, "messages.0.1o": 2, "filter.0e": 1, "filter.1o": 1}


def test_operations_are_those_of_the_paths_that_are_kept():
    operations = convolution_operations(MESSAGES)
    (scalar, _), (vector, _) = pair_operations(0, 0, (0,)), pair_operations(0, 1, (1,))
    pair, fixed = pair_operations(1, 1, (0, 2))
    assert operations(CHANNELS) == {"per edge": 4 * (scalar + vector) + 2 * pair + fixed}
    assert operations({**CHANNELS, "filter.1o": 0}) == {"per edge": 4 * scalar}
    assert operations({**CHANNELS, "messages.0.1o": 0}) == {"per edge": 4 * (scalar + vector)}


def test_terms_are_sizes_of_what_is_read_and_written():
    terms = convolution_terms(MESSAGES, by_orders=False)
    assert terms(CHANNELS) == {
        "paths": 4,
        "scalar products": 4 + 4 * 3 + 2 * 9,
        "products": 2 * 9,
        "contractions": 2 * 9 * 5,
        "messages": 4 + 4 * 3 + 2 + 2 * 5,
    }
    fewer = terms({**CHANNELS, "filter.1o": 0})
    assert fewer.keys() == terms(CHANNELS).keys()
    assert (fewer["paths"], fewer["products"], fewer["messages"]) == (1, 0, 4)


def test_products_have_a_term_for_each_pair_of_orders_if_asked_for():
    terms = convolution_terms(MESSAGES, by_orders=True)
    assert terms(CHANNELS)["products 1x1"] == 2 * 9
    assert "products" not in terms(CHANNELS)
