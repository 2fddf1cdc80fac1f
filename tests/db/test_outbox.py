"""From a change to who is told: nothing is lost and nothing betrayed, whatever happens in between."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree
from twisted.trial.unittest import SynchronousTestCase

from csipd.daemon.scheduler import tick
from csipd.db import changes, controls, devices, facts, groups, notifications, outbox, programs, subscriptions
from csipd.db.notifications import Delivered, Failed, Outgoing, Settled
from csipd.db.prepared import Prepared
from csipd.db.tables import changes as change_rows
from csipd.db.tables import controls as control_rows
from csipd.db.tables import subscriptions as subscription_rows
from csipd.db.tree import access, context, own_level
from csipd.der.subscribing import SubscriptionLimits
from csipd.net.identity import Identity
from csipd.sep2 import resources as r
from csipd.sep2.site import ROWS, SERVED, Place, enclosing, locate
from tests.support.courier import Courier, read, subscription
from tests.support.steps import steps
from tests.support.store import statements
from tests.support.walk import walk
from tests.support.world import AGGREGATOR, ISSUER, MANAGED, OWNER, World, end_device

URI = "https://receiver.example/"


def own(element: etree._Element) -> object:
    """What a document says at its own level: without how many members the lists have that it links to."""
    linked = str(element.tag).endswith("Link")
    attributes = {
        name: value
        for name, value in element.attrib.items()
        if not name.startswith("{") and not (linked and name == "all")
    }
    return attributes, element.text, [(child.tag, own(child)) for child in element]


class Story:
    """A world in which things happen, and what its subscribers know.

    :param known: by the place of a subscription: what its subscriber knows of the resource
    """

    def __init__(self, path: Path) -> None:
        self.world = World(path, subscriptions=SubscriptionLimits(per_device=100))
        self.courier = Courier(self.world)
        self.known: dict[str, object] = {}
        self.who: dict[str, tuple[Identity, str]] = {}
        self.under_way: dict[int, Outgoing] = {}
        n = self.n = self.world.numbers
        self.resources = (
            "/edev",
            "/derp",
            f"/edev/{n.managed}",
            f"/edev/{n.managed}/fsa",
            f"/edev/{n.managed}/fsa/{n.topology}/derp",
            f"/derp/{n.point_1}",
            f"/derp/{n.point_1}/derc",
            f"/derp/{n.point_1}/derc/{n.scheduled}",
            f"/derp/{n.point_1}/dderc",
            f"/derp/{n.feeder_b}/derc",
            f"/derp/{programs.own_program(n.managed)}/dderc",
            f"/derp/{programs.own_program(n.managed)}/derc",
        )

    def now(self) -> int:
        return int(self.world.now)

    def write(self, operation: Callable[..., Any], *arguments: Any, **more: Any) -> None:
        self.world.write(lambda transaction: operation(transaction, *arguments, **more))

    def get(self, who: Identity, path: str) -> object:
        """What somebody is told at its own level who asks; None: it is not there."""
        place = locate(path)
        answer = self.world.fresh(who, path + ("?l=100" if place and place.row.is_list else ""))
        return own(etree.fromstring(answer.body)) if answer.status == 200 else None

    # --- what subscribers do

    def subscribe(self, choice: int) -> None:
        who, name = ((AGGREGATOR, "aggregator"), (MANAGED, "managed"), (OWNER, "owner"))[choice % 3]
        resource = self.resources[choice % len(self.resources)]
        body = subscription(resource, f"{URI}{choice % 2}", 100)
        answer = self.world.post(who, f"/edev/{getattr(self.n, name)}/sub", body)
        seen = self.get(who, resource)
        if answer.status != 201:
            assert seen is None or answer.status == 404, (resource, answer)
            return
        where = answer.headers["location"]
        if where not in self.known:
            self.known[where], self.who[where] = seen, (who, resource)

    def unsubscribe(self, choice: int) -> None:
        if self.known:
            where = sorted(self.known)[choice % len(self.known)]
            if self.world.delete(self.who[where][0], where).status == 204:
                del self.known[where]

    # --- what happens

    def control(self, choice: int) -> None:
        n = self.n
        program = (n.point_1, n.feeder_b, programs.own_program(n.managed))[choice % 3]
        self.world.control(program, start=choice * 10, duration=60)

    def cancel(self, choice: int) -> None:
        made = self.world.read(lambda c: list(c.scalars(sa.select(control_rows.c.id))))
        self.write(controls.cancel, made[choice % len(made)], False, None, self.now())

    def primacy(self, choice: int) -> None:
        group = self.world.read(lambda connection: programs.group_of(connection, self.n.point_1))
        self.write(programs.change, self.n.point_1, group=group, primacy=4 + choice % 2)

    def default(self, choice: int) -> None:
        base = r.DERControlBase(opModFixedW=100 * (choice // 2 % 2))
        made = r.DefaultDERControl(mRID="0", DERControlBase=base)
        self.write(
            programs.set_default, ISSUER, (self.n.point_1, self.n.system)[choice % 2], made, self.now()
        )

    def move(self, choice: int) -> None:
        """The managed device leaves its group, or comes back to it."""
        of = self.world.read(lambda connection: groups.set_of(connection, self.n.managed))
        if of:
            self.write(devices.leave, self.n.managed, of[0], self.now())
        else:
            point = self.world.read(lambda connection: programs.group_of(connection, self.n.feeder_b))
            self.write(devices.join, self.n.managed, point, self.now())

    def withdraw(self, choice: int) -> None:
        """A device, or its aggregator, is shut out, or let in again."""
        who = (MANAGED, AGGREGATOR, OWNER)[choice % 3]
        if self.world.get(who, "/edev").status == 404:
            self.write(devices.readmit, who.lfdi, "operator", self.now())
            return
        self.world.withdraw(who)
        if choice > 2:
            # Sooner than anybody notices.
            self.write(devices.readmit, who.lfdi, "operator", self.now())

    def manager(self, choice: int) -> None:
        """The managed device goes to another aggregator, or comes back."""
        n = self.n
        owner = self.world.read(lambda connection: devices.owner(connection, n.managed))
        if owner is not None:
            other = n.rival if owner.manager == n.aggregator else n.aggregator
            self.write(devices.update, n.managed, manager=other, changed_time=self.now())

    def category(self, choice: int) -> None:
        self.world.put(MANAGED, f"/edev/{self.n.managed}", end_device(MANAGED, deviceCategory=1 << choice))

    def report(self, choice: int) -> None:
        self.write(devices.update, self.n.managed, pin=111115 + 9 * choice)

    def wait(self, choice: int) -> None:
        self.world.now += (1, 9, 20, 30, 75, 400)[choice]
        self.write(tick, self.now())

    # --- how it is delivered

    def fan_out(self, choice: int) -> None:
        self.world.write(lambda transaction: outbox.fan_out(transaction, self.now()))

    def prepare(self, choice: int) -> None:
        waiting = [number for number in self.courier.due() if number not in self.under_way]
        if not waiting:
            return
        prepared = self.courier.prepare(waiting[choice % len(waiting)])
        if isinstance(prepared, Settled):
            self.courier.settle(prepared)
            return
        self.under_way[prepared.subscription] = prepared
        told = read(prepared)
        who, resource = self.who[self.where(prepared)]
        assert told.subscribed == resource
        # Whoever is told could ask, and would hear the same.
        seen = self.get(who, resource)
        if told.status:
            assert told.resource is None
            assert told.status != 4 or seen is None, (resource, who)
        else:
            assert told.resource is not None
            assert own(told.resource) == seen, resource

    def set_off(self, choice: int) -> None:
        """Everything that is due is under way."""
        self.courier.fan_out()
        for _ in range(50):
            self.prepare(choice)

    def lose(self, choice: int) -> None:
        """All that is under way arrives, and no answer comes back."""
        for outgoing in self.under_way.values():
            self.arrive(outgoing)
            self.courier.settle(Failed(outgoing, "lost"))
        self.under_way.clear()

    def flicker(self, choice: int) -> None:
        """Something changes, whoever is told of it has no time to say so, and it is as it was before."""
        toggle = (Story.primacy, Story.default, Story.move)[choice % 3]
        before, after = (choice, choice) if toggle is Story.move else (0, 3)
        toggle(self, before)
        self.wait(4)
        self.set_off(0)
        self.courier.settle(*map(Delivered, self.under_way.values()))
        for outgoing in self.under_way.values():
            self.arrive(outgoing)
        self.under_way.clear()
        self.wait(4)
        toggle(self, after)
        self.set_off(0)
        (self.lose if choice % 2 else self.crash)(choice)
        toggle(self, before)

    def where(self, outgoing: Outgoing) -> str:
        return read(outgoing).subscription.removeprefix("https://localhost")

    def arrive(self, outgoing: Outgoing) -> None:
        """Its subscriber hears of it."""
        told, where = read(outgoing), self.where(outgoing)
        if where not in self.known:
            return  # its subscriber has ended it meanwhile, and does not listen
        if told.status:
            self.known[where] = None
        else:
            assert told.resource is not None
            self.known[where] = own(told.resource)

    def answer(self, choice: int) -> None:
        """What is under way arrives or does not, and its answer arrives or does not."""
        if not self.under_way:
            return
        number = sorted(self.under_way)[choice % len(self.under_way)]
        outgoing = self.under_way.pop(number)
        if choice != 3:
            self.arrive(outgoing)
        self.courier.settle(Failed(outgoing, "lost") if choice in (3, 4) else Delivered(outgoing))

    def crash(self, choice: int) -> None:
        """The server stops; some of what was under way has arrived."""
        for number, outgoing in self.under_way.items():
            if (number + choice) % 2:
                self.arrive(outgoing)
        self.under_way.clear()
        self.write(notifications.resume, self.world.server)

    def end(self, *, crash: bool) -> None:
        """All is delivered, and everybody knows what is true."""
        if crash:
            self.crash(1)
        while self.under_way:
            self.answer(0)
        self.courier.answers = lambda outgoing: (self.arrive(outgoing), Delivered(outgoing))[1]
        for _ in range(3):
            self.wait(5)
            self.courier.deliver()
        for where, knows in sorted(self.known.items()):
            who, resource = self.who[where]
            seen = self.get(who, resource)
            if self.world.get(who, where).status == 200:
                assert knows == seen, (where, resource, knows, seen)
            elif self.world.get(who, "/edev").status == 200 and knows is not None:
                # Gone without a word: only for who was shut out in between.
                assert where in self.silenced(), (where, resource)

    def silenced(self) -> set[str]:
        """Subscriptions that were deleted since their subscriber had no access."""
        lines = self.world.read(
            lambda c: c.execute(sa.text("SELECT subject FROM audit WHERE detail LIKE '%has no access'")).all()
        )
        return {line.subject for line in lines}


ACTIONS = (
    *(Story.subscribe,) * 4,
    Story.unsubscribe,
    *(Story.control,) * 2,
    *(Story.cancel,) * 2,
    *(Story.primacy,) * 3,
    *(Story.default,) * 2,
    *(Story.move,) * 3,
    Story.withdraw,
    Story.manager,
    Story.category,
    Story.report,
    *(Story.wait,) * 3,
    *(Story.fan_out,) * 3,
    *(Story.prepare,) * 4,
    *(Story.answer,) * 3,
    *(Story.set_off,) * 5,
    *(Story.flicker,) * 2,
    *(Story.lose,) * 2,
    *(Story.crash,) * 2,
)


class StoryTests(SynchronousTestCase):
    """Random stories."""

    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(0, 5)), min_size=10, max_size=80),
        st.booleans(),
    )
    def test_nothing_is_lost(
        self, story: list[tuple[Callable[[Story, int], None], int]], crash: bool
    ) -> None:
        """Each subscriber's last word is what is true, and none is told what it could not ask for."""
        folder = Path(self.mktemp())
        folder.mkdir()
        told = Story(folder / "world.sqlite")
        try:
            for resource in range(12):
                told.subscribe(resource)
            for action, choice in story:
                action(told, choice)
            told.end(crash=crash)
        finally:
            told.world.close()


class RecordTests(SynchronousTestCase):
    """What is written down in the transaction of a change."""

    def setUp(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        self.world = World(folder / "world.sqlite")
        self.addCleanup(self.world.close)
        self.n = self.world.numbers

    def subscribe(self, resource: str, uri: str = URI) -> int:
        place = f"/edev/{self.n.aggregator}/sub"
        answer = self.world.post(AGGREGATOR, place, subscription(resource, uri))
        self.assertEqual(answer.status, 201)
        return int(answer.headers["location"].rpartition("/")[2])

    def written(self) -> list[str]:
        """The facts in the outbox."""
        return self.world.read(lambda c: list(c.scalars(sa.select(change_rows.c.fact))))

    def test_watched_alone(self) -> None:
        """What nobody watches is not written down."""
        self.world.control(self.n.point_1)
        self.assertEqual(self.written(), [])
        self.subscribe(f"/derp/{self.n.point_1}/derc")
        self.world.control(self.n.feeder_b)
        self.assertEqual(self.written(), [])
        self.world.control(self.n.point_1)
        self.assertEqual(self.written(), [facts.schedule(self.n.point_1)])

    def test_with_its_transaction(self) -> None:
        """What is rolled back leaves nothing; a change and its row are one."""
        self.subscribe(f"/derp/{self.n.point_1}/derc")

        def fails(transaction: Any) -> None:
            transaction.invalidate(facts.schedule(self.n.point_1))
            raise ValueError("no")

        with self.assertRaises(ValueError):
            self.world.write(fails)
        self.assertEqual(self.written(), [])

    def test_no_statement_for_reports(self) -> None:
        """What devices write all the time costs the outbox no statement, though there are subscriptions."""
        self.subscribe("/edev")
        dropped = [
            facts.document(f"/edev/{self.n.managed}/der/1/ders"),
            facts.list_of(f"/edev/{self.n.managed}/lel"),
            facts.responses(self.n.managed),
            facts.certificate(MANAGED.lfdi),
        ]

        def write(transaction: Any) -> list[str]:
            with statements(transaction) as said:
                changes.record(transaction.connection, dropped)
            return said

        self.assertEqual(self.world.write(write), [])

    def test_all_can_be_watched(self) -> None:
        """Whatever the look at a subscribable resource hangs on is written down when it is dropped."""
        looked = 0
        for who in (AGGREGATOR, MANAGED, OWNER):
            for path, answer in walk(self.world, who).items():
                place = locate(path.partition("?")[0])
                if answer.status != 200 or place is None or not place.row.subscribable:
                    continue

                def look(connection: sa.Connection, who: Identity = who, place: Any = place) -> Any:
                    asked = context.identify(connection, self.world.server, who, place, int(self.world.now))
                    access.authorize(asked, place, "GET")
                    return own_level.look(asked, place)

                found = self.world.read(look)
                looked += 1
                self.assertEqual([fact for fact in found.facts if not changes.is_watchable(fact)], [], path)
                self.assertLess(len(found.facts), 20, path)
        self.assertGreater(looked, 30)

    def test_watchable(self) -> None:
        """Of documents those of what may be subscribed to are watched, and of what that lies in; what a
        device writes all the time is none, and costs few steps to be told apart."""
        named = {row.name for row in SERVED.values() if row.subscribable}
        for name, row in ROWS.items():
            fact = facts.document(row.href((7, 1, 2, 3, 4)[: row.depth]))
            place = locate(fact.partition(" ")[2])
            inside = {
                around.row.name
                for one in named
                if (around := enclosing(Place(ROWS[one], (1,) * ROWS[one].depth))) is not None
            }
            expected = place is not None and place.row.name in named | inside
            self.assertEqual(changes.is_watchable(fact), expected, name)
        for kind in facts.KINDS:
            if kind is not facts.document:
                expected = kind.name not in self.NOT_WATCHED
                self.assertEqual(changes.is_watchable(kind(5)), expected, kind.name)
        self.assertTrue(all(map(changes.is_watchable, (facts.EVERYTHING, facts.TOPOLOGY))))
        status = facts.document("/edev/1/der/1/ders")
        self.assertLess(steps(lambda: changes.is_watchable(status)), 15)

    #: Kinds of facts that no subscription hangs on.
    NOT_WATCHED = (
        "list",
        "certificate",
        "controls",
        "responses",
        "mirrors",
        "mirror",
        "usage-points",
        "readings",
        "mirror-room",
    )

    def test_numbers(self) -> None:
        """Numbers of changes rise, whatever is removed in between."""
        drawn = [self.world.write(lambda transaction: changes.draw(transaction.connection)) for _ in range(3)]
        self.assertEqual(drawn, sorted(set(drawn)))

    def test_other_process(self) -> None:
        """After another process has written everybody is looked at."""
        where = self.subscribe(f"/derp/{self.n.point_1}/derc")
        self.world.write(lambda transaction: transaction.invalidate(facts.EVERYTHING))
        courier = Courier(self.world)
        courier.fan_out()
        self.assertEqual(courier.due(), [where])
        self.assertEqual(courier.deliver(), [])


class PortionTests(SynchronousTestCase):
    """What many subscriptions cost."""

    def setUp(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        self.world = World(folder / "world.sqlite", subscriptions=SubscriptionLimits(per_aggregator=100_000))
        self.addCleanup(self.world.close)
        self.n = self.world.numbers
        self.courier = Courier(self.world)

    def many(self, number: int, *, receivers: int = 1, resource: str | None = None) -> None:
        """So many subscriptions of the aggregator to controls of a program, each with a URI of its own."""
        href = resource or f"/derp/{self.n.point_1}/derc"
        place = locate(href)
        assert place is not None
        now = int(self.world.now)

        def make(transaction: Any) -> None:
            asked = context.identify(transaction.connection, self.world.server, AGGREGATOR, place, now)
            access.authorize(asked, place, "GET")
            look = own_level.look(asked, place)
            for n in range(number):
                host = f"{n % receivers}.example"
                wanted = subscriptions.Wanted(href, href, f"https://{host}/{n}", host, 443, "-S1", 10)
                subscriptions.add(transaction, self.n.aggregator, wanted, look, now + 100_000, now)

        self.world.write(make)

    def marked(self) -> int:
        changed = subscription_rows.c.changed > subscription_rows.c.told
        count = sa.select(sa.func.count()).select_from(subscription_rows).where(changed)
        return self.world.read(lambda connection: connection.scalar(count) or 0)

    def test_portions(self) -> None:
        """A change that many hear of is handed on in portions, and goes on after a stop where it was."""
        self.many(3 * outbox.PORTION + 7)
        self.world.control(self.n.point_1, start=50)
        for portion in range(1, 4):
            more = self.world.write(lambda transaction: outbox.fan_out(transaction, int(self.world.now)))
            self.assertTrue(more)
            self.assertEqual(self.marked(), portion * outbox.PORTION)
        # Another change comes in between: it is behind the first.
        self.world.control(self.n.point_1, start=50)
        self.courier.fan_out()
        self.assertEqual(self.marked(), 3 * outbox.PORTION + 7)
        self.assertEqual(len(self.courier.deliver()), 3 * outbox.PORTION + 7)
        self.assertEqual(self.marked(), 0)

    def test_many_changes(self) -> None:
        """Many changes of which each is told to one are as few statements as one that many are told."""
        self.many(10)

        def ask(number: int) -> int:
            def write(transaction: Any) -> int:
                rows = [{"fact": facts.schedule(self.n.point_1)} for _ in range(number)]
                transaction.connection.execute(sa.insert(change_rows), rows)
                with statements(transaction) as said:
                    outbox.fan_out(transaction, int(self.world.now))
                return len({statement.split(" WHERE ")[0] for statement in said})

            return self.world.write(write)

        self.assertEqual(ask(1), ask(40))

    def test_statements(self) -> None:
        """To look at a subscription, and to write down what came of it, is few statements, however many."""
        for more, receivers in ((5, 1), (500, 100)):
            self.many(more, receivers=receivers, resource=f"/derp/{self.n.system}/derc")
            self.world.now += 100
            self.world.control(self.n.system, start=50_000)
            self.courier.fan_out()
            now = int(self.world.now)
            due = self.courier.due()
            self.courier.prepare(due[0])

            def prepare(connection: sa.Connection, number: int = due[1], now: int = now) -> Any:
                with statements(_Connection(connection)) as said:
                    prepared = notifications.prepare(connection, self.world.server, number, now)
                return prepared, said

            prepared, asked = self.world.read(prepare)
            # The subscription, what it watches; who asks and what it reads is known.
            self.assertEqual(len(asked), 2, asked)

            def settle(transaction: Any, prepared: Any = prepared, now: int = now) -> int:
                with statements(transaction) as said:
                    notifications.settle(transaction, [Delivered(prepared)], now)
                return len(said)

            self.assertEqual(self.world.write(settle), 1)

            def look(connection: sa.Connection, now: int = now) -> int:
                with statements(_Connection(connection)) as said:
                    notifications.due_receivers(connection, now, 5)
                    notifications.due(connection, 1, now, 5)
                    notifications.next_moment(connection, now)
                return len(said)

            self.assertEqual(self.world.read(look), 7)
            self.courier.deliver()

    def test_plans(self) -> None:
        """What is asked all the time is found on indexes; no table is read through or sorted."""
        prepared = {
            name: statement
            for module in (changes, notifications, outbox, subscriptions)
            for name, statement in vars(module).items()
            if isinstance(statement, Prepared)
        }
        self.assertGreater(len(prepared), 30)

        def plan(connection: sa.Connection) -> list[tuple[str, str]]:
            found = []
            for name, statement in prepared.items():
                compiled = statement.compiled(connection.dialect)
                given = {key: _value(key) for key in compiled._required}
                sql, values = compiled.said({**given, **{n: _value(n) for n in statement.names}})
                rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", tuple(values)).all()
                found += [(name, row[-1]) for row in rows]
            return found

        for name, step in self.world.read(plan):
            scans = step.startswith("SCAN") and "USING" not in step and step not in SCANS
            self.assertFalse(scans or "TEMP B-TREE" in step, (name, step))


#: The constant row, what was found before, and the outbox itself, whose rows are all wanted.
SCANS = ("SCAN CONSTANT ROW", "SCAN awaited", "SCAN changes")


def _value(name: str) -> Any:
    """A value that a statement may be given."""
    if name in ("these",):
        return [1]
    if name in ("fact", "href", "uri", "host", "resource", "level", "error"):
        return "x"
    return b"" if name == "digest" else 1


class _Connection:
    """A connection as what counts statements wants it."""

    def __init__(self, connection: sa.Connection) -> None:
        self.connection = connection
