//! QSBR in an event loop: a small name server on UDP, whose table is replaced while it answers.
//!
//! Run it with `cargo run -p urcu-examples --bin epoll_qsbr`.
//!
//! An event loop has one natural quiescent state: the wait for events. It may take for ever, so the thread is offline
//! meanwhile (`while_offline`). Between two waits a request is answered from the table by plain loads.
//!
//! The borrow checker enforces the rules: `while_offline` and `quiescent_state` take `&mut Thread`, and a guard borrows
//! the `Thread`, so neither compiles while a reference into the table is in use; inside `while_offline` there is no
//! `Thread` to read with.

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::EventFd;
use urcu_qsbr as rcu;

const VERSIONS: u8 = 30;
const NAMES: [&str; 3] = ["alpha", "beta", "gamma"];

const REQUEST: u64 = 1;
const STOP: u64 = 2;

type Table = HashMap<&'static str, Ipv4Addr>;

static TABLE: rcu::Rcu<Table> = rcu::Rcu::empty();

/// Every name's address ends with the table's version.
fn table(version: u8) -> Table {
    NAMES.into_iter().zip(1..).map(|(name, n)| (name, Ipv4Addr::new(10, 0, n, version))).collect()
}

fn serve(socket: &UdpSocket, stop: &EventFd) -> io::Result<u64> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    epoll.add(socket, EpollEvent::new(EpollFlags::EPOLLIN, REQUEST))?;
    epoll.add(stop, EpollEvent::new(EpollFlags::EPOLLIN, STOP))?;

    let mut me = rcu::register().map_err(io::Error::other)?;
    let mut events = [EpollEvent::empty(); 8];
    let mut answered = 0;
    loop {
        let ready = match me.while_offline(|| epoll.wait(&mut events, EpollTimeout::NONE)) {
            Err(Errno::EINTR) => continue,
            ready => ready?,
        };
        for event in &events[..ready] {
            if event.data() == STOP {
                return Ok(answered);
            }
            answered += answer_all(socket, &mut me)?;
        }
    }
}

/// Answers until the socket is empty.
fn answer_all(socket: &UdpSocket, me: &mut rcu::Thread) -> io::Result<u64> {
    let mut request = [0; 64];
    let mut answered = 0;
    loop {
        let (len, client) = match socket.recv_from(&mut request) {
            Ok(received) => received,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(answered),
            Err(error) => return Err(error),
        };
        let section = me.read_lock();
        let table = TABLE.load(&section).expect("published before the server started");
        let address = str::from_utf8(&request[..len]).ok().and_then(|name| table.get(name));
        answer(socket, address, client);
        drop(section);
        answered += 1;
        // Requests may come in faster than they are answered: then this loop does not end, and epoll is not reached.
        me.quiescent_state();
    }
}

fn answer(socket: &UdpSocket, address: Option<&Ipv4Addr>, client: SocketAddr) {
    let octets = address.map(Ipv4Addr::octets);
    // UDP: an answer that is lost is asked for again.
    let _ = socket.send_to(octets.as_ref().map_or(&[][..], |octets| octets), client);
}

/// Asks until the last version has been seen, and says so each time it sees a new one. Versions never go back.
fn ask(server: SocketAddr, name: &str, seen: &Sender<u8>) -> io::Result<u64> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(Duration::from_secs(1)))?;
    let (mut asked, mut newest) = (0, 1);
    while newest < VERSIONS {
        socket.send(name.as_bytes())?;
        let mut octets = [0; 4];
        match socket.recv(&mut octets) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => continue,
            received => assert_eq!(received?, 4, "{name} is in every version"),
        }
        assert!(octets[3] >= newest, "an old version after a new one");
        if octets[3] > newest {
            newest = octets[3];
            // The updater may have ended with an error.
            let _ = seen.send(newest);
        }
        asked += 1;
    }
    Ok(asked)
}

fn main() -> io::Result<()> {
    TABLE.publish(table(1));
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.set_nonblocking(true)?;
    let address = socket.local_addr()?;
    let stop = EventFd::new()?;

    thread::scope(|scope| {
        let server = scope.spawn(|| serve(&socket, &stop));
        let (sender, seen) = mpsc::channel();
        let clients = NAMES.map(|name| {
            let sender = sender.clone();
            scope.spawn(move || ask(address, name, &sender))
        });

        // The updater is this thread. It reads nothing, so it is not registered.
        for version in 2..=VERSIONS {
            let old = TABLE.publish(table(version)).expect("there is always one");
            let old = old.synchronize_and_into_inner();
            assert!(old.values().all(|address| address.octets()[3] == version - 1));
            // Every client asks while this version is there.
            for _ in NAMES {
                assert_eq!(seen.recv().expect("a client waits for it"), version);
            }
        }

        let mut asked = 0;
        for client in clients {
            asked += client.join().expect("the client has not panicked")?;
        }
        // The server waits for requests that nobody sends any more: it holds up nothing.
        assert_eq!(rcu::stats().readers, 1);
        rcu::synchronize();
        stop.write(1)?;
        let answered = server.join().expect("the server has not panicked")?;
        assert!(answered >= asked);
        println!("{answered} requests answered, {} old tables freed meanwhile", VERSIONS - 1);
        Ok(())
    })
}
