//! The design of the table, and what it promises (documentation only).
//!
//! # Split-ordered list
//!
//! All nodes of a table are in one singly linked list, sorted by their hashes as if the bits were reversed (Shalev and Shavit,
//! *Split-Ordered Lists*, 2006): the lowest bit in which two hashes differ says which is behind. A bucket is a link into that list, in
//! front of the nodes whose low hash bits are its index. When the table doubles, a new bucket is put into the list behind the first half
//! of its parent's nodes. Nodes never move, so readers need not know.
//!
//! ```text
//!   buckets        [0]            [2]           [1]            [3]
//!                   |              |             |              |
//!   list            +-> 0000 0100 -+-> 0100 ... -+-> 1000 1011 -+-> 1110 ... -> end     (hashes, reversed)
//! ```
//!
//! Insertion and removal are Harris's and Michael's: a removal marks the node's own link, which commits it and freezes the
//! link; whoever finds a marked node takes it out by swinging the link before it. Nodes are reclaimed a grace period after they
//! are out, so none comes back at the same address under somebody's feet.
//!
//! # What differs from the C library
//!
//! - A bucket is a bare link of 8 bytes, not a node of 16. What one would look up in it is in the tag of the link that
//!   points to it.
//! - Hashes are compared from the lowest bit up and stored as they are: nothing is reversed. The second word of a node, which the C
//!   library's headers call `reverse_hash`, is the hash.
//! - Links to nodes have 14 bits of the hash in their tags, and say which 14. A search mostly knows without touching
//!   a node that it has gone too far, or that it is not the one; so a miss touches no node that is behind, and never the next bucket.
//! - There are at least four buckets for a node below 4,096 buckets, one up to 131,072, and 8/7 in larger tables: right after a
//!   growth these have 16/7, which is 18 bytes.
//! - Counters are looked at often in small tables and seldom in large ones; no chain length decides unless there are no
//!   counters.
//! - New buckets that are split off one bucket are linked to each other before they are put in, as far as there is no node between
//!   them: one exchange for all of those. Small tables grow eightfold, middle ones fourfold, while most new buckets are empty.
//! - Each thread counts in a counter of its own, without a locked instruction.
//! - An insertion looks at the node behind its place only if that node's tag leaves open whether it has the same hash.
//! - Growths up to 65,536 buckets are done at once, by the insertion that finds that they are due. In larger ones
//!   new buckets are put in by the flavor's worker, and by updaters when it is late; the new size is published when all
//!   chunks have been handed out, and a chunk that somebody was interrupted in is no obstacle: searches begin at the parents of
//!   its buckets.
//! - Large pieces of bucket memory are on huge pages. A few small ones of tables that have gone stay for the next tables (`kept.rs`).
//!
//! # Guarantees
//!
//! All calls are inside sections of the table's flavor. *Before* and *after* mean happens-before.
//!
//! - **A.** A read after an update sees it.
//! - **B.** A read before an update does not see it.
//! - **C.** A read beside an update sees it or not. A lookup reports a node that was in the table at some moment of the lookup,
//!   or reports none if at some moment there was none.
//! - **D.** Two lookups of a key, one after the other, do not go back in time.
//! - **E.** A node that was removed (or replaced) before a grace period began is not seen after it has ended.
//! - **F.** *Uniqueness.* If a key is only ever added by `add_unique` and `add_replace`, no traversal and no
//!   walk over duplicates sees two nodes with it, whatever happens meanwhile. `add` of this key voids that, `add` of other keys
//!   does not, even if their hashes are equal.
//! - **G.** *Presence.* While a key is only being replaced (`replace`, `add_replace`), each lookup and each traversal finds it
//!   exactly once.
//! - **H.** Of all calls of `del` and `replace` for a node exactly one succeeds; of concurrent `add_unique` of an absent key
//!   exactly one.
//! - **I.** A node that `add_unique` or `replace` has refused was never visible: it may be freed at once.
//! - **J.** A traversal meets each node that is there from its beginning to its end exactly once, in split order, and none
//!   twice; resizes in between do not matter.
//! - **K.** A walk over duplicates meets each node with the key that is there from the lookup to the end exactly once, in the
//!   order in which they were added by `add`.
//! - **L.** An iterator goes on when its node is removed or replaced, by anybody, in its section.
//! - **M.** A resize is not visible, but in the time that things take.
//!
//! Each has a test of its own, in `tests/raw_guarantees.rs`.
//!
//! # Why F and G hold
//!
//! A new unique node goes in front of all nodes with its hash, by changing the link before the first of them. The
//! search for an equal key begins at the target of this very link; so if the link is still the same, no other thread
//! has added the key meanwhile. (It cannot have changed and changed back while a new node is behind it: nothing is taken out but
//! what is marked, and no address is used twice within a section.) A traversal that has met a node has read its link
//! already: it goes on behind it, and never back in front of its hash.
//!
//! A replacement marks the old node and makes it point to the new one in one step. Who has read the old node's link before has
//! met the old one and goes on behind the new one; who reads it after knows that the old one is removed, and meets the new one
//! next.
//!
//! # Why a family may go in at once
//!
//! The children of a bucket lie between it and the next bucket of the old size (`family.rs`). Take those that the search for
//! the first of them found to belong between a link and its target: the tag of the target says that it lies behind each of them, or
//! the run ends before that child. They are fresh, so nobody but their maker knows of them; their links are stored before the
//! exchange that publishes the first (Release), so who reaches any of them finds it linked to the next, and the last one to the
//! target. (Mostly the bits of the target's hash say at once how many children belong before it. That is right for every target behind the
//! link; but only a node that is the parent's own is passed: behind one of another bucket, which follows directly while the bucket
//! between them is late, none of these children belongs.)
//! The exchange fails if anything was put in or taken out at that place meanwhile; then nothing has happened, and the
//! search begins again. So after each exchange the list is sorted, and holds what it held before. A child is marked as a
//! place to begin only when it is in the list; or before, by the one thread that will publish a size with it, afterwards.
//!
//! # What was tried
//!
//! Insertion from empty, one thread, over the C library's table with automatic resize, in interleaved runs on a machine that others
//! used. Ratios of different rows are of different runs:
//!
//! | step | 1,000 | 100,000 | 4,000,000 |
//! |---|---|---|---|
//! | one exchange for each bucket, one doubling at a time, counters with a locked instruction | 1.26 x | 1.59 x | 2.87 x |
//! | families, steps of eight and four, own counters, no look at the node behind | 4.1 x | 3.6 x | 2.75 x |
//! | hashes as they are, in later runs | 1.9 x to 5.9 x | 1.7 x and 2.0 x | 3.4 x |
//! | columns, the count looked at less often, growth up to 65,536 at once | 5.07 x | 2.83 x | not measured |
//!
//! The last row was measured on a machine under load (two threads: 2.91 x at 1,000, 4.45 x at 100,000). At 1,000 the C library's figure is
//! what varies: from 3.6 to 13 million insertions per second, while this table has 21 to 23.
//!
//! What an insertion from empty is made of, in nanoseconds, by one thread, medians of many tables of one run (rows of different runs
//! are not comparable):
//!
//! | | 1,000 |
//! |---|---|
//! | allocating and writing the node, and no table | 18 |
//! | table with its size from the beginning | 20, or 34 between tables that grow: the heap is another one then |
//! | table that grows | 43 between tables with a size; of that 10 growth |
//! | the C library's, with its size from the beginning | 42 |
//! | the C library's, that grows | 87 to 96, or twice as much |
//!
//! So 3 x is 29 to 32 at 1,000, and a table without any growth has 34 there: 2.8 x. With two threads that begin at the same moment the
//! C library has 54, this table 46, a table with its size from the beginning 20: 3 x would be 18, less than that. A
//! cache line that two threads write in turn is what is waited for; fetching it for writing from the start (`prefetchw`) changed nothing
//! that could be seen.
//!
//! What the steps gave, in processor cycles (2.6 GHz):
//!
//! | step | before | after |
//! |---|---|---|
//! | linking the children of all parents column by column, as arrays: growth from 512 to 4,096 | 24,600 | 20,100 |
//! | memory for the first 512 buckets as one piece, the count looked at after a quarter of what may be added: two threads, 1,000 | 54 ns | 46 ns |
//! | growth to 65,536 at once, while there are as many nodes as buckets, and not late, with half as many again: the inserting thread's part at 100,000 | 3.8 million | 2.4 million |
//! | the same, from 4,096 in one step | | 1.3 million |
//!
//! The last one would leave a table of ten thousand nodes with 52 bytes of buckets for each, so it goes by 16,384. Half as many buckets for
//! 1,000 nodes saves 2 ns of an insertion's 44, and makes a hit 8.0 ns instead of 6.5. Memory for 4,096 buckets from the beginning saves
//! 4 ns, and would cost each small table 32 KiB.
//!
//! Then, by one thread, in microseconds (the least of many tables; the machine was loaded, but these varied by a twentieth):
//!
//! | growth from, to, with as many nodes | one child at a time | by the bits of the node's hash | and what is prefetched chosen without a branch |
//! |---|---|---|---|
//! | 512, 4,096; 128 | 7.0 | 5.3 | 5.3 |
//! | 4,096, 16,384; 4,096 | 164 | 135 | 115 |
//! | 16,384, 65,536; 16,384 | 655 | 530 | 455 |
//!
//! What was left were the branches that are not foreseen (how many nodes a bucket has, and where), one exchange for each run of
//! children, and 1.2 us for each new page. Two threads that insert 1,000 went from 41 to 30 ns by that: who grows keeps the other waiting
//! for its cache lines.
//!
//! Of the 36 ns of an insertion from empty at 1,000, growth was 7 then, and a table that has its size from the beginning has 17. Most of the
//! rest was the allocator's: a thread that allocates 16 KiB of buckets has the C library put the small pieces together that it
//! has freed, and its nodes cost 24 ns from then on, in a table that never grows, too. Memory that the last table has left avoids that:
//!
//! | 1,000, ns | one thread | two threads |
//! |---|---|---|
//! | before both | 38.5 | 41 |
//! | by the bits | 36 | 30 |
//! | and with kept pieces | 25.4 | 22.5 |
//! | the size from the beginning | 17.5 | 13.5 |
//!
//! In the suite that is 22 to 25 million insertions per second before and 35 to 38 after (one thread), and 24 and 33 (two, where other
//! programs were not in the way). It is for tables that follow others, as there; the first ones of a process pay for their memory as
//! before. The memory as one mapping, whose pages come when they are touched, does not disturb the allocator either: but seven pages make
//! the growth to 4,096 take 15.6 us instead of 7, and an insertion 41 ns instead of 37. To ask for the pages of larger growths at once
//! changed nothing (162 us for 164, 631 for 640).
//!
//! At 100,000 an insertion into a table with its size from the beginning takes 26 to 30 ns by one thread; growth done at once is 0.6 ms
//! of all (8 ns before, 6 after), and the growth from 65,536 is the worker's. Over a table with its size from the beginning, in the same
//! runs on a loaded machine, this one reached 0.64 and 0.76 of the rate before both, 0.82 and 0.81 after (one thread), and 0.77 and 0.66,
//! 0.97 and 0.79 (two). In the run in which the C library had 77 ns, 3 x was 26: less than without any growth. By two threads it was 19,
//! and the table without growth had 17.
//!
//! # Lookups beside a resize
//!
//! A thousand keys that are looked up again and again are in the reader's cache. What makes some of these lookups slow beside an updater that
//! grows the table and empties it again was counted, in a run with 2 cores: each lookup was timed, and it was noted whether it was the
//! first of its key with a new size, or one while the size was being changed. (Lookups after an interruption were left out.)
//!
//! | | 99.9th percentile, two runs | 80 ns or more, second run |
//! |---|---|---|
//! | at rest, a million keys | 70 and 70 ns | 2,307 of 5.5 million |
//! | beside the same updates, in a table that keeps its size | 160 and 130 ns | 10,289 of 7.8 million |
//! | beside resizes, to a million keys and back | 150 and 100 ns | 48,957 of 17.1 million |
//! | of these, first of its key with a new size | | 683 of 1,329 |
//!
//! In a run under more load, lookups between the resizes had a 99.9th percentile of 180 and 200 ns, those while the size was being
//! changed of 160 and 170, and those beside updates only of 160 and 200. So it is the updates: an insertion or removal writes to the line
//! of its bucket, seven others are in this line, and whoever looks one of them up next fetches it from the updater's cache. In a large
//! table a doubling writes to the lines of a thousand keys some 7,000 times by insertions alone. Lookups of 80 ns or more were 1.3 and
//! 2.0 times as frequent while the size was being changed as between, in that run; in the 99.9th percentile, lookups beside a resize are
//! not twice as slow as beside the same updates without one.
//!
//! The 99.9th percentile of insertions from empty to a million is mostly not the table's, either: one in 85 is the first to touch a
//! page of the heap. With nodes in memory that was touched before it was 1.1, 1.5 and 1.6 us, without 3.0, 4.0 and 3.2 (a loaded machine).
//!
//! # Growth in a crowd
//!
//! The worker's time is not an insertion's: one thread alone has its large growths done by somebody else, while a crowd keeps the
//! worker from its core, is late, and does them itself. Four threads on two cores, a million keys, ns of processor time for each (the
//! least of a few tables): 148 and 136 after, where a table with its size from the beginning has 62 to 69; alone 103 to 137. So growth
//! was some 80 of them, and is some 70.
//!
//! # Other steps
//!
//! When updaters only helped a growth that was late, they did all of it at 100,000: the worker had not begun when 16,384 insertions were
//! over, because it has to be woken and waits for a grace period first.
//!
//! Lookups in large tables wait for memory: at 4,000,000 the tag of the link, which is in the bucket's cache line, decides before
//! the node is fetched whether it can be the one. That made hits 2.5 x and misses 2.8 x the C library's (hits 1.8 x before).
//!
//! In time: the growth from 512 to 4,096 buckets takes 10 us instead of 27; linking a child by an index that is computed anew
//! for each took most of those 27. Not looking at the node behind the place saves a cache miss for every second insertion
//! into a large table: 178 ns before and 148 after, at 4,000,000 with a size from the beginning.
//!
//! # Progress
//!
//! | operation | |
//! |---|---|
//! | lookup, duplicates, traversal, `is_node_deleted` | wait-free: as many steps as there are nodes (and buckets) to pass |
//! | `add`, `add_unique`, `add_replace`, `replace`, `del` | lock-free |
//! | growth in the background | nobody waits for it; a sweep of new buckets is lock-free |
//! | `resize` | blocks; waits for grace periods when it shrinks |
//! | `destroy` | waits for other threads' work on the size, never for a grace period |
//!
//! # Fork
//!
//! The child of a process has the table as it was. With the flavor's fork hooks, a resize in the background goes on in both processes:
//! its pending call is in a queue, which the child has too. If other threads of the parent were updating at that moment, the child's list
//! is still consistent (each update is one compare-and-swap). A lock that such a thread held is taken over, and a change of the size that
//! was under way ends: who first has to do with the size in the child takes out whatever may be in the list above it, as when a table
//! shrinks, and goes on from there (`resize/forked.rs`). An explicit `resize` of the parent's is not the child's. One that was about to
//! hand the background's call to the flavor has told the table so already, and in the child nobody does: there the table grows by its
//! updaters as far as it can, shrinks by `resize` alone, and is leaked in the end. Nodes that those threads were about to add or to
//! reclaim are lost in the child, and a caller's allocator has to work there as any other does.
