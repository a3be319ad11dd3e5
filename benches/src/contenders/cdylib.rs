//! Our flavors inside a shared object that is loaded at run time, as plug-ins and language bindings
//! do it: thread-local words are then reached through a function call.

use std::env;
use std::ffi::c_int;
use std::path::PathBuf;
use std::sync::OnceLock;

use libloading::{Library, Symbol};

use crate::harness::plan::Flavor;
use crate::workload::{Slot, Subject, Worker};

/// A flavor that the shared object carries.
#[derive(Clone, Copy, Debug)]
pub struct Export {
    /// The name in the record.
    pub name: &'static str,
    /// The flavor.
    pub flavor: Flavor,
}

/// The flavors that the shared object carries.
pub static EXPORTS: [Export; 4] = [
    Export { name: "urcu-qsbr", flavor: Flavor::Qsbr },
    Export { name: "urcu-mb", flavor: Flavor::Mb },
    Export { name: "urcu-membarrier", flavor: Flavor::Membarrier },
    Export { name: "urcu-bp", flavor: Flavor::Bp },
];

type Register = unsafe extern "C" fn() -> c_int;
type Unregister = unsafe extern "C" fn();
type Loop = unsafe extern "C" fn(*const Slot, u64, u64) -> u64;

/// Cargo puts the shared object beside the program, because the program's package depends on it.
fn path() -> Result<PathBuf, String> {
    let file = libloading::library_filename("urcu_bench_cdylib");
    let program = env::current_exe().map_err(|error| format!("where am I: {error}"))?;
    program
        .ancestors()
        .skip(1)
        .take(2)
        .flat_map(|folder| [folder.join(&file), folder.join("deps").join(&file)])
        .find(|path| path.exists())
        .ok_or_else(|| "the shared object is not beside the program; build with cargo build --release".into())
}

fn library() -> Result<&'static Library, String> {
    // Never unloaded: threads that have read through it may still be exiting.
    static LIBRARY: OnceLock<Result<Library, String>> = OnceLock::new();
    LIBRARY
        .get_or_init(|| {
            let path = path()?;
            // SAFETY: the object is ours; it has no constructor but the Rust runtime's.
            unsafe { Library::new(&path) }.map_err(|error| error.to_string())
        })
        .as_ref()
        .map_err(Clone::clone)
}

fn symbol<T>(export: &Export, operation: &str) -> Result<Symbol<'static, T>, String> {
    // SAFETY: `T` is the type that the shared object's source gives this name.
    unsafe { exported(&format!("urcu_bench_cdylib_{}_{operation}", export.flavor)) }
}

/// What the shared object exports under this name.
///
/// # Errors
/// When it cannot be found, loaded, or does not export that.
///
/// # Safety
/// `T` is the type that its source gives the name.
pub unsafe fn exported<T>(name: &str) -> Result<Symbol<'static, T>, String> {
    // SAFETY: passed on to the caller.
    unsafe { library()?.get(name.as_bytes()) }.map_err(|error| error.to_string())
}

/// Reads through the shared object.
///
/// # Errors
/// When it cannot be found, loaded, or lacks the flavor.
pub fn subject(export: &'static Export) -> Result<Box<dyn Subject>, String> {
    Ok(Box::new(Loaded {
        slot: Slot::new(),
        register: symbol(export, "register")?,
        unregister: symbol(export, "unregister")?,
        flat: symbol(export, "flat")?,
        nested: symbol(export, "nested")?,
    }))
}

struct Loaded {
    slot: Slot,
    register: Symbol<'static, Register>,
    unregister: Symbol<'static, Unregister>,
    flat: Symbol<'static, Loop>,
    nested: Symbol<'static, Loop>,
}

impl Subject for Loaded {
    fn worker(&self) -> Result<Box<dyn Worker + '_>, String> {
        // SAFETY: the calling thread holds no registration with this copy of the flavor.
        match unsafe { (self.register)() } {
            0 => Ok(Box::new(Thread(self))),
            _ => Err("the shared object refuses to register the thread".into()),
        }
    }
}

/// A registration of the calling thread with the shared object's copy of the flavor.
struct Thread<'l>(&'l Loaded);

impl Worker for Thread<'_> {
    fn flat(&mut self, blocks: u64, length: u64) -> u64 {
        // SAFETY: the thread is registered, and the slot outlives the call.
        unsafe { (self.0.flat)(&self.0.slot, blocks, length) }
    }

    fn nested(&mut self, blocks: u64, length: u64) -> u64 {
        // SAFETY: the thread is registered, and the slot outlives the call.
        unsafe { (self.0.nested)(&self.0.slot, blocks, length) }
    }
}

impl Drop for Thread<'_> {
    fn drop(&mut self) {
        // SAFETY: `worker` registered this thread, and no section outlives a loop.
        unsafe { (self.0.unregister)() }
    }
}
