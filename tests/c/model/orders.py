"""The memory orders of quiet posting, of the bells and of the journal, in every execution that C11
allows.

Each protocol is a few accesses per thread; all values that a load may return and all orders of
the writes to each word are tried, and those thrown out that C11 forbids (as repaired by Lahav et
al., "Repairing sequential consistency in C/C++11", 2017; there are no fences here). None of the
rest may lose a wake-up, and some must where an order is weaker than in csrc/. Run by `make`.

A futex is a load: the kernel orders its own look against the wake-ups that follow a change.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

RELAXED, ACQUIRE, RELEASE, BOTH, SEQ = "relaxed", "acquire", "release", "both", "seq"
ACQUIRING, RELEASING = {ACQUIRE, BOTH, SEQ}, {RELEASE, BOTH, SEQ}


@dataclass(frozen=True)
class Access:
    """A load (`value` None), a store of `value`, or an addition of it."""

    word: str
    order: str
    value: int | None = None
    adds: bool = False
    name: str = ""  # by which a verdict asks for what was read

    @property
    def reads(self) -> bool:
        return self.value is None or self.adds

    @property
    def writes(self) -> bool:
        return self.value is not None


def load(word: str, order: str, name: str = "") -> Access:
    return Access(word, order, name=name)


def store(word: str, order: str, value: int) -> Access:
    return Access(word, order, value)


def add(word: str, order: str, value: int, name: str = "") -> Access:
    return Access(word, order, value, True, name)


Verdict = Callable[[dict[str, int]], bool]


@dataclass
class Protocol:
    """Threads on words that are zero at first; `is_lost` tells a lost wake-up by what was read."""

    threads: list[list[Access]]
    is_lost: Verdict
    accesses: list[Access] = field(init=False)

    def __post_init__(self) -> None:
        every = [access for thread in self.threads for access in thread]
        words = sorted({access.word for access in every})
        self.accesses = [store(word, RELAXED, 0) for word in words] + every
        self.size = len(self.accesses)
        first, self.before = len(words), [0] * self.size  # bit j of before[i]: i is before j
        everything_else = (1 << self.size) - (1 << first)
        for i in range(first):
            self.before[i] = everything_else
        for thread in self.threads:
            end = first + len(thread)
            for i in range(first, end):
                self.before[i] = (1 << end) - (1 << (i + 1))
            first = end


Relation = list[int]  # bit j of the i-th: i is related to j


def union(*relations: Relation) -> Relation:
    result = [0] * len(relations[0])
    for relation in relations:
        result = [a | b for a, b in zip(result, relation, strict=True)]
    return result


def then(first: Relation, second: Relation) -> Relation:
    result = []
    for row in first:
        reached = 0
        while row:
            reached |= second[(row & -row).bit_length() - 1]
            row &= row - 1
        result.append(reached)
    return result


def closure(relation: Relation) -> Relation:
    rows = list(relation)
    for k in range(len(rows)):
        for i in range(len(rows)):
            if rows[i] >> k & 1:
                rows[i] |= rows[k]
    return rows


def has_cycle(relation: Relation) -> bool:
    return any(row >> i & 1 for i, row in enumerate(closure(relation)))


@dataclass
class Execution:
    """Who reads from whom, and the order of the writes to each word."""

    protocol: Protocol
    source: dict[int, int]
    orders: list[tuple[int, ...]]

    def values(self) -> dict[str, int]:
        """Return what each access that has a name has read."""
        accesses, after = self.protocol.accesses, {}
        for order in self.orders:
            value = 0
            for i in order:
                access = accesses[i]
                assert access.value is not None
                value = value + access.value if access.adds else access.value
                after[i] = value
        return {accesses[i].name: after[j] for i, j in self.source.items() if accesses[i].name}

    def is_allowed(self) -> bool:
        accesses, size, sb = self.protocol.accesses, self.protocol.size, self.protocol.before
        rf, mo, rb = [0] * size, [0] * size, [0] * size
        for order in self.orders:
            for place, i in enumerate(order):
                mo[i] = sum(1 << j for j in order[place + 1 :])
        for reader, writer in self.source.items():
            rf[writer] |= 1 << reader
            rb[reader] = mo[writer] & ~(1 << reader)
        hb = closure(union(sb, self._synchronized(rf)))
        coherence = union(rf, mo, rb)
        if has_cycle(union(sb, rf)) or any(
            row >> i & 1 for i, row in enumerate(union(hb, then(hb, closure(coherence))))
        ):
            return False
        same = [sum(1 << j for j, b in enumerate(accesses) if a.word == b.word) for a in accesses]
        apart = [row & ~alike for row, alike in zip(sb, same, strict=True)]
        here = [row & alike for row, alike in zip(hb, same, strict=True)]
        scb = union(sb, then(then(apart, hb), apart), here, mo, rb)
        seq = self._mask(lambda access: access.order == SEQ)
        return not has_cycle([row & seq if seq >> i & 1 else 0 for i, row in enumerate(scb)])

    def _mask(self, wanted: Callable[[Access], bool]) -> int:
        return sum(1 << i for i, access in enumerate(self.protocol.accesses) if wanted(access))

    def _synchronized(self, rf: Relation) -> Relation:
        """From a release to an acquire that reads it, or an addition in a chain from it."""
        accesses = self.protocol.accesses
        chain = closure([row & self._mask(lambda access: access.adds) for row in rf])
        chain = [row | 1 << i for i, row in enumerate(chain)]
        acquiring = self._mask(lambda access: access.reads and access.order in ACQUIRING)
        return [
            row & acquiring if accesses[i].writes and accesses[i].order in RELEASING else 0
            for i, row in enumerate(then(chain, rf))
        ]


def executions(protocol: Protocol) -> Iterator[Execution]:
    """Yield all candidates in which nothing is written between an addition's two halves."""
    accesses = protocol.accesses
    writers: dict[str, list[int]] = {}
    for i, access in enumerate(accesses):
        if access.writes:
            writers.setdefault(access.word, []).append(i)
    loads = [i for i, access in enumerate(accesses) if not access.writes]
    all_orders = [
        [(own[0], *rest) for rest in itertools.permutations(own[1:])] for own in writers.values()
    ]
    for orders in itertools.product(*all_orders):
        added = {
            i: order[place - 1]
            for order in orders
            for place, i in enumerate(order)
            if accesses[i].adds
        }
        for sources in itertools.product(*(writers[accesses[i].word] for i in loads)):
            yield Execution(protocol, added | dict(zip(loads, sources, strict=True)), list(orders))


def lost(protocol: Protocol) -> bool:
    return any(
        protocol.is_lost(execution.values()) and execution.is_allowed()
        for execution in executions(protocol)
    )


# -- csrc/ring_*.c: ff_ring_post_quietly(), ff_ring_wake_idle(), ff_ring_claim() ---------------

TAIL, TICKET, FIRST = "tail", "ticket", "first"  # 1: posted, open, taken (so not ready any more)


def quiet_post(
    aloud: bool, *, poster: str = SEQ, taker: str | None = SEQ, counting: str = SEQ, look: int = 3
) -> Protocol:
    """One thread posts a ticket while a batch is ready, another takes that, a worker falls asleep.

    `aloud`: the poster sees that it is not ready, and looks for sleepers. `taker` None: `work` is
    only loaded, not added to. `look`: the place among the poster's accesses.
    """
    posts = [
        store(TICKET, RELEASE, 1),
        store(TAIL, RELEASE, 1),
        add("work", poster, 1),
    ]
    posts.insert(look, load(FIRST, ACQUIRE, "poster saw first"))
    if aloud:
        posts += [add("work", SEQ, 1), load("sleepers", SEQ, "poster saw sleepers")]
    takes = [
        store(FIRST, RELEASE, 1),
        add("work", taker, 0) if taker else load("work", SEQ),
        load("sleepers", SEQ, "taker saw sleepers"),
        load(TAIL, RELAXED, "taker saw tail"),
        load(TICKET, RELAXED, "taker saw ticket"),
    ]
    sleeps = [
        load("work", SEQ, "seen"),
        load(TAIL, RELAXED, "worker saw tail"),
        load(TICKET, RELAXED, "worker saw ticket"),
        add("sleepers", counting, 1),
        load("work", SEQ, "futex"),
    ]

    def is_lost(read: dict[str, int]) -> bool:
        asleep = read["seen"] == read["futex"]
        found = read["worker saw tail"] and read["worker saw ticket"]
        taker_wakes = (
            read["taker saw sleepers"] and read["taker saw tail"] and read["taker saw ticket"]
        )
        if aloud != (read["poster saw first"] == 1) or found or taker_wakes or not asleep:
            return False
        return not aloud or not read["poster saw sleepers"]

    return Protocol([posts, takes, sleeps], is_lost)


def head_moves(*, posting: str = RELEASE, taking: str = ACQUIRE) -> Protocol:
    """A taker in another thread: `head` goes over what looks taken, up to the tail that it saw."""
    posts = [store(TICKET, RELEASE, 1), store(TAIL, posting, 1)]
    moves = [load(TAIL, taking, "tail"), load(TICKET, RELAXED, "ticket")]
    return Protocol([posts, moves], lambda read: bool(read["tail"]) and not read["ticket"])


# -- csrc/park.h: the bells -------------------------------------------------------------------


def bell(*, ringer: str = SEQ, listener: str = SEQ, look_last: bool = True) -> Protocol:
    """One thread makes room and rings, the other announces its sleep, looks and parks."""
    rings = [store("room", RELAXED, 1), add("bell", ringer, 2, "rung at")]
    listens = [add("bell", listener, 1, "listened at"), load("room", RELAXED, "room")]
    if not look_last:
        listens.reverse()
    listens.append(load("bell", SEQ, "futex"))

    def is_lost(read: dict[str, int]) -> bool:
        asleep = not read["room"] and read["futex"] == read["listened at"] + 1
        return asleep and read["rung at"] % 2 == 0

    return Protocol([rings, listens], is_lost)


def hearing(*, hears: str = SEQ, first: bool = True) -> Protocol:
    """The look is not repeated after the announcement: what was heard before it is compared."""
    rings = [store("slot", RELEASE, 1), add("bell", SEQ, 2, "rung at")]
    looks = [load("bell", hears, "heard"), load("slot", RELAXED, "slot")]
    if not first:
        looks.reverse()
    parks = [add("bell", SEQ, 1, "listened at"), load("bell", SEQ, "futex")]

    def is_lost(read: dict[str, int]) -> bool:
        parked = read["heard"] == read["listened at"] and read["futex"] == read["heard"] + 1
        return not read["slot"] and parked and read["rung at"] % 2 == 0

    return Protocol([rings, looks + parks], is_lost)


# -- csrc/journal.c: ff_journal_write(), ff_journal_read() --------------------------------------


def journal(
    *, words: str = RELEASE, stamps: str = RELEASE, first: str = ACQUIRE, reads: str = ACQUIRE
) -> Protocol:
    """A record of two words is overwritten, 0 by 1, while somebody reads it: lost is what is whole
    by its stamp, and is not. A stamp of 2 stands for none.
    """
    writes = [
        store("stamp", RELAXED, 2),
        store("a", words, 1),
        store("b", words, 1),
        store("stamp", stamps, 1),
    ]
    looks = [
        load("stamp", first, "stamp"),
        load("a", reads, "a"),
        load("b", reads, "b"),
        load("stamp", RELAXED, "stamp again"),
    ]

    def is_torn(read: dict[str, int]) -> bool:
        stamp = read["stamp"]
        return stamp == read["stamp again"] < 2 and {read["a"], read["b"]} != {stamp}

    return Protocol([writes, looks], is_torn)


# -- known answers, by which this program itself is checked -------------------------------------


def store_buffering(order: str, loading: str) -> Protocol:
    threads = [[store(mine, order, 1), load(other, loading, other)] for mine, other in ("xy", "yx")]
    return Protocol(threads, lambda read: not read["x"] and not read["y"])


def message(releasing: str, acquiring: str) -> Protocol:
    threads = [
        [store("data", RELAXED, 1), store("flag", releasing, 1)],
        [load("flag", acquiring, "flag"), load("data", RELAXED, "data")],
    ]
    return Protocol(threads, lambda read: bool(read["flag"]) and not read["data"])


def two_observers(order: str) -> Protocol:
    threads = [[store("x", order, 1)], [store("y", order, 1)]]
    loading = SEQ if order == SEQ else ACQUIRE
    for a, b in ("xy", "yx"):
        threads.append([load(a, loading, f"{a} first"), load(b, loading, f"{b} then")])
    return Protocol(
        threads,
        lambda read: (
            bool(read["x first"] and read["y first"]) and not read["x then"] and not read["y then"]
        ),
    )


RIGHT = {
    "known: store buffering, sequentially consistent": store_buffering(SEQ, SEQ),
    "known: a message, release and acquire": message(RELEASE, ACQUIRE),
    "known: two observers, sequentially consistent": two_observers(SEQ),
    "a quiet post that finds a batch ready": quiet_post(False),
    "a quiet post that finds none": quiet_post(True),
    "a ticket that is posted while `head` moves": head_moves(),
    "a bell": bell(),
    "a bell whose rings are heard before the look": hearing(),
    "a record read while it is overwritten": journal(),
}
WRONG = {
    "known: store buffering, release and acquire": store_buffering(RELEASE, ACQUIRE),
    "known: a message, relaxed": message(RELEASE, RELAXED),
    "known: two observers, release and acquire": two_observers(RELEASE),
    "the poster's change of `work` is relaxed": quiet_post(False, poster=RELAXED),
    "the poster looks before it changes `work`": quiet_post(False, look=2),
    "the taker's addition of 0 is relaxed": quiet_post(False, taker=RELAXED),
    "the taker only loads `work`": quiet_post(False, taker=None),
    "sleepers are counted with acquire and release only": quiet_post(True, counting=BOTH),
    "`tail` is stored relaxed": head_moves(posting=RELAXED),
    "`tail` is loaded relaxed by the taker": head_moves(taking=RELAXED),
    "the bell is rung relaxed": bell(ringer=RELAXED),
    "a record's words are written relaxed": journal(words=RELAXED),
    "a record's stamp is written relaxed": journal(stamps=RELAXED),
    "a record's stamp is read relaxed": journal(first=RELAXED),
    "a record's words are read relaxed": journal(reads=RELAXED),
    "the listener announces himself relaxed": bell(listener=RELAXED),
    "the listener looks before he announces himself": bell(look_last=False),
    "the bell is heard relaxed": hearing(hears=RELAXED),
    "the bell is heard after the look": hearing(first=False),
}


def main() -> int:
    unexpected = 0
    for cases, expected in ((RIGHT, False), (WRONG, True)):
        for name, protocol in cases.items():
            is_lost = lost(protocol)
            unexpected += is_lost != expected
            print(f"orders: {name}: {'can go wrong' if is_lost else 'cannot go wrong'}")
    return min(unexpected, 1)


if __name__ == "__main__":
    sys.exit(main())
