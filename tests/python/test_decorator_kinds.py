"""@tool: lists, arrays and tensors stay what they are, and so do the fields beside them."""

import pickle

import numpy as np
import polars as pl
import pytest
import torch
from toolpool import ContractError, PartialFailure, Parts, tool

SIDE = {
    "numbers": lambda n: 3,
    "NaN": lambda n: float("nan"),
    "arrays": lambda n: np.array([1, np.nan]),
    "text in arrays": lambda n: np.array(["a", "b"]),
    "tensors": lambda n: torch.tensor([1, np.nan]),
}


def one_by_one(function):
    """The function, of slices that have one item each: what fails is halved until it has."""

    def run(xs):
        if len(xs) > 1:
            raise ValueError("not together")
        return function(xs)

    return run


@pytest.fixture
def beside(pool):
    """What a call makes of a field beside the outputs, of two slices: `value(0)` and `value(1)`."""

    def of(value):
        def run(xs):
            return {"ys": xs, "field": value(xs[0])}

        return tool(iterable_input="xs", iterable_output="ys")(one_by_one(run))([0, 1])["field"]

    return of


@pytest.mark.parametrize("kind", SIDE)
def test_fields_agree_element_by_element_and_nan_with_nan(beside, kind):
    value = SIDE[kind](0)
    agreed = beside(SIDE[kind])
    assert type(agreed) is type(value)
    np.testing.assert_array_equal(agreed, value)


@pytest.mark.parametrize(
    "values",
    [
        [1, True],
        [np.zeros(3), np.zeros((1, 3))],
        [np.zeros(3), np.zeros(3, int)],
        [np.zeros(2), np.ones(2)],
        [float("nan"), 1.0],
    ],
)
def test_fields_that_differ_in_value_type_or_shape_are_told_apart(beside, values):
    told = beside(values.__getitem__)
    assert isinstance(told, Parts) and [type(one) for one in told] == [type(one) for one in values]


def test_fields_that_some_slices_have_are_kept(pool):
    slices = [{"ys": [1]}, {"ys": [2], "note": "second"}]
    run = tool(iterable_input="xs", iterable_output="ys")(one_by_one(lambda xs: slices[xs[0]]))
    assert run([0, 1]) == {"ys": [1, 2], "note": [None, "second"]}


# Kinds of lists


LISTS = {
    "list": list(range(40)),
    "tuple": tuple(range(40)),
    "array": np.arange(40),
    "rows": np.arange(80.0).reshape(40, 2),
    "texts": np.array([f"{n}" for n in range(40)]),
    "tensor": torch.arange(40),
    "rows of a tensor": torch.arange(80.0).reshape(40, 2).to(torch.float16),
}


@pytest.mark.parametrize("kind", LISTS)
@pytest.mark.parametrize("count", [0, 1, 40])
def test_lists_arrays_and_tensors_stay_what_they_are(pool, kind, count):
    given = LISTS[kind][:count]
    seen = []

    @tool(iterable_input="xs", iterable_output="ys")
    def run(xs):
        seen.append(xs)
        return {"ys": xs}

    returned = run(given)["ys"]
    for one in (returned, *seen):
        assert type(one) is type(given)
        if kind != "texts":  # whose dtype is as wide as the widest
            assert getattr(one, "dtype", None) == getattr(given, "dtype", None)
    assert len(returned) == count and (len(seen) == 1) == (count < 2)
    np.testing.assert_array_equal(np.asarray(returned), np.asarray(given))


def test_rows_of_tensors_travel_alone(pool):
    """The pickle of a view has the whole tensor: in each key, and to every process."""
    rows = torch.zeros((50, 10_000))
    sizes = pool.run(lambda xs: [np.int64(len(pickle.dumps(x))) for x in xs], rows)
    assert sizes.stack("output").max() < 100_000 < len(pickle.dumps(rows[0]))


def test_arrays_of_objects_come_as_lists(pool):
    given = np.array([[1], [1, 2], None] * 2, dtype=object)
    assert tool(iterable_input="xs")(lambda xs: xs)(given) == [[1], [1, 2], None] * 2


def test_arrays_that_do_not_go_together_say_so(single):
    """As of models that pad to the longest of a slice."""
    run = tool(iterable_input="xs")(one_by_one(lambda xs: np.zeros((1, len(xs[0])))))
    with pytest.raises(ContractError, match="return a list"):
        run(["a", "aa"])


NO_LISTS = {
    "text": "abc",
    "bytes": b"abc",
    "a bytearray": bytearray(b"abc"),
    "a dict": {"embedding": 1, "length": 2, "kind": 3},
    "a set": {1, 2, 3},
    "a table": pl.DataFrame({"a": [1], "b": [2], "c": [3]}),
    "a number": 3,
    "nothing": None,
}


@pytest.mark.parametrize("kind", NO_LISTS)
@pytest.mark.parametrize("field", [None, "ys"])
def test_what_is_no_list_of_outputs_is_refused(single, kind, field):
    """Entry by entry it would have been as many outputs as there are items."""
    given = NO_LISTS[kind]
    returned = given if field is None else {"ys": given}
    run = tool(iterable_input="xs", iterable_output=field)(lambda xs: returned)
    with pytest.raises(PartialFailure, match=f"gave {_a(given)} for . items on cpu") as raised:
        run(["x", "y", "z"])
    assert all(isinstance(failure.error, ContractError) for failure in raised.value.failed)


def _a(given):
    return "None" if given is None else f"a {type(given).__name__}"
