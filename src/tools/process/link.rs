//! The line between a worker and its child: a Unix socket, over which whole messages go, each with at most one
//! descriptor. Messages are small; what is large is in shared memory.

use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use nix::cmsg_space;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, UnixAddr, recvmsg, sendmsg};

/// No message is longer than this many bytes.
const MOST: usize = 1 << 30;

/// A length goes before each message.
const HEAD: usize = size_of::<u64>();

/// How often whoever waits looks whether the other side is still there. The end of the line tells it at once, except
/// where a third process has the other end open, by a `fork` that was followed by no `exec`.
const BEAT: Duration = Duration::from_millis(200);

/// One end of the line.
pub struct Link {
    socket: UnixStream,
}

/// What was received.
pub struct Message {
    /// As they were sent.
    pub bytes: Vec<u8>,
    /// What came with them.
    pub fd: Option<OwnedFd>,
}

impl Link {
    /// Both ends.
    pub fn pair() -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = UnixStream::pair()?;
        Ok((Self { socket: ours }, theirs.into()))
    }

    /// The end that a descriptor is.
    pub fn new(end: OwnedFd) -> Self {
        Self { socket: end.into() }
    }

    /// Sends a message; waits while the other side does not read.
    pub fn send(&self, message: &[u8], fd: Option<BorrowedFd>) -> io::Result<()> {
        if message.len() > MOST {
            let why = format!(
                "a message of {} bytes; at most {MOST} are possible",
                message.len()
            );
            return Err(io::Error::new(ErrorKind::InvalidInput, why));
        }
        let head = (message.len() as u64).to_ne_bytes();
        let mut raw = fd.as_ref().map(AsRawFd::as_raw_fd);
        let mut sent = 0;
        while sent < HEAD + message.len() {
            let parts = [
                IoSlice::new(&head[sent.min(HEAD)..]),
                IoSlice::new(&message[sent.saturating_sub(HEAD)..]),
            ];
            let fds = raw.as_slice();
            let rights = [ControlMessage::ScmRights(fds)];
            let control = if fds.is_empty() { &[][..] } else { &rights };
            let socket = self.socket.as_raw_fd();
            // A side that is gone is an error and not SIGPIPE.
            match sendmsg::<UnixAddr>(socket, &parts, control, MsgFlags::MSG_NOSIGNAL, None) {
                Ok(bytes) => sent += bytes,
                Err(nix::Error::EINTR) => continue,
                Err(errno) => return Err(errno.into()),
            }
            raw = None;
        }
        Ok(())
    }

    /// Waits for the next message; `None` once the other side has ended, or `gone` says so.
    pub fn receive(&self, mut gone: impl FnMut() -> bool) -> io::Result<Option<Message>> {
        let mut head = [0; HEAD];
        let mut fd = None;
        if !self.fill(&mut head, &mut fd, &mut gone)? {
            return Ok(None);
        }
        let length = usize::try_from(u64::from_ne_bytes(head)).unwrap_or(usize::MAX);
        let mut bytes = Vec::new();
        if length > MOST || bytes.try_reserve_exact(length).is_err() {
            let why = format!("a message of {length} bytes cannot be received");
            return Err(io::Error::new(ErrorKind::InvalidData, why));
        }
        bytes.resize(length, 0);
        let whole = self.fill(&mut bytes, &mut fd, &mut gone)?;
        Ok(whole.then_some(Message { bytes, fd }))
    }

    /// Whether a message, or the end, is there to be received.
    pub fn ready(&self) -> bool {
        self.wait(Duration::ZERO).unwrap_or(true)
    }

    /// Lets the other side see the end of the line.
    pub fn end(&self) {
        let _ = self.socket.shutdown(Shutdown::Write);
    }

    /// Ends the line for both sides, whatever they are doing.
    pub fn cut(&self) {
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    /// Reads until `buffer` is full: `false` if the line ends before.
    fn fill(
        &self,
        buffer: &mut [u8],
        fd: &mut Option<OwnedFd>,
        gone: &mut impl FnMut() -> bool,
    ) -> io::Result<bool> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.read(&mut buffer[filled..], fd) {
                Ok(0) => return Ok(false),
                Ok(bytes) => filled += bytes,
                Err(nix::Error::EINTR) => {}
                Err(nix::Error::EAGAIN) => {
                    if !self.wait(BEAT)? && gone() {
                        return Ok(false);
                    }
                }
                Err(nix::Error::ECONNRESET) => return Ok(false),
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(true)
    }

    fn read(&self, buffer: &mut [u8], fd: &mut Option<OwnedFd>) -> nix::Result<usize> {
        let mut control = cmsg_space!([i32; 1]);
        let mut parts = [IoSliceMut::new(buffer)];
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
        let socket = self.socket.as_raw_fd();
        let received = recvmsg::<UnixAddr>(socket, &mut parts, Some(&mut control), flags)?;
        for message in received.cmsgs()? {
            if let ControlMessageOwned::ScmRights(fds) = message {
                for raw in fds {
                    // SAFETY: the kernel has made this descriptor for us alone.
                    *fd = Some(unsafe { OwnedFd::from_raw_fd(raw) });
                }
            }
        }
        Ok(received.bytes)
    }

    /// Whether something is there within `patience`.
    fn wait(&self, patience: Duration) -> io::Result<bool> {
        let timeout = PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX);
        let mut fds = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, timeout) {
            Ok(ready) => Ok(ready > 0),
            Err(nix::Error::EINTR) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }
}
