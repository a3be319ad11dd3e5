//! `models/grace_period.pml`, step for step, in Rust: readers, updaters, memory and store buffers as one value.

use std::fmt;

const READERS: usize = 2;
const UPDATERS: usize = 3;
const BUFFER: usize = 3;

/// How many there are of everything: the numbers of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Shape {
    readers: u8,
    waiters: u8,
    pollers: u8,
    sections: u8,
    rounds: u8,
    buffer: u8,
}

impl Default for Shape {
    fn default() -> Self {
        Self { readers: 1, waiters: 1, pollers: 0, sections: 2, rounds: 1, buffer: 2 }
    }
}

impl Shape {
    pub(super) fn set(&mut self, what: &str, number: u8) {
        let (field, most) = match what {
            "READERS" => (&mut self.readers, READERS),
            "WAITERS" => (&mut self.waiters, UPDATERS),
            "POLLERS" => (&mut self.pollers, UPDATERS),
            "SECTIONS" => (&mut self.sections, 9),
            "ROUNDS" => (&mut self.rounds, 9),
            "BUFFER" => (&mut self.buffer, BUFFER),
            _ => panic!("{what}?"),
        };
        assert!(usize::from(number) <= most, "{what}={number} is more than the tests' machine has");
        *field = number;
    }

    fn updaters(self) -> u8 {
        self.waiters + self.pollers
    }
}

/// The switches of the model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Rules {
    full: bool,
    qsbr: bool,
    early_loads: bool,
    no_heavy_barrier: bool,
    no_light_barrier: bool,
    no_online_fence: bool,
    increment_first: bool,
    share_running: bool,
    next_number: bool,
    phase_bit: bool,
}

impl Rules {
    pub(super) fn set(&mut self, switch: &str) {
        let field = match switch {
            "FULL" => &mut self.full,
            "QSBR" => &mut self.qsbr,
            "EARLY_LOADS" => &mut self.early_loads,
            "NO_HEAVY_BARRIER" => &mut self.no_heavy_barrier,
            "NO_LIGHT_BARRIER" => &mut self.no_light_barrier,
            "NO_ONLINE_FENCE" => &mut self.no_online_fence,
            "INCREMENT_FIRST" => &mut self.increment_first,
            "SHARE_RUNNING" => &mut self.share_running,
            "NEXT_NUMBER" => &mut self.next_number,
            "PHASE_BIT" => &mut self.phase_bit,
            _ => panic!("{switch}?"),
        };
        *field = true;
    }

    /// The same flavor and machine, with nothing broken.
    pub(super) fn kept(self) -> Self {
        Self { full: self.full, qsbr: self.qsbr, early_loads: self.early_loads, ..Self::default() }
    }

    fn interrupts(self) -> bool {
        !(self.no_heavy_barrier || self.full || self.qsbr)
    }

    fn holds_up(self, word: Word, period: u8) -> bool {
        let older = if self.phase_bit { (word.number ^ period) & 1 != 0 } else { word.number < period };
        word.nesting != 0 && older
    }
}

/// A step of one actor, as the model prints it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Step {
    actor: &'static str,
    number: u8,
    what: &'static str,
    argument: Option<u8>,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.actor, self.number)?;
        if !self.what.is_empty() {
            write!(f, " {}", self.what)?;
        }
        self.argument.map_or(Ok(()), |argument| write!(f, " {argument}"))
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Word {
    number: u8,
    nesting: u8,
}

/// Where a store goes, and what it brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Store {
    Word(u8, Word),
    Link(u8, u8),
    Started(u8),
    Completed(u8),
    Elapsed(u8),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Buffer {
    stores: [Option<Store>; BUFFER],
}

impl Buffer {
    fn len(&self) -> usize {
        self.stores.iter().flatten().count()
    }

    fn is_empty(&self) -> bool {
        self.stores[0].is_none()
    }

    fn push(&mut self, store: Store) {
        let end = self.len();
        self.stores[end] = Some(store);
    }

    fn pop(&mut self) -> Option<Store> {
        let first = self.stores[0].take();
        self.stores.rotate_left(1);
        first
    }
}

/// What a reader does next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum ReaderAt {
    #[default]
    Choose,
    MovedLoad,
    R1,
    R2,
    R3,
    R4,
    FirstUse,
    Nest,
    Load,
    Leave,
    InnerUse,
    LastUse,
    R5,
    Ended,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Reader {
    at: ReaderAt,
    section: u8,
    slot: u8,
    number: u8,
    found: u8,
    inner: u8,
    /// The load of R4 was done early, and has not been thrown away.
    early: bool,
}

/// What an updater does next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum UpdaterAt {
    #[default]
    U1,
    Fence,
    Next,
    First,
    Begin,
    Loop,
    Taken,
    StartFence,
    U2(u8),
    U3,
    U4(u8),
    Elapsed,
    Complete,
    GiveBack,
    LastFence,
    Free,
    Ended,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Updater {
    at: UpdaterAt,
    round: u8,
    /// The grace period that serves it (a waiter); the number to be published (a poller).
    mine: u8,
    now: u8,
    period: u8,
}

/// A state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Machine {
    rules: Rules,
    shape: Shape,
    period: u8,
    started: u8,
    completed: u8,
    elapsed: u8,
    turn: bool,
    words: [Word; READERS],
    links: [u8; UPDATERS],
    freed: [u8; UPDATERS],
    buffers: [Buffer; READERS + UPDATERS],
    readers: [Reader; READERS],
    updaters: [Updater; UPDATERS],
    /// A freed object was used.
    pub(super) violated: bool,
}

/// What may happen next.
type Steps = Vec<(Step, Machine)>;

impl Machine {
    pub(super) fn new(rules: Rules, shape: Shape) -> Self {
        assert!(usize::from(shape.updaters()) <= UPDATERS);
        let mut machine = Self {
            rules,
            shape,
            period: 1,
            started: 0,
            completed: 0,
            elapsed: 0,
            turn: false,
            words: Default::default(),
            links: [1; UPDATERS],
            freed: [0; UPDATERS],
            buffers: Default::default(),
            readers: Default::default(),
            updaters: Default::default(),
            violated: false,
        };
        if rules.qsbr {
            machine.readers.iter_mut().for_each(|reader| reader.at = ReaderAt::R1);
        }
        machine
    }

    /// Everything that may happen next. The last one is never a reader's while somebody else can move.
    pub(super) fn steps(&self) -> Steps {
        let mut steps = Vec::new();
        for reader in 0..self.shape.readers {
            if self.rules.qsbr { self.online_reader(reader, &mut steps) } else { self.reader(reader, &mut steps) }
        }
        for updater in 0..self.shape.updaters() {
            self.updater(updater, &mut steps);
        }
        for thread in 0..self.shape.readers + self.shape.updaters() {
            self.commit(thread, &mut steps);
        }
        steps
    }

    pub(super) fn has_ended(&self) -> bool {
        self.readers[..self.shape.readers.into()].iter().all(|reader| reader.at == ReaderAt::Ended)
            && self.updaters[..self.shape.updaters().into()].iter().all(|updater| updater.at == UpdaterAt::Ended)
    }

    fn is_fenced(&self, thread: u8) -> bool {
        self.buffers[usize::from(thread)].is_empty()
    }

    fn has_room(&self, thread: u8) -> bool {
        self.buffers[usize::from(thread)].len() < self.shape.buffer.into()
    }

    /// One store reaches memory.
    fn commit(&self, thread: u8, steps: &mut Steps) {
        let mut next = *self;
        let Some(store) = next.buffers[usize::from(thread)].pop() else { return };
        match store {
            Store::Word(reader, word) => next.words[usize::from(reader)] = word,
            Store::Link(updater, version) => next.links[usize::from(updater)] = version,
            Store::Started(number) => next.started = number,
            Store::Completed(number) => next.completed = number,
            Store::Elapsed(number) => next.elapsed = number,
        }
        steps.push((Step { actor: "buffer", number: thread, what: "", argument: None }, next));
    }

    fn reader_step(
        &self,
        r: u8,
        what: &'static str,
        argument: Option<u8>,
        change: impl FnOnce(&mut Self, &mut Reader),
    ) -> (Step, Self) {
        let mut next = *self;
        let mut reader = next.readers[usize::from(r)];
        change(&mut next, &mut reader);
        next.readers[usize::from(r)] = reader;
        (Step { actor: "reader", number: r, what, argument }, next)
    }

    fn store_word(&mut self, r: u8, number: u8, nesting: u8) {
        let word = if nesting == 0 { Word::default() } else { Word { number, nesting } };
        self.buffers[usize::from(r)].push(Store::Word(r, word));
    }

    fn use_version(&mut self, reader: &Reader, version: u8) {
        self.violated |= version <= self.freed[usize::from(reader.slot)];
    }

    fn choose(&self, r: u8, to: ReaderAt, steps: &mut Steps) {
        for slot in 0..self.shape.updaters() {
            steps.push(self.reader_step(r, "choose", Some(slot), |_, reader| {
                reader.slot = slot;
                reader.at = to;
            }));
        }
    }

    fn reader(&self, r: u8, steps: &mut Steps) {
        let own = self.readers[usize::from(r)];
        let rules = self.rules;
        let load = |machine: &Self, reader: &Reader| machine.links[usize::from(reader.slot)];
        match own.at {
            ReaderAt::Choose => {
                self.choose(r, if rules.no_light_barrier { ReaderAt::MovedLoad } else { ReaderAt::R1 }, steps);
            }
            ReaderAt::MovedLoad => steps.push(self.reader_step(r, "R4", None, |machine, reader| {
                reader.found = load(machine, reader);
                reader.at = ReaderAt::R1;
            })),
            ReaderAt::R1 => {
                if rules.early_loads && !own.early && own.found == 0 {
                    steps.push(self.reader_step(r, "R4 early", None, |machine, reader| {
                        reader.found = load(machine, reader);
                        reader.early = true;
                    }));
                }
                steps.push(self.reader_step(r, "R1", None, |machine, reader| {
                    reader.number = machine.period;
                    reader.at = ReaderAt::R2;
                }));
            }
            ReaderAt::R2 if self.has_room(r) => {
                steps.push(self.reader_step(r, "R2", None, |machine, reader| {
                    machine.store_word(r, reader.number, 1);
                    reader.at = match (rules.full, rules.no_light_barrier) {
                        (true, _) => ReaderAt::R3,
                        (false, true) => ReaderAt::FirstUse,
                        (false, false) => ReaderAt::R4,
                    };
                }));
            }
            ReaderAt::R3 if self.is_fenced(r) => steps.push(self.reader_step(r, "R3", None, |_, reader| {
                reader.at = if rules.no_light_barrier { ReaderAt::FirstUse } else { ReaderAt::R4 };
            })),
            ReaderAt::R4 => steps.push(self.reader_step(r, "R4", None, |machine, reader| {
                if !std::mem::take(&mut reader.early) {
                    reader.found = load(machine, reader);
                }
                reader.at = ReaderAt::FirstUse;
            })),
            ReaderAt::FirstUse => steps.push(self.reader_step(r, "use", None, |machine, reader| {
                machine.use_version(reader, reader.found);
                reader.at = ReaderAt::Nest;
            })),
            ReaderAt::Nest => {
                if self.has_room(r) {
                    steps.push(self.reader_step(r, "enter", None, |machine, reader| {
                        machine.store_word(r, reader.number, 2);
                        reader.at = ReaderAt::Load;
                    }));
                }
                steps.push(self.reader_step(r, "flat", None, |_, reader| reader.at = ReaderAt::LastUse));
            }
            ReaderAt::Load => steps.push(self.reader_step(r, "load", None, |machine, reader| {
                reader.inner = load(machine, reader);
                reader.at = ReaderAt::Leave;
            })),
            ReaderAt::Leave if self.has_room(r) => steps.push(self.reader_step(r, "leave", None, |machine, reader| {
                machine.store_word(r, reader.number, 1);
                reader.at = ReaderAt::InnerUse;
            })),
            ReaderAt::InnerUse => steps.push(self.reader_step(r, "use", None, |machine, reader| {
                machine.use_version(reader, reader.inner);
                reader.at = ReaderAt::LastUse;
            })),
            ReaderAt::LastUse => steps.push(self.reader_step(r, "use", None, |machine, reader| {
                machine.use_version(reader, reader.found);
                reader.at = ReaderAt::R5;
            })),
            ReaderAt::R5 if self.has_room(r) => steps.push(self.reader_step(r, "R5", None, |machine, reader| {
                machine.store_word(r, 0, 0);
                let section = reader.section + 1;
                let at = if section == machine.shape.sections { ReaderAt::Ended } else { ReaderAt::Choose };
                *reader = Reader { at, section, ..Reader::default() };
            })),
            ReaderAt::R2 | ReaderAt::R3 | ReaderAt::Leave | ReaderAt::R5 | ReaderAt::Ended => {}
        }
    }

    /// QSBR: from one quiescent state to the next.
    fn online_reader(&self, r: u8, steps: &mut Steps) {
        let own = self.readers[usize::from(r)];
        let is_first = own.section == 0 && own.at != ReaderAt::Choose;
        let after_word = |section: u8| if section == self.shape.sections { ReaderAt::R5 } else { ReaderAt::Choose };
        match own.at {
            ReaderAt::R1 => steps.push(self.reader_step(r, "R1", None, |machine, reader| {
                reader.number = machine.period;
                reader.at = ReaderAt::R2;
            })),
            ReaderAt::R2 if self.has_room(r) => steps.push(self.reader_step(r, "R2", None, |machine, reader| {
                machine.store_word(r, reader.number, 1);
                reader.found = 0;
                reader.slot = 0;
                let fenced = is_first && !machine.rules.no_online_fence;
                reader.at = if fenced { ReaderAt::R3 } else { after_word(reader.section) };
            })),
            ReaderAt::R3 if self.is_fenced(r) => {
                steps.push(self.reader_step(r, "R3", None, |_, reader| reader.at = ReaderAt::Choose));
            }
            ReaderAt::Choose => self.choose(r, ReaderAt::R4, steps),
            ReaderAt::R4 => steps.push(self.reader_step(r, "R4", None, |machine, reader| {
                reader.found = machine.links[usize::from(reader.slot)];
                reader.at = ReaderAt::FirstUse;
            })),
            ReaderAt::FirstUse | ReaderAt::LastUse => {
                steps.push(self.reader_step(r, "use", None, |machine, reader| {
                    machine.use_version(reader, reader.found);
                    if reader.at == ReaderAt::FirstUse {
                        reader.at = ReaderAt::LastUse;
                    } else {
                        reader.section += 1;
                        reader.at = ReaderAt::R1;
                    }
                }))
            }
            ReaderAt::R5 if self.has_room(r) => steps.push(self.reader_step(r, "R5", None, |machine, reader| {
                machine.store_word(r, 0, 0);
                *reader = Reader { at: ReaderAt::Ended, ..Reader::default() };
            })),
            _ => {}
        }
    }

    fn updater_step(
        &self,
        u: u8,
        what: &'static str,
        argument: Option<u8>,
        change: impl FnOnce(&mut Self, &mut Updater),
    ) -> (Step, Self) {
        let mut next = *self;
        let mut updater = next.updaters[usize::from(u)];
        change(&mut next, &mut updater);
        next.updaters[usize::from(u)] = updater;
        (Step { actor: "updater", number: u, what, argument }, next)
    }

    fn updater(&self, u: u8, steps: &mut Steps) {
        let own = self.updaters[usize::from(u)];
        let thread = self.shape.readers + u;
        let buffer = usize::from(thread);
        let (fenced, room) = (self.is_fenced(thread), self.has_room(thread));
        let (rules, last_reader) = (self.rules, self.shape.readers - 1);
        let is_waiter = u < self.shape.waiters;
        let may_take = !self.turn && fenced;
        let after_start = if is_waiter { UpdaterAt::U4(0) } else { UpdaterAt::GiveBack };
        let after_barrier = if rules.increment_first { after_start } else { UpdaterAt::U3 };
        let barrier = if rules.interrupts() { UpdaterAt::U2(0) } else { after_barrier };
        let mut step = |what, argument, change: &dyn Fn(&mut Self, &mut Updater)| {
            steps.push(self.updater_step(u, what, argument, change));
        };
        match own.at {
            UpdaterAt::U1 if room => step("U1", None, &|machine, updater| {
                machine.buffers[buffer].push(Store::Link(u, updater.round + 2));
                updater.at = UpdaterAt::Fence;
            }),
            UpdaterAt::Fence if fenced => step("fence", None, &|_, updater| {
                updater.at = if is_waiter { UpdaterAt::Next } else { UpdaterAt::First };
            }),
            UpdaterAt::Next => step("next", None, &|machine, updater| {
                updater.mine = if rules.share_running { machine.started.max(1) } else { machine.started + 1 };
                updater.at = UpdaterAt::Loop;
            }),
            UpdaterAt::First if may_take => step("take", None, &|machine, updater| {
                machine.turn = true;
                updater.at = UpdaterAt::StartFence;
            }),
            UpdaterAt::First if self.turn => step("busy", None, &|_, updater| updater.at = UpdaterAt::Begin),
            UpdaterAt::Begin => step("begin", None, &|machine, updater| {
                updater.mine = machine.period + if rules.next_number { 1 } else { 2 };
                updater.at = UpdaterAt::Loop;
            }),
            UpdaterAt::Loop => {
                let (is_served, may_ask) = if is_waiter {
                    (self.completed >= own.mine, false)
                } else {
                    (self.elapsed >= own.mine, self.period >= own.mine)
                };
                if is_served {
                    let after = if is_waiter { UpdaterAt::LastFence } else { UpdaterAt::Free };
                    step(if is_waiter { "served" } else { "told" }, None, &|_, updater| updater.at = after);
                }
                if may_ask {
                    step("asks", None, &|_, updater| {
                        updater.period = updater.mine;
                        updater.at = UpdaterAt::U4(0);
                    });
                }
                if may_take && if is_waiter { !is_served } else { !may_ask } {
                    step("take", None, &|machine, updater| {
                        machine.turn = true;
                        updater.at = UpdaterAt::Taken;
                    });
                }
            }
            UpdaterAt::Taken if is_waiter && self.completed < own.mine => step("lead", None, &|machine, updater| {
                updater.now = machine.started + 1;
                machine.buffers[buffer].push(Store::Started(updater.now));
                updater.at = UpdaterAt::StartFence;
            }),
            UpdaterAt::Taken if !is_waiter && self.period < own.mine => {
                step("push", None, &|_, updater| updater.at = UpdaterAt::StartFence);
            }
            UpdaterAt::Taken => step("late", None, &|_, updater| updater.at = UpdaterAt::GiveBack),
            UpdaterAt::StartFence if fenced => step("fence", None, &|_, updater| {
                updater.at = if rules.increment_first { UpdaterAt::U3 } else { barrier };
            }),
            UpdaterAt::U2(r) if self.is_fenced(r) => step("U2", Some(r), &|machine, updater| {
                let reader = &mut machine.readers[usize::from(r)];
                if std::mem::take(&mut reader.early) {
                    reader.found = 0;
                }
                updater.at = if r == last_reader { after_barrier } else { UpdaterAt::U2(r + 1) };
            }),
            UpdaterAt::U3 if fenced => step("U3", None, &|machine, updater| {
                machine.period += 1;
                updater.period = machine.period;
                updater.at = if rules.increment_first { barrier } else { after_start };
            }),
            UpdaterAt::U4(r) if !rules.holds_up(self.words[usize::from(r)], own.period) => {
                step("U4", Some(r), &|_, updater| {
                    updater.at = if r == last_reader { UpdaterAt::Elapsed } else { UpdaterAt::U4(r + 1) };
                });
            }
            UpdaterAt::Elapsed if room => step("elapsed", None, &|machine, updater| {
                machine.buffers[buffer].push(Store::Elapsed(updater.period));
                updater.at = if is_waiter { UpdaterAt::Complete } else { UpdaterAt::Free };
            }),
            UpdaterAt::Complete if room => step("complete", None, &|machine, updater| {
                machine.buffers[buffer].push(Store::Completed(std::mem::take(&mut updater.now)));
                updater.at = UpdaterAt::GiveBack;
            }),
            UpdaterAt::GiveBack if fenced => step("give", None, &|machine, updater| {
                machine.turn = false;
                if !is_waiter && updater.mine == 0 {
                    updater.mine = updater.period;
                }
                updater.at = UpdaterAt::Loop;
            }),
            UpdaterAt::LastFence if fenced => step("fence", None, &|_, updater| updater.at = UpdaterAt::Free),
            UpdaterAt::Free => step("free", None, &|machine, updater| {
                let round = updater.round + 1;
                machine.freed[usize::from(u)] = round;
                let at = if round == machine.shape.rounds { UpdaterAt::Ended } else { UpdaterAt::U1 };
                *updater = Updater { at, round, ..Updater::default() };
            }),
            _ => {}
        }
    }
}
