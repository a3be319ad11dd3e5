//! One memory order each: models in which exactly one pair of accesses, or one direction of it, makes the difference.
//!
//! Who looks runs in a spawned thread, and behind those that change something in the first execution: the model checker only
//! remembers the last access to an atomic.

use super::*;

/// A chained line has its own tags.
#[test]
fn a_tag_in_another_line_comes_with_its_entry() {
    explore(3, || {
        // The eighth is in the second line, and so is the ninth.
        let map = map(&KEYS[..8], 0);
        let reader = Arc::clone(&map);
        let reader = thread::spawn(move || reader.get(KEYS[8]));
        assert_eq!(map.insert(KEYS[8], 9), None);
        assert!(matches!(reader.join().expect("no panic"), None | Some(9)));
        assert_eq!(map.get(KEYS[8]), Some(9));
    });
}

/// Who comes to begin a move finds the one that is under way, or that it has ended.
#[test]
fn a_move_is_begun_once() {
    explore(2, || {
        let map = map(&[2, 3], 0);
        let other = Arc::clone(&map);
        let other = thread::spawn(move || {
            other.resize(1);
            assert_eq!((other.get(2), other.get(3)), (Some(2), Some(3)));
        });
        map.resize(1);
        other.join().expect("no panic");
        assert_eq!((map.get(2), map.get(3)), (Some(2), Some(3)));
    });
}
