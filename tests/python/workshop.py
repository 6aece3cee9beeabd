"""Functions that the tests name as `workshop:…`, to be run in other processes."""

import functools
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import toolpool


def lengths(items):
    return [np.int64(len(item)) for item in items]


def load(device):
    return {"device": device, "pid": os.getpid(), "calls": 0}


def remember(state, items):
    state["calls"] += 1
    return [f"{state['device']} {state['pid']} {item}" for item in items]


def pid(_):
    return os.getpid()


def die(item):
    if item == "bad":
        os.kill(os.getpid(), signal.SIGSEGV)
    return item


def leave(item):
    if item == "bad":
        os._exit(3)
    return item


class Fragile(Exception):
    """It cannot be made anew from its pickle."""

    def __init__(self, one, two):
        super().__init__("fragile")


def fail(item):
    if item == "fragile":
        raise Fragile(1, 2)
    if item == "bad":
        raise KeyError("unlucky")
    return item


def spin(seconds):
    """Holds the GIL."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def interrupt_all(item):
    os.killpg(0, signal.SIGINT)
    return item


def no_load(device):
    raise FileNotFoundError("weights.bin")


@dataclass
class Folded:
    structures: list
    pid: int
    version: str = "1"


def fold(complexes, device, suffix=""):
    return Folded([f"{one}{suffix} {device}" for one in complexes], os.getpid())


@toolpool.tool(iterable_input="complexes", iterable_output="structures")
def decorated_fold(complexes, device):
    return fold(complexes, device)


A_NUMBER = 3


def doubling(function):
    @functools.wraps(function)
    def run(items):
        return [str(2 * output) for output in function(items)]

    return run


@doubling
def doubled_by_its_decorator(items):
    return items


def across_the_world(function):
    @functools.wraps(function)
    def run(*args, **kwargs):
        return function(*args, **kwargs)

    return run


fold_across_the_world = across_the_world(decorated_fold)


def shout(items):
    return [item.upper() for item in items]


def gives_a_dict(items):
    return {item: item for item in items}


def gives_text(items):
    return "".join(items)


def load_for_an_hour(device):
    sleep_over(os.environ["BEGUN"])


def sleep_noting(items):
    sleep_over(items[0])


def sleep_over(path):
    Path(path).touch()
    time.sleep(3600)
