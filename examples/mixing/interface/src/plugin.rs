//! What a plug-in exports, in the words of C, and how both sides find out that they understand each other.
//!
//! Only C's types have a layout that two builds agree on. Pointers to Rust types may pass all the same if both sides come
//! from the same build: [`stamp`] tells.

use std::any::TypeId;
use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::ffi::c_int;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::path::PathBuf;

use urcu_core::{FlavorVtable, VtableError};

use crate::{Entry, Queue, Table, Tally};

/// The version of [`Plugin`] and [`Host`].
pub const PLUGIN_VERSION: u32 = 1;

/// What a plug-in exports: `extern "C" fn plugin() -> *const Plugin`.
#[derive(Debug)]
#[repr(C)]
pub struct Plugin {
    /// Size of this structure.
    pub size: u32,
    /// [`PLUGIN_VERSION`].
    pub version: u32,
    /// [`stamp`].
    pub stamp: u64,
    /// Begins; 0, or a [`Refusal`]'s number.
    pub open: unsafe extern "C" fn(host: *const Host) -> c_int,
    /// Works on the host's structures.
    pub visit: unsafe extern "C" fn(number: u64, tally: *mut Tally) -> c_int,
    /// The plug-in's own table, while it is open; null if it has none.
    pub table: unsafe extern "C" fn() -> *const Table,
    /// The plug-in's own queue, while it is open; null if it has none.
    pub queue: unsafe extern "C" fn() -> *const Queue,
    /// Ends: nobody is inside of it or will be, nobody uses its structures. On return nothing of the plug-in is pending
    /// anywhere, its code included. How many of its entries are left.
    pub close: unsafe extern "C" fn() -> i64,
    /// How often it has been opened since it was mapped.
    pub opened: unsafe extern "C" fn() -> u64,
}

/// What the host hands to a plug-in.
#[derive(Debug)]
#[repr(C)]
pub struct Host {
    /// The flavor of the queue. A table brings its own; a plug-in that is given one explicitly checks it.
    pub flavor: *const FlavorVtable,
    /// A table of the host.
    pub table: *const Table,
    /// A queue of the host.
    pub queue: *const Queue,
}

/// Why somebody does not want to work with somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The flavor's table of functions is of another version, or too short.
    Vtable(VtableError),
    /// The plug-in's own table of functions is.
    Plugin,
    /// The Rust types come from another build.
    Stamp,
    /// It is open already.
    Open,
}

impl Refusal {
    /// For C.
    pub fn number(self) -> c_int {
        match self {
            Self::Vtable(VtableError::Version { .. }) => 1,
            Self::Vtable(VtableError::Size { .. }) => 2,
            Self::Vtable(_) => 3,
            Self::Plugin => 4,
            Self::Stamp => 5,
            Self::Open => 6,
        }
    }
}

impl From<VtableError> for Refusal {
    fn from(error: VtableError) -> Self {
        Self::Vtable(error)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vtable(error) => error.fmt(f),
            Self::Plugin => f.write_str("a plug-in of another version"),
            Self::Stamp => f.write_str("a plug-in of another build: its tables are not laid out as ours"),
            Self::Open => f.write_str("the plug-in is open already"),
        }
    }
}

impl std::error::Error for Refusal {}

/// A number that two objects have in common if the types that they pass to each other are the same: the same compiler, the
/// same versions of the same crates.
pub fn stamp() -> u64 {
    // FNV-1a: the standard hasher is not meant to be the same everywhere.
    struct Fnv(u64);
    impl Hasher for Fnv {
        fn write(&mut self, bytes: &[u8]) {
            for byte in bytes {
                self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
            }
        }

        fn finish(&self) -> u64 {
            self.0
        }
    }
    let mut hasher = Fnv(0xcbf2_9ce4_8422_2325);
    for id in [TypeId::of::<Table>(), TypeId::of::<Queue>(), TypeId::of::<Entry>(), TypeId::of::<FlavorVtable>()] {
        id.hash(&mut hasher);
    }
    hasher.finish()
}

/// Looks at a plug-in before anything else of it is used.
///
/// # Errors
///
/// [`Refusal::Plugin`], [`Refusal::Stamp`].
///
/// # Safety
///
/// `plugin` points to at least the first two fields, and to `size` bytes, for as long as it is mapped.
pub unsafe fn accept<'p>(plugin: *const Plugin) -> Result<&'p Plugin, Refusal> {
    // SAFETY: the caller promises this field.
    let version = unsafe { (*plugin).version };
    // SAFETY: the caller promises this field.
    let size = unsafe { (*plugin).size };
    if version != PLUGIN_VERSION || (size as usize) < size_of::<Plugin>() {
        return Err(Refusal::Plugin);
    }
    // SAFETY: as long as this type, of the same version.
    let plugin = unsafe { &*plugin };
    if plugin.stamp == stamp() { Ok(plugin) } else { Err(Refusal::Stamp) }
}

/// Where cargo has put the shared object of a package that the running program's package depends on.
///
/// # Errors
///
/// When it is not there.
pub fn shared_object(package: &str) -> std::io::Result<PathBuf> {
    let file = format!("{DLL_PREFIX}{}{DLL_SUFFIX}", package.replace('-', "_"));
    let program = std::env::current_exe()?;
    // The folder of dependencies first: copies beside the program may be older.
    let folders = program.ancestors().skip(1).take(2);
    let found =
        folders.flat_map(|folder| [folder.join("deps").join(&file), folder.join(&file)]).find(|path| path.exists());
    found.ok_or_else(|| std::io::Error::other(format!("{file} is not beside {}", program.display())))
}
