//! How the map works, why it is right, and what was tried.
//!
//! # The structure
//!
//! ```text
//!   current -> table: mask, buckets --+      next --> the table that this one is left for, or null
//!                                     v
//!   bucket:  | 7 tags | state | slot 0 | slot 1 | ... | slot 6 |     one cache line
//!                                 |                        |
//!                                 v                        +--> another line, if the bucket is chained
//!                         entry: key, value                      never moved, never changed
//! ```
//!
//! A lookup loads the word of tags and state, compares all seven tags at once, and looks at the entries whose tags fit: two
//! cache misses if the key is there, one if it is not. A bucket has four entries on the average at most; about one in twenty
//! has more than seven then, and a second line. A link to that has 16 bits that tell which tags are not behind it, so most lookups that
//! find nothing do not go there. (Bits are set by what comes and stay when it goes, until the chain is cut.)
//!
//! An update takes the lock in the bucket's state word by one compare-and-exchange, changes slots and tags, and gives it back by
//! the store that publishes the tags. Readers do not look at the lock.
//!
//! # Why readers are right
//!
//! The invariants are those of a bucket (`bucket/mod.rs`). A lookup decides by one load of a line's tags which slots it looks
//! at. Say that a key is there all the time. Then it is in one slot, but for these cases:
//!
//! - *It is replaced.* The new entry goes into the same slot by one store. The lookup finds the old or the new one.
//! - *Its line becomes chained* and it has to make room for the link. It is published in the new line first; the lookup finds it
//!   in the slot, or the link in its place, which it follows.
//! - *Its bucket is migrated.* All entries are published in the new table before the bucket is marked. A lookup that has seen the
//!   tags before finds it in the old bucket, whose slots are never written again; one that sees the mark goes to the new table.
//!
//! A lookup that has loaded the tags long ago may look into a slot that has another entry by now. So that it does not find there
//! what a later lookup, with the tags of that moment, would still miss, an entry comes into a slot that was used before in
//! three steps: the slot is emptied, the tag is published, the slot is filled. Likewise a new line is published before anything
//! is added to it. So each insertion has one moment from which on every lookup finds it (invariant 5).
//!
//! - *One of its entries goes, and another has come.* With duplicates, a key may be there all the time and none of its entries is.
//!   The one that the lookup would have found goes, and its slot is used again; the other came where the lookup was already, or did not
//!   look. A removal that leaves something with its tag behind is counted first, and a lookup that finds nothing looks again when
//!   the count has changed (`find_beyond`). Only in maps that ever had duplicates; nobody else loads the count.
//!
//! A lookup that finds no tag that fits, in a line whose state is all zero, is done: the line was the whole bucket, and its tags are
//! those of one moment. If the line is chained, the link's summary is loaded after the tags. A bit of it is set before the first
//! entry that needs it is in a next line, and stays as long as the chain does; so where it is clear, the key was in no next line when the
//! tags were loaded, or all of them were empty later. Who has found such an entry sees its bit, and so does whoever comes after
//! (invariant 6).
//!
//! Nothing ever moves to a line that a lookup passes earlier. If a key is not found it was not there at some moment between
//! the lookup's loads. What was removed meanwhile may be found: it was there when the tags were loaded.
//!
//! Whatever a reader can still get at is retired through the flavor after it was made unreachable: entries, lines, tables.
//! A link that was cut stays in its slot, a removed entry's pointer in its; who gets at one of them has loaded the tags before,
//! so its section began before the thing was retired.
//!
//! # Progress
//!
//! | operation | progress |
//! |---|---|
//! | `get`, `get_key_value`, `contains`, `get_many` | wait-free: a chain, and tables that were left meanwhile |
//! | those that find nothing in a map with duplicates | lock-free: again when an entry was removed beside one that looks alike |
//! | a step of `iter`, `get_all` | wait-free, in the same way |
//! | `insert`, `try_insert`, `replace`, `remove` | blocking, by the lock of one bucket |
//! | `compute`, `update`, `remove_if` | the same; tried again only when another thread has changed this key |
//! | moving a bucket | the lock of the bucket; to a smaller table, and of the one that it goes to |
//! | `reserve`, `resize`, `shrink_to_fit` | as many steps as there are buckets; waits for whoever holds one |
//! | `len`, `is_empty` | wait-free |
//!
//! A reader goes from table to table only if its bucket was migrated in each. A table grows at most 64 times in a row, and there
//! are no more than 32 moves to smaller tables during one section: after 16 of them a grace period has to pass. So the way is
//! bounded. Growth never waits for readers, so an updater may hold one guard for as long as it likes.
//!
//! A lock's holder runs comparisons of keys (`Eq`), and hashes keys when a table outgrows what it knows of them, and no other
//! code of the user: closures, drops and the hash of the key that is looked up run without a lock. If one of these panics, the
//! lock is given back and nothing has changed. `Eq` and `Hash` of keys must not change the map that they are in: they could wait for
//! their own thread, which panics (`held.rs`).
//!
//! # Moving
//!
//! The table grows when it has more than four entries per bucket, and shrinks when it has less than one in two buckets. Then a
//! thread makes another table, and of each thread's updates every 32nd takes on 1024 buckets until all are done. Buckets that
//! somebody took on and has not done (because it is not running) are taken on again by the others, a few at a time; helpers do not
//! wait for a bucket that is locked. So growth ends when enough updates have been made, whoever is preempted.
//!
//! Of a table that doubles, each bucket is split in two without looking at its entries: a bit of each word tells where it goes, and
//! the targets are empty, so their tags are stored once.
//!
//! A slot keeps 16 bits of the hash above the pointer's 48. Together with the number of the bucket these tell where the
//! entry goes, without looking at it, until the table has outgrown them: keys are hashed again once in 16 doublings.
//!
//! # Forked children
//!
//! A child is a copy of the map at one moment, without the threads that were changing it. Each step of an update is one store
//! that lookups cope with; so they need nothing. Locks are marked with a number of the process
//! ([`Generation`](urcu_core::Generation)), which is another one in each child: who meets a lock with another mark knows that nobody
//! will give it back, and takes it over. Every lock of the map is of this kind, those of its memory too.
//!
//! | what the holder was doing | what becomes of it |
//! |---|---|
//! | filling a slot that was used before | the tag is taken away again (`mend`) |
//! | adding a line | the state says so now (`mend`) |
//! | migrating a bucket | what it had put into the next table is taken out again, before anything else is done to the bucket (`take_back`) |
//! | counting what it had migrated | who finds nothing left to migrate ends the move |
//! | making a table | another one is made |
//! | taking or giving back free memory | that list, or what is not cut yet, is lost |
//! | counting or retiring an entry | the entry is lost, and counted for ever |
//!
//! Locks that took all of a map's locks before `fork`, or that were given back by a handler after it, would need a list of all
//! maps, and the first one would stop every updater meanwhile.
//!
//! # Memory
//!
//! Entries are cut from chunks, one behind the other, and are used again after a grace period. Every thread has free entries
//! of its own: adding an entry takes one locked instruction, which is the bucket's lock. Between 16 and 32 bytes per entry are
//! the table's, twice that for a moment while it grows. The memory of chunks is kept until the map is dropped, that of tables
//! is not.
//! When there is no memory for a larger table, or for what is noted when keys are hashed again, the table stays as it is. When there
//! is none for an entry or another line of a crowded bucket, the process ends, as it does with the collections of the standard library.
//!
//! The first entries are allocations of their own, to which only words with other bits in them point: a leak checker takes them for
//! lost when a map is never dropped.
//!
//! # What was tried
//!
//! Lookups per second by one thread, `u64` to `u64`, in millions, on a busy virtual machine with four cores, each pair of figures
//! from one interleaved run beside scc's `HashIndex` (in parentheses), the fastest peer.
//!
//! | step | 100,000 entries | 4,000,000 entries |
//! |---|---|---|
//! | a line per bucket, eight-bit tags, entries from malloc | 49 (111) | 11.5 (11.3) |
//! | entries from chunks | 87 (111) | 12.3 (11.5) |
//! | the fast path inlined into the caller | 108 (109) | 15.0 (13.8) |
//! | huge pages for everything from 2 MiB on, or none: no difference beyond the noise here | | 15.0 or 13.7 |
//!
//! What a lookup at 100,000 entries takes is instructions more than memory: they limit how many lookups the processor has
//! under way at once. Sixteen keys by `get_many`, whose memory is fetched together, go at 24 million per second with
//! 4,000,000 entries.
//!
//! That is so at 4,000,000 entries, too: a line at random of 64 MiB takes 11 ns if enough loads are under way, and 137 ns alone. A lookup that
//! finds nothing took 27 ns there, with 45 instructions; with eight more, in every lookup, for the link's summary, 34 ns; with the summary
//! where the line is chained only, and six instructions less on the way there (one comparison for the tags and the state), 21 ns. Interleaved
//! runs, in millions per second, with 5 rounds in each (dashmap and `HashIndex` beside it: 39 and 36, and by two threads 58 and 88, as far as the
//! cache of the whole machine is theirs):
//!
//! | lookups of keys that are not there, 4,000,000 entries | before | after |
//! |---|---|---|
//! | one thread | 37.9 | 48.7 |
//! | two threads | 79.6 | 100.1 |
//! | `get_many`, one thread | 40.1 | 46.3, in a later run |
//!
//! Growth to a million entries, in millions of insertions per second (dashmap in parentheses): 6.9 (16.5) at first; 9.4 (19.5)
//! with the bucket asked for before the entry is made and without locks for new buckets; 13.6 (19.2) with tables below 32 MiB and
//! chunks below 16 MiB from the allocator instead of fresh huge pages, whose first touch cost more than all the rest.
//!
//! Where an insertion into a table of 16 MiB spends its time, by a profile: three quarters wait for the bucket's line. The locked
//! instruction is not what exposes that miss. A loop of nothing but random lines of 16 MiB, each locked, changed and given back, takes
//! 25 ns a line. With 50, 100 and 200 further instructions in it, which have nothing to do with the lines, it takes 46, 60 and
//! 90 ns; and without the locked instruction, with those 200, just as many. How many misses overlap is decided by how many insertions
//! fit into the processor's window, and an insertion is about 200 instructions (a tag, an entry, two searches, a count). Into a
//! table of 2 MiB it takes 16 ns, where dashmap, growing, takes 22. So what would help is half the instructions, or half the lines.
//!
//! | growth to a million, over dashmap in the same run | one thread | two threads |
//! |---|---|---|
//! | eight buckets per update | 0.52 to 0.65 | 0.61, 0.68 |
//! | 512 buckets at every sixteenth update, split by a bit | 0.54 to 0.65 | 0.59 |
//! | 25 instructions less per insertion | no difference | |
//! | huge pages for the table, touched beforehand | no difference | |
//! | all memory from an allocator that keeps it, for both | 0.71 | |
//! | made large enough before, dashmap not | 0.73 to 0.79 | 0.75 to 1.1 |
//! | the short path, and all below | 1.07, 1.11 | 1.14, 1.20, 1.27 |
//! | the same, both made large enough before | 1.17 | |
//!
//! The last two lines came with fewer instructions: an insertion that finds its bucket unlocked, in one line, and nothing with its
//! tag takes a path that compares no keys and calls nothing (`add_first`); a bucket is split without a branch; its address is found
//! once per insertion; tags are compared by SSE2; a table that began small hashes its keys again while it is still in the cache;
//! a fresh entry is one comparison and one addition. Of all these together, each in one interleaved run beside the map without them
//! (nanoseconds of processor time, medians):
//!
//! | | without | with | dashmap | scc's `HashIndex` |
//! |---|---|---|---|---|
//! | growth to a million, one thread | 77 | 51 | 58 | |
//! | growth to a million, two threads, per insertion of both | 47 | 29 | 38 | |
//! | a million, made large enough before | 60 | 46 | 54 | |
//! | 99.9th percentile of an insertion, to a million | 1603 | 681 | 581 | |
//! | lookup, 100,000 entries | 7.7 | 6.5 | 12.8 | 7.2 |
//! | lookup, 4,000,000 entries | 67 | 57 | | 76 |
//!
//! What each gave alone was not measured in such a run.
//!
//! The 99.9th percentile of insertions is decided by how many of them are slow at all, because that is nearly one in a thousand: some
//! 300 of a million that take part in a move (20 to 80 us each), some 250 that bring pages, and what the machine interrupts. With 512
//! buckets at every sixteenth update it was twice as many that take part; page by page, one in 256 that brings a page. So pages come
//! 64 KiB at a time, once a map has half a MiB of entries. What remains beside dashmap (0.85 to 0.90 of it) would need still larger
//! steps, whose slowest call would be slower in proportion; that was not done.
//! Fresh pages cost 2 to 4 us each on the virtual machine where this was measured, huge or not: 14 ns per entry of 16 bytes.
//!
//! The 99.9th percentile of lookups while the table grows from a thousand to four million entries and back is that of the updates: 58 and 58,
//! 58 and 39, 68 and 48 ns in three runs with a resize and with the same updates in a table that keeps its size (a thousand keys that
//! are there all the time; 38, 29 and 118 ns when nobody updates). Of lookups of any key it is 0.86 us, and 0.82 us at rest in tables of the same
//! sizes, with the mb flavor; with membarrier the grace periods of removals interrupt the reader, 7 us each.
//!
//! Removing entries and adding them again, one bucket after the other (the benchmarks' routing table, one updater beside a reader; some
//! 30 MiB of tables, entries and the benchmark's own), goes at 0.51 to 0.66 of dashmap's speed. Of the updater's time, by a profile, about
//! 30 % wait for the bucket's line and 35 % for the entry's, to compare its key, which cannot be asked for before the bucket's line is
//! there; all the rest (both locks, retiring, memory, the other search) is a third. What would help is one line less, that is, entries
//! that may move. dashmap keeps them in its array, next to a byte of the hash for each that is small enough for the cache.
//!
//! Tables from 2 MiB on are on huge pages, if the kernel is willing. With them that reader goes at 1.08, 1.19 and 1.12 of the speed of scc's
//! `HashIndex` beside it, without them at 0.88, 1.04 and 1.05, in runs that took turns. One thread grows a map to a million entries as fast as
//! without them (1.05 to 1.25 of dashmap's speed, 1.07 to 1.23). Two threads are undecided: 1.33, 1.28 and 1.49 of `HashIndex`'s speed with
//! them and 1.86, 1.50 and 1.62 without in these runs, 1.55, 1.83 and 2.09 with and 1.59 and 1.49 without in others; single rounds are slow,
//! probably while the kernel looks for huge pages. Chunks of entries on huge pages from 1 MiB on instead of 16 gave the reader little (0.97 to
//! 1.07, where it had 0.81 to 1.02) and the updater nothing, and a map of 100,000 entries would keep a page of 2 MiB for 600 KiB.
//!
//! Tags of seven entries are compared by four vector instructions on x86-64, and two more that bring the word into a vector register
//! and the answer back; elsewhere in one 64-bit word, by six instructions without a branch.
