//! A registration belongs to its thread.

use urcu_flavor as rcu;

fn main() {
    let thread = rcu::register().unwrap();
    std::thread::spawn(move || drop(thread));
}
