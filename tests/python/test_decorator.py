"""@tool: a plain function of lists is split over the pool around it, and nobody else can tell."""

import asyncio
import contextvars
import copy
import pickle
import threading
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from toolpool import (
    ContractError,
    InvalidArgument,
    OptionError,
    PartialFailure,
    Parts,
    Reentrant,
    TimeLimit,
    ToolPoolError,
    tool,
)

Folded = namedtuple("Folded", "structures model")


@pytest.fixture
def calls():
    return []


@pytest.fixture
def fold(calls):
    @tool(iterable_input=["complexes", "msas"], iterable_output="structures", item_cost=len)
    def fold(complexes, msas=None, *, scale=1, device="nowhere"):
        """Folds."""
        calls.append((list(complexes), device, threading.get_ident()))
        beside = msas if msas is not None else ["-"] * len(complexes)
        return SimpleNamespace(
            structures=[f"{one}{msa}*{scale}" for one, msa in zip(complexes, beside, strict=True)],
            model="m",
            size=len(complexes),
        )

    return fold


def test_outside_of_a_pool_it_is_the_function(fold, calls):
    assert fold(["a", "b"]).structures == ["a-*1", "b-*1"]
    assert calls == [(["a", "b"], "nowhere", threading.get_ident())]
    assert fold.__name__ == "fold" and fold.__doc__ == "Folds." and callable(fold.__wrapped__)


def test_in_a_pool_the_call_is_split_and_the_order_kept(pool, fold, calls):
    items = [f"{n}" for n in range(40)]
    folded = fold(items, scale=3)
    assert folded.structures == [f"{item}-*3" for item in items]
    assert len(calls) > 1 and threading.get_ident() not in {thread for *_, thread in calls}
    assert {device for _, device, _ in calls} == {"cpu"}


def test_siblings_are_sliced_along_and_one_goes_with_all(pool, fold):
    items = [f"{n}" for n in range(20)]
    assert fold(items, items).structures == [f"{item}{item}*1" for item in items]
    assert fold(complexes=items, msas=["m"]).structures == [f"{item}m*1" for item in items]
    with pytest.raises(InvalidArgument, match="complexes 20, msas 3"):
        fold(items, items[:3])


def test_a_sibling_of_one_entry_travels_once_with_the_call(pool):
    """Its pickle is not part of what makes items equal: an entry that has none does no harm."""
    database = [threading.Lock()]
    seen = []

    @tool(iterable_input=["xs", "databases"])
    def search(xs, databases):
        seen.extend(xs)
        return [database is databases[0] for database in databases]

    assert search(["a", "b"] * 20, database) == [True] * 40
    assert sorted(seen) == ["a", "b"]


@pytest.mark.parametrize("database", [np.zeros((1, 5)), torch.zeros((1, 5))])
def test_a_sibling_of_one_row_is_not_copied_for_each_item(pool, database):
    @tool(iterable_input=["xs", "databases"])
    def search(xs, databases):
        assert type(databases) is type(database) and databases.shape == (len(xs), 5)
        first = np.asarray(databases[0])
        return [np.shares_memory(np.asarray(row), first) for row in databases]

    assert search(list(range(20)), database) == [True] * 20


def test_costs_are_those_of_the_first_list(single):
    order = []

    @tool(iterable_input=["xs", "ys"], item_cost=lambda x: {"b": 2}.get(x, 1))
    def run(xs, ys):
        order.extend(zip(xs, ys, strict=True))
        return xs

    run(["a", "b"], ["b", "a"])
    assert order == [("b", "a"), ("a", "b")]
    run(["one"], ["p", "q"])
    assert len(order) == 4


def test_equal_items_are_computed_once(pool, fold, calls):
    assert fold(["a", "b"] * 50).structures == ["a-*1", "b-*1"] * 50
    assert sorted(item for items, *_ in calls for item in items) == ["a", "b"]
    calls.clear()
    fold(["a", "a"], ["x", "y"])
    assert sorted(item for items, *_ in calls for item in items) == ["a", "a"]


def test_dedup_can_be_turned_off(pool):
    seen = []

    @tool(iterable_input="xs", dedup=False)
    def draw(xs):
        seen.extend(xs)
        return list(range(len(xs)))

    draw(["a"] * 10)
    assert len(seen) == 10


def test_the_costliest_runs_first(single, fold, calls):
    fold(["a", "cccc", "bb", "ddd"])
    assert [item for items, *_ in calls for item in items] == ["cccc", "ddd", "bb", "a"]


@pytest.mark.parametrize("items", [[], ["a"]])
def test_up_to_one_item_is_one_direct_call(pool, fold, calls, items):
    assert len(fold(items).structures) == len(items)
    assert calls == [(items, "cpu", threading.get_ident())]


@pytest.mark.parametrize(("complexes", "msas"), [([], ["msa"]), (["a"], ["msa"])])
def test_lists_of_one_entry_do_not_make_items(pool, fold, calls, complexes, msas):
    @tool(iterable_input=["complexes", "msas"])
    def run(complexes, msas):
        calls.append((complexes, msas, threading.get_ident()))
        return complexes

    assert run(complexes, msas) == complexes
    assert calls == [(complexes, msas, threading.get_ident())]
    with pytest.raises(InvalidArgument, match="complexes 0, msas 2"):
        run([], ["a", "b"])


@pytest.mark.parametrize("items", [[], [7], [7, 8, 9]])
def test_iterators_are_read_once(pool, items):
    run = tool(iterable_input="xs")(lambda xs: list(xs))
    assert run(iter(items)) == run(x for x in items) == items


def test_who_names_the_device_has_chosen_it(pool, fold, calls):
    fold(["a", "b"], device="cuda:7")
    assert calls == [(["a", "b"], "cuda:7", threading.get_ident())]


def test_a_call_inside_a_call_is_direct(pool, fold, calls):
    @tool(iterable_input="xs")
    def outer(xs):
        return fold(xs).structures

    items = [f"{n}" for n in range(40)]
    assert outer(items) == [f"{item}-*1" for item in items]
    assert max(len(slice) for slice, *_ in calls) > 1
    assert sorted(item for slice, *_ in calls for item in slice) == sorted(items)
    assert {device for _, device, _ in calls} == {"cpu"}


def test_a_context_that_is_taken_to_another_thread_is_inside_as_well(single):
    """One worker, which waits for the thread: were the call inside split, nobody would be there to run it."""

    slices = []

    @tool(iterable_input="xs", time_limit=5)
    def inner(xs, device=None):
        slices.append(xs)
        return [(device, x) for x in xs]

    @tool(iterable_input="xs")
    def with_executor(xs):
        with ThreadPoolExecutor(1) as threads:
            return threads.submit(contextvars.copy_context().run, inner, xs).result()

    @tool(iterable_input="xs")
    def with_asyncio(xs):
        return asyncio.run(asyncio.to_thread(inner, xs))

    for outer in (with_executor, with_asyncio):
        assert outer(["a", "b"]) == [("cpu", "a"), ("cpu", "b")]
        assert slices.pop() == ["a", "b"] and not slices


def test_threads_started_in_the_block_are_split_as_well(pool, fold, calls):
    thread = threading.Thread(target=fold, args=(["a", "b", "c", "d"],))
    thread.start()
    thread.join()
    assert calls and thread.ident not in {ident for *_, ident in calls}


def test_what_is_no_list_is_one_item(pool, fold, calls):
    fold("MKT")
    assert calls == [(list("MKT"), "cpu", threading.get_ident())]


def test_arguments_are_checked_as_in_any_call(pool, fold):
    with pytest.raises(TypeError, match="complexes"):
        fold()
    with pytest.raises(TypeError, match="colour"):
        fold(["a", "b"], colour="red")


@dataclass(frozen=True)
class Frozen:
    structures: list
    model: str


class Plain:
    def __init__(self, structures, model):
        self.structures, self.model = structures, model


@pytest.mark.parametrize(
    "kind", [Frozen, Folded, Plain, SimpleNamespace, dict], ids=lambda kind: kind.__name__
)
def test_the_whole_is_of_the_kind_that_was_returned(pool, kind):
    @tool(iterable_input="xs", iterable_output="structures")
    def run(xs):
        return kind(structures=[x * 2 for x in xs], model="m")

    whole = run(list(range(30)))
    assert isinstance(whole, kind)
    get = dict.get if kind is dict else getattr
    assert get(whole, "structures") == [x * 2 for x in range(30)] and get(whole, "model") == "m"


def test_other_fields_are_kept_and_told_apart_where_slices_differ(pool, fold):
    folded = fold([f"{n}" for n in range(40)])
    assert folded.model == "m"
    assert isinstance(folded.size, Parts) and sum(folded.size) == 40


def test_failures_have_the_callers_indices(pool):
    @tool(iterable_input="xs")
    def run(xs):
        if "bad" in xs:
            raise ValueError("no good")
        return [x.upper() for x in xs]

    with pytest.raises(PartialFailure) as raised:
        run(["a", "a", "bad", "b", "bad"])
    assert raised.value.succeeded == [(0, "A"), (1, "A"), (3, "B")]
    assert [(failure.index, failure.device) for failure in raised.value.failed] == [
        (2, "cpu"),
        (4, "cpu"),
    ]
    assert isinstance(raised.value.failed[0].error.__cause__, ValueError)


def test_a_count_that_does_not_match_names_device_and_indices(pool):
    @tool(iterable_input="xs")
    def run(xs):
        return xs[1:]

    with pytest.raises(PartialFailure) as raised:
        run(["a", "b", "c", "d"])
    error = raised.value.failed[0].error
    assert isinstance(error, ContractError) and "on cpu" in str(error) and "indices [" in str(error)


def test_an_output_without_the_field_says_so(pool):
    @tool(iterable_input="xs", iterable_output="ys")
    def run(xs):
        return SimpleNamespace(zs=xs)

    with pytest.raises(PartialFailure, match="without 'ys'"):
        run([1, 2, 3])


def test_options_are_checked_where_the_function_is_decorated():
    with pytest.raises(OptionError, match="time_limit"):
        tool(iterable_input="xs", timelimit=3)
    with pytest.raises(OptionError, match="dedup"):
        tool(iterable_input="xs", dedup="perhaps")
    with pytest.raises(InvalidArgument, match="not 5"):
        tool(iterable_input="xs")(5)


def test_progress_can_be_asked_for(pool, drawn):
    assert tool(iterable_input="xs", progress=True)(lambda xs: xs)([1, 2, 3]) == [1, 2, 3]
    assert "3/3" in drawn.getvalue()


def test_options_of_the_run_can_be_given(pool):
    gate = threading.Event()
    threading.Timer(0.3, gate.set).start()

    @tool(iterable_input="xs", time_limit=0.05)
    def run(xs):
        gate.wait()
        return xs

    with pytest.raises(PartialFailure) as raised:
        run(list(range(50)))
    assert any(isinstance(failure.error, TimeLimit) for failure in raised.value.failed)


def test_a_parameter_that_is_not_there_is_seen_at_once():
    with pytest.raises(InvalidArgument, match="no parameter sequences"):

        @tool(iterable_input="sequences")
        def run(xs):
            return xs


class Model:
    """Methods are functions too."""

    def __init__(self, suffix):
        self.suffix = suffix

    @tool(iterable_input="xs")
    def run(self, xs, *, device=None):
        """Runs."""
        return [f"{x}{self.suffix} {device}" for x in xs]

    @staticmethod
    @tool(iterable_input="xs")
    def run_static(xs):
        return xs

    @classmethod
    @tool(iterable_input="xs")
    def run_class(cls, xs):
        return [cls.__name__ for _ in xs]


def test_methods_can_be_decorated(pool):
    one, other = Model("!"), Model("?")
    assert one.run(["a", "b"]) == ["a! cpu", "b! cpu"]
    assert other.run(["a"]) == Model.run(other, ["a"]) == ["a? cpu"]
    assert one.run.__doc__ == "Runs." and one.run.__name__ == "run"
    assert Model.run_static([1, 2]) == [1, 2] and one.run_class([1, 2]) == ["Model", "Model"]


@tool(iterable_input="xs")
def of_module(xs):
    return xs


def test_decorated_functions_are_pickled_by_name():
    assert pickle.loads(pickle.dumps(of_module)) is of_module
    assert pickle.loads(pickle.dumps(Model.run)) is Model.run
    assert copy.deepcopy(of_module) is of_module
    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickle.dumps(tool(iterable_input="xs")(lambda xs: xs))


def test_methods_of_the_pool_refuse_to_wait_inside(pool):
    @tool(iterable_input="xs")
    def run(xs):
        return [pool.run(len, ["a"]) for _ in xs]

    with pytest.raises((PartialFailure, ToolPoolError)) as raised:
        run([1, 2])
    cause = raised.value.failed[0].error.__cause__
    assert isinstance(cause, Reentrant)
