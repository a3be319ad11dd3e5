//! A registration belongs to its thread, offline as well.

use urcu_flavor as rcu;

fn main() {
    let offline = rcu::register().unwrap().offline();
    std::thread::spawn(move || drop(offline));
}
