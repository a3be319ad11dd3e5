//! A hash map, a list and an allocator in shared memory: one writer process, many reader processes.
//!
//! The structures are those of [`cds_lfht`] and [`cds_list`], over links that are distances instead of pointers, in a segment of
//! [`urcu_shm`]. Readers look things up where they are: without a lock, without a system call, and without writing to anything but
//! the word that says that they are inside a section. The data may be mapped read-only.
//!
//! The guide of `urcu-core` has [a chapter][chapter] with two programs to begin with, and about what happens when a process dies.
//!
//! [chapter]: https://docs.rs/urcu-core/latest/urcu_core/guide/processes/index.html
//!
//! # The writer
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let name = &format!("/dev/shm/cds-shm-example-{}", std::process::id());
//! use cds_shm::{Bytes, Heap};
//! use urcu_shm::SegmentOptions;
//!
//! let segment = SegmentOptions::new(1 << 20).open_or_create(name)?; // "/dev/shm/prices"
//! # std::fs::remove_file(name)?;
//! let heap = Heap::open(segment.writer()?)?;
//!
//! let mut prices = heap.map::<u64, u64>("prices")?;
//! assert_eq!(prices.insert(&4711, &100)?, None);
//! assert_eq!(prices.insert(&4711, &120)?, Some(100));
//!
//! let mut names = heap.map::<Bytes, Bytes>("names")?;
//! names.insert(b"4711", b"kettle")?;
//!
//! let mut news = heap.list::<Bytes>("news")?;
//! news.push_back(b"kettles are dearer")?;
//!
//! prices.remove(&4711)?;
//! # Ok(())
//! # }
//! ```
//!
//! # A reader, in another process
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use cds_shm::{Bytes, ShmHashMap, ShmList};
//! use urcu_shm::{Access, Segment};
//!
//! let segment = Segment::open("/dev/shm/prices", Access::Read)?;
//! urcu_shm::attach(&segment)?;
//! let thread = urcu_shm::register()?;
//!
//! let prices = ShmHashMap::<u64, u64>::open(&segment, "prices")?;
//! let guard = thread.read_lock();
//! if let Some(price) = prices.get(&guard, &4711)? {
//!     println!("{price}");
//! }
//! for news in ShmList::<Bytes>::open(&segment, "news")?.iter(&guard) {
//!     println!("{}", String::from_utf8_lossy(&news?));
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What can be stored
//!
//! [`Plain`] types, which are nothing but bytes, and byte strings ([`Bytes`]).
//!
//! ```
//! use zerocopy::{FromBytes, Immutable, IntoBytes};
//!
//! #[derive(Clone, Copy, FromBytes, IntoBytes, Immutable)]
//! #[repr(C)]
//! struct Quote {
//!     bid: u64,
//!     ask: u64,
//! }
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let segment = urcu_shm::Segment::create_memfd("quotes", 1 << 20)?;
//! # let heap = cds_shm::Heap::open(segment.writer()?)?;
//! let mut quotes = heap.map::<[u8; 8], Quote>("quotes")?;
//! quotes.insert(b"ACME    ", &Quote { bid: 99, ask: 101 })?;
//! assert_eq!(quotes.peek(b"ACME    ")?.map(|quote| quote.ask), Some(101));
//! # Ok(())
//! # }
//! ```
//!
//! # Who may do what
//!
//! | operation | who | section | progress | beside |
//! |---|---|---|---|---|
//! | [`ShmHashMap::get`], [`contains_key`](ShmHashMap::contains_key), [`iter`](ShmHashMap::iter), [`ShmList::iter`] | any process | yes | wait-free | everything |
//! | [`ShmHashMap::open`], [`ShmList::open`] | any process | no | wait-free | everything |
//! | [`MapWriter`], [`ListWriter`] | the writer; one thread at a time per structure | not needed | allocates; blocks for at most [`Heap::set_patience`] when the segment is full | readers, and other structures |
//! | [`Heap::open`] | who has just become the [`Writer`](urcu_shm::Writer) | no | as long as it takes to follow all structures | readers |
//! | [`Heap::flush`] | the writer | no | blocks for a grace period | readers |
//! | [`Heap::check`] | the writer | no | looks at all memory | readers |
//!
//! A read that happens after an update (by whatever the processes tell each other) sees it. Updates of one structure are seen by
//! every reader in an order that fits; two structures are independent.
//!
//! # When a process dies
//!
//! **A reader**, at any moment, also inside a section: its readers' records are taken back by the next grace period or by
//! [`Segment::reap`](urcu_shm::Segment::reap), which the allocator calls when memory waits for longer than 5 ms. A reader that is
//! *stopped* keeps what was retired since from being freed; updates go on until the segment is full, and then fail with
//! [`ShmError::Full`].
//!
//! **The writer**, at any moment: every update is one compare-and-swap or one store, so readers go on and see the update or not.
//! The next writer's [`Heap::open`] finishes what was begun (nodes that are marked as removed are taken out, backward links
//! put right), takes back what was not (new buckets above the size), and finds all memory that is in use but not reachable, by following
//! all structures from their roots: that is retired, and freed after a grace period. Nothing is lost. What the dead one had
//! retired carries the number of the grace period it waits for, and is freed when that has elapsed.
//!
//! # What is trusted
//!
//! *Readers trust nothing that is in the data.* A link, a size or a length that leads out of the segment is an error ([`Stop`]), a
//! chain without an end is one after as many steps as there could be nodes, and what is copied out is no longer than the block that
//! it is in. No reference to the segment's data is ever made: values are copied out word by word with atomic loads, so a writer that
//! misbehaves, or a bug in another process, can make an answer wrong, and no more. What a wrong answer means is the program's to decide: a value is whatever bytes are there.
//!
//! *The writer* checks in the same way, and refuses to take over what it cannot make sense of ([`ShmError::Corrupt`]), after a time in
//! proportion to the segment, whatever is in it. An answer that is wrong but makes sense is not noticed: there are no checksums.
//!
//! *Memory has to stay.* Who can shrink the file can kill its readers (SIGBUS): use a memfd, which is sealed, or a file that
//! only the writer's user may write to.
//!
//! # Limits
//!
//! - One writer process at a time, and in it one thread at a time per structure. A forked child is another process: what it has of
//!   its parent's heap and structures panics when it is to change something.
//! - The size of a segment is fixed when it is made. 63 structures in each.
//! - Values are replaced, never changed in place: an entry that a reader looks at does not change. There is no update of two
//!   entries at once.
//! - A block is at most a quarter larger than what is stored, from 4 KiB on whole pages of 32 KiB; a word of state for each. An entry
//!   of a `u64` and a `u64` takes 40 bytes, and 8 to 32 for its buckets.
//! - Moving an element within a list is taking it out and putting it in.
//! - 64-bit Linux. Processes of one machine, one PID namespace and one build of this crate's layout.
//!
//! # Sources
//!
//! The question whether userspace RCU works across processes was asked and answered on the lttng-dev list in September 2013. The
//! allocator's states with a scan at recovery are those of persistent allocators; the structures' papers are named by their crates.

mod error;
mod geometry;
mod ground;
mod heap;
mod list;
mod map;
mod stored;
mod superblock;
mod words;

pub use error::ShmError;
pub use heap::Heap;
pub use list::{Iter as ListIter, ListWriter, ShmList};
pub use map::{Iter as MapIter, MapWriter, ShmHashMap};
pub use stored::{Bytes, Stored};
pub use superblock::Balance;
pub use urcu_core::space::Stop;
pub use words::Plain;
