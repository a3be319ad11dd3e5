/*
 * The single-pass grace period, with store buffers. See README.md for what is modelled, the switches and the bounds.
 *
 * Step names are those of urcu-core/src/grace_period.rs. Every line that is printed is one step of one actor; a trail,
 * replayed, prints a schedule that the tests replay (urcu-core/tests/grace_period_model.rs).
 */

#ifndef READERS
#define READERS 1
#endif
#ifndef WAITERS
#define WAITERS 1            /* updaters that wait: synchronize() */
#endif
#ifndef POLLERS
#define POLLERS 0            /* updaters that begin() and ask has_elapsed() */
#endif
#ifndef SECTIONS
#define SECTIONS 2           /* per reader */
#endif
#ifndef ROUNDS
#define ROUNDS 1             /* unlinkings per updater */
#endif
#ifndef BUFFER
#define BUFFER 2             /* stores that a processor buffers; the next one waits */
#endif

#define UPDATERS (WAITERS + POLLERS)
#define THREADS (READERS + UPDATERS)

/* The word of a reader: a grace-period number and two bits of nesting. */
#define WORD(number, nesting) (((number) << 2) | (nesting))
#define NESTING(word) ((word) & 3)
#define NUMBER(word) ((word) >> 2)
#ifdef PHASE_BIT
/* One bit of the number, as in the C library, with one pass all the same. */
#define HOLDS_UP(word, P) (NESTING(word) != 0 && (NUMBER(word) & 1) != ((P) & 1))
#else
#define HOLDS_UP(word, P) (NESTING(word) != 0 && NUMBER(word) < (P))
#endif

/* Memory. */
byte period = 1;
byte started = 0;
byte completed = 0;
byte elapsed = 0;
byte turn = 0;
byte word[READERS];
byte link[UPDATERS];         /* the version that readers find behind the updater's pointer; first 1 */
byte freed[UPDATERS];        /* the updater's versions up to this one are freed */

/* One store buffer per thread: address, value. */
#define LINK 16              /* + updater; below: word[reader] */
#define STARTED 32
#define COMPLETED 33
#define ELAPSED 34
chan buffer[THREADS] = [BUFFER] of { byte, byte };

/* A fence ends when everything that the thread has stored is in memory. */
#define FENCED(thread) empty(buffer[thread])

/* A load that was done early, and has not been thrown away by an interrupt. */
bool early[READERS];

/* One store reaches memory. */
inline commit(t) {
    atomic {
        nempty(buffer[t]);
        buffer[t]?address,value;
        if
        :: address < LINK -> word[address] = value
        :: address >= LINK && address < STARTED -> link[address - LINK] = value
        :: address == STARTED -> started = value
        :: address == COMPLETED -> completed = value
        :: address == ELAPSED -> elapsed = value
        fi;
        printf("buffer %d\n", t);
        address = 0;
        value = 0
    }
}

/* Stores reach memory in the order of each thread, whenever they like. */
active proctype Buffers() {
    byte address, value;
end:
    do
    :: commit(0)
    :: commit(1)
#if THREADS > 2
    :: commit(2)
#endif
#if THREADS > 3
    :: commit(3)
#endif
#if THREADS > 4
    :: commit(4)
#endif
    od
}

/* The object that was found is used: it must not have been freed. */
inline use(u, version) {
    atomic {
        printf("reader %d use\n", r);
        assert(version > freed[u])
    }
}

proctype Reader(byte r) {
    byte section, u, number, found, inner;
    for (section : 1 .. SECTIONS) {
        /* Which updater's pointer this section is about. */
        atomic {
            if
            :: u = 0
#if UPDATERS > 1
            :: u = 1
#endif
#if UPDATERS > 2
            :: u = 2
#endif
            fi;
            printf("reader %d choose %d\n", r, u)
        }
#ifdef NO_LIGHT_BARRIER
        /* The compiler has moved the load of R4 to the front. */
        atomic { found = link[u]; printf("reader %d R4\n", r) }
#endif
#ifdef EARLY_LOADS
        /* The processor may do so, too, on weak machines; an interrupt before R4 makes it load again. */
        atomic {
            if
            :: found = link[u]; early[r] = true; printf("reader %d R4 early\n", r)
            :: skip
            fi
        }
#endif
        atomic { number = period; printf("reader %d R1\n", r) }
        atomic { buffer[r]!r,WORD(number, 1); printf("reader %d R2\n", r) }
#ifdef FULL
        atomic { FENCED(r); printf("reader %d R3\n", r) }
#endif
#ifndef NO_LIGHT_BARRIER
        atomic {
            if
            :: early[r] -> early[r] = false
            :: else -> found = link[u]
            fi;
            printf("reader %d R4\n", r)
        }
#endif
        use(u, found);
        if
        :: true ->
            /* A section in the section: what it finds is protected by the outer one, too. */
            atomic { buffer[r]!r,WORD(number, 2); printf("reader %d enter\n", r) }
            atomic { inner = link[u]; printf("reader %d load\n", r) }
            atomic { buffer[r]!r,WORD(number, 1); printf("reader %d leave\n", r) }
            use(u, inner)
        :: true ->
            atomic { printf("reader %d flat\n", r) }
        fi;
        use(u, found);
        atomic { buffer[r]!r,0; printf("reader %d R5\n", r); found = 0; inner = 0; number = 0; u = 0 }
    }
}

/* QSBR: online is one long section, refreshed by quiescent states without a fence. */
proctype OnlineReader(byte r) {
    byte section, u, number, found;
    atomic { number = period; printf("reader %d R1\n", r) }
    atomic { buffer[r]!r,WORD(number, 1); printf("reader %d R2\n", r) }
#ifndef NO_ONLINE_FENCE
    atomic { FENCED(r); printf("reader %d R3\n", r) }
#endif
    for (section : 1 .. SECTIONS) {
        atomic {
            if
            :: u = 0
#if UPDATERS > 1
            :: u = 1
#endif
#if UPDATERS > 2
            :: u = 2
#endif
            fi;
            printf("reader %d choose %d\n", r, u)
        }
        atomic { found = link[u]; printf("reader %d R4\n", r) }
        use(u, found);
        use(u, found);
        /* The quiescent state. */
        atomic { number = period; printf("reader %d R1\n", r) }
        atomic { buffer[r]!r,WORD(number, 1); printf("reader %d R2\n", r); found = 0; u = 0 }
    }
    atomic { buffer[r]!r,0; printf("reader %d R5\n", r) }
}

/* U2, by the holder of the turn. */
inline heavy_barrier() {
#if !defined(NO_HEAVY_BARRIER) && !defined(FULL) && !defined(QSBR)
    /* Each reader is interrupted, at some point of its program: its stores are in memory then. */
    for (reader : 0 .. READERS - 1) {
        atomic { FENCED(reader); early[reader] = false; printf("updater %d U2 %d\n", u, reader) }
    }
#else
    skip
#endif
}

/* U3: a locked read-modify-write. */
inline increment() {
    atomic { FENCED(t); period++; P = period; printf("updater %d U3\n", u) }
}

/* U2 and U3. */
inline start() {
    atomic { FENCED(t); printf("updater %d fence\n", u) }
#ifdef INCREMENT_FIRST
    increment();
    heavy_barrier()
#else
    heavy_barrier();
    increment()
#endif
}

/* U4: one reader after the other, until it does not hold P up. */
inline scan() {
    for (reader : 0 .. READERS - 1) {
        atomic { !HOLDS_UP(word[reader], P); printf("updater %d U4 %d\n", u, reader) }
    }
}

/* A locked exchange. */
#define MAY_TAKE (turn == 0 && FENCED(t))

inline give_back() {
    atomic { FENCED(t); turn = 0; printf("updater %d give\n", u) }
}

inline unlink() {
    atomic { buffer[t]!LINK + u,round + 1; printf("updater %d U1\n", u) }
    atomic { FENCED(t); printf("updater %d fence\n", u) }
}

inline free_old() {
    atomic { freed[u] = round; printf("updater %d free\n", u); P = 0; mine = 0 }
}

/* synchronize(): runs a grace period, or shares one that starts after its call. */
proctype Waiter(byte u) {
    byte round, mine, now, reader, P;
    byte t = READERS + u;
    for (round : 1 .. ROUNDS) {
        unlink();
#ifdef SHARE_RUNNING
        atomic { mine = (started == 0 -> 1 : started); printf("updater %d next\n", u) }
#else
        atomic { mine = started + 1; printf("updater %d next\n", u) }
#endif
        do
        :: atomic { completed >= mine -> printf("updater %d served\n", u) } ->
            break
        :: atomic { completed < mine && MAY_TAKE -> turn = 1; printf("updater %d take\n", u) } ->
            if
            :: atomic { completed < mine -> now = started + 1; buffer[t]!STARTED,now; printf("updater %d lead\n", u) } ->
                start();
                scan();
                atomic { buffer[t]!ELAPSED,P; printf("updater %d elapsed\n", u) }
                atomic { buffer[t]!COMPLETED,now; now = 0; printf("updater %d complete\n", u) }
            :: atomic { completed >= mine -> printf("updater %d late\n", u) }
            fi;
            give_back()
        od;
        atomic { FENCED(t); printf("updater %d fence\n", u) }
        free_old()
    }
}

/* begin() and has_elapsed(): a grace period that nobody waits for. */
proctype Poller(byte u) {
    byte round, mine, reader, P;
    byte t = READERS + u;
    byte wanted;
    for (round : 1 .. ROUNDS) {
        unlink();
        if
        :: atomic { MAY_TAKE -> turn = 1; printf("updater %d take\n", u) } ->
            start();
            wanted = P;
            give_back()
        :: atomic { turn == 1 -> printf("updater %d busy\n", u) } ->
#ifdef NEXT_NUMBER
            atomic { wanted = period + 1; printf("updater %d begin\n", u) }
#else
            atomic { wanted = period + 2; printf("updater %d begin\n", u) }
#endif
        fi;
        do
        :: atomic { elapsed >= wanted -> printf("updater %d told\n", u) } ->
            break
        :: atomic { period >= wanted -> P = wanted; printf("updater %d asks\n", u) } ->
            scan();
            atomic { buffer[t]!ELAPSED,P; printf("updater %d elapsed\n", u) }
            break
        :: atomic { period < wanted && MAY_TAKE -> turn = 1; printf("updater %d take\n", u) } ->
            if
            :: atomic { period < wanted -> printf("updater %d push\n", u) } -> start()
            :: atomic { period >= wanted -> printf("updater %d late\n", u) }
            fi;
            give_back()
        od;
        wanted = 0;
        free_old()
    }
}

init {
    byte i;
    atomic {
        for (i : 0 .. UPDATERS - 1) {
            link[i] = 1
        }
        for (i : 0 .. READERS - 1) {
#ifdef QSBR
            run OnlineReader(i)
#else
            run Reader(i)
#endif
        }
        i = 0;
        do
        :: i < WAITERS -> run Waiter(i); i++
        :: i >= WAITERS && i < UPDATERS -> run Poller(i); i++
        :: else -> break
        od
    }
}
