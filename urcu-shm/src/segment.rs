//! The segment: memory that several processes share, with the readers of all of them in it.

use core::fmt;
use core::ptr::NonNull;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use urcu_core::sync::{AtomicU32, Ordering};

use crate::barrier::Barriers;
use crate::error::{RootError, SegmentError, WriterError};
use crate::grace::GraceNumber;
use crate::layout::{FIRST_RECORD_PAGE, HEADER_BYTES, Header, LAYOUT_HASH, MAGIC, MOST_RECORD_PAGES, VERSION};
use crate::mapping::Mapping;
use crate::offset::Offset;
use crate::process::ProcessId;
use crate::roots::{ROOT_TABLE_BYTES, RootName};
use crate::writer::Writer;
use crate::{records, sys};

/// What a process does in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reads. Of the segment's memory only the page with its own readers and the one that says how many such pages there are (which is
    /// not believed if it becomes smaller) are writable to it: a stray store into the data, or
    /// into the readers of other processes, is a segmentation fault.
    Read,
    /// May become the writer, and run grace periods for the segment.
    Write,
}

/// How a segment is made.
#[derive(Clone, Debug)]
pub struct SegmentOptions {
    data_bytes: usize,
    processes: usize,
    barriers: Option<Barriers>,
    mode: u32,
    reserve: bool,
}

impl SegmentOptions {
    /// A segment with room for `data_bytes` of data (and the table of roots, about 1 KiB of them).
    pub const fn new(data_bytes: usize) -> Self {
        Self { data_bytes, processes: 1024, barriers: None, mode: 0o600, reserve: true }
    }

    /// For how many record pages, 4 KiB each, there is room: a process takes one for each 31 threads that are registered.
    /// 1,024 if nothing is said.
    #[must_use]
    pub const fn processes(mut self, processes: usize) -> Self {
        self.processes = processes;
        self
    }

    /// How readers and updaters order their accesses; [`Barriers::best`] if nothing is said.
    #[must_use]
    pub const fn barriers(mut self, barriers: Barriers) -> Self {
        self.barriers = Some(barriers);
        self
    }

    /// The permissions of the file; 0600 if nothing is said. With more, [`OpenOptions::shared`] is needed to open it.
    #[must_use]
    pub const fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    /// Does not have the system set the memory aside. The first touch of a page that the system then does not have is a bus
    /// error, in whatever process.
    #[must_use]
    pub const fn sparse(mut self) -> Self {
        self.reserve = false;
        self
    }

    /// A segment in a new file, best in `/dev/shm`. The name appears once the segment is complete, and stays until somebody removes
    /// the file; who has mapped it by then keeps it.
    ///
    /// # Errors
    ///
    /// [`SegmentError`]; also if the file exists.
    pub fn create(&self, path: impl AsRef<Path>) -> Result<Segment, SegmentError> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let path = path.as_ref();
        let mut name = path.as_os_str().to_owned();
        let own = ProcessId::try_current().ok_or_else(SegmentError::unknown_process)?;
        // Another one for each thread. Relaxed: a number.
        name.push(format!(".{:x}.{}.new", own.bits(), NEXT.fetch_add(1, Ordering::Relaxed)));
        let unfinished = Path::new(&name);
        let flags = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL;
        let file = sys::open(unfinished, flags, 0o600).map_err(SegmentError::system("creating the file"))?;
        let made = self.fill(file).and_then(|segment| {
            sys::link(unfinished, path).map_err(SegmentError::system("naming the file"))?;
            Ok(segment)
        });
        // Whether or not it worked: it has its real name or none.
        let _ = std::fs::remove_file(unfinished);
        made
    }

    /// The segment of that name, for writing: the one that is there, whatever its sizes; made if there is none. What a writer does
    /// that may have been started before, and others at the same time.
    ///
    /// # Errors
    ///
    /// [`SegmentError`]. What is there and no segment, or one of an earlier [boot](SegmentError::OtherBoot), is left alone.
    pub fn open_or_create(&self, path: impl AsRef<Path>) -> Result<Segment, SegmentError> {
        let path = path.as_ref();
        let is =
            |error: &SegmentError, kind| matches!(error, SegmentError::System { error, .. } if error.kind() == kind);
        let mut tries = 0;
        loop {
            tries += 1;
            match Segment::open(path, Access::Write) {
                Err(error) if is(&error, io::ErrorKind::NotFound) => {}
                settled => return settled,
            }
            match self.create(path) {
                // Somebody else was faster; who may be removing it again.
                Err(error) if is(&error, io::ErrorKind::AlreadyExists) && tries < 10 => {}
                settled => return settled,
            }
        }
    }

    /// A segment without a name, to be passed on by [`send_fd`](crate::send_fd) or inheritance, or opened as
    /// `/proc/<pid>/fd/<n>`. Sealed: nobody can shrink it. `name` shows up in `/proc/<pid>/maps`.
    ///
    /// # Errors
    ///
    /// [`SegmentError`].
    pub fn create_memfd(&self, name: &str) -> Result<Segment, SegmentError> {
        let file = sys::create_memfd(name).map_err(SegmentError::system("creating the memfd"))?;
        self.fill(file)
    }

    fn fill(&self, file: OwnedFd) -> Result<Segment, SegmentError> {
        let header = self.header()?;
        let mode = sys::set_mode(file.as_fd(), self.mode);
        mode.map_err(SegmentError::system("setting the permissions"))?;
        let sized = sys::set_size(file.as_fd(), header.total_bytes, self.reserve);
        sized.map_err(SegmentError::system("setting the size"))?;
        let written = sys::write_at(file.as_fd(), &header.to_bytes(), 0);
        written.map_err(SegmentError::system("writing the header"))?;
        // Files that have a name cannot be sealed; the permissions are what keeps others from shrinking those.
        let _ = sys::seal_size(file.as_fd());
        let mapping = Mapping::new(file, &header, Access::Write)?;
        mapping.control().period.store(records::LAYOUT.first_period(), Ordering::Relaxed);
        Ok(Segment { mapping: Arc::new(mapping) })
    }

    fn header(&self) -> Result<Header, SegmentError> {
        let page = sys::page_size();
        let pages = |bytes: usize| bytes.checked_next_multiple_of(page).ok_or(SegmentError::BadSize);
        let record_pages = u32::try_from(self.processes).map_err(|_| SegmentError::BadSize)?;
        if self.data_bytes == 0 || record_pages == 0 || record_pages > MOST_RECORD_PAGES {
            return Err(SegmentError::BadSize);
        }
        let data_bytes = pages(self.data_bytes.checked_add(ROOT_TABLE_BYTES).ok_or(SegmentError::BadSize)?)?;
        let data_start = (self.processes.checked_add(FIRST_RECORD_PAGE))
            .and_then(|pages| pages.checked_mul(page))
            .ok_or(SegmentError::BadSize)?;
        let total = data_start.checked_add(data_bytes).filter(|&total| isize::try_from(total).is_ok());
        let mut header = Header {
            magic: MAGIC,
            version: VERSION,
            page_size: u32::try_from(page).map_err(|_| SegmentError::BadSize)?,
            layout: LAYOUT_HASH,
            creator: ProcessId::try_current().ok_or_else(SegmentError::unknown_process)?.bits(),
            pid_namespace: sys::pid_namespace(),
            boot: sys::boot_id(),
            barriers: self.barriers.unwrap_or_else(Barriers::best) as u32,
            record_pages,
            data_start: data_start as u64,
            data_bytes: data_bytes as u64,
            total_bytes: total.ok_or(SegmentError::BadSize)? as u64,
            checksum: 0,
        };
        header.checksum = header.sum();
        Ok(header)
    }
}

/// How a segment is opened.
#[derive(Clone, Copy, Debug)]
pub struct OpenOptions {
    access: Access,
    shared: bool,
}

impl OpenOptions {
    /// For reading or writing; only a file that belongs to this process's user and that nobody else can open.
    pub const fn new(access: Access) -> Self {
        Self { access, shared: false }
    }

    /// Also a file that belongs to another user, or that other users may open. Whoever can write to it can disturb readers and
    /// make them see nonsense, but no more: see the crate's page.
    #[must_use]
    pub const fn shared(mut self) -> Self {
        self.shared = true;
        self
    }

    /// Opens a segment by its name. A symbolic link is refused.
    ///
    /// # Errors
    ///
    /// [`SegmentError`].
    pub fn open(self, path: impl AsRef<Path>) -> Result<Segment, SegmentError> {
        let path = path.as_ref();
        let file = match sys::open(path, libc::O_RDWR, 0) {
            // A descriptor of another process looks like a link, and is none that anybody could have planted.
            Err(error) if error.raw_os_error() == Some(libc::ELOOP) && is_descriptor(path) => {
                sys::open_descriptor(path)
            }
            other => other,
        };
        self.open_fd(file.map_err(SegmentError::system("opening the file"))?)
    }

    /// A segment whose descriptor came from elsewhere.
    ///
    /// # Errors
    ///
    /// [`SegmentError`].
    pub fn open_fd(self, file: OwnedFd) -> Result<Segment, SegmentError> {
        // Once, so that it is known when there is no descriptor left.
        ProcessId::try_current().ok_or_else(SegmentError::unknown_process)?;
        let header = self.check(file.as_fd())?;
        Ok(Segment { mapping: Arc::new(Mapping::new(file, &header, self.access)?) })
    }

    /// Everything that the rest relies on, once: see invariant 2 of `Mapping`.
    fn check(self, file: BorrowedFd<'_>) -> Result<Header, SegmentError> {
        let wrong = |why| SegmentError::NotASegment { why };
        let status = sys::file_status(file).map_err(SegmentError::system("asking about the file"))?;
        if !status.regular {
            return Err(wrong("not a regular file"));
        }
        if !self.shared {
            if status.user != sys::effective_user() {
                return Err(SegmentError::WrongOwner { user: status.user });
            }
            if status.mode & 0o077 != 0 {
                return Err(SegmentError::TooOpen { mode: status.mode });
            }
        }
        let mut bytes = [0; HEADER_BYTES];
        if status.size < HEADER_BYTES as u64 {
            return Err(wrong("too short"));
        }
        sys::read_at(file, &mut bytes, 0).map_err(SegmentError::system("reading the header"))?;
        let header = Header::from_bytes(bytes);
        let page = sys::page_size() as u64;
        let data_start = (u64::from(header.record_pages) + FIRST_RECORD_PAGE as u64).checked_mul(page);
        if header.magic != MAGIC {
            return Err(wrong("no magic number"));
        }
        if header.version != VERSION || header.layout != LAYOUT_HASH {
            return Err(wrong("made by another version of this crate"));
        }
        if header.checksum != header.sum() {
            return Err(wrong("the header is damaged"));
        }
        if u64::from(header.page_size) != page {
            return Err(wrong("made with another page size"));
        }
        let sizes = data_start == Some(header.data_start)
            && header.record_pages != 0
            && header.record_pages <= MOST_RECORD_PAGES
            && header.data_bytes >= ROOT_TABLE_BYTES as u64
            && header.data_bytes.is_multiple_of(page)
            && header.data_start.checked_add(header.data_bytes) == Some(header.total_bytes)
            && isize::try_from(header.total_bytes).is_ok();
        if !sizes {
            return Err(wrong("the header contradicts itself"));
        }
        if status.size < header.total_bytes {
            return Err(wrong("the file has been truncated"));
        }
        if header.boot != sys::boot_id() {
            return Err(SegmentError::OtherBoot);
        }
        if header.pid_namespace != sys::pid_namespace() {
            return Err(SegmentError::OtherPidNamespace);
        }
        Ok(header)
    }
}

/// Whether this is `/proc/<pid>/fd/<n>`: there, and not behind some other link of `/proc`, are no links but the kernel's.
fn is_descriptor(path: &Path) -> bool {
    let mut parts = path.components().map(|part| part.as_os_str().as_encoded_bytes());
    parts.next() == Some(b"/")
        && parts.next() == Some(b"proc")
        && parts.next().is_some_and(|process| process != b"..")
        && parts.next() == Some(b"fd")
        && parts.next().is_some_and(|number| !number.is_empty() && number.iter().all(u8::is_ascii_digit))
        && parts.next().is_none()
}

/// Memory that several processes share, with the readers of all of them registered in it.
///
/// A handle: clones refer to the same mapping, which lives as long as one of them does. Each process may map it elsewhere; places
/// in it are [`Offset`]s.
#[derive(Clone)]
pub struct Segment {
    pub(crate) mapping: Arc<Mapping>,
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Segment")
            .field("access", &self.access())
            .field("barriers", &self.barriers())
            .field("data_len", &self.data_len())
            .finish_non_exhaustive()
    }
}

impl Segment {
    /// A segment in a new file that only this user can open: see [`SegmentOptions::create`].
    ///
    /// # Errors
    ///
    /// [`SegmentError`].
    pub fn create(path: impl AsRef<Path>, data_bytes: usize) -> Result<Self, SegmentError> {
        SegmentOptions::new(data_bytes).create(path)
    }

    /// A segment without a name: see [`SegmentOptions::create_memfd`].
    ///
    /// # Errors
    ///
    /// [`SegmentError`].
    pub fn create_memfd(name: &str, data_bytes: usize) -> Result<Self, SegmentError> {
        SegmentOptions::new(data_bytes).create_memfd(name)
    }

    /// Opens a segment by its name: see [`OpenOptions::open`].
    ///
    /// # Errors
    ///
    /// [`SegmentError`].
    pub fn open(path: impl AsRef<Path>, access: Access) -> Result<Self, SegmentError> {
        OpenOptions::new(access).open(path)
    }

    /// Opens a segment by a descriptor: see [`OpenOptions::open_fd`].
    ///
    /// # Errors
    ///
    /// [`SegmentError`].
    pub fn from_fd(file: OwnedFd, access: Access) -> Result<Self, SegmentError> {
        OpenOptions::new(access).open_fd(file)
    }

    /// The descriptor, for other processes.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.mapping.file()
    }

    /// What this process may do.
    pub fn access(&self) -> Access {
        self.mapping.access()
    }

    /// How readers and updaters order their accesses.
    pub fn barriers(&self) -> Barriers {
        self.mapping.barriers()
    }

    /// The process that made it, if its header says something sensible.
    pub fn creator(&self) -> Option<ProcessId> {
        ProcessId::from_bits(self.mapping.creator())
    }

    /// Bytes of data.
    #[inline]
    pub fn data_len(&self) -> usize {
        self.mapping.data_bytes()
    }

    /// Bytes of the file.
    pub fn file_len(&self) -> usize {
        self.mapping.total_bytes()
    }

    /// The first place that the writer may use: behind the table of roots. A multiple of 64.
    pub fn data_start(&self) -> Offset {
        Offset::new(ROOT_TABLE_BYTES.next_multiple_of(64) as u64)
    }

    /// Whether nobody can shrink the file, so that its pages cannot vanish.
    pub fn is_sealed(&self) -> bool {
        sys::is_sealed(self.fd())
    }

    /// The address of the `T` at `offset`, in this process; `None` unless it lies within the data and is aligned. Wait-free.
    ///
    /// The address is valid for reads (with [`Access::Write`], for writes) as long as a handle to this mapping lives. What is
    /// there may change at any time, by whatever any process stores there: it is to be read by atomics, or copied out by
    /// volatile reads, and to be believed only as far as it was checked.
    #[inline]
    pub fn resolve<T>(&self, offset: Offset) -> Option<NonNull<T>> {
        self.mapping.resolve(offset, 1)
    }

    /// The same for `count` values in a row.
    #[inline]
    pub fn resolve_slice<T>(&self, offset: Offset, count: usize) -> Option<NonNull<[T]>> {
        Some(NonNull::slice_from_raw_parts(self.mapping.resolve(offset, count)?, count))
    }

    /// Where an address inside this mapping's data lies.
    pub fn offset_of<T>(&self, address: *const T) -> Option<Offset> {
        self.mapping.offset_of(address.cast())
    }

    /// The place of a structure, by its name: `None` if there is none. Wait-free.
    ///
    /// # Errors
    ///
    /// [`RootError::OtherLayout`].
    pub fn root(&self, name: RootName) -> Result<Option<Offset>, RootError> {
        self.mapping.roots().get(name)
    }

    /// Becomes the segment's writer: the one that may change data. Does not wait.
    ///
    /// If the last writer died, its place is taken, and [`Writer::recovered`] says so.
    ///
    /// # Errors
    ///
    /// [`WriterError`]: another thread, here or in a process that lives, is; or the segment was opened for reading.
    pub fn writer(&self) -> Result<Writer, WriterError> {
        Writer::take(self)
    }

    /// Starts a grace period for what has been unlinked in the data, without waiting for its end. One heavy barrier.
    ///
    /// The number may be stored in the segment: it keeps its meaning for whoever becomes the writer later.
    ///
    /// # Panics
    ///
    /// With [`Access::Read`].
    pub fn start_grace_period(&self) -> GraceNumber {
        records::start(&self.mapping)
    }

    /// Whether every section, of every process, has ended that was open when that grace period started. Does not wait, and does
    /// not look for dead processes: see [`reap`](Self::reap). Any access.
    pub fn has_elapsed(&self, number: GraceNumber) -> bool {
        records::has_elapsed(&self.mapping, number)
    }

    /// Whether a grace period has started that has this number or a later one: otherwise the number, or the segment's own, has been
    /// overwritten. Wait-free. Any access.
    pub fn has_started(&self, number: GraceNumber) -> bool {
        records::has_started(&self.mapping, number)
    }

    /// Waits until then. Readers of processes that have died meanwhile count as gone, within some milliseconds.
    ///
    /// Blocks; outside every section of the calling thread.
    ///
    /// # Panics
    ///
    /// With [`Access::Read`]; inside a section, if this is the attached segment: it would wait for itself.
    #[track_caller]
    pub fn wait_for(&self, number: GraceNumber) {
        assert!(
            !(crate::raw::read_ongoing() && crate::attach::is_attached(self)),
            "urcu-shm: thread '{}' waits for a grace period inside a read-side critical section of its own",
            urcu_core::sys::thread_name()
        );
        records::wait(&self.mapping, number);
    }

    /// Frees the record pages of processes that have died, and ends the sections that they were in; how many pages.
    ///
    /// # Panics
    ///
    /// With [`Access::Read`].
    pub fn reap(&self) -> usize {
        records::reap_dead(&self.mapping)
    }
}

impl Segment {
    /// The check of a structure's lookups: `guard` is a section that this segment's grace periods wait for.
    ///
    /// # Panics
    ///
    /// If it is another flavor's, or this process has not attached this segment.
    #[inline]
    #[track_caller]
    pub fn assert_guard(&self, guard: &impl urcu_core::AnyGuard) {
        if guard.domain() != crate::FLAVOR.domain() || !crate::attach::is_attached(self) {
            refuse(guard.flavor_name());
        }
    }
}

#[cold]
#[track_caller]
fn refuse(flavor: &'static str) -> ! {
    if flavor == crate::FLAVOR.name() {
        panic!("urcu-shm: the guard is not one of this segment: this process has not attached it; call attach() first");
    }
    panic!("urcu-shm: the guard is one of {flavor} (or of another copy of this crate)");
}
