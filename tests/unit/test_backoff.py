import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervision.backoff import Backoff
from supervision.errors import InvalidDeclaration
from supervision.model import MAX_SECONDS, MIN_SECONDS

seconds = st.floats(MIN_SECONDS, MAX_SECONDS)
jitters = st.floats(0, 1)
counts = st.integers(1, 10**6)
keys = st.text("abc/~@0", max_size=20)


@st.composite
def backoffs(draw: st.DrawFn) -> Backoff:
    base, cap = sorted([draw(seconds), draw(seconds)])
    return Backoff(base, cap, draw(jitters))


@given(backoffs(), counts, keys)
def test_a_delay_is_never_above_the_cap_and_never_nothing(backoff: Backoff, n: int, key: str) -> None:
    assert 1 <= backoff.delay_ms(n, key) <= backoff.longest_ms(n) <= round(1000 * backoff.cap)


@given(backoffs(), counts, counts)
def test_the_bound_never_shrinks(backoff: Backoff, n: int, m: int) -> None:
    low, high = sorted([n, m])
    assert backoff.longest_ms(low) <= backoff.longest_ms(high)


@given(backoffs(), counts, keys)
def test_jitter_takes_off_no_more_than_its_share(backoff: Backoff, n: int, key: str) -> None:
    assert backoff.delay_ms(n, key) >= math.floor(backoff.longest_ms(n) * (1 - backoff.jitter))


@given(backoffs(), counts, keys)
def test_the_same_key_and_count_give_the_same_delay(backoff: Backoff, n: int, key: str) -> None:
    same = Backoff(backoff.base, backoff.cap, backoff.jitter)
    assert backoff.delay_ms(n, key) == same.delay_ms(n, key)


def test_other_keys_spread_over_the_jitter() -> None:
    delays = {Backoff(10, 60, 0.5).delay_ms(1, f"child-{i}") for i in range(100)}
    assert len(delays) > 90
    assert min(delays) < 6000
    assert max(delays) > 9000


@pytest.mark.parametrize(
    ("n", "milliseconds"),
    [(-1, 0), (0, 0), (1, 1000), (2, 2000), (3, 4000), (6, 32_000), (7, 60_000), (62, 60_000), (1024, 60_000)],
)
def test_delays_double_up_to_the_cap(n: int, milliseconds: int) -> None:
    backoff = Backoff(1, 60, jitter=0)
    assert backoff.delay_ms(n, "key") == milliseconds
    assert backoff.longest_ms(n) == milliseconds


def test_no_count_is_too_large_for_any_backoff() -> None:
    assert Backoff(MIN_SECONDS, MAX_SECONDS).delay_ms(10**6, "key") > 0
    assert Backoff(MAX_SECONDS, MAX_SECONDS).longest_ms(10**6) == MAX_SECONDS * 1000


def test_full_jitter_on_the_shortest_delay_is_still_no_hot_loop() -> None:
    assert all(Backoff(0.001, 0.001, jitter=1).delay_ms(1, str(key)) == 1 for key in range(50))


BAD = [
    ({"base": 0}, "base=0"),
    ({"base": -1}, "base=-1"),
    ({"base": math.nan}, "base=nan"),
    ({"base": "1"}, "base='1'"),
    ({"base": True}, "base=True"),
    ({"base": None}, "base=None"),
    ({"base": 1e-9}, "base=1e-09"),
    ({"cap": math.inf}, "cap=inf"),
    ({"cap": math.nan}, "cap=nan"),
    ({"cap": 1e300}, "cap=1e+300"),
    ({"cap": -5}, "cap=-5"),
    ({"base": 10, "cap": 5}, "base=10, cap=5"),
    ({"jitter": -0.1}, "jitter=-0.1"),
    ({"jitter": 1.1}, "jitter=1.1"),
    ({"jitter": math.nan}, "jitter=nan"),
    ({"jitter": True}, "jitter=True"),
    ({"jitter": "0.2"}, "jitter='0.2'"),
]


@pytest.mark.parametrize(("values", "named"), BAD, ids=[named for _, named in BAD])
def test_values_that_could_not_work_are_refused(values: dict[str, float], named: str) -> None:
    with pytest.raises(InvalidDeclaration) as refusal:
        Backoff(**values)
    assert named in str(refusal.value)
    assert "Backoff" in str(refusal.value)
    assert "for example" in str(refusal.value)
