//! Descriptors over Unix sockets.

use core::mem::size_of;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

/// Room for one descriptor and its head, aligned as the kernel wants it.
#[repr(C, align(8))]
struct Control([u8; 64]);

/// Sends a descriptor (and one byte that carries it) over a socket. The other side gets one of its own. Blocks as the socket does.
///
/// # Errors
///
/// The system's.
pub fn send_fd(socket: &UnixStream, fd: BorrowedFd<'_>) -> io::Result<()> {
    let mut byte = [0_u8];
    let mut part = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 };
    let mut control = Control([0; 64]);
    let mut message = empty_message(&mut part, &mut control);
    // SAFETY: computes a size.
    message.msg_controllen = unsafe { libc::CMSG_SPACE(size_of::<RawFd>() as u32) } as _;
    // SAFETY: a message with room for one head.
    let head = unsafe { libc::CMSG_FIRSTHDR(&raw const message) };
    let contents = libc::cmsghdr {
        // SAFETY: computes a size.
        cmsg_len: unsafe { libc::CMSG_LEN(size_of::<RawFd>() as u32) } as _,
        cmsg_level: libc::SOL_SOCKET,
        cmsg_type: libc::SCM_RIGHTS,
    };
    // SAFETY: inside `control`, which is larger than a head and a descriptor, and aligned.
    unsafe { head.write(contents) };
    // SAFETY: the data behind that head.
    let data = unsafe { libc::CMSG_DATA(head) };
    // SAFETY: inside `control`.
    unsafe { data.cast::<RawFd>().write_unaligned(fd.as_raw_fd()) };
    // SAFETY: everything that the message refers to lives here.
    let sent = uninterrupted(|| unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL) })?;
    if sent == 1 { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
}

/// Receives what [`send_fd`] has sent. Blocks as the socket does.
///
/// # Errors
///
/// The system's; `InvalidData` if something else came, `UnexpectedEof` if the other side is gone.
pub fn recv_fd(socket: &UnixStream) -> io::Result<OwnedFd> {
    let mut byte = [0_u8];
    let mut part = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 };
    let mut control = Control([0; 64]);
    let mut message = empty_message(&mut part, &mut control);
    // One only: the kernel closes what has no room. (Not `CMSG_SPACE`: its padding has room for a second one.)
    // SAFETY: computes a size.
    message.msg_controllen = unsafe { libc::CMSG_LEN(size_of::<RawFd>() as u32) } as _;
    // SAFETY: everything that the message refers to lives here.
    let receive = || unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_CMSG_CLOEXEC) };
    if uninterrupted(receive)? != 1 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    // SAFETY: a message that the kernel has filled in.
    let head = unsafe { libc::CMSG_FIRSTHDR(&raw const message) };
    // SAFETY: null or a head inside `control`.
    let Some(&libc::cmsghdr { cmsg_len, cmsg_level, cmsg_type, .. }) = (unsafe { head.as_ref() }) else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    // SAFETY: computes a size.
    let expected = unsafe { libc::CMSG_LEN(size_of::<RawFd>() as u32) };
    if cmsg_level != libc::SOL_SOCKET || cmsg_type != libc::SCM_RIGHTS || cmsg_len as u64 != u64::from(expected) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    // SAFETY: the data behind that head.
    let data = unsafe { libc::CMSG_DATA(head) };
    // SAFETY: one descriptor, as its length says.
    let fd = unsafe { data.cast::<RawFd>().read_unaligned() };
    // SAFETY: the kernel has just made it for us.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    if message.msg_flags & libc::MSG_CTRUNC != 0 {
        // There was more than one.
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(fd)
}

/// A system call's result, after as many signals as come.
fn uninterrupted(mut call: impl FnMut() -> isize) -> io::Result<isize> {
    loop {
        let outcome = call();
        if outcome >= 0 {
            return Ok(outcome);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

fn empty_message(part: &mut libc::iovec, control: &mut Control) -> libc::msghdr {
    // SAFETY: plain data, for which zero is "nothing".
    let mut message: libc::msghdr = unsafe { core::mem::zeroed() };
    message.msg_iov = part;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    message
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek, Write};
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn what_is_sent_is_the_same_file() {
        let (here, there) = UnixStream::pair().expect("sockets");
        let mut file = std::fs::File::from(crate::sys::create_memfd("passed").expect("a file"));
        file.write_all(b"through").expect("room");
        send_fd(&here, file.as_fd()).expect("sent");
        let mut other = std::fs::File::from(recv_fd(&there).expect("received"));
        other.rewind().expect("a file");
        let mut text = String::new();
        other.read_to_string(&mut text).expect("text");
        assert_eq!(text, "through");
    }

    /// Sends the same descriptor several times in one message.
    fn send_several(socket: &UnixStream, fds: &[RawFd; 2]) {
        let mut byte = [0_u8];
        let mut part = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 };
        let mut control = Control([0; 64]);
        let mut message = empty_message(&mut part, &mut control);
        // SAFETY: computes a size.
        message.msg_controllen = unsafe { libc::CMSG_SPACE(size_of_val(fds) as u32) } as _;
        // SAFETY: a message with room for one head.
        let head = unsafe { libc::CMSG_FIRSTHDR(&raw const message) };
        let contents = libc::cmsghdr {
            // SAFETY: computes a size.
            cmsg_len: unsafe { libc::CMSG_LEN(size_of_val(fds) as u32) } as _,
            cmsg_level: libc::SOL_SOCKET,
            cmsg_type: libc::SCM_RIGHTS,
        };
        // SAFETY: inside `control`.
        unsafe { head.write(contents) };
        // SAFETY: the data behind that head.
        let data = unsafe { libc::CMSG_DATA(head) };
        // SAFETY: inside `control`.
        unsafe { data.cast::<[RawFd; 2]>().write_unaligned(*fds) };
        // SAFETY: everything that the message refers to lives here.
        assert_eq!(unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const message, 0) }, 1);
    }

    #[test]
    fn several_descriptors_are_an_error_and_none_stays_open() {
        let (here, there) = UnixStream::pair().expect("sockets");
        let file = crate::sys::create_memfd("several-descriptors").expect("a file");
        let open = || {
            std::fs::read_dir("/proc/self/fd")
                .expect("proc")
                .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
                .filter(|target| target.to_string_lossy().contains("several-descriptors"))
                .count()
        };
        assert_eq!(open(), 1);
        for _ in 0..3 {
            send_several(&here, &[file.as_raw_fd(); 2]);
            assert_eq!(recv_fd(&there).expect_err("two").kind(), io::ErrorKind::InvalidData);
        }
        assert_eq!(open(), 1, "descriptors that nobody owns");
    }

    #[test]
    fn something_else_is_an_error() {
        let (mut here, there) = UnixStream::pair().expect("sockets");
        here.write_all(b"x").expect("room");
        assert_eq!(recv_fd(&there).expect_err("no descriptor").kind(), io::ErrorKind::InvalidData);
        drop(here);
        assert_eq!(recv_fd(&there).expect_err("gone").kind(), io::ErrorKind::UnexpectedEof);
    }
}
