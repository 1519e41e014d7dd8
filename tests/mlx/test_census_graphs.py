"""What only graphs of arrays hold that are not computed."""

import sys

import pytest

from mlxtop.mlx.census.own_memory import PAGE, OwnMemory, Unreadable
from tests.mlx.test_census import census_of
from tests.mlx.test_census_owners import LINES, of

pytestmark = pytest.mark.usefixtures("processes")

MIB = 2**20
ACCUMULATED = """
from mlxtop.core.census_text import graphs, reasons, rest_in_graphs
def add_up(steps):
    total = mx.array(0.0)
    for _ in range(steps):
        big = computed((256, 1024))
        total = total + big.mean()
    return total
"""


def test_what_a_variable_that_is_never_computed_keeps_alive_is_its_own():
    said = census_of(
        LINES
        + ACCUMULATED
        + """
before = mx.get_active_memory(), mx.get_peak_memory(), mx.get_cache_memory()
accumulated = add_up(8)
active, peak = mx.get_active_memory(), mx.get_peak_memory()
found = census.take(20)
after = mx.get_active_memory(), mx.get_peak_memory()
said = [lines(found), found.in_graphs, found.rest, graphs(found), reasons(found), after == (active, peak)]
"""
    )
    lines, in_graphs, rest, what_to_do, why, untouched = said
    (big,) = [row for row in lines if row[1] >= MIB]
    assert big == [
        "other", 8 * MIB, 8, 0, True, "accumulated in __main__ (8 arrays; by the graph of 1 not computed)"
    ]  # fmt: skip
    assert 8 * MIB <= in_graphs <= 8 * MIB + 1024
    assert rest < 1024
    assert why == []
    assert what_to_do == "accumulated: not computed; its graph has it: evaluate it each step"
    assert untouched


def test_a_stored_cache_that_was_never_computed_has_the_keys_of_the_whole_batch():
    said = census_of(
        LINES
        + """
from mlxtop.core.census_text import graphs
from mlx_lm.models.cache import BatchKVCache
store = {}
for request in range(6):
    batch = BatchKVCache([0, 0])
    batch.update_and_fetch(mx.zeros((2, 4, 256, 64)), mx.zeros((2, 4, 256, 64)))
    mx.eval(batch.keys, batch.values)
    # Both prompts of the batch, or one.
    store[request] = [batch.extract(i) for i in range(1 + request % 2)]
del batch
found = census.take(20)
said = [lines(found), [list(h.shape) for h in found.holdings if h.graphs], found.parts["kv"], graphs(found)]
"""
    )
    lines, shapes, size, what_to_do = said
    kept, waiting = of(lines, "kv")
    # Each batch has one buffer of keys and one of values, whoever was extracted from it.
    assert size == 6 * MIB
    assert kept == [size, 12, 6, True, "store[…] in __main__ (6 caches; by graphs of 18 not computed)"]
    assert shapes[0] == [2, 4, 256, 64]
    assert waiting[1:] == [18, 6, False, "store[…] in __main__ (6 caches)"]
    assert what_to_do == "store[…]: not computed; their graphs have it: evaluate them before they are kept"


def test_what_a_graph_and_a_variable_have_is_the_variables():
    said = census_of(
        LINES
        + """
whole, part, gone = computed((512, 512)), computed((512, 256)), computed((256, 256))
view = part[:8]; mx.eval(view)
waiting = [whole + 1, part.sum(), gone * 2]
del part, gone
said = [lines(census.take(20)), mx.get_active_memory()]
"""
    )
    lines, active = said
    named = {row[5].partition(" in ")[0]: row[1] for row in of_computed(lines) if row[1] > 1024}
    assert named == {"whole": MIB, "view": MIB // 2, "waiting.2": MIB // 4}
    assert sum(row[1] for row in of_computed(lines)) <= active


def of_computed(lines: list) -> list:
    return [row for row in lines if row[4]]


def test_of_a_graph_too_deep_for_the_time_a_part_is_told_and_the_rest_is_said_to_be_there():
    said = census_of(
        LINES
        + ACCUMULATED
        + """
accumulated = add_up(8)
for _ in range(40_000): accumulated = accumulated + 1.0
first = computed((1024, 1024)); accumulated = accumulated + first.sum(); del first
# As if the time ran out soon after the graph was begun.
def some(array, waiting, computed, is_over, calls=iter(range(10**6)), whole=survey.buffers):
    return whole(array, waiting, computed, lambda share: share < 0.5 and next(calls) > 60)
survey.buffers = some
found = census.take(20)
said = [found.in_graphs, found.rest, rest_in_graphs(found), found.active]
"""
    )
    in_graphs, rest, told, active = said
    assert 4 * MIB <= in_graphs < 5 * MIB
    assert rest == active - in_graphs
    assert told


@pytest.mark.skipif(sys.platform == "darwin", reason="no descriptor is needed there")
def test_without_a_descriptor_left_the_rest_is_told_as_before():
    said = census_of(
        LINES
        + ACCUMULATED
        + """
import os, resource
accumulated = add_up(4)
census.take(20)
files = [os.dup(0)]
resource.setrlimit(resource.RLIMIT_NOFILE, (files[0] + 8, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
while True:
    try: files.append(os.dup(0))
    except OSError: break
found = census.take(20)
said = [found.in_graphs, found.rest >> 20, reasons(found)]
"""
    )
    assert said == [0, 4, ["accumulated: not computed; its graph may hold it: evaluate it each step"]]


def test_while_threads_evaluate_the_sum_never_exceeds_active():
    said = census_of(
        """
stop, errors = False, []
def work(seed):
    stream = mx.new_stream(mx.cpu)
    with mx.stream(stream):
        kept = []
        while not stop:
            one = mx.ones((64, 64)) * seed
            kept.append((one @ one.T)[:8].sum())
            if len(kept) > 20: mx.eval(kept[::2]); kept = kept[1::2][-10:]
        mx.eval(kept)
threads = [threading.Thread(target=work, args=(n,)) for n in (1, 2)]
for thread in threads: thread.start()
said = []
for _ in range(15):
    found = census.take(4)
    said.append([found.accounted + found.in_flight, found.active])
stop = True
for thread in threads: thread.join()
"""
    )
    assert len(said) == 15
    assert all(accounted <= active for accounted, active in said)


def test_an_address_where_nothing_is_is_an_answer():
    memory = OwnMemory()
    try:
        some = object()
        assert memory.words(id(some) + object.__basicsize__ - 8, 1) == (id(object),)
        for address in (0, 8, PAGE, 2**47 + 8, 2**63 + 8, 2**64 - 8, -8):
            with pytest.raises(Unreadable):
                memory.words(address, 1)
    finally:
        memory.close()
