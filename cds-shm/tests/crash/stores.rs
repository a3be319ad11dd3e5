//! A writer that may die behind each of its stores.
//!
//! What a writer that was killed leaves is what its stores have made of the segment, so a death between two stores is the same
//! everywhere. A process plays a scene with the segment write-protected: each store is a fault, whose handler lets that one
//! instruction through and notes what it has stored. The test then makes the segment what it was behind each store, and takes it
//! over.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::{Process, Structures, path, prepare, put_right, value};

/// Whether this system can let a single instruction through.
const POSSIBLE: bool = cfg!(all(target_arch = "x86_64", not(sanitized)));

/// A store: where in the file, and the two words there afterwards (it may be the end of one and the beginning of the other).
const NOTE: usize = 24;

struct Store {
    at: u64,
    words: [u8; 16],
}

fn beside(path: &Path, what: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(what);
    name.into()
}

/// Lets another process play the scene; the segment before it, and all stores.
fn record(path: &Path, name: &str) -> (Vec<u8>, Vec<Store>) {
    let mut child = Process::start(name, path, 0);
    let status = child.child.wait().expect("ours");
    assert!(status.success(), "{name}: {status}");
    let before = fs::read(beside(path, ".before")).expect("written by the child");
    let notes = fs::read(beside(path, ".stores")).expect("written by the child");
    let stores = notes.chunks_exact(NOTE).map(|note| Store {
        at: u64::from_ne_bytes(note[..8].try_into().expect("eight bytes")),
        words: note[8..].try_into().expect("the rest"),
    });
    (before, stores.collect())
}

/// Every store is the last one (some of them, in the short run); the next writer finds nothing wrong.
pub(crate) fn any_store(count: u64, seed: u64) {
    if !POSSIBLE {
        println!("    skipped: single instructions cannot be let through here");
        return;
    }
    let path = path("stores");
    let segment = urcu_shm::SegmentOptions::new(1 << 20).processes(4).create(&path).expect("a segment");
    let file = File::options().write(true).open(&path).expect("ours");
    let mut rng = SmallRng::seed_from_u64(seed);
    for name in ["update", "grow", "shrink"] {
        let mut structures = Structures::open(&segment);
        structures.fill();
        if structures.list.is_empty() {
            structures.list.push_back(&[1, super::mix(1)]).unwrap();
        }
        drop(structures);
        prepare(&segment, name);
        let (mut image, stores) = record(&path, name);
        assert!(stores.len() > 30, "{name}: only {} stores", stores.len());
        let step = if count >= 100 { 1 } else { stores.len().div_ceil(150) };
        let (mut next, mut deaths) = (rng.random_range(0..step), 0);
        for (index, store) in stores.iter().enumerate() {
            let at = usize::try_from(store.at).expect("inside");
            let end = image.len().min(at + 16);
            image[at..end].copy_from_slice(&store.words[..end - at]);
            if index == next {
                next += rng.random_range(1..=2 * step - 1);
                file.write_all_at(&image, 0).expect("room");
                // Who had the role is dead.
                file.write_all_at(&[0; 8], urcu_core::sys::page_size() as u64 + 128).expect("inside");
                put_right(&segment);
                deaths += 1;
            }
        }
        println!("    {name}: {} stores, {deaths} deaths", stores.len());
        // The whole scene has been played.
        let done = Structures::open(&segment);
        assert_eq!(done.numbers.peek(&0).unwrap().expect("always there")[2], value(0, 1)[2]);
    }
    let structures = Structures::open(&segment);
    structures.heap.map::<u64, u64>("new").unwrap().clear().unwrap();
    structures.empty();
    for file in [path.clone(), beside(&path, ".before"), beside(&path, ".stores")] {
        fs::remove_file(file).expect("ours");
    }
}

/// The other process.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn play(_: &Path, _: &str) {}

/// The other process.
#[cfg(target_arch = "x86_64")]
pub(crate) fn play(path: &Path, name: &str) {
    let segment = urcu_shm::Segment::open(path, urcu_shm::Access::Write).expect("a segment");
    let mut structures = Structures::open(&segment);
    fs::copy(path, beside(path, ".before")).expect("room");
    trap::arm(&segment);
    super::scene(name, &mut structures);
    let notes = trap::disarm();
    fs::write(beside(path, ".stores"), notes).expect("room");
    // Dies in its role.
    std::process::exit(0);
}

#[cfg(target_arch = "x86_64")]
mod trap {
    use std::cell::UnsafeCell;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use urcu_shm::{Offset, Segment};

    use super::NOTE;

    /// The instruction behind is to be stopped at.
    const TRAP_FLAG: i64 = 0x100;
    const PAGE: usize = 4096;
    const MOST: usize = 1 << 20;

    /// Written by handlers of the one thread.
    struct Notes(UnsafeCell<[[u8; NOTE]; MOST]>);
    // SAFETY: one thread has it.
    unsafe impl Sync for Notes {}
    static NOTES: Notes = Notes(UnsafeCell::new([[0; NOTE]; MOST]));
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    /// The mapping, and what of it is protected.
    static BASE: AtomicUsize = AtomicUsize::new(0);
    static END: AtomicUsize = AtomicUsize::new(0);
    /// Where the store is that was let through.
    static STORE: AtomicUsize = AtomicUsize::new(0);

    fn protect(from: usize, end: usize, protection: i32) {
        // SAFETY: inside the segment's mapping.
        assert_eq!(unsafe { libc::mprotect(from as *mut libc::c_void, end - from, protection) }, 0);
    }

    /// The page that a store is in, and the next one, if it is there.
    fn around(store: usize) -> (usize, usize) {
        let page = store & !(PAGE - 1);
        (page, (page + 2 * PAGE).min(END.load(Ordering::Relaxed)))
    }

    unsafe extern "C" fn on_fault(_: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
        // SAFETY: the kernel's.
        let info = unsafe { &*info };
        // SAFETY: of a fault, so it has an address.
        let at = unsafe { info.si_addr() } as usize;
        if at < BASE.load(Ordering::Relaxed) + PAGE || at >= END.load(Ordering::Relaxed) {
            // Not ours: it comes again, and ends the process.
            // SAFETY: resets a handler.
            unsafe { libc::signal(libc::SIGSEGV, libc::SIG_DFL) };
            return;
        }
        STORE.store(at, Ordering::Relaxed);
        let (from, end) = around(at);
        protect(from, end, libc::PROT_READ | libc::PROT_WRITE);
        // SAFETY: the kernel's.
        unsafe { (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs[libc::REG_EFL as usize] |= TRAP_FLAG };
    }

    unsafe extern "C" fn on_step(_: i32, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
        // SAFETY: the kernel's.
        unsafe { (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs[libc::REG_EFL as usize] &= !TRAP_FLAG };
        let (base, end) = (BASE.load(Ordering::Relaxed), END.load(Ordering::Relaxed));
        let at = STORE.load(Ordering::Relaxed) & !7;
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        assert!(number < MOST, "a scene with too many stores");
        // SAFETY: this thread's.
        let note = unsafe { &mut (*NOTES.0.get())[number] };
        note[..8].copy_from_slice(&((at - base) as u64).to_ne_bytes());
        for (word, place) in note[8..].chunks_exact_mut(8).zip([at, at + 8]) {
            if place < end {
                // SAFETY: mapped, aligned; nobody stores there meanwhile.
                word.copy_from_slice(&unsafe { (place as *const u64).read_volatile() }.to_ne_bytes());
            }
        }
        let (from, end) = around(at);
        protect(from, end, libc::PROT_READ);
    }

    type Handler = unsafe extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void);

    fn handle(signal: i32, handler: Handler) {
        // SAFETY: plain data, for which zero is "nothing".
        let mut action: libc::sigaction = unsafe { core::mem::zeroed() };
        action.sa_sigaction = handler as usize;
        action.sa_flags = libc::SA_SIGINFO;
        // SAFETY: a valid action.
        assert_eq!(unsafe { libc::sigaction(signal, &raw const action, core::ptr::null_mut()) }, 0);
    }

    /// From now on, every store to the segment is noted.
    pub(super) fn arm(segment: &Segment) {
        let data = segment.resolve::<u8>(Offset::NULL).expect("data").addr().get();
        let base = data + segment.data_len() - segment.file_len();
        BASE.store(base, Ordering::Relaxed);
        END.store(data + segment.data_len(), Ordering::Relaxed);
        handle(libc::SIGSEGV, on_fault);
        handle(libc::SIGTRAP, on_step);
        protect(base + PAGE, END.load(Ordering::Relaxed), libc::PROT_READ);
    }

    pub(super) fn disarm() -> Vec<u8> {
        let (base, end) = (BASE.load(Ordering::Relaxed), END.load(Ordering::Relaxed));
        protect(base + PAGE, end, libc::PROT_READ | libc::PROT_WRITE);
        // SAFETY: no handler runs any more.
        let notes = unsafe { &*NOTES.0.get() };
        notes[..COUNT.load(Ordering::Relaxed)].concat()
    }
}
