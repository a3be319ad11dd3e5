//! Peer: a process that has the table to itself and answers messages over a Unix socket.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};

use super::{ENTRIES, Reader, Writer, key, value};

/// The process with the table.
#[derive(Debug)]
pub struct Server {
    table: HashMap<u64, u64>,
    listener: UnixListener,
    client: Option<UnixStream>,
}

impl Server {
    /// A full table behind this socket.
    ///
    /// # Errors
    /// The system's.
    pub fn fill(path: &str) -> Result<Self, String> {
        let listener = UnixListener::bind(path).map_err(|error| error.to_string())?;
        listener.set_nonblocking(true).map_err(|error| error.to_string())?;
        let table = (0..ENTRIES).map(|number| (key(number), value(key(number), 0))).collect();
        Ok(Self { table, listener, client: None })
    }

    /// Answers a question, if there is one; waits for one if `wait`.
    pub fn answer(&mut self, wait: bool) {
        if self.client.is_none() {
            self.client = self.listener.accept().ok().map(|(client, _)| client);
        }
        let Some(client) = &mut self.client else { return };
        if client.set_nonblocking(!wait).is_err() {
            return;
        }
        let mut question = [0; 8];
        let gone = match client.read(&mut question) {
            Ok(8) => {
                let found = self.table.get(&u64::from_ne_bytes(question)).copied().unwrap_or(0);
                client.write_all(&found.to_ne_bytes()).is_err()
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => false,
            _ => true,
        };
        if gone {
            self.client = None;
        }
    }
}

impl Writer for Server {
    /// Looks for a question between two updates.
    fn update(&mut self, key: u64, value: u64) {
        *self.table.get_mut(&key).expect("it is there") = value;
        self.answer(false);
    }
}

/// A process that asks.
#[derive(Debug)]
pub struct Client(UnixStream);

impl Client {
    /// Of that server.
    ///
    /// # Errors
    /// The system's.
    pub fn open(path: &str) -> Result<Self, String> {
        UnixStream::connect(path).map(Self).map_err(|error| error.to_string())
    }
}

impl Reader for Client {
    fn get(&mut self, key: u64) -> Option<u64> {
        self.0.write_all(&key.to_ne_bytes()).ok()?;
        let mut answer = [0; 8];
        self.0.read_exact(&mut answer).ok()?;
        Some(u64::from_ne_bytes(answer))
    }
}
